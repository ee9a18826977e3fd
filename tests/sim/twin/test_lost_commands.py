"""The link of the twin: late and lost commands."""

from pathlib import Path

import numpy as np
import pytest

from ashore.sim.engine import Engine
from ashore.sim.twin.commands import LateDrive, LinkConfig
from ashore.sim.twin.engine import TwinEngine

PERIOD_S = 0.02


class Echo:
    """A drive that hands its command on."""

    period_s = PERIOD_S

    def control(self, command: np.ndarray, engine: Engine) -> np.ndarray:
        """Return the command."""
        return command


def play(engine: TwinEngine, config: LinkConfig, n_commands: int, restart_at: int = -1) -> np.ndarray:
    """Send 0, 1, 2, ... to every simulation and return what each acted on (T, N); restart the last at a step."""
    drive = LateDrive(Echo(), engine, config)
    engine.reset(np.arange(engine.n))
    acted = []
    for number in range(n_commands):
        if number == restart_at:
            engine.reset(np.array([engine.n - 1]))
        acted.append(drive.control(np.full((engine.n, 1), float(number)), engine)[:, 0])
        engine.advance(10)
    return np.array(acted)


@pytest.fixture(scope="module")
def engine(arm_path: Path) -> TwinEngine:
    """Three twins of the small arm."""
    return TwinEngine(arm_path, 3)


def test_commands_act_a_delay_later(engine: TwinEngine) -> None:
    acted = play(engine, LinkConfig(PERIOD_S, delay_s=0.04), 6)
    assert acted[:, 0].tolist() == [0, 0, 0, 1, 2, 3]


def test_without_delay_or_losses_nothing_changes(engine: TwinEngine) -> None:
    assert play(engine, LinkConfig(PERIOD_S), 4)[:, 0].tolist() == [0, 1, 2, 3]


def test_a_restarted_simulation_forgets_what_was_under_way(engine: TwinEngine) -> None:
    acted = play(engine, LinkConfig(PERIOD_S, delay_s=0.04), 8, restart_at=4)
    assert acted[:, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert acted[:, 2].tolist() == [0, 0, 0, 1, 4, 4, 4, 5]


def test_a_lost_command_leaves_the_one_before(engine: TwinEngine) -> None:
    acted = play(engine, LinkConfig(PERIOD_S, dropped=0.3, seed=4), 100)
    lost = np.diff(acted, axis=0) == 0
    assert 0.15 < lost.mean() < 0.45
    kept = np.diff(acted, axis=0) > 0
    assert np.all((acted[1:] == np.arange(1, 100)[:, None])[kept])
    assert not np.array_equal(lost[:, 0], lost[:, 1])


def test_losses_depend_on_the_episode_and_not_on_the_number_of_simulations(arm_path: Path, engine: TwinEngine) -> None:
    config = LinkConfig(PERIOD_S, dropped=0.3, seed=4)
    with TwinEngine(arm_path, 1) as alone:
        np.testing.assert_array_equal(play(alone, config, 40)[:, 0], play(engine, config, 40)[:, 0])
