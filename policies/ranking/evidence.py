"""What a ranking says of one policy, kept with its run and shipped in its bundle."""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashore.datasets.contract import Contract
from ashore.datasets.durable import storing
from ashore.datasets.errors import UnreadableFile
from ashore.policies.errors import EvidenceMissing, NotARun

if TYPE_CHECKING:
    from ashore.policies.ranking.ranking import Ranking

SCHEMA_VERSION = 1
FILE = "evidence.json"


def weights_sha256(run: Path) -> str:
    """Identify the weights that a run plans with by their SHA-256: the selected candidate's, or the last checkpoint's.

    Raises:
        NotARun: there is no checkpoint, or the selected candidate is gone.
        UnreadableFile: selection.json is damaged.
    """
    from ashore.policies.checkpoint import selected_weights

    selected = selected_weights(run)
    files = [run / folder / "average.safetensors" for folder in ("checkpoint", "checkpoint.old")]
    for path in files if selected is None else [selected]:
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    raise NotARun(run, str((selected or files[0]).relative_to(run)))


def save_evidence(ranking: "Ranking") -> dict[str, dict[str, Any]]:
    """Write evidence.json into every ranked run; returns {policy's name: its evidence}."""
    saved = {}
    for row, policy in zip(ranking.rows(), ranking.policies, strict=True):
        run = policy.findings.run
        evidence = _evidence(ranking, row, run)
        with storing(run, "write evidence"):
            aside = run / f"{FILE}.part"
            aside.write_text(json.dumps(evidence, indent=2, sort_keys=True, allow_nan=False))
            os.replace(aside, run / FILE)
        saved[policy.name] = evidence
    return saved


def matching_evidence(run: Path, given: Mapping[str, Any] | None = None, as_ranked: bool = True) -> dict[str, Any]:
    """Give the evidence to ship with a run.

    Args:
        run: the run's folder.
        given: evidence to ship; None for the run's own, which is left out where it is absent or of earlier weights.
        as_ranked: whether what ships plans as the run did when it was ranked; another sampler, goal or precision was
            never ranked, and has no evidence.

    Raises:
        EvidenceMissing: what was given belongs to other weights, or to another way of asking them.
        UnreadableFile: RUN/evidence.json is damaged.
    """
    weights = weights_sha256(run)
    if given is not None:
        if given.get("weights_sha256", weights) != weights:
            raise EvidenceMissing(run, "the evidence that was given belongs to other weights")
        if not as_ranked:
            raise EvidenceMissing(run, "the evidence that was given is of the run as trained, not of these options")
        return dict(given)
    path = run / FILE
    if not path.is_file() or not as_ranked:
        return {}
    try:
        own = json.loads(path.read_text())
        is_own = own["weights_sha256"] == weights
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(path, "evidence of a ranking", str(error), "Rank the run again.") from error
    return dict(own) if is_own else {}


def _evidence(ranking: "Ranking", row: Mapping[str, Any], run: Path) -> dict[str, Any]:
    config, real = ranking.config, ranking.real
    contract_path = run / "contract.json"
    contract = Contract.from_json(contract_path.read_text(), contract_path)
    recorded = None
    if real is not None:
        recorded = {"store": real.name, "sources": list(real.sources), "episodes": len(real.observations)}
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "weights_sha256": weights_sha256(run),
        "contract_sha256": contract.digest,
        "robot": contract.robot,
        "task": contract.task,
        "of": len(ranking.policies),
        "episodes": config.episodes,
        "level": config.level,
        "seed": config.seed,
        "latency_s": config.latency_s,
        "weight": config.weight,
        "detector": config.detector,
        "real": recorded,
        **row,
    }
