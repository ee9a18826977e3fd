"""Whether a policy sees what it learnt from: what is wrong for too long is told, what is right again is not."""

import numpy as np

from ashore.datasets.contract import Contract, Feature
from ashore.policies.familiarity import Familiarity
from ashore.real.nodes.familiar import FROZEN_S, Watch

CONTRACT = Contract("test", "test", (Feature("x", (1,), "m", "none"),), (Feature("u", (1,), "m", "none"),), 10.0)
LEARNT = np.random.default_rng(0).uniform(-1, 1, (200, 2, 1)).astype(np.float32)


def see(watch: Watch, value: float, now_s: float) -> str:
    watch.see({"x": np.array([[value]])}, np.array([value]), now_s)
    return watch.problem(now_s, 0.5)


def test_another_kind_of_observation_is_told_after_a_while_and_forgotten_when_it_is_over() -> None:
    watch = Watch(Familiarity.of(CONTRACT, LEARNT[:50], LEARNT[50:]))
    assert see(watch, 0.1, 0.0) == "" and watch.distance < 1
    assert see(watch, 9.0, 0.1) == "" and watch.distance > 1
    assert see(watch, 9.1, 0.5) == ""
    assert "another kind" in see(watch, 9.2, 0.7)
    assert see(watch, 0.2, 0.8) == ""


def test_a_value_that_never_stood_still_and_does_is_named() -> None:
    watch = Watch(Familiarity.of(CONTRACT, LEARNT[:50], LEARNT[50:]))
    assert see(watch, 0.1, 0.0) == "" == see(watch, 0.1, FROZEN_S)
    assert "stand still, to the bit: x" in see(watch, 0.1, FROZEN_S + 0.1)
    assert see(watch, 0.1000001, FROZEN_S + 0.2) == ""
    watch.reset()
    assert see(watch, 0.1, 9.0) == ""
