"""Starting a plan's processes, noticing when one ends, and leaving none behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ashore.real.errors import ProcessEnded
from ashore.real.parent import PARENT_KEY
from ashore.real.plan import Process

GRACE_S = 5.0
"""Time a process has to end after SIGTERM before it is killed."""
TAIL_LINES = 12


class Supervision:
    """A block in which processes run; however it is left, they are ended and waited for.

    Each has its own session, so that Ctrl-C reaches only us and the order of ending is ours; each also asks the kernel
    for SIGTERM when we die. Enter the block on a thread that lives until its end.
    """

    def __init__(self, processes: Sequence[Process], log_dir: Path) -> None:
        self.log_dir = log_dir
        self._plan = tuple(processes)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for process in self._plan:
                self._start(process)
        except BaseException:  # Ctrl-C too: what has started must not outlive us.
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def check(self, needed: str | None = None) -> None:
        """Check that every process that the deployment needs still runs, and the one of this name, if any.

        Raises:
            ProcessEnded: names the first that does not, with the end of its log.
        """
        for process in self._plan:
            code = self._running[process.name].poll()
            if code is not None and (process.on_exit == "shutdown" or process.name == needed):
                raise ProcessEnded(process.name, code, self.log_path(process.name), self.tail(process.name))

    def log_path(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.log_dir / f"{name}.log"

    def tail(self, name: str) -> str:
        """Give the last lines of a process's log; nothing of a node that is no process of ours."""
        if name not in self._running:
            return ""
        lines = self.log_path(name).read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"  {line}" for line in lines)

    def _start(self, process: Process) -> None:
        log = self.log_path(process.name).open("wb")
        self._logs.append(log)
        own = {PARENT_KEY: str(os.getpid()), "ROS_LOG_DIR": str(self.log_dir), "OMP_NUM_THREADS": "1"}
        self._running[process.name] = subprocess.Popen(
            process.command(),
            env={**os.environ, **own, **process.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _end(self) -> None:
        """End the processes in reverse order of the plan; a second Ctrl-C does not cut this short."""
        with undisturbed():
            for process in reversed(list(self._running.values())):
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + GRACE_S
            for process in self._running.values():
                try:
                    process.wait(max(0.0, deadline_s - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for log in self._logs:
                log.close()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGINT in a block that a second Ctrl-C must not cut short; only the main thread may and need do this."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
