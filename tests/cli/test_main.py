"""Exit codes: a missing package, a refused file, Ctrl-C and SIGTERM."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ashore.cli import main as entry
from ashore.cli.errors import MissingExtra, missing_extra


class Failing:
    """A command that ends with an exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self) -> int:
        raise self.error


def outcome(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    monkeypatch.setattr(entry, "parse", lambda name, arguments: Failing(error))
    return entry.main(["collect"])


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("mujoco.batch", "sim"), ("rclpy.node", "ros")])
def test_a_missing_package_names_the_extra_to_install(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, ModuleNotFoundError(f"No module named {module!r}", name=module)) == 2
    assert f"pip install 'ashore[{extra}]'" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_bug_and_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        outcome(monkeypatch, ModuleNotFoundError("No module named 'ashore.sim.wrold'", name="ashore.sim.wrold"))


def test_an_import_without_a_name_belongs_to_no_extra() -> None:
    assert missing_extra(ModuleNotFoundError("no name")) is None
    assert isinstance(missing_extra(ModuleNotFoundError("x", name="PIL.Image")), MissingExtra)


def test_a_refused_file_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(monkeypatch, PermissionError(13, "Permission denied", "/root/x")) == 2
    assert "cannot use /root/x: Permission denied" in capsys.readouterr().err


def test_ctrl_c_is_answered_with_a_sentence_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_no_arguments_and_help_give_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([]) == 0
    first = capsys.readouterr().out
    assert entry.main(["--help"]) == 0
    assert capsys.readouterr().out == first
    assert all(name in first for name in entry.COMMANDS)


def test_every_command_of_the_table_can_be_imported() -> None:
    from importlib import import_module

    for command in entry.COMMANDS.values():
        module, kind = command.place.split(":")
        assert callable(getattr(import_module(f"ashore.cli.{module}"), kind).run)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_real_collection_and_keeps_a_sound_store(number: int, code: int, tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = ("--task", "quadrotor/hover", "--episodes", "5000", "--out", str(store))
    process = subprocess.Popen([sys.executable, "-m", "ashore.cli.main", "collect", *options], stderr=subprocess.PIPE)
    deadline_s = time.monotonic() + 60
    while not list(store.glob("episodes/*.zarr.zip")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert entry.main(["datasets", "verify", str(store)]) == 0
