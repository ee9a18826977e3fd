"""`ashore demo`: the whole way, from demonstrations to a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Demo:
    """Collect, train, distil, rank, export and deploy one robot's policy, and write a report about it.

    Finished steps of a former run in the same folder are kept. For example:

      ashore demo --robot panda --out out/demo
      ashore demo --robot crazyflie --out out/demo-quadrotor
    """

    robot: Literal["panda", "crazyflie"] = "panda"
    """Robot whose policy is made."""
    out: Path = Path("out/demo")
    """Folder for everything that the demo makes; its report.html is the end of it."""

    def run(self) -> int:
        """Run the demo."""
        from ashore.cli.demo import run_demo

        return run_demo(self.robot, self.out)
