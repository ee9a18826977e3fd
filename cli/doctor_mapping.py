"""`ashore doctor robot-mapping`: whether a robot's topics are as its mapping says, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


@dataclass(frozen=True)
class MappingCheck:
    """Look at a robot's mapping, against a bundle, and against the topics that are there. Exit code 1 for a finding.

    Who sends and takes each topic, type and quality of service, rate and jitter, stamps against this host's clock,
    frames, joint names, and whether the numbers can be in the units that they should be in. Nothing is sent.

    For example:

      ashore doctor robot-mapping my_robot.yaml
      ashore doctor robot-mapping my_robot.yaml --bundle out/policy.ashore --seconds 10
      ashore doctor robot-mapping fr3 --seconds 0
    """

    file: Annotated[str, Positional]
    """The mapping's YAML file, or the name of one that ships."""
    bundle: Path | None = None
    """A bundle that the robot is to run: contract, rates and bounds are compared with it."""
    seconds: float = 5.0
    """How long to listen; 0 looks at the file and the bundle alone."""
    namespace: str | None = None
    """ROS namespace of the topics; the robot's name where not given, as in a deployment; / for none."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Examine, and show the findings."""
        import json
        from dataclasses import asdict

        from ashore.cli.console import say, show_table
        from ashore.cli.progress import shown
        from ashore.real.examination.examine import ExaminationConfig, examine_mapping

        config = ExaminationConfig(self.file, self.bundle, self.namespace, self.seconds)
        with shown("listen") as progress:
            findings = examine_mapping(config, progress)
        if self.json:
            say(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            rows = [(f.where, f.what, f.state, f.detail, f.advice) for f in findings]
            show_table(f"doctor robot-mapping {self.file}", ("where", "what", "state", "detail", "what to do"), rows)
        return 1 if any(finding.state != "good" for finding in findings) else 0
