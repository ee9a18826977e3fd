"""A policy as it ships: one checked file, written by `ashore export`, run with numpy and onnxruntime alone.

policy.ashore (zip): policy.onnx contract.json robot.json limits.json evidence.json card.md vectors.npz calibration.npz
                     manifest.json
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.durable import sha256_hex
from ashore.datasets.errors import AshoreError
from ashore.datasets.plain_json import parse_json
from ashore.policies.archive import read_archive, save_archive, unpack_archive
from ashore.policies.card_scan import card_faults, contract_faults
from ashore.policies.errors import InvalidBundle, OtherBundle
from ashore.policies.execution.limits import limit_faults
from ashore.policies.familiarity import Familiarity
from ashore.policies.graph_scan import graph_faults
from ashore.policies.session import open_session, session_faults
from ashore.policies.trial import Tried, try_graph
from ashore.policies.tried import digest_of, is_known, remember
from ashore.sim.robot import RobotCard

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Array = NDArray[Any]
HORIZONS = ("obs_horizon", "prediction_horizon", "action_horizon")
MAX_VECTOR_BYTES = 64 * 1024 * 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024
MAX_DRAWS = 101
"""Chunks of noise that a plan may use up: the longest sampler adds some in each of its 100 rows."""
VECTORS = ("obs", "noise", "actions", "tolerance")
CALIBRATION = ("obs", "fitted")
_BROKEN = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile and numpy raise on a file that is not what they expect."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself; small, to be kept and handed on."""

    path: Path
    sha256: str
    """Of the whole file, in lower-case hex."""
    contract: Contract
    card: RobotCard
    evidence: Mapping[str, Any]
    """What the ranking found; empty where the run was never ranked."""

    @property
    def mark(self) -> str:
        """The first twelve digits of its SHA-256, for a person who compares two."""
        return self.sha256[:12]


@dataclass(frozen=True)
class OpenedBundle(Bundle):
    """A bundle with its network: all of it from bytes that were read once, whatever becomes of the file."""

    files: Mapping[str, bytes] = field(repr=False)
    """{name: content}, as large as the file: let go of it once the planner is made."""

    def planner(self) -> "BundlePlanner":
        """Make the planner, after every check: graph, and vectors to reproduce.

        Raises:
            InvalidBundle: something in it is not in order; names the file.
        """
        return _planner(self.path, self.files, self.contract, self.card, self.evidence)


class BundlePlanner:
    """A bundle's policy at work, on one thread; has the face of every planner."""

    def __init__(
        self,
        session: "InferenceSession",
        contract: Contract,
        card: RobotCard,
        horizons: Mapping[str, int],
        familiarity: Familiarity,
    ) -> None:
        self._session = session
        self.contract = contract
        self.card = card
        self.obs_horizon = horizons["obs_horizon"]
        self.prediction_horizon = horizons["prediction_horizon"]
        self.action_horizon = horizons["action_horizon"]
        self.noise_shape = (horizons["noise_horizon"], contract.action_width)
        self.evidence: Mapping[str, Any] = {}
        """What the ranking found; empty where the run was never ranked."""
        self.familiarity = familiarity

    def plan(self, obs: Array, noise: Array) -> Array:
        """Plan absolute chunks (B, Tp, Da) from windows (B, To, Do) and noise (B, *noise_shape), all float32."""
        given = {"obs": np.ascontiguousarray(obs, np.float32), "noise": np.ascontiguousarray(noise, np.float32)}
        actions: Array = self._session.run(["actions"], given)[0]
        return actions


def write_bundle(path: Path | str, files: Mapping[str, bytes]) -> Path:
    """Write a bundle; it appears only after it was opened, run on its vectors and found in order.

    Args:
        path: where to; what is there is replaced.
        files: {name: content} for policy.onnx, contract.json, robot.json, limits.json, evidence.json, card.md,
            vectors.npz (obs, noise, actions, and tolerance (Da,) in contract units) and calibration.npz (obs and
            fitted: windows that were held back and learnt). The graph's metadata holds the horizons.

    Raises:
        InvalidBundle: the contents cannot be run; names the file.
        StorageFailed: the disk refused.
    """
    target = Path(path)
    _planner(target, files, *_described(target, files))
    save_archive(target, files)
    return target


def open_bundle(path: Path | str, sha256: str | None = None) -> OpenedBundle:
    """Open a bundle: its bytes are read once and checked, and so are contract, card and evidence.

    Args:
        path: the file.
        sha256: that it must have; None takes whichever is there.

    Raises:
        UnreadableFile: there is no such file, or it is no bundle.
        OtherBundle: it has another SHA-256.
        InvalidBundle: something in it is not in order; names the file.
    """
    target = Path(path)
    content = read_archive(target)
    found = sha256_hex(content)
    if sha256 is not None and found != sha256:
        raise OtherBundle(target, sha256, found)
    files = unpack_archive(target, content)
    return OpenedBundle(target, found, *_described(target, files), files)


def read_bundle(path: Path | str, sha256: str | None = None) -> Bundle:
    """Open a bundle for what it says of itself, without keeping its network; see `open_bundle`."""
    opened = open_bundle(path, sha256)
    return Bundle(opened.path, opened.sha256, opened.contract, opened.card, opened.evidence)


def _planner(
    path: Path, files: Mapping[str, bytes], contract: Contract, card: RobotCard, evidence: Mapping[str, Any]
) -> BundlePlanner:
    graph, vectors = files["policy.onnx"], _arrays(path, "vectors.npz", files, VECTORS)
    familiarity = _familiarity(path, files, contract)
    faults = graph_faults(graph)
    if faults:
        raise InvalidBundle(path, "policy.onnx", "; ".join(faults))
    digest = digest_of(graph, files["vectors.npz"])
    tried = None if is_known(digest) else try_graph(graph, vectors["obs"], vectors["noise"])
    if tried is not None and not tried.is_opened:
        raise InvalidBundle(path, "policy.onnx", f"ONNX Runtime cannot open it ({tried.problem})")
    session = _session(path, graph)
    try:
        horizons = _fitting(path, session, contract)
    except UnicodeDecodeError as error:
        raise InvalidBundle(path, "policy.onnx", f"its names are no text ({error})") from error
    planner = BundlePlanner(session, contract, card, horizons, familiarity)
    planner.evidence = evidence
    _check_vectors(path, planner, vectors, tried)
    remember(digest)
    return planner


def _described(path: Path, files: Mapping[str, bytes]) -> tuple[Contract, RobotCard, dict[str, Any]]:
    for name in ("contract.json", "robot.json", "limits.json"):
        if name not in files:
            raise InvalidBundle(path, name, "missing")
    for name in ("contract.json", "robot.json"):
        _json(path, name, files)
    try:
        contract = Contract.from_json(_text(path, "contract.json", files), "contract.json")
        faults = contract_faults(contract)
    except AshoreError as error:
        raise InvalidBundle(path, "contract.json", str(error)) from error
    if faults:
        raise InvalidBundle(path, "contract.json", "; ".join(faults))
    try:
        card = RobotCard.from_json(_text(path, "robot.json", files), "robot.json")
        faults = limit_faults(card) or card_faults(contract, card)
    except (AshoreError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidBundle(path, "robot.json", str(error)) from error
    if faults:
        raise InvalidBundle(path, "robot.json", "; ".join(faults))
    if _json(path, "limits.json", files) != _json(path, "robot.json", files)["limits"]:
        raise InvalidBundle(path, "limits.json", "other limits than those in robot.json")
    if card.name != contract.robot:
        raise InvalidBundle(path, "robot.json", f"of robot {card.name!r}, the contract is of {contract.robot!r}")
    return contract, card, _json(path, "evidence.json", files)


def _session(path: Path, graph: bytes) -> "InferenceSession":
    try:
        return open_session(graph)
    except session_faults() as error:
        raise InvalidBundle(path, "policy.onnx", f"ONNX Runtime cannot open it ({error})") from error


def _fitting(path: Path, session: "InferenceSession", contract: Contract) -> dict[str, int]:
    """Give the graph's horizons, after its inputs and outputs were compared with them and the contract."""
    horizons = _horizons(path, session)
    horizons["noise_horizon"] = _noise_horizon(path, session, horizons["prediction_horizon"])
    _check_shapes(path, session, contract, horizons)
    return horizons


def _horizons(path: Path, session: "InferenceSession") -> dict[str, int]:
    found = session.get_modelmeta().custom_metadata_map
    try:
        horizons = {name: int(found[name]) for name in HORIZONS}
    except (KeyError, ValueError) as error:
        raise InvalidBundle(path, "policy.onnx", f"its metadata lacks a whole number for {error}") from error
    needed = horizons["obs_horizon"] - 1 + horizons["action_horizon"]
    if min(horizons.values()) < 1 or needed > horizons["prediction_horizon"]:
        raise InvalidBundle(path, "policy.onnx", f"the horizons {horizons} do not fit each other")
    return horizons


def _noise_horizon(path: Path, session: "InferenceSession", prediction_horizon: int) -> int:
    """Give the rows of the noise: as many chunks as the sampler uses up, one after the other."""
    rows = next((node.shape[1] for node in session.get_inputs() if node.name == "noise" and len(node.shape) == 3), None)
    if not isinstance(rows, int) or rows < 1 or rows % prediction_horizon or rows > MAX_DRAWS * prediction_horizon:
        problem = f"noise has {rows} rows; expected 1 to {MAX_DRAWS} times the {prediction_horizon} of a chunk"
        raise InvalidBundle(path, "policy.onnx", problem)
    return rows


def _check_shapes(path: Path, session: "InferenceSession", contract: Contract, horizons: Mapping[str, int]) -> None:
    chunk = (horizons["prediction_horizon"], contract.action_width)
    noise = (horizons["noise_horizon"], contract.action_width)
    expected = {"obs": (horizons["obs_horizon"], contract.observation_width), "noise": noise, "actions": chunk}
    nodes = {node.name: node for node in (*session.get_inputs(), *session.get_outputs())}
    if len(session.get_inputs()) != 2 or len(session.get_outputs()) != 1 or set(nodes) != set(expected):
        raise InvalidBundle(path, "policy.onnx", f"inputs and outputs {sorted(nodes)}; expected {sorted(expected)}")
    for name, shape in expected.items():
        found = nodes[name]
        if found.type != "tensor(float)" or tuple(found.shape[1:]) != shape or isinstance(found.shape[0], int):
            needed = f"tensor(float) [batch, {shape[0]}, {shape[1]}]"
            problem = f"{name} is {found.type} {found.shape}; the contract needs {needed}"
            raise InvalidBundle(path, "policy.onnx", problem)


def _check_vectors(path: Path, planner: BundlePlanner, vectors: Mapping[str, Array], tried: Tried | None) -> None:
    """Compare with the exporter's outputs: this machine must compute what the trained policy computed.

    A graph that was tried before is run here; of another one, what it gave when it was tried is looked at.
    """
    chunk = (planner.prediction_horizon, planner.contract.action_width)
    n = len(vectors["obs"]) if vectors["obs"].ndim else 0
    shapes = {
        "obs": (n, planner.obs_horizon, planner.contract.observation_width),
        "noise": (n, *planner.noise_shape),
        "actions": (n, *chunk),
        "tolerance": (chunk[1],),
    }
    for name, shape in shapes.items():
        if n == 0 or vectors[name].shape != shape or not np.all(np.isfinite(vectors[name])):
            raise InvalidBundle(path, "vectors.npz", f"{name} has shape {vectors[name].shape}, expected finite {shape}")
    if tried is None:
        tried = Tried(True, planner.plan(vectors["obs"], vectors["noise"]), "")
    if tried.actions is None or tried.actions.shape != vectors["actions"].shape:
        problem = (
            tried.problem or f"it gives actions of shape {tried.actions.shape if tried.actions is not None else ()}"
        )
        raise InvalidBundle(path, "policy.onnx", f"it cannot be run on the exporter's vectors ({problem})")
    difference = np.abs(tried.actions - vectors["actions"]) / vectors["tolerance"].clip(1e-12)
    if not difference.max() <= 1.0:
        problem = f"the graph is {difference.max():.1f} tolerances away from the exporter's vectors on this machine"
        raise InvalidBundle(path, "policy.onnx", problem)


def _familiarity(path: Path, files: Mapping[str, bytes], contract: Contract) -> Familiarity:
    windows = _arrays(path, "calibration.npz", files, CALIBRATION)
    width = contract.observation_width
    for name in CALIBRATION:
        shape = windows[name].shape
        if len(shape) != 3 or shape[-1] != width or 0 in shape or not np.isfinite(windows[name]).all():
            problem = f"{name} has shape {shape}, expected finite (windows, steps, {width})"
            raise InvalidBundle(path, "calibration.npz", problem)
    return Familiarity.of(contract, *(windows[name] for name in CALIBRATION))


def _arrays(path: Path, file: str, files: Mapping[str, bytes], names: tuple[str, ...]) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(BytesIO(files[file])) as archive:
            infos = archive.infolist()
            if sorted(info.filename for info in infos) != sorted(f"{name}.npy" for name in names):
                raise ValueError(f"it holds other arrays than {', '.join(names)}")
            if sum(info.file_size for info in infos) > MAX_VECTOR_BYTES:
                raise ValueError(f"larger than {MAX_VECTOR_BYTES} bytes")
            return {name: _array(archive.read(f"{name}.npy")) for name in names}
    except _BROKEN as error:
        raise InvalidBundle(path, file, str(error) or type(error).__name__) from error


def _array(content: bytes) -> Array:
    """Read a .npy file of floating-point numbers; nothing is reserved or decoded that its bytes do not hold."""
    stream = BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"an array in version {version} of its format")
    shape, is_column_major, dtype = np.lib.format.read_array_header_1_0(stream)
    rest = memoryview(content)[stream.tell() :]
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise ValueError(f"Object arrays and the like are refused; found {dtype}")
    if any(side < 0 for side in shape) or prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"an array of shape {shape} in {len(rest)} bytes")
    values = np.frombuffer(rest, dtype).reshape(shape, order="F" if is_column_major else "C")
    return np.ascontiguousarray(values, np.float32).reshape(shape)


def _text(path: Path, name: str, files: Mapping[str, bytes]) -> str:
    if len(files[name]) > MAX_TEXT_BYTES:
        raise InvalidBundle(path, name, f"{len(files[name])} bytes, more than {MAX_TEXT_BYTES}")
    try:
        return files[name].decode()
    except UnicodeDecodeError as error:
        raise InvalidBundle(path, name, str(error)) from error


def _json(path: Path, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        found = parse_json(_text(path, name, files))
    except ValueError as error:
        raise InvalidBundle(path, name, str(error)) from error
    if not isinstance(found, dict):
        raise InvalidBundle(path, name, "not a JSON object")
    return found
