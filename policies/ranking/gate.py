"""The gate before a robot: no bundle without evidence, and none with a veto, unless a person says so by name."""

from pathlib import Path
from typing import Any

from ashore.policies.bundle import read_card, read_evidence
from ashore.policies.errors import EvidenceMissing, EvidenceRejected
from ashore.policies.ranking.evidence import SCHEMA_VERSION

NEEDED = ("weights_sha256", "contract_sha256", "episodes", "success", "vetoes")


def check_evidence(path: Path | str, is_overridden: bool = False) -> dict[str, Any]:
    """Let a bundle pass only with evidence of its own and no veto.

    Args:
        path: the bundle.
        is_overridden: a person decided to deploy it whatever the evidence says; the bundle itself is still checked.

    Returns:
        The evidence, empty where there is none.

    Raises:
        EvidenceMissing: never ranked, or the evidence is of another contract or in another form.
        EvidenceRejected: lists every veto.
        UnreadableFile, InvalidBundle: the bundle is not in order.
    """
    evidence = read_evidence(path)
    if is_overridden:
        return evidence
    contract, _ = read_card(path)
    if not evidence:
        raise EvidenceMissing(path, "it was never ranked, or it was trained further afterwards")
    missing = [name for name in NEEDED if name not in evidence]
    if missing or not isinstance(evidence["vetoes"], list):
        raise EvidenceMissing(path, f"its evidence lacks {', '.join(missing) or 'a list of vetoes'}")
    if evidence.get("schema_version") != SCHEMA_VERSION:
        raise EvidenceMissing(path, f"its evidence has schema version {evidence.get('schema_version')!r}")
    if evidence["contract_sha256"] != contract.digest:
        raise EvidenceMissing(path, "its evidence belongs to another contract")
    if evidence["vetoes"]:
        raise EvidenceRejected(path, [str(veto) for veto in evidence["vetoes"]])
    return evidence
