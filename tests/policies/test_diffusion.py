"""The EDM formulation against published values, samplers against a known ODE, and a two-mode target."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ashore.policies.averaging import average_decay, follow
from ashore.policies.consistency import ConsistencyConfig, Trio, consistent, distillation_levels, distillation_loss
from ashore.policies.diffusion import (
    EDMConfig,
    denoising_loss,
    noise_levels,
    preconditioned,
    sample_euler,
    sample_heun,
)
from ashore.policies.networks.mlp import MLPConfig, MLPDenoiser

PUBLISHED = [80, 57.59, 40.79, 28.37, 19.35, 12.91, 8.40, 5.32, 3.26, 1.92, 1.09, 0.585, 0.296, 0.1395]
PUBLISHED += [0.0599, 0.0229, 0.0075, 0.002, 0]


def test_levels_equal_the_published_ramp() -> None:
    levels = noise_levels(18, EDMConfig(sigma_max=80.0))
    assert levels == pytest.approx(PUBLISHED, rel=6e-3)
    assert noise_levels(1, EDMConfig()) == (pytest.approx(20.0), 0.0)


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


def gaussian_denoiser(mean: float, std: float):
    """The exact denoiser of N(mean, std^2)."""

    def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[:, None, None] ** 2
        return (noisy * std**2 + mean * s) / (std**2 + s)

    return denoise


def test_samplers_follow_the_exact_flow_and_heun_is_closer() -> None:
    noise = torch.randn(500, 2, 1, generator=torch.Generator().manual_seed(0))
    config = EDMConfig()
    exact = 0.3 + noise * 20.0 * 0.5 / (0.5**2 + 20.0**2) ** 0.5 - 0.3 * 0.5 / (0.5**2 + 20.0**2) ** 0.5
    errors = {}
    for sampler in (sample_euler, sample_heun):
        got = sampler(gaussian_denoiser(0.3, 0.5), noise, noise_levels(18, config))
        errors[sampler] = float((got - exact).abs().max())
    assert errors[sample_heun] < 0.1
    assert errors[sample_heun] < errors[sample_euler] / 3


def test_loss_is_near_zero_for_a_perfect_network_and_one_for_none() -> None:
    config = EDMConfig()
    actions = torch.full((4000, 1, 1), 0.4)

    def perfect(scaled: Tensor, level: Tensor, observation: Tensor) -> Tensor:
        sigma = torch.exp(4 * level)[:, None, None]
        total = sigma**2 + 0.25
        noisy = scaled * total.sqrt()
        return (0.4 - noisy * 0.25 / total) * total.sqrt() / (sigma * 0.5)

    rng = torch.Generator().manual_seed(0)
    assert denoising_loss(perfect, actions, actions, config, rng) < 1e-6
    spread = 0.5 * torch.randn(4000, 1, 1, generator=rng)
    idle = denoising_loss(lambda noisy, level, observation: noisy * 0, spread, spread, config, rng)
    assert float(idle) == pytest.approx(1.0, abs=0.1)


def train_toy(loss, networks: list[torch.nn.Module], updates: int, rng: torch.Generator) -> None:
    """Two-mode target: each window's chunk is all -0.8 or all 0.8, whatever is observed."""
    optimizer = torch.optim.AdamW(networks[0].parameters(), 3e-3)
    for update in range(updates):
        modes = torch.randint(2, (128, 1, 1), generator=rng).float() * 1.6 - 0.8
        value = loss(modes.expand(-1, 4, 1), torch.zeros(128, 1, 1), rng)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if len(networks) > 1:
            follow(networks[1], networks[0], average_decay(update, 0.99))


def check_two_modes(chunks: Tensor) -> None:
    """Nearly all samples are at a mode, each mode has its share, and chunks are of one piece."""
    near = (chunks.abs() - 0.8).abs().amax((1, 2)) < 0.3
    assert near.float().mean() > 0.9
    assert 0.35 < (chunks[:, 0, 0] > 0).float().mean() < 0.65
    assert (chunks.sign() == chunks[:, :1].sign()).all(-1).all(-1).float().mean() > 0.95


def test_both_modes_are_sampled_and_no_mean_by_teacher_and_student() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    edm, config = EDMConfig(), ConsistencyConfig()
    size = MLPConfig(width=48, blocks=2, expansion=2)
    teacher, student, target = (MLPDenoiser(size, (4, 1), (1, 1)) for _ in range(3))
    train_toy(lambda a, o, g: denoising_loss(teacher, a, o, edm, g), [teacher], 800, rng)
    noise = torch.randn(1000, 4, 1, generator=rng)
    blank = torch.zeros(1000, 1, 1)
    with torch.no_grad():
        chunks = sample_heun(lambda x, s: preconditioned(teacher, x, s, blank, 0.5), noise, noise_levels(5, edm))
    check_two_modes(chunks)
    student.load_state_dict(teacher.state_dict())
    target.load_state_dict(teacher.state_dict())
    trio = Trio(student, target, teacher)
    train_toy(lambda a, o, g: distillation_loss(trio, a, o, (config, edm), g), [student, target], 300, rng)
    with torch.no_grad():
        chunks = consistent(target, noise * 20.0, torch.full((1000,), 20.0), blank, (0.5, config.sigma_min))
    check_two_modes(chunks)


def test_a_student_leaves_its_input_alone_at_the_smallest_level() -> None:
    torch.manual_seed(0)
    network = MLPDenoiser(MLPConfig(width=16, blocks=1), (4, 2), (1, 3))
    noisy = torch.randn(6, 4, 2)
    levels = distillation_levels(ConsistencyConfig(), replace(EDMConfig(), sigma_min=0.5))
    assert len(levels) == 24 and float(levels[-1]) == pytest.approx(0.01)
    got = consistent(network, noisy, levels[-1].expand(6), torch.randn(6, 1, 3), (0.5, float(levels[-1])))
    assert torch.allclose(got, noisy)


def test_noise_levels_are_those_of_the_reference_scheduler() -> None:
    diffusers = pytest.importorskip("diffusers")
    config = EDMConfig()
    scheduler = diffusers.EDMEulerScheduler(sigma_min=config.sigma_min, sigma_max=config.sigma_max, rho=config.rho)
    for n in (2, 5, 18):
        scheduler.set_timesteps(n)
        assert np.allclose(scheduler.sigmas.numpy(), noise_levels(n, config), rtol=1e-4)
