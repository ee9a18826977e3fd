"""How long messages travel, told from their stamps without clocks that agree."""

from typing import Any

import numpy as np

DRIFT = 1e-4
"""Seconds a second: as far as the clocks of computers without a common time drift apart."""


class Travel:
    """Tells when messages of one sender were made, by our clock.

    The quickest one is taken to have travelled for no time; all others for as much longer as they took. A sender whose
    clock jumps back makes all its later messages old, which ends in a stop; one that jumps ahead begins anew. Clocks of
    two computers may drift apart by DRIFT: so fast the quickest one is forgotten.
    """

    def __init__(self) -> None:
        self._quickest_s, self._last_s = np.inf, np.nan

    def made_s(self, message: Any, now_s: float) -> float:
        """Say when a message that arrives now was made; now, where it carries no stamp."""
        at_ns = stamp_ns(message)
        if not at_ns:
            return now_s
        travelled_s = now_s - 1e-9 * at_ns
        drifted_s = 0.0 if np.isnan(self._last_s) else DRIFT * (now_s - self._last_s)
        self._quickest_s, self._last_s = min(self._quickest_s + drifted_s, travelled_s), now_s
        return now_s - (travelled_s - self._quickest_s)


def stamp_ns(message: Any) -> int:
    """Give a message's stamp; 0 where it carries none."""
    header = getattr(message, "header", None)
    return 0 if header is None else int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
