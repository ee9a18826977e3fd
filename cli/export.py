"""`ashore export`: a run becomes a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from ashore.cli.opening import SamplerName


@dataclass(frozen=True)
class Export:
    """Write a run as a bundle: ONNX graph, contract, limits, evidence, test vectors and checksums in one file.

    The file appears only after the graph was compared with the trained policy. Example:

      ashore export out/student --out out/policy.ashore
      ashore export out/student --precision int8 --out out/small.ashore
      ashore export out/teacher --sampler dpm --steps 8 --out out/teacher.ashore
    """

    source: Annotated[Path, Positional]
    """A run's folder."""
    out: Path = Path("policy.ashore")
    """The bundle."""
    evidence: Path | None = None
    """evidence.json of a ranking to carry along; the run's own where not given."""

    sampler: SamplerName = "auto"
    """Sampler in the graph: euler, heun or dpm for EDM; ddim, ddpm or dpm for DDPM; as trained where not given."""
    steps: int | None = None
    """Steps of the sampler, 1 to 100; for a consistency run 1 to 4."""
    guidance: float | None = None
    """Weight of the goal (classifier-free guidance)."""
    goal: tuple[str, ...] = ()
    """Goals that are built in, NAME=NUMBER,NUMBER..."""
    task: str | None = None
    """Task of a run that learnt several."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Of the network's matrices; int8 is a quarter of the size, and its difference is told."""

    def run(self) -> int:
        """Export, and say what was written."""
        from ashore.cli.console import say
        from ashore.cli.opening import asked_of
        from ashore.policies.bundle import read_bundle
        from ashore.policies.export import export

        asked = asked_of(self.sampler, self.steps, self.guidance, self.goal, self.task)
        path = export(self.source, self.out, self._evidence(), asked, self.precision)
        bundle = read_bundle(path)
        if (self.source / "evidence.json").is_file() and not bundle.evidence:
            say("It ships without the run's evidence: these weights, sampler, goal and precision were not ranked.")
        says = "graph and policy agree" if self.precision == "fp32" else "how far int8 is from fp32 stands in its card"
        say(f"{path} written, {path.stat().st_size / 1e6:.2f} MB; {says}.")
        say(f"Next: ashore deploy {path} --robot twin/{bundle.card.name}")
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
