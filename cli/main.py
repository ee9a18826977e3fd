"""Entry point of `ashore`: finds the command, reads its arguments, and turns every fault into one message."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from types import FrameType
from typing import Protocol, cast

from ashore.cli.errors import FileTrouble, UnknownCommand, missing_extra
from ashore.datasets.errors import AshoreError

FAULT, INTERRUPTED, TERMINATED = 2, 130, 143
"""Exit codes: something that the user can mend, Ctrl-C, and SIGTERM."""


class Command(Protocol):
    """What every command's dataclass has; its fields are the command line."""

    def run(self) -> int:
        """Do the work and give the exit code."""


@dataclass(frozen=True)
class Entry:
    """One command in the table."""

    place: str
    """module:class below ashore.cli, imported when the command is called."""
    summary: str


COMMANDS = {
    "demo": Entry("demo.command:Demo", "from demonstrations to a robot in another engine, with a report"),
    "collect": Entry("collect:Collect", "record an expert's demonstrations in randomized simulation"),
    "train": Entry("train:Train", "train a policy on episode stores: diffusion, consistency, or a baseline"),
    "distill": Entry("distill:Distill", "distil it into a policy that plans in one network evaluation"),
    "evaluate": Entry("evaluate:Evaluate", "run a policy closed loop over randomized draws"),
    "rank": Entry("rank:Rank", "order policies by how well they should do on the robot, with evidence"),
    "export": Entry("export:Export", "write a policy as a bundle that needs numpy and ONNX Runtime alone"),
    "deploy": Entry("deploy:Deploy", "run a bundle on a robot or its twin over ROS 2"),
    "status": Entry("status:Status", "show how the nodes of a running deployment are"),
    "operate": Entry("operate:Operate", "start, end and stop a running deployment from the keyboard"),
    "twin": Entry("twin:Twin", "let a task's expert work in other realities, in PyBullet"),
    "replay": Entry("replay:Replay", "show a recorded episode, or simulate it again and compare to the bit"),
    "datasets": Entry("datasets:Datasets", "look at, curate, divide, join, import, export, push, pull episode stores"),
    "plan": Entry("plan:Plan", "print the processes of a deployment"),
    "doctor": Entry("doctor:Doctor", "look at this machine, at a store's data, at a robot, or at why a run fails"),
}
HELP = """
Takes a robot policy from demonstrations in simulation to a robot, with evidence at every step.

usage: ashore COMMAND [OPTIONS]      ashore COMMAND --help explains one of them

{commands}

An arm, from nothing to a twin over ROS 2:
  ashore collect --task arm/pick-place --episodes 400 --out out/demonstrations
  ashore train out/demonstrations --policy diffusion --out out/teacher
  ashore distill out/teacher --out out/student
  ashore evaluate out/student --episodes 200
  ashore export out/student --out out/policy.ashore
  ashore deploy out/policy.ashore --robot twin/panda --episodes 5
"""


class Terminated(BaseException):
    """SIGTERM, raised so that what is open is closed; no error, so that nothing on the way takes it for one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code: 0, 1 for a finding, 2 for a fault, 130 or 143 if it was stopped."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return run(given)
    except AshoreError as error:
        _complain(f"{type(error).__name__}: {error}")
        return FAULT
    except BrokenPipeError:
        sys.stderr.close()  # Nobody reads on, for example under `| head`.
        return FAULT
    except KeyboardInterrupt:
        _complain("Interrupted. What was finished before is kept.")
        return INTERRUPTED
    except Terminated:
        _complain("Terminated. What was finished before is kept.")
        return TERMINATED
    finally:
        signal.signal(signal.SIGTERM, before)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Raises:
        AshoreError: something that the user can mend, a missing package among them.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"ashore {metadata.version('ashore')}\n")
        return 0
    try:
        return parse(arguments[0], arguments[1:]).run()
    except ModuleNotFoundError as error:
        fault = missing_extra(error)
        if fault is None:
            raise
        raise fault from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FileTrouble(error.filename or "a file", error.strerror or str(error)) from error


def parse(name: str, arguments: Sequence[str]) -> Command:
    """Read a command's arguments into its dataclass; faults in them end the process with code 2.

    Raises:
        UnknownCommand: there is none of this name.
    """
    if name not in COMMANDS:
        raise UnknownCommand(name, list(COMMANDS))
    import tyro

    module, kind = COMMANDS[name].place.split(":")
    cls = getattr(import_module(f"ashore.cli.{module}"), kind)
    options = (tyro.conf.FlagCreatePairsOff,) if name == "plan" else ()
    arguments, default = cls.prepared(arguments) if hasattr(cls, "prepared") else (arguments, None)
    return cast(Command, tyro.cli(cls, prog=f"ashore {name}", args=arguments, config=options, default=default))


def help_text() -> str:
    """Compose the text of `ashore --help`."""
    lines = [f"  {name:10} {entry.summary}" for name, entry in COMMANDS.items()]
    return HELP.lstrip("\n").format(commands="\n".join(lines))


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # Once is enough: a second one would cut the closing short.
    raise Terminated


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
