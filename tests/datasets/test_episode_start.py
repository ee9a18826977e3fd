"""An episode's start is stored exactly, and a description without one is written as it always was."""

import json

import numpy as np

from ashore.datasets.episode import EpisodeMeta


def test_every_bit_of_an_initial_state_comes_back() -> None:
    values = np.random.default_rng(0).integers(0, 2**64, 500, dtype=np.uint64).view(np.float64)
    state = (0.0, -0.0, 5e-324, 0.1 + 0.2, *values[np.isfinite(values)].tolist())
    meta = EpisodeMeta("simulation", initial_state=state, level="wide")
    assert not meta.faults()
    read = EpisodeMeta.from_plain(json.loads(json.dumps(meta.to_plain())))
    assert np.array(read.initial_state).tobytes() == np.array(state).tobytes()
    assert read == meta


def test_without_a_start_nothing_is_written_of_it_and_older_descriptions_are_read() -> None:
    plain = EpisodeMeta("human").to_plain()
    assert not {"initial_state", "level", "instruction", "origin"} & set(plain)
    assert EpisodeMeta.from_plain(plain).initial_state == ()
