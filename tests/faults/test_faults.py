"""Faults of the running graph: real processes over real DDS, harmed; a stop is a stop, and what is harmless goes on.

All of them run under `make test-full`, a sample otherwise. The limits are twice those of `python -m benchmarks faults`,
since the machine that tests may be busy.
"""

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the ROS 2 packages are not installed")
pytest.importorskip("pybullet", reason="pybullet is not installed")

from benchmarks.fault_transitions import wander
from benchmarks.faults import PRESS_MS, Fault, bundle_of, faults_of, react

SAMPLE = {
    "panda": ("nothing happens", "policy frozen", "stop pressed", "a joint is missing", "observations 200 ms late"),
    "crazyflie": (
        "policy killed",
        "proposals hold NaN",
        "a second commander",
        "proposals out of order",
        "camera killed",
    ),
}
CASES = [
    pytest.param(robot, fault, id=f"{robot}: {fault.name}", marks=() if fault.name in chosen else pytest.mark.full)
    for robot, chosen in SAMPLE.items()
    for fault in faults_of(robot)
]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("faults")
    return {robot: bundle_of(robot, folder) for robot in SAMPLE}


@pytest.mark.parametrize(("robot", "fault"), CASES)
def test_what_becomes_of_a_fault(robot: str, fault: Fault, bundles: dict[str, Path]) -> None:
    (found,) = react(robot, bundles[robot], fault, 1)
    assert found.is_as(fault.expected), found
    assert found.not_finite == 0
    assert found.press_ms <= 2 * PRESS_MS, found
    if fault.expected == "stops":
        assert found.ms <= 2 * fault.limit_ms(robot), found


def test_no_command_leaves_while_the_guard_is_not_active(bundles: dict[str, Path]) -> None:
    found = wander(bundles["crazyflie"], "crazyflie", sequences=25, seed=1)
    assert found.transitions > 25 and found.commands > 10
    assert found.stray == 0, found
