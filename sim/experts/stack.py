"""The scripted stacking expert: picking and placing whose goal stands on the other cube, wherever that is by now."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.experts.pick_place import PickPlaceExpert, PickPlaceExpertConfig
from ashore.sim.experts.tool_motion import yaw_of

Array = NDArray[Any]
BESIDE_M = 0.11
"""Cubes nearer than this to each other leave an open finger no room between them."""


class StackExpert(PickPlaceExpert):
    """Phases of N worlds, as of picking and placing."""

    def __init__(self, n: int, config: PickPlaceExpertConfig, side_m: float) -> None:
        """Take the side of the cubes beside what picking and placing needs."""
        super().__init__(n, config)
        self._up_m = np.array([0.0, 0.0, side_m])

    def goal(self, truth: Mapping[str, Array]) -> Array:
        """On top of the other cube (N, 3)."""
        return np.asarray(truth["base_cube_pos_base_m"] + self._up_m)

    def yaw_error(self, rotation: Array, truth: Mapping[str, Array]) -> Array:
        """As of picking and placing; by the other two sides where a finger would come down on the other cube."""
        usual = super().yaw_error(rotation, truth)
        yaw = yaw_of(rotation) + usual
        beside = (truth["base_cube_pos_base_m"] - truth["object_pos_base_m"])[:, :2]
        along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        blocked = np.abs(np.sum(beside * across.T, axis=1)) > np.abs(np.sum(beside * along.T, axis=1))
        blocked &= np.linalg.norm(beside, axis=1) < BESIDE_M
        return np.asarray(np.where(blocked, usual - np.where(yaw > 0.0, 1.0, -1.0) * np.pi / 2, usual))
