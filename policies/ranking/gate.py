"""The gate before a robot: no bundle without evidence, and none with a veto, unless a person says so by name."""

from ashore.policies.bundle import Bundle
from ashore.policies.errors import EvidenceMissing, EvidenceRejected
from ashore.policies.ranking.evidence import SCHEMA_VERSION

NEEDED = ("weights_sha256", "contract_sha256", "episodes", "success", "vetoes")


def check_evidence(bundle: Bundle, is_overridden: bool = False) -> None:
    """Let a bundle pass only with evidence of its own and no veto.

    Args:
        bundle: the bundle.
        is_overridden: a person decided to deploy it whatever the evidence says.

    Raises:
        EvidenceMissing: never ranked, or the evidence is of another contract or in another form.
        EvidenceRejected: lists every veto.
    """
    if is_overridden:
        return
    path, evidence = bundle.path, bundle.evidence
    if not evidence:
        raise EvidenceMissing(path, "it was never ranked, or it was trained further afterwards")
    missing = [name for name in NEEDED if name not in evidence]
    if missing or not isinstance(evidence["vetoes"], list):
        raise EvidenceMissing(path, f"its evidence lacks {', '.join(missing) or 'a list of vetoes'}")
    if evidence.get("schema_version") != SCHEMA_VERSION:
        raise EvidenceMissing(path, f"its evidence has schema version {evidence.get('schema_version')!r}")
    if evidence["contract_sha256"] != bundle.contract.digest:
        raise EvidenceMissing(path, "its evidence belongs to another contract")
    if evidence["vetoes"]:
        raise EvidenceRejected(path, [str(veto) for veto in evidence["vetoes"]])
