"""Consistency: a network that jumps from any noise level straight to clean chunks, in 1 to 4 evaluations.

Learnt from a diffusion teacher or from data alone. Sources: Song, Dhariwal, Chen, Sutskever, Consistency Models, ICML
2023 (distillation); Song and Dhariwal, Improved Techniques for Training Consistency Models, ICLR 2024 (training); Kim
et al., Consistency Trajectory Models, ICLR 2024, with Prasad et al., Consistency Policy, RSS 2024 (trajectory).
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.edm import EDMConfig
from ashore.policies.generation.scaling import Given, Network, Scaling, predict

Form = Literal["solution", "distillation", "trajectory", "training"]


@dataclass(frozen=True)
class ConsistencyConfig:
    """What a consistency policy learns, and the noise it starts from."""

    kind: Literal["consistency"] = "consistency"
    form: Form = "solution"
    """solution: where the teacher's trajectory ends; distillation: the same clean chunk from two neighbouring points of
    it; trajectory: jumps between any two of its points; training: agreement without a teacher."""
    noise: EDMConfig = field(default_factory=lambda: EDMConfig(sigma_min=0.01))
    """At noise.sigma_min the answer is the input."""
    levels: int = 24
    """Levels between which neighbours agree; training without a teacher starts with 10 and doubles up to 8 times."""
    start_std: float = 20.0
    """Standard deviation of the noise that a chunk is planned from at the largest level.

    sigma_max gives each of several right answers its share; 1 keeps near the mean, for tasks with one right answer
    (Prasad et al., Consistency Policy, RSS 2024).
    """
    huber: float = 0.03
    """The pseudo-Huber distance bends at huber * sqrt(Tp * Da)."""
    denoising: float = 1.0
    """Weight of the denoising loss beside the trajectory one."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {getattr(self, name)}; must be positive and finite"
            for name in ("start_std", "huber")
            if not 0 < getattr(self, name) < float("inf")
        ]
        if self.levels < 2:
            faults.append(f"levels: {self.levels}; must be at least 2")
        if faults:
            raise InvalidConfig("the consistency policy", faults)

    @property
    def sigma_data(self) -> float:
        """Standard deviation of clean chunks."""
        return self.noise.sigma_data

    @property
    def sigma_min(self) -> float:
        """The smallest level."""
        return self.noise.sigma_min

    def scaling(self, sigma: Tensor, target: Tensor | None = None) -> Scaling:
        """Precondition a jump from levels (B,) to targets (B,), by default the smallest; the identity where they meet.

        Sources: Consistency Models, appendix C; for the jump CTM, equation 9: G = (s/t) x + (1 - s/t) g.
        """
        sd = self.sigma_data
        total, above = (sigma * sigma + sd * sd).sqrt(), sigma - self.sigma_min
        skip, out = sd * sd / (above * above + sd * sd), sd * above / total
        level = torch.log(sigma)[:, None] / 4
        if self.form == "trajectory":
            end = torch.full_like(sigma, self.sigma_min) if target is None else target
            kept = end / sigma
            skip, out = kept + (1 - kept) * skip, (1 - kept) * out
            level = torch.cat((level, torch.log(end)[:, None] / 4), dim=1)
        return Scaling(1 / total, skip, out, level)

    def chain(self, n: int) -> tuple[float, ...]:
        """List the n falling levels that are jumped from."""
        return self.noise.noise_levels(n + 1)[:n]

    def grid(self, n: int, like: Tensor) -> Tensor:
        """List n falling levels from sigma_max to sigma_min (n,)."""
        return torch.tensor(self.noise.noise_levels(n)[:-1]).to(like)


@dataclass(frozen=True)
class Trio:
    """The networks of a distillation."""

    student: Network
    target: Network
    """A slow average of the student; no gradient flows through it."""
    teacher: Network


def distance(answer: Tensor, wanted: Tensor, huber: float) -> Tensor:
    """Give the pseudo-Huber distance of each chunk (B,); iCT, section 3.3."""
    bend = huber * float(answer[0].numel()) ** 0.5
    squares: Tensor = ((answer - wanted) ** 2).sum((1, 2))
    distances: Tensor = torch.sqrt(squares + bend * bend) - bend
    return distances


def distillation_loss(
    trio: Trio, actions: Tensor, given: Given, configs: tuple[ConsistencyConfig, EDMConfig], rng: torch.Generator
) -> Tensor:
    """Ask the student for the same chunk from two neighbouring points of one of the teacher's trajectories.

    Args:
        trio: student, target and teacher.
        actions: (B, Tp, Da) normalised.
        given: what they are conditioned on.
        configs: of the student and of the teacher's noise.
        rng: the source of all chance here, on the CPU.
    """
    config, edm = configs
    levels = config.grid(config.levels, actions)
    index = torch.randint(config.levels - 1, (len(actions),), generator=rng).to(actions.device)
    high, low = levels[index], levels[index + 1]  # (B,) each
    noisy = _noised(actions, high, rng)
    with torch.no_grad():
        calmer = _heun_step(trio.teacher, noisy, (high, low), given, edm)
        wanted = predict(trio.target, calmer, config.scaling(low), given)
    answer = predict(trio.student, noisy, config.scaling(high), given)
    return distance(answer, wanted, config.huber).mean()


def solution_loss(
    trio: Trio, actions: Tensor, given: Given, configs: tuple[ConsistencyConfig, EDMConfig], rng: torch.Generator
) -> Tensor:
    """Ask the student for the end of the teacher's trajectory, which is followed to it in `solution_steps`.

    No error is handed from level to level, as it is where a student teaches itself; the teacher's evaluations need no
    gradient. Half of the chunks start at the largest level, where a one-step policy works. Arguments as in
    distillation_loss. Source: Luhman and Luhman, Knowledge Distillation in Iterative Generative Models, 2021, from
    every level instead of the first alone.
    """
    config, edm = configs
    levels = config.grid(config.levels, actions)
    index = torch.randint(1 - config.levels, config.levels - 1, (len(actions),), generator=rng).clamp(min=0)
    sigma = levels[index.to(actions.device)]
    noisy = _noised(actions, sigma, rng)
    with torch.no_grad():
        wanted = _solve(trio.teacher, noisy, sigma, given, edm)
    return distance(predict(trio.student, noisy, config.scaling(sigma), given), wanted, config.huber).mean()


def trajectory_loss(
    trio: Trio, actions: Tensor, given: Given, configs: tuple[ConsistencyConfig, EDMConfig], rng: torch.Generator
) -> Tensor:
    """Ask for the same landing after a long jump and after one step of the teacher and a shorter jump, and denoise.

    Both landings at level s are compared where a further jump to the smallest level takes them. Arguments as in
    distillation_loss. Source: Consistency Policy, section IV-B; as in its released code both terms weigh the same.
    """
    config, edm = configs
    levels = config.grid(config.levels, actions)
    last = config.levels - 1
    start = torch.randint(last, (len(actions),), generator=rng)
    stop = start + 1 + (torch.rand(len(actions), generator=rng) * (last - start)).long().clamp(max=last)
    high, next_, low = (levels[i.clamp(max=last).to(actions.device)] for i in (start, start + 1, stop))
    noisy = _noised(actions, high, rng)
    with torch.no_grad():
        calmer = _heun_step(trio.teacher, noisy, (high, next_), given, edm)
        landed = predict(trio.target, calmer, config.scaling(next_, low), given)
        wanted = predict(trio.target, landed, config.scaling(low), given)
    landing = predict(trio.student, noisy, config.scaling(high, low), given)
    answer = predict(trio.target, landing, config.scaling(low), given)  # The gradient flows through the landing alone.
    clean = predict(trio.student, _noised(actions, high, rng), config.scaling(high), given)
    denoised = distance(clean, actions, config.huber)
    return (distance(answer, wanted, config.huber) + config.denoising * denoised).mean()


def training_loss(
    network: Network, actions: Tensor, given: Given, config: ConsistencyConfig, chance: tuple[torch.Generator, float]
) -> Tensor:
    """Ask for the same chunk under two neighbouring amounts of the same noise; no teacher.

    The number of levels doubles from 10 to `levels` as training goes on, more noise levels are drawn where a
    log-normal has them, and the target is the network itself; iCT, sections 3.2 to 3.5.

    Args:
        network: the one that is trained.
        actions: (B, Tp, Da) normalised.
        given: what they are conditioned on.
        config: of the policy.
        chance: its source, on the CPU, and the share of training that is done.
    """
    rng, share = chance
    levels = config.grid(curriculum(config.levels, share) + 1, actions).flip(0)  # Rising.
    edges = torch.erf((torch.log(levels.double().cpu()) + 1.1) / (2**0.5 * 2.0))
    index = torch.multinomial(edges.diff().clamp(min=0), len(actions), replacement=True, generator=rng)
    low, high = levels[index.to(actions.device)], levels[index.to(actions.device) + 1]
    noise = torch.randn(actions.shape, generator=rng).to(actions)
    answer = predict(network, actions + high[:, None, None] * noise, config.scaling(high), given)
    with torch.no_grad():
        wanted = predict(network, actions + low[:, None, None] * noise, config.scaling(low), given)
    return (distance(answer, wanted, config.huber) / (high - low)).mean()


def curriculum(most: int, share: float, least: int = 10) -> int:
    """Give the number of level pairs when a share of training is done: it doubles until it is `most`."""
    doublings = 0
    while least * 2 ** (doublings + 1) <= most:
        doublings += 1
    return min(most, least << int(min(share, 0.999) * (doublings + 1)))


def _noised(actions: Tensor, sigma: Tensor, rng: torch.Generator) -> Tensor:
    return actions + sigma[:, None, None] * torch.randn(actions.shape, generator=rng).to(actions)


def _heun_step(teacher: Network, noisy: Tensor, sigmas: tuple[Tensor, Tensor], given: Given, edm: EDMConfig) -> Tensor:
    """Take one Heun step of the teacher's ODE from sigmas[0] (B,) to sigmas[1] (B,)."""
    high, low = sigmas[0][:, None, None], sigmas[1][:, None, None]
    slope = (noisy - predict(teacher, noisy, edm.scaling(sigmas[0]), given)) / high
    trial = noisy + (low - high) * slope
    second = (trial - predict(teacher, trial, edm.scaling(sigmas[1]), given)) / low
    return noisy + (low - high) * (slope + second) / 2


SOLUTION_STEPS = 5
"""Of the solution that a student learns; as many as an EDM policy usually takes."""


def _solve(teacher: Network, noisy: Tensor, sigma: Tensor, given: Given, edm: EDMConfig) -> Tensor:
    """Follow the teacher's ODE from sigma (B,) to its end as its own sampler does, by Euler steps along its ramp."""
    top, bottom = sigma[:, None] ** (1 / edm.rho), edm.sigma_min ** (1 / edm.rho)
    grid = (top + torch.linspace(0, 1, SOLUTION_STEPS).to(sigma) * (bottom - top)) ** edm.rho  # (B, SOLUTION_STEPS)
    x = noisy
    for i in range(SOLUTION_STEPS - 1):
        clean = predict(teacher, x, edm.scaling(grid[:, i]), given)
        x = clean + (x - clean) * (grid[:, i + 1] / grid[:, i])[:, None, None]
    return predict(teacher, x, edm.scaling(grid[:, -1]), given)
