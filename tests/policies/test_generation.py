"""Processes and samplers against published values, known flows and diffusers' own schedulers, and a two-mode target."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ashore.policies.averaging import average_decay, follow
from ashore.policies.errors import InvalidConfig
from ashore.policies.generation.consistency import (
    ConsistencyConfig,
    Trio,
    curriculum,
    distillation_loss,
    solution_loss,
    training_loss,
    trajectory_loss,
)
from ashore.policies.generation.ddpm import DDPMConfig, noise_loss, scheduler, signal_shares
from ashore.policies.generation.edm import EDMConfig, denoising_loss
from ashore.policies.generation.samplers import SamplerConfig, make_table
from ashore.policies.generation.scaling import Given, guided, predict
from ashore.policies.generation.table import follow as plan
from ashore.policies.networks.denoiser import Shape
from ashore.policies.networks.mlp import MLPConfig, MLPDenoiser

PUBLISHED = [80, 57.59, 40.79, 28.37, 19.35, 12.91, 8.40, 5.32, 3.26, 1.92, 1.09, 0.585, 0.296, 0.1395]
PUBLISHED += [0.0599, 0.0229, 0.0075, 0.002, 0]


def given(n: int) -> Given:
    """Nothing to see and nothing to want."""
    return Given(torch.zeros(n, 1, 1), torch.zeros(n, 0))


def test_levels_equal_the_published_ramp() -> None:
    levels = EDMConfig(sigma_max=80.0).noise_levels(18)
    assert levels == pytest.approx(PUBLISHED, rel=6e-3)
    assert EDMConfig().noise_levels(1) == (pytest.approx(20.0), 0.0)


def test_the_squared_cosine_schedule_has_the_published_values() -> None:
    signal = signal_shares(DDPMConfig())
    published = {0: 0.99937, 49: 0.49384, 98: 2.4286e-4, 99: 2.43e-7}
    for step, value in published.items():
        assert float(signal[step]) == pytest.approx(value, rel=2e-3)


def test_average_decay_equals_published_values() -> None:
    published = {0: 0.0, 100: 0.9686, 1000: 0.9944, 10_000: 0.9990, 100_000: 0.9998}
    for update, decay in published.items():
        assert average_decay(update, 0.9999) == pytest.approx(decay, abs=6e-5)
    assert average_decay(100_000, 0.999) == 0.999


def test_average_moves_by_one_minus_decay() -> None:
    average, current = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    wanted = [
        0.9 * a.detach() + 0.1 * b.detach() for a, b in zip(average.parameters(), current.parameters(), strict=True)
    ]
    follow(average, current, 0.9)
    for got, expected in zip(average.parameters(), wanted, strict=True):
        assert torch.allclose(got, expected)


def gaussian_network(mean: float, std: float, config: EDMConfig):
    """F of the exact denoiser of N(mean, std^2) under EDM's preconditioning."""

    def network(scaled: Tensor, level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        sigma = torch.exp(4 * level[:, 0])
        scaling = config.scaling(sigma)
        into, skip, out = (part[:, None, None] for part in (scaling.into, scaling.skip, scaling.out))
        noisy, s = scaled / into, sigma[:, None, None] ** 2
        return ((noisy * std**2 + mean * s) / (std**2 + s) - skip * noisy) / out

    return network


@pytest.mark.parametrize(("name", "steps", "worst"), [("euler", 18, 0.6), ("heun", 18, 0.1), ("dpm", 18, 0.1)])
def test_samplers_follow_the_exact_flow(name: str, steps: int, worst: float) -> None:
    noise = torch.randn(500, 2, 1, generator=torch.Generator().manual_seed(0))
    config = EDMConfig()
    exact = 0.3 + noise * 20.0 * 0.5 / (0.5**2 + 20.0**2) ** 0.5 - 0.3 * 0.5 / (0.5**2 + 20.0**2) ** 0.5
    errors = []
    for n in (steps, 3 * steps):
        table = make_table(config, SamplerConfig(name, n))
        got = plan(gaussian_network(0.3, 0.5, config), table, noise, given(500))
        errors.append(float((got - exact).abs().max()))
    assert errors[0] < worst and errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    ("sampler", "name", "options", "step_options"),
    [
        (SamplerConfig("ddim", 10), "DDIMScheduler", {"clip_sample": True}, {"use_clipped_model_output": True}),
        (SamplerConfig("ddim", 16), "DDIMScheduler", {"clip_sample": True}, {"use_clipped_model_output": True}),
        (SamplerConfig("dpm", 10), "DPMSolverMultistepScheduler", {"final_sigmas_type": "zero"}, {}),
    ],
)
def test_tables_do_what_the_scheduler_itself_does(sampler, name, options, step_options) -> None:
    config = DDPMConfig()
    torch.manual_seed(0)
    network = MLPDenoiser(MLPConfig(width=16, blocks=1), Shape((4, 2), (1, 1)))
    noise = torch.randn(7, 4, 2)
    schedule = scheduler(config, name, timestep_spacing="trailing", **options)
    schedule.set_timesteps(sampler.steps)
    x, bounds = noise, (torch.full((4, 2), -1.0), torch.full((4, 2), 1.0))
    with torch.no_grad():
        for step in schedule.timesteps:
            clean = predict(network, x, config.scaling(step.float().expand(7)), given(7))
            x = schedule.step(clean.clamp(-1, 1), step, x, **step_options).prev_sample
        got = plan(network, make_table(config, sampler), noise, given(7), bounds)
    assert torch.allclose(got, x, atol=2e-5)


def test_ancestral_steps_have_the_variance_of_ddpm() -> None:
    table, signal = make_table(DDPMConfig(), SamplerConfig("ddpm", 100)), signal_shares(DDPMConfig())
    assert len(table.rows) == 100 and table.n_draws == 100 and table.rows[-1].noise == 0.0
    for row, step in ((table.rows[0], 99), (table.rows[50], 49)):
        alpha = float(signal[step] / signal[step - 1])
        variance = (1 - alpha) * float((1 - signal[step - 1]) / (1 - signal[step]))
        mean_of_clean = float(signal[step - 1]) ** 0.5 * (1 - alpha) / float(1 - signal[step])
        assert row.noise**2 == pytest.approx(variance, rel=1e-4)
        assert row.take == pytest.approx(mean_of_clean, rel=1e-4)


def test_samplers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"'ddim' does not fit a policy trained by edm; valid: euler, heun, dpm"):
        make_table(EDMConfig(), SamplerConfig("ddim"))
    with pytest.raises(InvalidConfig, match="must lie in 1 to 100"):
        SamplerConfig("euler", 101)
    with pytest.raises(InvalidConfig, match="trained with 50"):
        make_table(DDPMConfig(steps=50), SamplerConfig("ddim", 60))


def test_loss_is_near_zero_for_a_perfect_network_and_one_for_none() -> None:
    config = EDMConfig()
    actions = torch.full((4000, 1, 1), 0.4)
    rng = torch.Generator().manual_seed(0)
    assert denoising_loss(gaussian_network(0.4, 0.0, config), actions, given(4000), config, rng) < 1e-6
    spread = 0.5 * torch.randn(4000, 1, 1, generator=rng)
    idle = denoising_loss(lambda noisy, *rest: noisy * 0, spread, given(4000), config, rng)
    assert float(idle) == pytest.approx(1.0, abs=0.1)


def test_guidance_moves_away_from_the_answer_without_a_goal() -> None:
    def network(noisy: Tensor, level: Tensor, observation: Tensor, goal: Tensor) -> Tensor:
        return noisy * 0 + goal.sum(1)[:, None, None]

    noisy, goal = torch.zeros(3, 2, 1), torch.tensor([[1.0], [2.0], [3.0]])
    rest = (torch.zeros(3, 1), torch.zeros(3, 1, 1), goal)
    for weight in (0.0, 1.0, 1.5):
        assert torch.allclose(guided(network, weight)(noisy, *rest)[:, 0, 0], weight * goal[:, 0])


def train_toy(loss, networks: list[torch.nn.Module], updates: int, rng: torch.Generator) -> None:
    """Two-mode target: each window's chunk is all -0.8 or all 0.8, whatever is observed."""
    optimizer = torch.optim.AdamW(networks[0].parameters(), 3e-3)
    for update in range(updates):
        modes = torch.randint(2, (128, 1, 1), generator=rng).float() * 1.6 - 0.8
        value = loss(modes.expand(-1, 4, 1), rng)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if len(networks) > 1:
            follow(networks[1], networks[0], average_decay(update, 0.99))


def check_two_modes(chunks: Tensor, share: float = 0.9) -> None:
    """Nearly all samples are at a mode, each mode has its share, and chunks are of one piece."""
    near = (chunks.abs() - 0.8).abs().amax((1, 2)) < 0.3
    assert near.float().mean() > share
    assert 0.3 < (chunks[:, 0, 0] > 0).float().mean() < 0.7
    assert (chunks.sign() == chunks[:, :1].sign()).all(-1).all(-1).float().mean() > 0.95


SMALL = MLPConfig(width=48, blocks=2, expansion=2)


def small(levels: int = 1) -> MLPDenoiser:
    return MLPDenoiser(SMALL, Shape((4, 1), (1, 1), levels=levels))


def sampled(network, process, sampler: SamplerConfig, seed: int = 1) -> Tensor:
    table = make_table(process, sampler)
    noise = torch.randn(1000, 4 * table.n_draws, 1, generator=torch.Generator().manual_seed(seed))
    bounds = (torch.full((4, 1), -0.8), torch.full((4, 1), 0.8))
    with torch.no_grad():
        return plan(network, table, noise, given(1000), bounds)


@pytest.fixture(scope="module")
def teacher() -> MLPDenoiser:
    torch.manual_seed(0)
    network, rng = small(), torch.Generator().manual_seed(0)
    train_toy(lambda a, g: denoising_loss(network, a, given(128), EDMConfig(), g), [network], 800, rng)
    return network


@pytest.mark.parametrize("sampler", [SamplerConfig("heun", 5), SamplerConfig("dpm", 8), SamplerConfig("euler", 10)])
def test_both_modes_are_sampled_and_no_mean(teacher: MLPDenoiser, sampler: SamplerConfig) -> None:
    check_two_modes(sampled(teacher, EDMConfig(), sampler))


def test_both_modes_are_sampled_by_the_discrete_process() -> None:
    torch.manual_seed(0)
    network, rng, config = small(), torch.Generator().manual_seed(0), DDPMConfig()
    train_toy(lambda a, g: noise_loss(network, a, given(128), config, g), [network], 1200, rng)
    for sampler in (SamplerConfig("ddpm"), SamplerConfig("ddim", 10)):
        check_two_modes(sampled(network, config, sampler))


@pytest.mark.parametrize(
    ("form", "loss"),
    [("solution", solution_loss), ("distillation", distillation_loss), ("trajectory", trajectory_loss)],
)
def test_students_sample_both_modes_in_one_evaluation(teacher: MLPDenoiser, form: str, loss) -> None:
    torch.manual_seed(0)
    config, edm, rng = ConsistencyConfig(form=form), EDMConfig(), torch.Generator().manual_seed(0)
    levels = 2 if form == "trajectory" else 1
    student, target = small(levels), small(levels)
    if levels == 1:
        student.load_state_dict(teacher.state_dict())
    target.load_state_dict(student.state_dict())
    trio = Trio(student, target, teacher)
    updates = 900 if form == "trajectory" else 300
    train_toy(lambda a, g: loss(trio, a, given(128), (config, edm), g), [student, target], updates, rng)
    check_two_modes(sampled(target, config, SamplerConfig("consistency", 1)), 0.8)
    check_two_modes(sampled(target, config, SamplerConfig("consistency", 3)), 0.8)


def test_consistency_is_learnt_without_a_teacher() -> None:
    torch.manual_seed(0)
    config, rng, done = ConsistencyConfig(form="training", levels=80), torch.Generator().manual_seed(0), [0]
    student, average = small(), small()

    def loss(actions: Tensor, rng: torch.Generator) -> Tensor:
        done[0] += 1
        return training_loss(student, actions, given(128), config, (rng, done[0] / 1200))

    train_toy(loss, [student, average], 1200, rng)
    chunks = sampled(average, config, SamplerConfig("consistency", 1))
    near = (chunks.abs() - 0.8).abs().amax((1, 2)) < 0.4
    assert near.float().mean() > 0.8 and 0.3 < (chunks[:, 0, 0] > 0).float().mean() < 0.7


def test_the_number_of_levels_doubles_to_its_end() -> None:
    assert [curriculum(80, share) for share in (0.0, 0.24, 0.26, 0.6, 0.8, 1.0)] == [10, 10, 20, 40, 80, 80]


@pytest.mark.parametrize("form", ["solution", "trajectory"])
def test_a_student_leaves_its_input_alone_at_the_smallest_level(form: str) -> None:
    torch.manual_seed(0)
    config = ConsistencyConfig(form=form)
    network = MLPDenoiser(MLPConfig(width=16, blocks=1), Shape((4, 2), (1, 1), levels=2 if form == "trajectory" else 1))
    noisy = torch.randn(6, 4, 2)
    grid = config.grid(24, noisy)
    assert len(grid) == 24 and float(grid[-1]) == pytest.approx(0.01)
    assert torch.allclose(predict(network, noisy, config.scaling(grid[-1].expand(6)), given(6)), noisy)
    if form == "trajectory":  # And a jump to where it stands is none at any level.
        here = grid[5].expand(6)
        assert torch.allclose(predict(network, noisy, config.scaling(here, here), given(6)), noisy, atol=1e-6)


def test_noise_levels_are_those_of_the_reference_scheduler() -> None:
    diffusers = pytest.importorskip("diffusers")
    config = EDMConfig()
    reference = diffusers.EDMEulerScheduler(sigma_min=config.sigma_min, sigma_max=config.sigma_max, rho=config.rho)
    for n in (2, 5, 18):
        reference.set_timesteps(n)
        assert np.allclose(reference.sigmas.numpy(), config.noise_levels(n), rtol=1e-4)


def test_dpm_solver_steps_are_those_of_the_reference_scheduler() -> None:
    diffusers = pytest.importorskip("diffusers")
    config = replace(EDMConfig(), sigma_min=0.02)
    reference = diffusers.EDMDPMSolverMultistepScheduler(
        sigma_min=config.sigma_min, sigma_max=config.sigma_max, rho=config.rho, final_sigmas_type="zero"
    )
    reference.set_timesteps(6)
    network = gaussian_network(0.2, 0.4, config)
    noise = torch.randn(5, 4, 1, generator=torch.Generator().manual_seed(0))
    x = noise * float(reference.sigmas[0])
    for i, step in enumerate(reference.timesteps):
        sigma = reference.sigmas[i].expand(5)
        scaled = reference.scale_model_input(x, step)
        x = reference.step(network(scaled, (torch.log(sigma) / 4)[:, None], *given(5)), step, x).prev_sample
    got = plan(network, make_table(config, SamplerConfig("dpm", 6)), noise, given(5))
    assert torch.allclose(got, x, atol=1e-4)


def test_noise_that_cannot_be_is_refused() -> None:
    for wrong in ({"sigma_data": 0.0}, {"sigma_max": float("nan")}, {"sigma_min": 30.0}, {"rho": -1.0}):
        with pytest.raises(InvalidConfig, match=next(iter(wrong))):
            EDMConfig(**wrong)
    for wrong in ({"start_std": -1.0}, {"start_std": float("nan")}, {"levels": 1}):
        with pytest.raises(InvalidConfig, match=next(iter(wrong))):
            ConsistencyConfig(**wrong)
