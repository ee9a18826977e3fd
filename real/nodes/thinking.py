"""Inference on a thread of its own: the next chunk is computed while the present one plays."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.planner import Planner
from ashore.real.clock import REAL_TIME, Clock
from ashore.real.rate import Samples

Array = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """A chunk and the observation time that it answers."""

    chunk: Array
    """(1, Tp, Da) actions in contract units."""
    stamp_s: float
    """Time of the newest observation that it was planned from."""


class Thinking:
    """One plan at a time; a plan asked for before stop() is thrown away."""

    def __init__(self, planner: Planner, seed: int, clock: Clock = REAL_TIME) -> None:
        self.latencies = Samples()
        self._now_s, self._wait_for = clock.now_s, clock.wait_for
        self._planner = planner
        self._rng = np.random.default_rng(seed)
        self._condition = threading.Condition()
        self._question: tuple[Array, float] | None = None
        self._answer: Plan | None = None
        self._busy = False
        self._generation = 0
        threading.Thread(target=self._run, name="inference", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a plan is being made or waits to be taken."""
        return self._busy

    def ask(self, history: Array, stamp_s: float) -> None:
        """Start planning from (1, To, Do) observations, the newest of them made at stamp_s."""
        with self._condition:
            self._question, self._busy = (history.copy(), stamp_s), True
            self._condition.notify_all()

    def take(self, wait_s: float) -> Plan | None:
        """Take the finished plan, waiting this long for one that is being made."""
        with self._condition:
            if self._answer is None and self._busy and wait_s > 0:
                self._wait_for(self._condition, lambda: self._answer is not None, wait_s)
            answer, self._answer = self._answer, None
            if answer is not None:
                self._busy = False
            return answer

    def stop(self) -> None:
        """Forget all questions and answers, also the one being worked on."""
        with self._condition:
            self._generation += 1
            self._question = self._answer = None
            self._busy = False

    def warm_up(self, n: int = 3) -> None:
        """Plan a few times from zeros, because a session's first runs are slow."""
        planner = self._planner
        obs = np.zeros((1, planner.obs_horizon, planner.contract.observation_width), np.float32)
        for _ in range(n):
            planner.plan(obs, self._noise())

    def _noise(self) -> Array:
        return self._rng.standard_normal((1, *self._planner.noise_shape), dtype=np.float32)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._question is not None)
                question, self._question = self._question, None
                generation = self._generation
            if question is None:
                continue
            began_s = self._now_s()
            chunk = self._planner.plan(question[0], self._noise())
            self.latencies.add(self._now_s() - began_s)
            with self._condition:
                if generation == self._generation:
                    self._answer = Plan(chunk, question[1])
                    self._condition.notify_all()
