"""A loop with deadlines and nothing else, run beside a deployment: how steady this machine can be at all.

It asks for the priority that the guard asks for.

python -m ashore.real.bare_loop HZ FILE      until SIGTERM, then writes the periods in ms as JSON
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ashore.real.parent import end_with_parent
from ashore.real.rate import Loop, ask_for_realtime


def main(argv: Sequence[str] | None = None) -> int:
    """Tick until SIGTERM, then write the periods."""
    rate_hz, path = sys.argv[1:3] if argv is None else argv
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: ended.set())
    if not end_with_parent():
        return 1
    ask_for_realtime()
    loop = Loop("bare", 1.0 / float(rate_hz), lambda now_s: None)
    loop.start()
    while not ended.wait(0.5):
        continue
    loop.stop()
    draft = Path(path).with_suffix(".draft")
    draft.write_text(json.dumps(loop.periods.take_ms()))
    os.replace(draft, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
