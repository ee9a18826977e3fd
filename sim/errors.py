"""Faults of simulation."""

from collections.abc import Sequence
from pathlib import Path

from ashore.datasets.errors import AshoreError, closest, printable, quoted


class UnsupportedModel(AshoreError):
    """A scene that the twin's engine cannot express; lists every part."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the twin cannot be built from this MJCF, for {len(faults)} reason(s):\n{lines}")


class InvalidProfile(AshoreError):
    """A reality profile that breaks its schema or fits another robot; lists every fault."""

    def __init__(self, where: Path | str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {printable(fault)}" for fault in faults)
        super().__init__(
            f"reality profile {where} has {len(faults)} fault(s):\n{lines}\n"
            "The fields are described in sim/twin/profile.py and in the profiles that ship in sim/twin/profiles."
        )


class MissingEnvironment(AshoreError):
    """A Gymnasium environment that is not registered, or whose package is not installed."""

    def __init__(self, environment: str, problem: str, known: Sequence[str]) -> None:
        super().__init__(
            f"there is no Gymnasium environment {environment!r}: {problem}. Expected an id that gymnasium.make knows "
            f"once its package is imported, as in gym/gym_pusht/PushT-v0; {len(known)} are registered now."
            f"{closest(environment, known)} Install the package that has it, for Push-T: "
            "pip install gym-pusht 'pymunk<7'."
        )


class UnsupportedEnvironment(AshoreError):
    """A Gymnasium environment whose spaces or rate a contract cannot express; lists every fault."""

    def __init__(self, environment: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the Gymnasium environment {environment!r} cannot be a task, for {len(faults)} reason(s):\n{lines}\n"
            "Valid are Box spaces, and Dict spaces of Boxes for observations. Wrap the environment to have these."
        )


class UnknownModelName(AshoreError):
    """A name that the scene's model does not have."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"the scene has no {kind} {name!r}. Valid: {quoted(known)}.{closest(name, known)} "
            "Correct the name, or add it to the scene's MJCF."
        )


class NoPicture(AshoreError):
    """A task that does not tell how its recordings are drawn."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"recordings of the task {task!r} cannot be drawn. Expected a task with a method `show`. "
            "Write it in the task's own file: it places robot and objects as the observations say."
        )


class ExpertFails(AshoreError):
    """An expert that hardly ever succeeds."""

    def __init__(self, task: str, n_kept: int, n_tried: int) -> None:
        super().__init__(
            f"the expert of {task!r} succeeded in {n_kept} of {n_tried} attempts. Expected most of them; only "
            "successful episodes are kept. Collect with less randomization (--level none), or mend the expert."
        )


class RenderingUnavailable(AshoreError):
    """This machine cannot draw pictures."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"cannot render: {problem}. Expected an OpenGL that draws without a screen. On Debian or Ubuntu install it "
            "by apt-get install libegl1 libgl1-mesa-dri (or libosmesa6 and set MUJOCO_GL=osmesa); all else works "
            "without pictures."
        )


class NoSimulations(AshoreError):
    """Fewer than one simulation, and so fewer than one episode, was asked for."""

    def __init__(self, n: int) -> None:
        super().__init__(f"{n} episodes at once were asked for. Expected at least 1. Ask for one episode or more.")


class MixedMemory(AshoreError):
    """A judge that cannot restart one of its episodes alone."""

    def __init__(self, kind: str, attribute: str, what: str) -> None:
        super().__init__(
            f"{kind} cannot restart one episode alone: it keeps {attribute!r} in {what}. Expected arrays of a fixed "
            "shape with one row an episode. Keep it in such an array."
        )


class ViewerUnavailable(AshoreError):
    """This machine has no screen to open a window on."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"cannot open MuJoCo's viewer: {problem}. Expected a screen, with DISPLAY or WAYLAND_DISPLAY set. Run it "
            "on a desktop or with X forwarding; or make pictures: render_mode='rgb_array', or ashore replay --out."
        )


class InvalidEnvironment(AshoreError):
    """Options of an environment that it does not have; lists every fault."""

    def __init__(self, environment: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"the environment {environment!r} has {len(faults)} faulty option(s):\n{lines}")


class CannotReplay(AshoreError):
    """An episode that lacks what a simulation of it needs, or does not fit the task of today; lists every reason."""

    def __init__(self, episode: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"{episode} cannot be simulated again, for {len(faults)} reason(s):\n{lines}\n"
            "Expected an episode that ashore collect recorded in simulation. `ashore replay` without --check shows any "
            "episode as it was observed."
        )


class InvalidRobotFile(AshoreError):
    """A robot's file that breaks its schema or does not fit its model; lists every fault."""

    def __init__(self, where: Path | str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the robot file {where} has {len(faults)} fault(s):\n{lines}\n"
            "The keys are described in docs/own_robot.md; start from sim/robots/panda/robot.yaml, and try it with "
            "ashore doctor robot."
        )


class InvalidRandomization(AshoreError):
    """A randomization that breaks its rules or does not fit its scene; lists every fault."""

    def __init__(self, where: Path | str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"{where} has {len(faults)} fault(s):\n{lines}\n"
            "What can vary, and how it is written, is told in docs/randomization.md."
        )


class UnknownTaskClass(AshoreError):
    """A task of one's own that cannot be found."""

    def __init__(self, title: str, problem: str, known: Sequence[str]) -> None:
        there = f" Valid there: {quoted(known)}.{closest(title.partition(':')[2], known)}" if known else ""
        super().__init__(
            f"there is no task {title!r}: {problem}. Expected module:Class, a class derived from Task.{there} Install "
            "the module, or put its folder on PYTHONPATH, and list it in ASHORE_TASKS; docs/own_task.md shows one."
        )
