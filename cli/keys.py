"""Keys as they are pressed, from a terminal or a pipe."""

import os
import select
import sys
from collections.abc import Iterator
from typing import Any

POLL_S = 0.1


def pressed_keys(poll_s: float = POLL_S) -> Iterator[str]:
    """Give each key at once, and an empty text whenever none was pressed for poll_s; ends with the input or Ctrl-C."""
    descriptor = sys.stdin.fileno()
    restore = _unbuffer(descriptor) if sys.stdin.isatty() else None
    try:
        while True:
            if not select.select([descriptor], [], [], poll_s)[0]:
                yield ""
                continue
            key = os.read(descriptor, 1).decode(errors="replace")
            if key in ("", "\x03", "\x04"):
                return
            yield key
    except KeyboardInterrupt:
        return
    finally:
        if restore is not None:
            import termios

            termios.tcsetattr(descriptor, termios.TCSADRAIN, restore)


def _unbuffer(descriptor: int) -> Any:
    """Have the terminal hand over keys before Enter; returns its settings."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    return before
