"""A thread of a node's own, between activate and deactivate."""

import threading
from collections.abc import Callable


class Worker:
    """Runs a function on a thread until it is told to stop."""

    def __init__(self, name: str, run: Callable[[threading.Event], None], patience_s: float | None = None) -> None:
        """Take what runs.

        Args:
            name: of the thread.
            run: returns soon after the event is set.
            patience_s: how long its end is waited for where it may hang, as in a camera's driver; None for ever, as
                where it writes what must be whole.
        """
        self._name, self._run, self._patience_s = name, run, patience_s
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

    def stop(self) -> bool:
        """End, and wait for the end; may be called when already stopped. False where it hangs and is left behind."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(self._patience_s)
        return not thread.is_alive()
