"""Runs the demo's steps: each is one `ashore` command in its own process, two at a time, real-time ones alone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ashore.cli.demo.errors import StepFailed

LANES = 2
POLL_S = 0.2
HEARTBEAT_S = 15.0
CLOSING_S = 20.0
"""Time that a command has to close what it opened; a deployment ends its own processes meanwhile."""
WALL_FILE = "wall_time"


@dataclass(frozen=True)
class Step:
    """One command of the demo."""

    name: str
    title: str
    """What the step does, in words for the person who watches."""
    arguments: tuple[str, ...]
    """What follows `ashore` on the command line."""
    after: tuple[str, ...] = ()
    """Steps whose files this one reads."""
    alone: bool = False
    """Whether it must not share the machine, because it runs in real time or uses every core itself."""

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        return " ".join(("ashore", *self.arguments))


@dataclass
class Running:
    """A step at work."""

    step: Step
    process: subprocess.Popen[bytes]
    log_path: Path
    started_s: float


@dataclass
class Runner:
    """Runs steps in order of their needs, keeps a log of each, and skips those a former run finished."""

    out: Path
    steps: Sequence[Step]
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of every finished step."""

    def run(self) -> None:
        """Run every step that is not finished yet.

        Raises:
            StepFailed: a command ended with another code than 0; names its log. Other running commands are stopped.
        """
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        began_s, told = time.monotonic(), False
        waiting = [step for step in self.steps if not self._finished_before(step)]
        running: list[Running] = []
        try:
            with Live(console=self.console, refresh_per_second=4, transient=True) as live:
                last_line_s = time.monotonic()
                while waiting or running:
                    self._start_ready(waiting, running)
                    time.sleep(POLL_S)
                    running = [item for item in running if not self._ended(item)]
                    live.update(self._picture(running, len(waiting)))
                    last_line_s = self._heartbeat(running, last_line_s)
        except KeyboardInterrupt:
            told = True  # The terminal has told our children as well.
            raise
        finally:
            _stop(running, told)
            self._add_wall_s(time.monotonic() - began_s)

    @property
    def wall_s(self) -> float:
        """Wall time of all runs in this folder together."""
        path = self.out / "logs" / WALL_FILE
        return float(json.loads(path.read_text())["wall_s"]) if path.exists() else 0.0

    def _add_wall_s(self, seconds: float) -> None:
        (self.out / "logs" / WALL_FILE).write_text(json.dumps({"wall_s": self.wall_s + seconds}))

    def _start_ready(self, waiting: list[Step], running: list[Running]) -> None:
        while waiting and len(running) < LANES and not any(item.step.alone for item in running):
            ready = [step for step in waiting if all(name in self.seconds for name in step.after)]
            ready = [step for step in ready if not (step.alone and running)]
            if not ready:
                return
            waiting.remove(ready[0])
            running.append(self._start(ready[0]))

    def _start(self, step: Step) -> Running:
        log_path = self.out / "logs" / f"{step.name}.log"
        self.console.print(f"[bold]{step.title}[/bold]\n  [dim]$ {step.command}[/dim]", highlight=False)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log_path.open("wb") as log:
            command = [sys.executable, "-m", "ashore.cli.main", *step.arguments]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        return Running(step, process, log_path, time.monotonic())

    def _ended(self, item: Running) -> bool:
        code = item.process.poll()
        if code is None:
            return False
        if code != 0:
            raise StepFailed(item.step.command, code, item.log_path, _tail(item.log_path, 12))
        wall_s = time.monotonic() - item.started_s
        self.seconds[item.step.name] = wall_s
        self._stamp_path(item.step).write_text(json.dumps({"command": item.step.command, "wall_s": wall_s}))
        self.console.print(f"  [green]done[/green] {item.step.name} in {wall_s:.0f} s", highlight=False)
        return True

    def _finished_before(self, step: Step) -> bool:
        path = self._stamp_path(step)
        if not path.exists() or any(name not in self.seconds for name in step.after):
            return False
        stamp = json.loads(path.read_text())
        if stamp["command"] != step.command:
            return False
        self.seconds[step.name] = stamp["wall_s"]
        self.console.print(f"  [dim]kept {step.name} from a former run[/dim]", highlight=False)
        return True

    def _stamp_path(self, step: Step) -> Path:
        return self.out / "logs" / f"{step.name}.json"

    def _heartbeat(self, running: Sequence[Running], last_line_s: float) -> float:
        """Print a line now and then where no terminal shows the live table."""
        if self.console.is_terminal or time.monotonic() - last_line_s < HEARTBEAT_S:
            return last_line_s
        for item in running:
            self.console.print(f"  … {item.step.name}: {_tail(item.log_path, 1)}", highlight=False, markup=False)
        return time.monotonic()

    def _picture(self, running: Sequence[Running], n_waiting: int) -> Group:
        table = Table.grid(padding=(0, 2))
        for item in running:
            elapsed_s = time.monotonic() - item.started_s
            table.add_row(Text(item.step.name, style="bold"), f"{elapsed_s:4.0f} s", Text(_tail(item.log_path, 1)))
        return Group(table, Text(f"{len(self.seconds)} steps done, {n_waiting} waiting", style="dim"))


def _stop(running: Sequence[Running], told: bool) -> None:
    """End what still runs; a process that was told by Ctrl-C is given its time to close first."""
    for item in running:
        if not told:
            item.process.terminate()
    for item in running:
        try:
            item.process.wait(timeout=CLOSING_S)
        except subprocess.TimeoutExpired:
            item.process.kill()


def _tail(path: Path, n_lines: int) -> str:
    lines = path.read_bytes()[-8192:].decode(errors="replace").replace("\r", "\n").splitlines()
    return "\n".join([line for line in lines if line.strip()][-n_lines:])
