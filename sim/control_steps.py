"""N episodes at the policy's rate: one action in, the command periods that it lasts, the contract's observations out.

The guard is not in here: a collection and a learner see the robot's limits alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.interfaces import make_interface
from ashore.sim.simulation import Simulation

Array = NDArray[Any]


class ControlSteps:
    """Drives a simulation step by step.

    command period   0     1     2     3
    action           a0    a0    a1    a1       command_hz = 2 * control_hz
    command          c0    c1    c2    c3       decoded from the newest measurements; steps tell of c0 and c2
    """

    def __init__(self, simulation: Simulation) -> None:
        task = simulation.task
        card = task.robot.card
        self.simulation = simulation
        self.ticks_a_step = round(card.command_hz / task.contract.control_hz)
        """Command periods that one action lasts."""
        self.n_steps = simulation.n_ticks // self.ticks_a_step
        """Control steps in an episode."""
        self._interface = make_interface(card.interface)
        self._low, self._high = np.array(card.limits.low), np.array(card.limits.high)
        self._contract = task.contract
        actions = task.contract.actions
        self._action_low = np.array([v for f in actions for v in f.low or (-np.inf,) * f.size], dtype=np.float32)
        self._action_high = np.array([v for f in actions for v in f.high or (np.inf,) * f.size], dtype=np.float32)
        self._observed: dict[str, Array] = {}
        self._is_fresh = False

    def renew(self) -> None:
        """Forget what was observed: the simulation was reset."""
        self._is_fresh = False

    def observe(self) -> Mapping[str, Array]:
        """The newest observations of the contract {name: (N, *shape)} float64, derived ones included."""
        if not self._is_fresh:
            self._observed, self._is_fresh = self._interface.derive(self.simulation.observe()), True
        return self._observed

    def truth(self) -> Mapping[str, Array]:
        """The same quantities as they are."""
        return self._interface.derive(self.simulation.truth())

    def bounded(self, action: Array) -> Array:
        """Hold actions (N, Da) within the contract's bounds, as float32: what is executed is what can be stored."""
        return np.clip(np.asarray(action, dtype=np.float32), self._action_low, self._action_high)

    def step(self, action: Array, offsets: Array | None = None) -> Array:
        """Run one control step.

        Args:
            action: (N, Da) in contract order; held within the contract's bounds.
            offsets: (N, ticks_a_step, Dc) noise on the commands, or None.

        Returns:
            (N, Dc) the first command that was sent, within the card's limits.
        """
        named, first = self._contract.split_action(self.bounded(action).astype(np.float64)), np.zeros(0)
        for tick in range(self.ticks_a_step):
            command = self._interface.decode(named, self.observe())
            if offsets is not None:
                command = command + offsets[:, tick]
            command = np.clip(command, self._low, self._high)
            first = command.copy() if tick == 0 else first
            self.simulation.step(command)
            self._is_fresh = False
        return first
