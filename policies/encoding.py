"""How a policy sees its observations, as plain data, and the torch module that does it inside the exported graph.

Everything is made of slices, differences and products, so that the ONNX file takes raw contract vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from ashore.datasets.contract import Contract
from ashore.datasets.errors import closest, quoted
from ashore.policies.errors import InvalidEncoding

SHORTEST = 1e-6
"""Length that is divided by at least; the exporter drops a term as small as this that is added instead."""


@dataclass(frozen=True)
class EncodingSpec:
    """Which features a policy is given, named by the contract's observations; all parts are joined in this order."""

    observations: tuple[str, ...] = ()
    """Passed on as they are; empty for all of them."""
    rot6d: tuple[str, ...] = ()
    """Quaternions (wxyz) given as the first two columns of their rotation matrix, in place of their four numbers."""
    relative: tuple[tuple[str, str], ...] = ()
    """(a, b): the difference a - b; where a holds several points of b's size, of each of them."""
    fine_scale: float | None = None
    """With a length, each difference is given once more as tanh(difference / fine_scale)."""
    yaw: tuple[tuple[str, str, int], ...] = ()
    """(a, frame, folds): cos and sin of folds * yaw of quaternion a in the frame of another, for symmetric things."""
    snap: tuple[str, ...] = ()
    """Actions with two settings: what is planned is snapped to the nearer end of the demonstrated range."""

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Read a spec from JSON or from a task's `encoding()`; lists become tuples.

        Raises:
            InvalidEncoding: a key is unknown.
        """
        known = [field.name for field in fields(cls)]
        faults = [f"{key}: unknown; valid: {quoted(known)}.{closest(key, known)}" for key in raw if key not in known]
        if faults:
            raise InvalidEncoding(faults)
        return cls(**{key: _tuples(value) for key, value in raw.items()})

    def to_mapping(self) -> dict[str, Any]:
        """Give the spec as JSON-able data."""
        return asdict(self)

    def check(self, contract: Contract) -> None:
        """Check every name and size against a contract.

        Raises:
            InvalidEncoding: lists every fault at once.
        """
        sizes = {feature.name: feature.size for feature in contract.observations}
        used = [*self.observations, *self.rot6d, *(n for pair in self.relative for n in pair)]
        used += [name for entry in self.yaw for name in entry[:2]]
        faults = [
            f"{n}: no such observation; valid: {quoted(sizes)}.{closest(n, sizes)}" for n in used if n not in sizes
        ]
        quaternions = [*self.rot6d, *(name for entry in self.yaw for name in entry[:2])]
        faults += [f"{n}: a quaternion has 4 elements, not {sizes[n]}" for n in quaternions if sizes.get(n, 4) != 4]
        faults += [
            f"relative {a} - {b}: sizes {sizes[a]} and {sizes[b]}; the first must be a multiple of the second"
            for a, b in self.relative
            if a in sizes and b in sizes and sizes[a] % sizes[b]
        ]
        faults += [f"yaw of {a}: {folds} folds; must be at least 1" for a, _, folds in self.yaw if folds < 1]
        actions = [feature.name for feature in contract.actions]
        faults += [f"snap {n}: no such action; valid: {quoted(actions)}" for n in self.snap if n not in actions]
        if self.fine_scale is not None and not self.fine_scale > 0:
            faults.append(f"fine_scale: {self.fine_scale}; must be positive")
        if faults:
            raise InvalidEncoding(faults)


class Encoder(nn.Module):
    """Turn raw observation windows (B, To, Do) into features (B, To, De)."""

    def __init__(self, spec: EncodingSpec, contract: Contract) -> None:
        super().__init__()
        spec.check(contract)
        self.spec = spec
        self.slices = contract.observation_slices
        chosen = spec.observations or tuple(self.slices)
        self.plain = tuple(name for name in chosen if name not in spec.rot6d)
        plain_width = sum(self.slices[n].stop - self.slices[n].start for n in self.plain)
        relative_width = sum(self.slices[a].stop - self.slices[a].start for a, _ in spec.relative)
        copies = 1 if spec.fine_scale is None else 2
        self.width = plain_width + 6 * len(spec.rot6d) + copies * relative_width + 2 * len(spec.yaw)

    def forward(self, obs: Tensor) -> Tensor:
        """Encode (..., Do) raw contract values to (..., De)."""
        parts = [self._part(obs, name) for name in self.plain]
        parts += [rotation_6d(self._part(obs, name)) for name in self.spec.rot6d]
        differences = [self._difference(obs, a, b) for a, b in self.spec.relative]
        parts += differences
        if self.spec.fine_scale is not None:
            parts += [torch.tanh(difference / self.spec.fine_scale) for difference in differences]
        for name, frame, folds in self.spec.yaw:
            parts.append(folded_yaw(self._part(obs, name), self._part(obs, frame), folds))
        return torch.cat(parts, dim=-1)

    def _difference(self, obs: Tensor, a: str, b: str) -> Tensor:
        points, origin = self._part(obs, a), self._part(obs, b)
        n = (self.slices[a].stop - self.slices[a].start) // (self.slices[b].stop - self.slices[b].start)
        return points - torch.cat([origin] * n, dim=-1)

    def _part(self, obs: Tensor, name: str) -> Tensor:
        return obs[..., self.slices[name]]


def rotation_6d(quat_wxyz: Tensor) -> Tensor:
    """Give the first two columns of the rotation matrix of quaternions (..., 4) as (..., 6).

    The quaternion is normalised first. Source: Zhou et al., On the Continuity of Rotation Representations, CVPR 2019.
    """
    w, x, y, z = _unit(quat_wxyz)
    first = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    second = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    return torch.cat((*first, *second), dim=-1)


def folded_yaw(quat_wxyz: Tensor, frame_quat_wxyz: Tensor, folds: int) -> Tensor:
    """Give (cos, sin) of folds * yaw of one quaternion (..., 4) in the frame of another as (..., 2).

    Yaw is the angle of the turn's part about the frame's z (swing-twist), which both signs of a quaternion share. Of a
    frame whose z points away from the quaternion's, as a tool's does that looks down at an upright cube, that part is
    undefined: there the frame is first turned by half a turn about its x. Repeated complex products stand for the
    angle, because ONNX has no atan2.
    """
    aw, ax, ay, az = _unit(quat_wxyz)
    fw, fx, fy, fz = _unit(frame_quat_wxyz)
    w = fw * aw + fx * ax + fy * ay + fz * az  # conj(frame) * quat
    x = fw * ax - fx * aw - fy * az + fz * ay
    y = fw * ay + fx * az - fy * aw - fz * ax
    z = fw * az - fx * ay + fy * ax - fz * aw
    is_upright = w * w + z * z > x * x + y * y
    w, z = torch.where(is_upright, w, x), torch.where(is_upright, z, -y)
    real, imaginary = w * w - z * z, 2 * w * z  # (cos, sin) of the yaw, times w^2 + z^2
    length = torch.sqrt(real * real + imaginary * imaginary).clamp(min=SHORTEST)
    real, imaginary = real / length, imaginary / length
    cos, sin = real, imaginary
    for _ in range(folds - 1):
        cos, sin = cos * real - sin * imaginary, cos * imaginary + sin * real
    return torch.cat((cos, sin), dim=-1)


def _unit(quat_wxyz: Tensor) -> Sequence[Tensor]:
    length = torch.sqrt((quat_wxyz * quat_wxyz).sum(-1, keepdim=True)).clamp(min=SHORTEST)
    unit = quat_wxyz / length
    return unit[..., 0:1], unit[..., 1:2], unit[..., 2:3], unit[..., 3:4]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
