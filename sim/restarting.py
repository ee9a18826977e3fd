"""Restart single rows of an object that remembers N episodes: its arrays' rows are taken from one that is new.

So a judge is written once, for N episodes that start together, and a vector environment can still restart any of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.sim.errors import MixedMemory

Array = NDArray[Any]


def restart_rows(memory: object, fresh: object, ids: Array, n: int) -> None:
    """Copy rows ids (K,) of every array (n, ...) that fresh holds, itself or in its parts, into memory.

    Raises:
        MixedMemory: something is remembered in a list or in an array that changes its shape, where rows cannot be told
            apart.
    """
    _copy(type(memory).__name__, vars(memory), vars(fresh), ids, n)


def _copy(kind: str, memory: dict[str, Any], fresh: dict[str, Any], ids: Array, n: int) -> None:
    for name, new in fresh.items():
        old = memory.setdefault(name, new)
        if isinstance(new, np.ndarray):
            memory[name] = _with_rows(kind, name, old, new, ids, n)
        elif isinstance(new, dict):
            _copy(kind, old, new, ids, n)
        elif isinstance(new, list | set) and (new or old):
            raise MixedMemory(kind, name, f"a {type(new).__name__}")
        elif hasattr(new, "__dict__") and not callable(new):
            _copy(type(new).__name__, vars(old), vars(new), ids, n)


def _with_rows(kind: str, name: str, old: Array, new: Array, ids: Array, n: int) -> Array:
    if old.shape != new.shape:
        raise MixedMemory(kind, name, f"an array that changes its shape, {new.shape} to {old.shape}")
    if new.shape[:1] != (n,):
        return old
    rows = np.array(old)
    rows[ids] = new[ids]
    return rows
