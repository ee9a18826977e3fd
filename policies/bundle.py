"""A policy as it ships: one checked file, written by `ashore export`, run with numpy and onnxruntime alone.

policy.ashore (zip): policy.onnx contract.json robot.json limits.json evidence.json card.md vectors.npz manifest.json
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ashore.datasets.contract import Contract
from ashore.datasets.errors import AshoreError
from ashore.policies.archive import load_archive, save_archive
from ashore.policies.errors import InvalidBundle
from ashore.policies.execution.limits import limit_faults
from ashore.policies.graph_scan import graph_faults
from ashore.sim.robot import RobotCard

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Array = NDArray[Any]
HORIZONS = ("obs_horizon", "prediction_horizon", "action_horizon")
MAX_VECTOR_BYTES = 64 * 1024 * 1024
MAX_DRAWS = 101
"""Chunks of noise that a plan may use up: the longest sampler adds some in each of its 100 rows."""
VECTORS = ("obs", "noise", "actions", "tolerance")


class BundlePlanner:
    """A bundle's policy at work, on one thread; has the face of every planner."""

    def __init__(
        self, session: "InferenceSession", contract: Contract, card: RobotCard, horizons: Mapping[str, int]
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

    def plan(self, obs: Array, noise: Array) -> Array:
        """Plan absolute chunks (B, Tp, Da) from windows (B, To, Do) and noise (B, *noise_shape), all float32."""
        given = {"obs": np.ascontiguousarray(obs, np.float32), "noise": np.ascontiguousarray(noise, np.float32)}
        actions: Array = self._session.run(["actions"], given)[0]
        return actions


def write_bundle(path: Path | str, files: Mapping[str, bytes]) -> Path:
    """Write a bundle; it appears only after it was opened, run on its vectors and found in order.

    Args:
        path: where to; what is there is replaced.
        files: {name: content} for policy.onnx, contract.json, robot.json, limits.json, evidence.json, card.md and
            vectors.npz (obs, noise, actions, and tolerance (Da,) in contract units). The graph's metadata holds the
            horizons.

    Raises:
        InvalidBundle: the contents cannot be run; names the file.
        StorageFailed: the disk refused.
    """
    target = Path(path)
    _planner(target, files)
    save_archive(target, files)
    return target


def load_bundle(path: Path | str) -> BundlePlanner:
    """Open a bundle as a planner, after every check: bytes, contract, card, graph, and vectors to reproduce.

    Raises:
        UnreadableFile: there is no such file, or it is no bundle.
        InvalidBundle: something in it is not in order; names the file.
    """
    target = Path(path)
    return _planner(target, load_archive(target))


def read_card(path: Path | str) -> tuple[Contract, RobotCard]:
    """Read a bundle's contract and robot card, all bytes checked, without loading the policy.

    Raises:
        UnreadableFile: there is no such file, or it is no bundle.
        InvalidBundle: something in it is not in order; names the file.
    """
    target = Path(path)
    return _described(target, load_archive(target))


def read_evidence(path: Path | str) -> dict[str, Any]:
    """Read what the ranking found about a bundle's policy; empty where the run was never ranked.

    Raises:
        UnreadableFile: there is no such file, or it is no bundle.
        InvalidBundle: something in it is not in order; names the file.
    """
    target = Path(path)
    return _json(target, "evidence.json", load_archive(target))


def _planner(path: Path, files: Mapping[str, bytes]) -> BundlePlanner:
    contract, card = _described(path, files)
    session = _session(path, files["policy.onnx"])
    horizons = _horizons(path, session)
    horizons["noise_horizon"] = _noise_horizon(path, session, horizons["prediction_horizon"])
    _check_shapes(path, session, contract, horizons)
    planner = BundlePlanner(session, contract, card, horizons)
    planner.evidence = _json(path, "evidence.json", files)
    _check_vectors(path, planner, files["vectors.npz"])
    return planner


def _described(path: Path, files: Mapping[str, bytes]) -> tuple[Contract, RobotCard]:
    for name in ("contract.json", "robot.json", "limits.json"):
        if name not in files:
            raise InvalidBundle(path, name, "missing")
    try:
        contract = Contract.from_json(_text(path, "contract.json", files), "contract.json")
    except AshoreError as error:
        raise InvalidBundle(path, "contract.json", str(error)) from error
    try:
        card = RobotCard.from_json(_text(path, "robot.json", files), "robot.json")
        faults = limit_faults(card)
    except (AshoreError, TypeError, AttributeError) as error:
        raise InvalidBundle(path, "robot.json", str(error)) from error
    if faults:
        raise InvalidBundle(path, "robot.json", "; ".join(faults))
    if _json(path, "limits.json", files) != json.loads(json.dumps(asdict(card.limits))):
        raise InvalidBundle(path, "limits.json", "other limits than those in robot.json")
    if card.name != contract.robot:
        raise InvalidBundle(path, "robot.json", f"of robot {card.name!r}, the contract is of {contract.robot!r}")
    return contract, card


def _session(path: Path, content: bytes) -> "InferenceSession":
    """Open a graph from memory, on one thread that sleeps while it waits."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as faults_of_runtime

    faults = graph_faults(content)
    if faults:
        raise InvalidBundle(path, "policy.onnx", "; ".join(faults))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    known = ("Fail", "InvalidGraph", "InvalidProtobuf", "InvalidArgument", "NotImplemented", "RuntimeException")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except tuple(getattr(faults_of_runtime, name) for name in known) as error:
        raise InvalidBundle(path, "policy.onnx", f"ONNX Runtime cannot open it ({error})") from error


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


def _check_vectors(path: Path, planner: BundlePlanner, content: bytes) -> None:
    """Run the graph on the exporter's inputs: this machine must compute what the trained policy computed."""
    vectors = _vectors(path, content)
    chunk = (planner.prediction_horizon, planner.contract.action_width)
    n = len(vectors["obs"])
    shapes = {
        "obs": (n, planner.obs_horizon, planner.contract.observation_width),
        "noise": (n, *planner.noise_shape),
        "actions": (n, *chunk),
        "tolerance": (chunk[1],),
    }
    for name, shape in shapes.items():
        if n == 0 or vectors[name].shape != shape or not np.all(np.isfinite(vectors[name])):
            raise InvalidBundle(path, "vectors.npz", f"{name} has shape {vectors[name].shape}, expected finite {shape}")
    difference = np.abs(planner.plan(vectors["obs"], vectors["noise"]) - vectors["actions"]) / vectors[
        "tolerance"
    ].clip(1e-12)
    if not difference.max() <= 1.0:
        problem = f"the graph is {difference.max():.1f} tolerances away from the exporter's vectors on this machine"
        raise InvalidBundle(path, "policy.onnx", problem)


def _vectors(path: Path, content: bytes) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_VECTOR_BYTES:
                raise InvalidBundle(path, "vectors.npz", f"larger than {MAX_VECTOR_BYTES} bytes")
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name], np.float32) for name in VECTORS}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidBundle(path, "vectors.npz", str(error)) from error


def _text(path: Path, name: str, files: Mapping[str, bytes]) -> str:
    try:
        return files[name].decode()
    except UnicodeDecodeError as error:
        raise InvalidBundle(path, name, str(error)) from error


def _json(path: Path, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(_text(path, name, files))
    except (ValueError, RecursionError) as error:
        raise InvalidBundle(path, name, str(error)) from error
    if not isinstance(found, dict):
        raise InvalidBundle(path, name, "not a JSON object")
    return found
