"""Samplers by name, as tables: which fit a process, how many evaluations they need, and their numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Literal

import torch

from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.consistency import ConsistencyConfig
from ashore.policies.generation.ddpm import DDPMConfig, scheduler
from ashore.policies.generation.edm import EDMConfig
from ashore.policies.generation.regression import RegressionConfig
from ashore.policies.generation.table import Row, Table, row_of

Process = EDMConfig | DDPMConfig | ConsistencyConfig | RegressionConfig
SamplerName = Literal["auto", "euler", "heun", "dpm", "ddim", "ddpm", "consistency", "regression"]


@dataclass(frozen=True)
class SamplerConfig:
    """How a trained network is asked; chosen again at evaluation and export, no training needed."""

    name: SamplerName = "auto"
    """euler, heun, dpm (DPM-Solver++ 2M) for EDM; ddim, ddpm, dpm for DDPM; auto takes the process's first."""
    steps: int | None = None
    """Levels, 1 to 100; Heun needs 2 n - 1 evaluations, the others n. None takes the process's usual number."""

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise InvalidConfig("the sampler", [f"steps: {self.steps}; must lie in 1 to {MOST_STEPS}"])


MOST_STEPS = 100
USUAL_STEPS = {"edm": 5, "ddpm": 10, "consistency": 1, "regression": 1}
FULL_STEPS = {("ddpm", "ddpm"): 100}
"""Where one sampler of a process usually takes more steps than its others."""


def make_table(process: Process, sampler: SamplerConfig) -> Table:
    """Write a sampler down for a process.

    Raises:
        InvalidConfig: the process has no such sampler, or not in as many steps.
    """
    makers = MAKERS[process.kind]
    name = next(iter(makers)) if sampler.name == "auto" else sampler.name
    if name not in makers:
        problem = f"name: {name!r} does not fit a policy trained by {process.kind}; valid: {', '.join(makers)}"
        raise InvalidConfig("the sampler", [problem])
    usual = FULL_STEPS.get((process.kind, name), USUAL_STEPS[process.kind])
    steps = usual if sampler.steps is None else sampler.steps
    if process.kind == "regression" and steps != 1:
        raise InvalidConfig("the sampler", [f"steps: {steps}; a policy trained by regression answers in 1"])
    if isinstance(process, DDPMConfig) and steps > process.steps:
        raise InvalidConfig("the sampler", [f"steps: {steps}; the policy was trained with {process.steps}"])
    return makers[name](process, steps)


def _euler(process: EDMConfig, n: int) -> Table:
    """Follow the probability-flow ODE by Euler steps."""
    levels = process.noise_levels(n)
    rows = [_edm_row(process, here, there / here, 1 - there / here) for here, there in pairwise(levels)]
    return Table(levels[0], tuple(rows))


def _heun(process: EDMConfig, n: int) -> Table:
    """Follow the same ODE by Heun steps; algorithm 1 of the EDM paper without churn.

    An Euler step lands at x'; the slope there against the slope before moves it by (s - s') / 2 s' (clean' - clean).
    """
    levels, rows = process.noise_levels(n), []
    for here, there in pairwise(levels):
        rows.append(_edm_row(process, here, there / here, 1 - there / here))
        if there > 0:
            half = (here - there) / (2 * there)
            rows.append(_edm_row(process, there, 1.0, half, -half))
    return Table(levels[0], tuple(rows))


def _dpm(process: EDMConfig, n: int) -> Table:
    """Take DPM-Solver++ 2M steps, in which the clean chunk is extrapolated from the last two.

    Source: Lu et al., DPM-Solver++, 2022, algorithm 2, in the log-SNR of EDM's noise; the first and last steps are of
    first order.
    """
    levels, rows, last = process.noise_levels(n), [], None
    for here, there in pairwise(levels):
        step = log(here / there) if there > 0 else None
        share = 0.0 if last is None or step is None else step / (2 * last)
        move = 1 - there / here
        rows.append(_edm_row(process, here, there / here, move * (1 + share), -move * share))
        last = step
    return Table(levels[0], tuple(rows))


def _edm_row(process: EDMConfig, sigma: float, keep: float, take: float, before: float = 0.0) -> Row:
    return row_of(process.scaling(torch.tensor([sigma], dtype=torch.float64)), keep, take, before)


def _ddim(process: DDPMConfig, n: int) -> Table:
    """Take DDIM steps; Song et al., ICLR 2021."""
    return _from_diffusers(process, "DDIMScheduler", n, {"clip_sample": False}, {"eta": 0.0})


def _ddpm(process: DDPMConfig, n: int) -> Table:
    """Take ancestral steps: DDIM with eta = 1, whose variance is DDPM's smaller one."""
    return _from_diffusers(process, "DDIMScheduler", n, {"clip_sample": False}, {"eta": 1.0})


def _dpm_discrete(process: DDPMConfig, n: int) -> Table:
    """Take DPM-Solver++ 2M steps over the discrete schedule; the last is of first order."""
    return _from_diffusers(process, "DPMSolverMultistepScheduler", n, {"final_sigmas_type": "zero"}, {})


def _from_diffusers(
    process: DDPMConfig, name: str, n: int, options: Mapping[str, Any], step_options: Mapping[str, Any]
) -> Table:
    """Read the numbers of a scheduler of diffusers off its answers to unit vectors, its steps being linear.

    Spacing is "trailing", from the noisiest step down: the default, "leading", starts below it at few steps and shows
    the network pure noise as if it held signal.
    """
    schedule = scheduler(process, name, timestep_spacing="trailing", **options)
    schedule.set_timesteps(n)
    n_basis = 1 + 2 * n  # The start, the clean chunks, the draws of noise.
    basis = torch.eye(n_basis, dtype=torch.float64)
    x, rows = basis[0], []
    for i, step in enumerate(schedule.timesteps):
        chance = {"variance_noise": basis[1 + n + i]} if step_options.get("eta") else {}
        new = schedule.step(basis[1 + i], step, x, **step_options, **chance).prev_sample
        keep = float(new[0] / x[0]) if x[0] != 0 else 0.0
        before = float(new[i] - keep * x[i]) if i else 0.0
        scaling = process.scaling(step.double()[None])
        rows.append(row_of(scaling, keep, float(new[1 + i]), before, float(new[1 + n + i])))
        x = new
    return Table(1.0, tuple(rows), is_clipped=True)


def _consistency(process: ConsistencyConfig, n: int) -> Table:
    """Jump to the clean chunk, add less noise, and jump again; algorithm 1 of Song et al., ICML 2023."""
    levels = process.chain(n)
    rows = []
    for here, there in pairwise((*levels, process.sigma_min)):
        scaling = process.scaling(torch.tensor([here], dtype=torch.float64))
        rows.append(row_of(scaling, 0.0, 1.0, noise=max(there**2 - process.sigma_min**2, 0.0) ** 0.5))
    return Table(process.start_std, tuple(rows))


def _regression(process: RegressionConfig, n: int) -> Table:
    return Table(1.0, (row_of(process.scaling(torch.ones(1)), 0.0, 1.0),))


MAKERS: Mapping[str, Mapping[str, Callable[..., Table]]] = {
    "edm": {"euler": _euler, "heun": _heun, "dpm": _dpm},
    "ddpm": {"ddim": _ddim, "ddpm": _ddpm, "dpm": _dpm_discrete},
    "consistency": {"consistency": _consistency},
    "regression": {"regression": _regression},
}
