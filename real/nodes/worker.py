"""A thread of a node's own, between activate and deactivate."""

import threading
from collections.abc import Callable

PATIENCE_S = 3.0


class Worker:
    """Runs a function on a thread until it is told to stop."""

    def __init__(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """Take what runs; it must return soon after the event is set."""
        self._name, self._run = name, run
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread is not None

    def start(self) -> None:
        """Begin; once more where it runs already."""
        self.stop()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the end, PATIENCE_S at most; may be called when already stopped.

        A thread that hangs, in a camera's driver say, ends with its process at the latest.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            self._thread = None
