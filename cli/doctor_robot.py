"""`ashore doctor robot`: whether an arm's file and model are sound, and what to do where they are not."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ashore.sim.arms.arm import Arm
    from ashore.sim.arms.examination import RobotExamination

SIZE_PX = (800, 600)


@dataclass(frozen=True)
class RobotCheck:
    """Look at an arm, its file and its model, and try how it holds and moves. Exit code 1 where something is broken.

    Limits, masses, joint order, kinematics, the tool's frame, contacts at home, gravity, each servo's step response,
    the gripper, and how much of its workspace it reaches. `odd` is worth a look, `broken` will not work.

    For example:

      ashore doctor robot my_arm/robot.yaml
      ashore doctor robot ur5e --out out/ur5e
    """

    file: Annotated[str, Positional]
    """The arm's YAML file, or the name of an arm that ships."""
    out: Path | None = None
    """Folder for pictures: the arm at home from two sides, and its step responses."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Examine, and show the findings."""
        import json
        from dataclasses import asdict

        from ashore.cli.console import say, show_table
        from ashore.cli.progress import shown
        from ashore.sim.rendering import use_headless_rendering

        use_headless_rendering()
        from ashore.sim.arms.examination import examine_robot
        from ashore.sim.robots import make_arm

        arm = make_arm(self.file)
        with shown("examine") as progress:
            examination = examine_robot(arm, progress)
        if self.json:
            say(json.dumps([asdict(finding) for finding in examination.findings], indent=2))
        else:
            rows = [(f.topic, f.subject, f.state, f.detail, f.advice) for f in examination.findings]
            show_table(f"doctor robot {self.file}", ("what", "name", "state", "detail", "what to do"), rows)
        if self.out is not None:
            for line in _draw(arm, examination, self.out):
                say(line)
        return 1 if examination.broken else 0


def _draw(arm: "Arm", examination: "RobotExamination", folder: Path) -> "Iterator[str]":
    """Write the pictures, and say where each is or why it is not."""
    from PIL import Image

    from ashore.cli.step_chart import draw_steps
    from ashore.sim.arms.portrait import VIEWS, portrait
    from ashore.sim.errors import RenderingUnavailable

    folder.mkdir(parents=True, exist_ok=True)
    draw_steps(examination.responses, arm.spec.servo_time_s, folder / "steps.png")
    yield f"{folder / 'steps.png'}: the joints' step responses"
    for view in VIEWS:
        path = folder / f"home_{view}.png"
        try:
            Image.fromarray(portrait(arm, view, SIZE_PX)).save(path)
        except RenderingUnavailable as error:
            yield f"no pictures of the arm at home: {error}"
            return
        yield f"{path}: the arm at home"
