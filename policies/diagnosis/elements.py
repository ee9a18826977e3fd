"""Names of the single elements of observations, encoded observations and actions, for tables and charts."""

from collections.abc import Sequence

from ashore.datasets.contract import Contract
from ashore.datasets.features import Feature
from ashore.policies.encoding import EncodingSpec


def element_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """Name every element of the flat vector of some features: tcp_pos_base_m[1], or by its component."""
    return tuple(name for feature in features for name in _names(feature))


def element_units(features: Sequence[Feature]) -> tuple[str, ...]:
    """Give the unit of every element of the flat vector of some features."""
    return tuple(feature.unit for feature in features for _ in range(feature.size))


def encoded_names(spec: EncodingSpec, contract: Contract) -> tuple[str, ...]:
    """Name every element that an Encoder of this spec makes, in its order (De)."""
    by_name = {feature.name: feature for feature in contract.observations}
    chosen = spec.observations or tuple(by_name)
    names = [name for given in chosen if given not in spec.rot6d for name in _names(by_name[given])]
    names += [f"{name}, rotation [{i}]" for name in spec.rot6d for i in range(6)]
    relative = [f"{a} - {b} [{i}]" for a, b in spec.relative for i in range(by_name[a].size)]
    names += relative
    names += [f"{name}, fine" for name in relative] if spec.fine_scale is not None else []
    names += [f"yaw of {a}, {part}" for a, _, _ in spec.yaw for part in ("cos", "sin")]
    return tuple(names)


def _names(feature: Feature) -> list[str]:
    if feature.size == 1:
        return [feature.name]
    parts = [part.removeprefix(f"{feature.name}.") for part in feature.components] or range(feature.size)
    return [f"{feature.name}[{part}]" for part in parts]
