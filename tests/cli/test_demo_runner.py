"""The demo's runner: order, logs, what is kept of a former run, and what happens when a command fails."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ashore.cli.demo.errors import StepFailed
from ashore.cli.demo.runner import Runner, Step


def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False)


def help_step(name: str, after: tuple[str, ...] = (), command: str = "--help") -> Step:
    return Step(name, f"Step {name}", (command,), after)


def test_steps_wait_for_those_they_read_from_and_leave_a_log_each(tmp_path: Path) -> None:
    steps = [help_step("last", ("first",)), help_step("first")]
    runner = Runner(tmp_path, steps, console())
    runner.run()
    assert list(runner.seconds) == ["first", "last"]
    for name in ("first", "last"):
        assert "usage: ashore" in (tmp_path / "logs" / f"{name}.log").read_text()


def test_finished_steps_are_kept_and_those_whose_command_changed_run_again(tmp_path: Path) -> None:
    Runner(tmp_path, [help_step("a"), help_step("b", ("a",))], console()).run()
    again = Runner(tmp_path, [help_step("a", command="--version"), help_step("b", ("a",))], console())
    again.run()
    assert "usage" not in (tmp_path / "logs" / "a.log").read_text()
    assert "kept" not in again.console.file.getvalue()  # type: ignore[attr-defined]
    third = Runner(tmp_path, again.steps, console())
    third.run()
    assert third.console.file.getvalue().count("kept") == 2  # type: ignore[attr-defined]


def test_a_failing_command_ends_the_demo_with_its_last_words_and_keeps_what_was_done(tmp_path: Path) -> None:
    steps = [help_step("good"), help_step("bad", ("good",), "no-such-command"), help_step("never", ("bad",))]
    runner = Runner(tmp_path, steps, console())
    with pytest.raises(StepFailed) as caught:
        runner.run()
    assert "UnknownCommand" in str(caught.value)
    assert "bad.log" in str(caught.value)
    assert list(runner.seconds) == ["good"]
    assert not (tmp_path / "logs" / "never.log").exists()
