"""A process that does not outlive the one that started it."""

import ctypes
import os
import signal

PARENT_KEY = "ASHORE_PARENT"
"""Environment variable with the process id of who started us; closes the gap before the kernel is asked."""
PR_SET_PDEATHSIG = 1


def end_with_parent() -> bool:
    """Ask the kernel for SIGTERM when our parent dies; False where it is dead already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    expected = os.environ.get(PARENT_KEY, "")
    return not expected.isdigit() or os.getppid() == int(expected)
