"""The twin's physics: N PyBullet clients that run the scene of an MJCF behind the face of sim/engine.py."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.errors import NoSimulations
from ashore.sim.scene import Scene, as_spec
from ashore.sim.twin.client import TwinClient
from ashore.sim.twin.settings import TwinSettings
from ashore.sim.twin.urdf import make_urdf_trees

Array = NDArray[Any]


class TwinEngine:
    """N simulations of one scene in PyBullet; an Engine.

    Controls are those of the MJCF's actuators: position servos, on joints or tendons, and motors at sites. Placing
    anything in a simulation also takes its controls away: joints hold and motors rest until the next actuate().
    """

    def __init__(self, scene: Scene, n: int, settings: TwinSettings | None = None) -> None:
        """Build the scene of an MJCF file n times.

        Raises:
            NoSimulations: n is less than 1.
            UnsupportedModel: lists what of the scene the twin cannot express.
        """
        if n < 1:
            raise NoSimulations(n)
        settings = TwinSettings() if settings is None else settings
        self.model = as_spec(scene).compile()
        self.n = n
        self.timestep_s = float(self.model.opt.timestep)
        trees = make_urdf_trees(self.model, settings.body_mass_scale)
        with tempfile.TemporaryDirectory(prefix="ashore-twin-") as folder:
            for number, tree in enumerate(trees):
                (Path(folder) / f"{number}.urdf").write_text(tree.text, encoding="utf-8")
            self.clients = [TwinClient(self.model, trees, Path(folder), settings) for _ in range(n)]
        self._controls = np.zeros((n, int(self.model.nu)))
        self._time_s = np.zeros(n)
        self._diverged = np.zeros(n, dtype=bool)

    @property
    def time_s(self) -> Array:
        """Time since each simulation was last placed (N,)."""
        return self._time_s.copy()

    def reset(self, ids: Array) -> None:
        """Put simulations ids (K,) into the scene's first state."""
        for index in np.asarray(ids).tolist():
            self.clients[index].reset()
            self._start(index)

    def joint_pos(self, names: Sequence[str]) -> Array:
        """Joint positions (N, J), rad or m, in the order of names."""
        return np.array([client.joint_states(names)[0] for client in self.clients])

    def joint_vel(self, names: Sequence[str]) -> Array:
        """Joint velocities (N, J), rad/s or m/s, in the order of names."""
        return np.array([client.joint_states(names)[1] for client in self.clients])

    def body_pose(self, name: str) -> Array:
        """Pose of a body's frame in the world (N, 7): position m, quaternion wxyz."""
        return np.array([client.body_pose(name) for client in self.clients])

    def body_velocity(self, name: str) -> Array:
        """Velocity of a body's frame origin (N, 6): linear m/s in world axes, angular rad/s in body axes."""
        return np.array([client.body_velocity(name) for client in self.clients])

    def contact(self, body: str) -> Array:
        """Whether a body touches anything (N,) bool."""
        return np.array([client.touches(body) for client in self.clients], dtype=bool)

    def place_joints(self, ids: Array, names: Sequence[str], values: Array) -> None:
        """Set joint positions (K, J) of the simulations ids (K,) and zero those joints' velocities."""
        for index, row in zip(np.asarray(ids).tolist(), np.asarray(values, dtype=np.float64), strict=True):
            self.clients[index].place_joints(names, row)
            self._start(index)

    def place_body(self, ids: Array, name: str, pose: Array, velocity: Array | None = None) -> None:
        """Set a free body's pose (K, 7) and velocity (K, 6, as body_velocity; zero if None) of the simulations ids."""
        chosen = np.asarray(ids).tolist()
        speeds = np.zeros((len(chosen), 6)) if velocity is None else np.asarray(velocity, dtype=np.float64)
        for index, row, speed in zip(chosen, np.asarray(pose, dtype=np.float64), speeds, strict=True):
            self.clients[index].place_body(name, row, speed)
            self._start(index)

    def actuate(self, controls: Array) -> None:
        """Set the actuators' controls (N, Nu) in the order of the MJCF; held until the next call."""
        self._controls = np.array(controls, dtype=np.float64).reshape(self._controls.shape)
        for client in self.clients:
            client.idle = False

    def advance(self, n_substeps: int) -> None:
        """Step every simulation."""
        for controls, client in zip(self._controls, self.clients, strict=True):
            for _ in range(n_substeps):
                client.substep(controls)
        self._time_s += n_substeps * self.timestep_s

    def diverged(self) -> Array:
        """Which simulations became unstable since their last reset (N,) bool."""
        self._diverged |= [not client.is_sound() for client in self.clients]
        return self._diverged.copy()

    def close(self) -> None:
        """Free the clients; the engine cannot be used after it."""
        for client in self.clients:
            client.close()

    def __enter__(self) -> "TwinEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, index: int) -> None:
        self._time_s[index] = 0.0
        self._diverged[index] = False
        self._controls[index] = 0.0
        self.clients[index].rest()
