"""One writer for a store or a run: an flock on an open file, which the system drops when its process dies."""

import fcntl
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ashore.datasets.durable import seal, storing, unseal, write_all
from ashore.datasets.errors import StoreLocked


class WriterLock:
    """The writer's lock of one folder; entering it again while it is held is allowed.

    The lock is the flock, not the file: the file stays and names the last holder, for the message to a second one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._depth = 0

    @property
    def depth(self) -> int:
        """How often it was entered and not yet left."""
        return self._depth

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._depth > 0

    def __enter__(self) -> Self:
        if not self._depth:
            self._descriptor = self._acquire()
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Leave once; the last leave gives the lock back."""
        self._depth -= 1
        if not self._depth and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def held_elsewhere(self) -> bool:
        """Whether another holder, in this process or not, writes the store now."""
        if self.held or not self._path.exists():
            return False
        with storing(self._path, "look at the writer's lock"):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _acquire(self) -> int:
        with storing(self._path, "take the writer's lock"):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                write_all(descriptor, seal(_this_process()))
            except BlockingIOError:
                holder = _describe(os.pread(descriptor, 65536, 0))
                os.close(descriptor)
                raise StoreLocked(self._path.parent, holder) from None
            except OSError:
                os.close(descriptor)
                raise
            return descriptor


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": " ".join(sys.argv)[:300] or sys.executable,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _describe(data: bytes) -> str:
    try:
        holder = unseal(data)
        return f"process {holder['pid']} on {holder['host']} ({holder['command']}) since {holder['since']}"
    except (ValueError, KeyError):
        return "a process that has not yet written its name"
