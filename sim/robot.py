"""A robot: its MJCF file, and the card that says how it is commanded, limited and read, with or without a simulator.

The card is what a bundle carries to the robot's computer: plain data, numpy alone. The rest stays in simulation.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from ashore.datasets.contract import Feature
from ashore.datasets.errors import UnreadableFile
from ashore.sim.engine import Engine

Array = NDArray[Any]


class Interface(Protocol):
    """Turn measurements into observations and actions into commands: the numpy code between a policy and one robot.

    Every array is batch first: (N, ...). Nothing here keeps state from call to call.
    """

    derived: tuple[str, ...]
    """Observations that derive() adds; all others must be measured."""

    def derive(self, measured: Mapping[str, Array]) -> dict[str, Array]:
        """Return the measurements and what follows from them, such as the tool's pose from the joints."""

    def decode(self, action: Mapping[str, Array], observed: Mapping[str, Array]) -> Array:
        """Turn named actions {name: (N, *shape)} at this instant into commands (N, Dc)."""

    def stop(self, observed: Mapping[str, Array], last_command: Array) -> Array:
        """Give the command (N, Dc) that brings this robot to its safe state from here, call after call."""


@dataclass(frozen=True)
class CommandLimits:
    """Limits on one command vector (Dc,), in the units of the command features; the guard's data."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    max_rate: tuple[float, ...]
    """Largest change of the command per second."""
    max_lead: tuple[float | None, ...]
    """Largest distance of the command from the measured value it drives; None where nothing is led."""
    lead_of: tuple[tuple[str, int] | None, ...]
    """(observation, element) that each command element drives, or None."""
    observed_low: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Observations below these bounds are a fault that ends in a stop."""
    observed_high: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    timeout_s: float = 0.15
    """A command older than this is a fault that ends in a stop."""
    max_acceleration: tuple[float | None, ...] = ()
    """Largest change of the command's rate per second; None, and all where empty, without limit."""
    max_jerk: tuple[float | None, ...] = ()
    """Largest change of that acceleration per second; None, and all where empty, without limit."""
    measured_high: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Largest sizes of what a robot may measure beside its observations, such as joint torques: beyond them is a fault
    that ends in a stop, where it is measured at all."""


@dataclass(frozen=True)
class RobotCard:
    """What must be known of a robot wherever a policy meets it; plain data."""

    name: str
    command_hz: float
    commands: tuple[Feature, ...]
    limits: CommandLimits
    interface: Mapping[str, Any]
    """{"kind": name in ashore.sim.interfaces, ...its parameters as JSON}."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """What an arm keeps clear of: {"link_radius_m": (J,), "keep_out_m": [{"low": (3,), "high": (3,)}, ...]}, in the
    base's frame; empty for a robot that is no chain of joints."""

    @property
    def command_width(self) -> int:
        """Dc, the width of the flat command vector."""
        return sum(feature.size for feature in self.commands)

    def to_json(self) -> str:
        """Write the card as stable, indented JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: Path | str = "robot card") -> Self:
        """Read a card that to_json wrote.

        Raises:
            UnreadableFile: not JSON, or with unknown or missing keys.
        """
        try:
            raw = json.loads(text)
            raw["commands"] = tuple(Feature(**{k: _tuples(v) for k, v in item.items()}) for item in raw["commands"])
            raw["limits"] = CommandLimits(**{k: _tuples(v) for k, v in raw["limits"].items()})
            return cls(**raw)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise UnreadableFile(where, "a robot card", str(error), "Export the bundle again.") from error


class Drive(Protocol):
    """What a robot's own controller does between commands: commands to actuator controls, in the simulator only."""

    period_s: float
    """How often control() is called; the command period where the servo needs no inner loop."""

    def control(self, command: Array, engine: Engine) -> Array:
        """Turn commands (N, Dc) and the engine's true state into actuator controls (N, Nu)."""


@dataclass(frozen=True)
class Robot:
    """A robot in simulation: its card, its MJCF, what it measures of itself and its inner loop."""

    card: RobotCard
    mjcf_path: Path
    drive: Drive
    observations: tuple[Feature, ...]
    """Proprioception in contract form, derived features included."""


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
