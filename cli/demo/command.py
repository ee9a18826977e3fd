"""`ashore demo`: the whole way, from demonstrations to a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Demo:
    """Collect, train, distil, rank, export and deploy one robot's policy, and write a report about it.

    Finished steps of a former run in the same folder are kept. Examples:

      ashore demo --robot panda --out out/demo
      ashore demo --robot crazyflie --out out/demo-quadrotor
    """

    robot: Literal["panda", "crazyflie"] = "panda"
    """Robot whose policy is made."""
    out: Path = Path("out/demo")
    """Folder for everything that the demo makes; its report.html is the end of it."""

    def run(self) -> int:
        """Run the demo, and say where the report is."""
        from rich.console import Console

        from ashore.cli.demo.page import write_page
        from ashore.cli.demo.recipe import RECIPES, Files, make_steps
        from ashore.cli.demo.results import read_results, summarize
        from ashore.cli.demo.runner import Runner
        from ashore.cli.demo.story import tell

        recipe, files, console = RECIPES[self.robot], Files(self.out), Console(soft_wrap=True)
        steps = make_steps(recipe, files)
        runner = Runner(self.out, steps, console)
        runner.run()
        results = read_results(recipe, files, runner.seconds, runner.wall_s)
        summary = summarize(results)
        (self.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        write_page(self.out / "report.html", tell(results, summary, steps))
        console.print(f"\n[bold]{summary['twin_success']:.0%}[/bold] success on the twin, in {results.wall_s:.0f} s.")
        console.print(
            f"Report:  {(self.out / 'report.html').resolve()}\nFigures: {self.out / 'summary.json'}", highlight=False
        )
        return 0
