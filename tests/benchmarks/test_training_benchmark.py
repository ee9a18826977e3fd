"""The benchmark of training: what is measured without a peer, and what is made of a peer's scores."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.formats.pusht_contract import PUSHT_CONTRACT, keypoints_from_pose
from ashore.datasets.store import EpisodeStore
from benchmarks import training
from benchmarks.peer_process import SCRIPTS, PeerFailed
from benchmarks.training_peer import PYTHON, minutes_to, time_training

TINY = training.Sizes(0.01, 1, budgets=(0.01,), peer_minutes=0.1, n_scores=1, n_starts=1)


def write_store(path: Path) -> None:
    """Write a few random walks under Push-T's contract."""
    rng = np.random.default_rng(0)
    with EpisodeStore.create(path, PUSHT_CONTRACT) as store:
        for _ in range(4):
            walk = np.clip(256 + rng.normal(0, 5, (100, 5)).cumsum(0), 0, 511).astype(np.float32)
            obs = {
                "agent_pos_px": walk[:, :2],
                "block_pos_px": walk[:, 2:4],
                "block_angle_rad": walk[:, 4:] % 6,
                "block_keypoints_px": keypoints_from_pose(walk[:, 2:4], walk[:, 4:] % 6).astype(np.float32),
            }
            meta = EpisodeMeta("simulation", "benchmark")
            store.append(Episode(PUSHT_CONTRACT, obs, {"agent_target_px": walk[:, :2]}, np.arange(100) / 10.0, meta))


def test_without_a_peer_every_figure_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.setattr(training, "QUICK", TINY)
    monkeypatch.setattr(training, "WIDTHS", (8, 16))
    monkeypatch.setattr(training, "THREADS", 1)
    write_store(tmp_path / "store")
    loop, alone, share, floor, minutes = training.run(True, tmp_path, lambda done, total, note: None)
    for row in (loop, alone, minutes):
        assert str(row.peer).endswith("peer not run")
        assert (row.peer_value, row.met) == (None, None)
        assert row.value > 0
    assert share.ratio == pytest.approx(loop.value / alone.value)
    assert floor.ratio is not None
    assert 0 < floor.ratio < 1
    assert "more" in minutes.figure


def test_the_time_to_a_score_is_read_off_or_extrapolated_in_the_logarithm_of_time() -> None:
    minutes = [1.0, 2.0, 4.0, 8.0]
    assert minutes_to(0.5, minutes, [0.1, 0.4, 0.6, 0.7]) == pytest.approx(2 * 2**0.5)
    assert minutes_to(0.5, minutes, [0.5, 0.6, 0.6, 0.7]) == 1.0
    assert minutes_to(0.9, minutes, [0.0, 0.3, 0.4, 0.5]) == pytest.approx(8 * 2**4)
    assert minutes_to(0.9, minutes, [0.5, 0.4, 0.3, 0.2]) is None
    assert minutes_to(0.9, [1.0, 2.0], [0.1, 0.2]) is None


def test_a_score_that_was_not_reached_gives_a_lower_bound_first() -> None:
    points = [{"cpu_min": 2.0**i, "score": 0.1 * i} for i in range(1, 5)]
    (least, bound), (guess, later) = training.peer_times(points)
    assert bound == 16.0
    assert "at least; score 0.40" in least
    assert later == pytest.approx(2.0**9)
    assert "extrapolated" in guess
    ((name, reached),) = training.peer_times([*points, {"cpu_min": 64.0, "score": 1.0}])
    assert name.endswith("reached")
    assert 16.0 < reached < 64.0


def test_the_peers_script_says_which_data_it_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, sys.executable)
    with pytest.raises(PeerFailed, match="holds no LeRobot data set"):
        time_training(tmp_path, (8, 16), threads=1, seconds=0.1)


def test_the_peer_observes_what_the_recordings_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gym_pusht")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from lerobot_pusht import play, windows_of

    from ashore.datasets.formats.pusht_contract import KEYPOINTS_LOCAL_PX
    from ashore.sim.pusht import start_state

    states = np.random.default_rng(0).uniform(0, 6, (3, 2, 5))
    windows = windows_of(states, KEYPOINTS_LOCAL_PX)
    expected = keypoints_from_pose(states.reshape(6, 5)[:, 2:4], states.reshape(6, 5)[:, 4:])
    np.testing.assert_allclose(windows["observation.environment_state"].reshape(6, 18), expected)
    asked = []

    def stay(seen: dict[str, np.ndarray]) -> np.ndarray:
        asked.append(seen["observation.state"])
        return np.repeat(seen["observation.state"][:, -1:], 8, axis=1)

    starts = np.stack([start_state(100_000), np.array([256.0, 400.0, 256.0, 256.0, np.pi / 4])])
    best = play(stay, starts, KEYPOINTS_LOCAL_PX)
    assert len(asked) == 38
    np.testing.assert_allclose(asked[0][0], [[235, 124], [235, 124]])
    assert best[0] < 0.5
    assert best[1] > 0.3
