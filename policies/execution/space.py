"""Where an arm may not be: its links against one another and against boxes that must be kept clear of.

Links are capsules between the origins of consecutive joints, the last one ends in the tool. Distances are taken between
points along them and bounded from below, so that what is called clear is.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.kinematics import Chain
from ashore.sim.robot import RobotCard

Array = NDArray[Any]
POINTS = 7
"""Along a link."""
SHARES = np.stack([np.linspace(1.0, 0.0, POINTS), np.linspace(0.0, 1.0, POINTS)], axis=1)
"""Of a link's start and end in each of its points (POINTS, 2)."""
APART_M = 0.05
"""Links are checked against each other where the way along the arm between them is longer than they are thick, by this;
nearer ones touch by design."""


class ArmSpace:
    """Clearances of N arms, told by their set-points; a Space of motion.py."""

    def __init__(self, card: RobotCard) -> None:
        """Take a card that has_space."""
        space, interface = card.space, card.interface
        self._chain = Chain.from_mapping(interface["chain"])
        named = [(source[0], column) for column, source in enumerate(card.limits.lead_of) if source is not None]
        self._columns = np.array([column for name, column in named if name == interface["joints"]])
        radius = np.asarray(space["link_radius_m"], np.float64)
        lengths = self._lengths()
        self._thick = radius + lengths / (2 * (POINTS - 1))
        """Of each link (J,): what lies between its points is nearer than they by half their spacing at most."""
        boxes = space.get("keep_out_m", [])
        self._low = np.array([box["low"] for box in boxes], np.float64).reshape(-1, 3)
        self._high = np.array([box["high"] for box in boxes], np.float64).reshape(-1, 3)
        self._one, self._other = np.array(_apart(lengths, radius), np.int64).reshape(-1, 2).T
        self._thick_pairs = self._thick[self._one] + self._thick[self._other]
        self._reach = np.zeros((card.command_width, len(boxes[:1]) * len(radius) + len(self._one)))
        """How far one rad of each command moves what each of K clearances is told of (Dc, K), bounded from above."""
        self._reach[self._columns] = self._reaches(lengths, has_boxes=bool(boxes))
        self._known: tuple[Array, Array] | None = None
        """Set-points (N, Dc) and their clearances (N, K)."""

    def is_clear(self, positions: Array) -> Array:
        """Say of set-points (N, Dc) which of the N arms would be clear there."""
        return np.asarray(self.clearance(positions) >= 0.0)

    def is_far(self, positions: Array, distance: Array) -> Array:
        """Say which arms stay clear within distances (N, Dc) of set-points.

        No point of an arm moves farther than its joints' changes times their reach, so that kinematics are computed
        only where that is not enough.
        """
        if self._known is not None and len(self._known[0]) == len(positions):
            at, clearances = self._known
            is_far = (np.abs(positions - at) + distance) @ self._reach < clearances
            if np.count_nonzero(is_far) == is_far.size:
                return np.ones(len(positions), bool)
        clearances = self._clearances(positions)
        self._known = (positions.copy(), clearances)
        return np.asarray(np.logical_and.reduce(distance @ self._reach < clearances, axis=1))

    def clearance(self, positions: Array) -> Array:
        """Give the smallest distance (N,) in m between what must not touch, bounded from below."""
        return np.asarray(self._clearances(positions).min(1, initial=np.inf))

    def _clearances(self, positions: Array) -> Array:
        """Give distances (N, K) in m, bounded from below: of each link from boxes, if any, then of pairs of links."""
        origins = self._chain.origins(positions[:, self._columns])  # (N, J + 1, 3)
        points = SHARES @ np.stack([origins[:, :-1], origins[:, 1:]], axis=2)  # (N, J, POINTS, 3)
        found = []
        if len(self._low):
            outside = np.maximum(self._low - points[..., None, :], points[..., None, :] - self._high)
            outside = np.maximum(outside, 0.0)  # How deep within a box is of no interest.
            found.append(np.sqrt(np.einsum("...k,...k", outside, outside).min((2, 3))) - self._thick)
        between = points[:, self._one, :, None] - points[:, self._other, None, :]
        found.append(np.sqrt(np.einsum("...k,...k", between, between).min((2, 3))) - self._thick_pairs)
        return np.concatenate(found, axis=1)

    def _lengths(self) -> Array:
        """Give the length of each link (J,), which no joint changes."""
        origins = self._chain.origins(np.zeros((1, self._chain.n_joints)))[0]
        return np.asarray(np.linalg.norm(np.diff(origins, axis=0), axis=1))

    def _reaches(self, lengths: Array, has_boxes: bool) -> Array:
        """Bound how far a joint's turn moves a link against a box or another link (J, K), in m/rad.

        A link's end is from a joint before it no farther than the links from there to it, stretched; what turns two
        links together does not move them against each other.
        """
        joints = np.arange(len(lengths))
        along = np.array([[lengths[joint : link + 1].sum() for link in joints] for joint in joints])  # 0 beyond it.
        pairs = np.where(joints[:, None] > self._one, along[:, self._other], 0.0)
        return np.concatenate([along, pairs], axis=1) if has_boxes else pairs


def _apart(lengths: Array, radius: Array) -> list[tuple[int, int]]:
    """List the pairs of links that are checked against each other."""
    n = len(radius)
    return [
        (i, j) for i in range(n) for j in range(i + 1, n) if lengths[i + 1 : j].sum() > radius[i] + radius[j] + APART_M
    ]


def space_faults(space: Mapping[str, Any], n_joints: int) -> list[str]:
    """List what keeps a card's space from being used."""
    if not space:
        return []
    unknown = sorted(set(space) - {"link_radius_m", "keep_out_m"})
    if unknown:
        return [f"space: unknown keys {unknown}; valid: 'keep_out_m', 'link_radius_m'"]
    try:
        radius = np.asarray(space["link_radius_m"], np.float64)
        boxes = np.asarray([[box["low"], box["high"]] for box in space.get("keep_out_m", ())], np.float64)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return [f"space: {type(error).__name__}: {error}"]
    faults = []
    if radius.shape != (n_joints,) or not np.all((radius > 0) & (radius < 1)):
        faults.append(f"space.link_radius_m: expected {n_joints} numbers between 0 and 1 m, one a joint")
    boxes = boxes.reshape(-1, 2, 3) if boxes.size % 6 == 0 else np.full((1, 2, 3), np.nan)
    if not np.all(np.isfinite(boxes)) or not np.all(boxes[:, 0] < boxes[:, 1]):
        faults.append("space.keep_out_m: expected boxes with finite `low` below `high`, three numbers each, m")
    return faults
