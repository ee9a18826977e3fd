"""What befalls a command on its way to the twin's servos: it comes late, or never."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ashore.sim.engine import Engine
from ashore.sim.robot import Drive
from ashore.sim.twin.engine import TwinEngine

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinkConfig:
    """The link between a commander and a robot."""

    command_period_s: float
    delay_s: float = 0.0
    """Rounded to whole periods of the drive."""
    dropped: float = 0.0
    """Probability that a command is lost; the one before it then stays in force."""
    seed: int = 0


class LateDrive:
    """A drive that hears its commands late and not all of them; a Drive.

    command   c0  c1  c2  c3  c4      delay 2, c2 lost
    acts on   c0  c0  c0  c1  c1      the line starts filled with the first command
    """

    def __init__(self, drive: Drive, engine: TwinEngine, config: LinkConfig) -> None:
        self.period_s = drive.period_s
        self._drive, self._engine, self._config = drive, engine, config
        self._line: deque[Array] = deque(maxlen=round(config.delay_s / drive.period_s) + 1)
        self._episode = np.zeros(engine.n, dtype=np.int64)
        self._period = np.full(engine.n, -1, dtype=np.int64)
        self._losing = np.zeros(engine.n, dtype=bool)

    def control(self, command: Array, engine: Engine) -> Array:
        """Turn commands (N, Dc) into actuator controls (N, Nu), after the link's delay and losses."""
        started = self._engine.time_s == 0.0
        self._episode += started
        self._period[started] = -1
        heard = np.array(command, dtype=np.float64)
        if self._line:
            lost = self._lost() & ~started
            heard[lost] = self._line[-1][lost]
        else:
            self._line.extend(heard.copy() for _ in range(self._line.maxlen or 1))
        self._line.append(heard)
        for waiting in self._line:
            waiting[started] = heard[started]
        return self._drive.control(self._line[0].copy(), engine)

    def _lost(self) -> Array:
        """Which commands are lost (N,) bool: drawn once a command period, from episode and period alone."""
        if self._config.dropped <= 0.0:
            return np.zeros(self._engine.n, dtype=bool)
        periods = np.floor(self._engine.time_s / self._config.command_period_s + 1e-6).astype(np.int64)
        for index in np.flatnonzero(periods != self._period).tolist():
            key = (self._config.seed, index, int(self._episode[index]), int(periods[index]))
            self._losing[index] = np.random.default_rng(key).random() < self._config.dropped
        self._period = periods
        return self._losing
