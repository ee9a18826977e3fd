"""`ashore export`: a run becomes a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


@dataclass(frozen=True)
class Export:
    """Write a run as a bundle: ONNX graph, contract, limits, evidence, test vectors and checksums in one file.

    The file appears only after the graph was compared with the trained policy. Example:

      ashore export out/student --out out/policy.ashore
    """

    source: Annotated[Path, Positional]
    """A run's folder."""
    out: Path = Path("policy.ashore")
    """The bundle."""
    evidence: Path | None = None
    """evidence.json of a ranking to carry along; the run's own where not given."""

    def run(self) -> int:
        """Export, and say what was written."""
        from ashore.cli.console import say
        from ashore.policies.bundle import read_card
        from ashore.policies.export import export

        bundle = export(self.source, self.out, self._evidence())
        say(f"{bundle} written, {bundle.stat().st_size / 1e6:.2f} MB; graph and policy agree.")
        say(f"Next: ashore deploy {bundle} --robot twin/{read_card(bundle)[1].name}")
        return 0

    def _evidence(self) -> dict[str, object] | None:
        if self.evidence is None:
            return None
        import json

        from ashore.datasets.errors import UnreadableFile

        way_out = "Give the file that `ashore rank` wrote."
        try:
            raw: object = json.loads(self.evidence.read_text())
        except (OSError, ValueError) as error:
            raise UnreadableFile(self.evidence, "the evidence of a ranking", str(error), way_out) from error
        if not isinstance(raw, dict):
            raise UnreadableFile(self.evidence, "the evidence of a ranking", "it is no JSON object", way_out)
        return raw
