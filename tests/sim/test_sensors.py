"""Measurements are as noisy, late and biased as the draw says, and do not depend on how many episodes run together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ashore.datasets.rotations import quat_from_vector, quat_multiply
from ashore.sim.randomization import Draw
from ashore.sim.sensors import Sensors, SensorSpec

PERIOD_S = 0.02


def _run(
    spec: SensorSpec, draws: Sequence[Draw], signal: NDArray[Any], seeds: Sequence[int] | None = None
) -> NDArray[Any]:
    """Measure a signal (T, N, width), the same quantity for each draw."""
    sensors = Sensors({"x": spec}, {"x": signal.shape[2]}, len(draws), PERIOD_S)
    sensors.reset(draws, list(range(len(draws))) if seeds is None else seeds, len(signal))
    return np.stack([sensors.measure({"x": row})["x"] for row in signal])


@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.02, 0.033, 0.06])
def test_a_ramp_comes_late_by_the_delay_and_never_before_the_start(delay_s: float) -> None:
    ramp = np.arange(30.0)[:, None, None] * PERIOD_S
    measured = _run(SensorSpec(delay="lag"), [{"lag": np.array(delay_s)}], ramp)[:, 0, 0]
    np.testing.assert_allclose(measured, np.maximum(ramp[:, 0, 0] - delay_s, 0.0), atol=1e-12)


def test_noise_and_bias_are_as_large_as_drawn() -> None:
    draw = {"s": np.array(0.1), "b": np.array([1.0, -2.0])}
    measured = _run(SensorSpec(noise="s", bias="b"), [draw], np.zeros((4000, 1, 2)))[:, 0]
    np.testing.assert_allclose(measured.mean(axis=0), [1.0, -2.0], atol=0.01)
    np.testing.assert_allclose(measured.std(axis=0), 0.1, rtol=0.05)


def test_what_is_not_drawn_disturbs_nothing() -> None:
    signal = np.random.default_rng(0).normal(size=(10, 2, 3))
    np.testing.assert_array_equal(_run(SensorSpec("noise", "delay", "vector"), [{}, {}], signal), signal)


def test_an_episode_is_measured_alike_alone_and_among_others() -> None:
    signal = np.random.default_rng(1).normal(size=(50, 3, 2))
    draws = [{"s": np.array(0.1 * i), "lag": np.array(0.013 * i)} for i in range(3)]
    spec = SensorSpec("s", "lag")
    together = _run(spec, draws, signal, [7, 8, 9])
    np.testing.assert_array_equal(together[:, 2:], _run(spec, draws[2:], signal[:, 2:], [9]))


def test_two_resets_differ_and_the_same_seed_repeats() -> None:
    zero, draws = np.zeros((5, 1, 1)), [{"s": np.array(1.0)}]
    first, second = _run(SensorSpec("s"), draws, zero, [1]), _run(SensorSpec("s"), draws, zero, [2])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, _run(SensorSpec("s"), draws, zero, [1]))


def test_quaternions_are_delayed_along_the_shorter_arc_and_stay_unit() -> None:
    angle = np.arange(40.0) * 0.2
    quats = quat_from_vector(np.stack([0 * angle, 0 * angle, angle], axis=1))[:, None]
    quats[::2] *= -1
    spec = SensorSpec(noise="s", delay="lag", kind="quaternion")
    measured = _run(spec, [{"s": np.array(0.01), "lag": np.array(0.03)}], quats)[:, 0]
    np.testing.assert_allclose(np.linalg.norm(measured, axis=1), 1.0, atol=1e-6)
    wanted = quat_from_vector(np.stack([0 * angle, 0 * angle, angle - 0.3], axis=1))
    error = quat_multiply(wanted[5:] * [1, -1, -1, -1], measured[5:])
    assert np.all(np.linalg.norm(error[:, 1:], axis=1) < 0.05)


def test_a_lost_sample_leaves_the_one_before_and_the_first_is_never_lost() -> None:
    ramp = np.arange(200.0)[:, None, None] * np.ones((1, 2, 1))
    measured = _run(SensorSpec(dropout="lost"), [{"lost": np.array(0.3)}, {}], ramp)
    gaps = np.diff(measured[:, 0, 0])
    assert 0.2 < np.mean(gaps == 0) < 0.4 and measured[0, 0, 0] == 0 and gaps.max() >= 2
    np.testing.assert_array_equal(measured[:, 1], ramp[:, 1])


def test_a_quantized_sample_is_the_nearest_step() -> None:
    ramp = np.linspace(0, 1, 50)[:, None, None] * np.ones((1, 2, 1))
    measured = _run(SensorSpec(quantization="step"), [{"step": np.array(0.25)}, {}], ramp)
    assert set(measured[:, 0, 0].tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert np.abs(measured[:, 0] - ramp[:, 0]).max() <= 0.125 + 1e-12
    np.testing.assert_array_equal(measured[:, 1], ramp[:, 1])


def test_jitter_makes_samples_late_by_unlike_times() -> None:
    ramp = np.arange(300.0)[:, None, None] * 0.02 * np.ones((1, 1, 1))
    late = ramp[:, 0, 0] - _run(SensorSpec(jitter="jitter"), [{"jitter": np.array(0.02)}], ramp)[:, 0, 0]
    assert late[5:].min() >= -1e-12 and 0.01 < late[5:].mean() < 0.022 and late.std() > 0.005
