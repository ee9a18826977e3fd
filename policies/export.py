"""Export a run as a bundle: everything that a robot's computer needs, in one checked file."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.checkpoint import AS_TRAINED, Asked, TorchPlanner, load_run, load_settings
from ashore.policies.errors import NotARun
from ashore.policies.graph import export_graph
from ashore.policies.networks.presets import n_parameters
from ashore.policies.parity import loosened, make_vectors, require_parity, worst_difference
from ashore.policies.quantization import Precision
from ashore.policies.ranking.evidence import matching_evidence


def export(
    run: Path | str,
    out: Path | str,
    evidence: Mapping[str, Any] | None = None,
    asked: Asked = AS_TRAINED,
    precision: Precision = "fp32",
) -> Path:
    """Export a run's averaged weights as a bundle; the file appears only after graph and policy agree.

    Args:
        run: a run's folder.
        out: the bundle's path, usually policy.ashore.
        evidence: what a ranking found; None for RUN/evidence.json, or none where that is absent or of earlier weights.
        asked: sampler, goal and weights; as the run was trained where not given. What is asked otherwise than it was
            ranked ships without evidence.
        precision: of the network's weights; int8 was not ranked either.

    Returns:
        The bundle's path.

    Raises:
        NotARun: the folder is no run, or has no checkpoint yet.
        ParityFailed: the exported graph does not compute what the policy computes.
        EvidenceMissing: the evidence that was given belongs to other weights.
        InvalidConfig, InvalidGoal: the policy cannot be asked in this way.
    """
    from ashore.policies.bundle import write_bundle

    folder, path = Path(run), Path(out)
    files = bundle_files(folder, evidence, asked, precision)
    write_bundle(path, files)
    return path


def bundle_files(
    run: Path, evidence: Mapping[str, Any] | None = None, asked: Asked = AS_TRAINED, precision: Precision = "fp32"
) -> dict[str, bytes]:
    """Compute the contents of a run's bundle, by file name, without the manifest; arguments as in export."""
    planner = load_run(run, asked)
    if not (run / "calibration.npz").is_file():
        raise NotARun(run, "calibration.npz")
    with np.load(run / "calibration.npz", allow_pickle=False) as calibration:
        windows, learnt = (calibration[name][..., planner.columns] for name in ("obs", "fitted"))
    graph = export_graph(planner.policy, planner.contract.observation_width, precision)
    vectors = make_vectors(planner.policy, windows)
    if precision == "fp32":
        worst = require_parity(graph, vectors)
    else:
        worst = worst_difference(graph, vectors)
        vectors = loosened(vectors, worst)
    found = matching_evidence(run, evidence, as_ranked=asked == AS_TRAINED and precision == "fp32")
    return {
        "policy.onnx": graph,
        "contract.json": planner.contract.to_json().encode(),
        "robot.json": planner.card.to_json().encode(),
        "limits.json": json.dumps(asdict(planner.card.limits), indent=2, sort_keys=True).encode(),
        "evidence.json": json.dumps(found, indent=2, sort_keys=True).encode(),
        "vectors.npz": vectors.to_bytes(),
        "calibration.npz": _packed(obs=windows, fitted=learnt),
        "card.md": _card(run, planner, worst, precision).encode(),
    }


def _packed(**arrays: NDArray[np.float32]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # Its stub takes names for options.
    return buffer.getvalue()


def _card(run: Path, planner: TorchPlanner, worst: float, precision: Precision) -> str:
    settings, contract, card = load_settings(run)
    shape, policy = planner.policy.config, planner.policy
    horizons = f"{shape.obs_horizon} steps, predicts {shape.prediction_horizon}, executes {shape.action_horizon}"
    lines = [
        f"# Policy for {contract.task} on {card.name}",
        "",
        f"- Kind: {settings.kind}; {len(policy.table.rows)} network evaluation(s) a chunk",
        f"- Network: {shape.network.kind}, {n_parameters(policy.network) / 1e6:.2f} M parameters, {precision}",
        f"- Observes {horizons}, at {contract.control_hz:g} Hz; commands at {card.command_hz:g} Hz",
        f"- Observations: {', '.join(feature.name for feature in contract.observations)}",
        f"- Actions: {', '.join(f'{feature.name} [{feature.unit}]' for feature in contract.actions)}",
        f"- Contract: {contract.digest}",
        f"- Graph and policy differ by at most {worst:.1e} on normalised actions",
        "",
    ]
    return "\n".join(lines)
