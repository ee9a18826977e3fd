"""Waiting for the disk beside the work: a recorder's loop must not stand still while a disk takes its time."""

import os
import threading


class Syncer:
    """Calls fsync on one file in a thread of its own; its errors come out at the next call, for good.

    After a failed fsync the system may forget what was not written, so it is never tried again.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._error: OSError | None = None
        self._asked = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to sync, unless that is going on.

        Raises:
            OSError: an earlier sync failed.
        """
        self._raise()
        if not self._idle.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ashore-journal-sync", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._asked.release()

    def finish(self) -> None:
        """Sync, and wait until all that was written before is on the disk.

        Raises:
            OSError: this sync or an earlier one failed.
        """
        self._idle.wait()
        self._raise()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Wait for the sync that is going on and end the thread."""
        self._idle.wait()
        self._closed = True
        if self._thread is not None:
            self._asked.release()
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            if self._closed:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self._error = error
            self._idle.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
