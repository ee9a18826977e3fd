"""Processes of a plan: none outlives the block or the one who started it, and a death is told with its log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ashore.real.errors import ProcessEnded
from ashore.real.plan import Process
from ashore.real.supervision import Supervision


def ticking(folder: Path) -> Process:
    return Process("bare", "", "ashore.real.bare_loop", ("100", str(folder / "periods.json")), {}, False)


def wait_until(ready: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_leaving_the_block_ends_the_process_and_it_says_its_last_word(tmp_path: Path) -> None:
    with Supervision([ticking(tmp_path)], tmp_path / "logs") as supervision:
        pid = supervision.pids["bare"]
        time.sleep(1.0)
        supervision.check()
    assert not is_alive(pid)
    assert len(json.loads((tmp_path / "periods.json").read_text())) > 10


def test_a_death_is_told_with_its_signal_and_the_end_of_its_log(tmp_path: Path) -> None:
    with Supervision([ticking(tmp_path)], tmp_path / "logs") as supervision:
        supervision.log_path("bare").write_text("last words\n")
        os.kill(supervision.pids["bare"], signal.SIGKILL)
        wait_until(lambda: not is_alive(supervision.pids["bare"]))
        with pytest.raises(ProcessEnded, match=r"'bare' was ended by signal 9(.|\n)*last words"):
            supervision.check()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ashore.real.supervision.GRACE_S", 0.3)
    (tmp_path / "stubborn.py").write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    stubborn = Process("stubborn", "", "stubborn", (), {"PYTHONPATH": str(tmp_path)}, False)
    with Supervision([stubborn], tmp_path / "logs") as supervision:
        wait_until(lambda: "ready" in supervision.log_path("stubborn").read_text())
        pid = supervision.pids["stubborn"]
    assert not is_alive(pid)


def test_no_process_outlives_a_starter_that_was_killed(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from ashore.real.plan import Process
from ashore.real.supervision import Supervision
folder = Path({str(tmp_path)!r})
plan = [Process("bare", "", "ashore.real.bare_loop", ("100", str(folder / "periods.json")), {{}}, False)]
with Supervision(plan, folder / "logs") as supervision:
    print(supervision.pids["bare"], flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        wait_until(lambda: is_alive(pid))
        starter.kill()
        starter.wait()
        wait_until(lambda: not is_alive(pid))
