"""What progress shows: first, now and then, and last; with rate and time left."""

from rich.console import Console

from ashore.cli.progress import LineProgress, shown


class Clock:
    """A clock that tests set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_log_gets_the_first_line_then_one_every_five_seconds_and_the_last() -> None:
    clock, lines = Clock(), list[str]()
    progress = LineProgress("train", lines.append, clock)
    for step in range(101):
        clock.now_s = 0.1 * step
        progress(step, 100, "loss 0.1")
    assert len(lines) == 3
    assert lines[0] == "train: 0/100 (0 %): loss 0.1"
    assert lines[1] == "train: 50/100 (50 %), 10/s, 5 s left: loss 0.1"
    assert lines[2].startswith("train: 100/100 (100 %)")


def test_work_that_repeats_its_end_says_so_once() -> None:
    lines = list[str]()
    progress = LineProgress("x", lines.append, Clock())
    for _ in range(5):
        progress(3, 3, "")
    assert lines == ["x: 3/3 (100 %)"]


def test_a_total_of_zero_is_no_division() -> None:
    lines = list[str]()
    LineProgress("x", lines.append, Clock())(0, 0, "nothing to do")
    assert lines == ["x: 0/0: nothing to do"]


def test_a_terminal_gets_a_bar_with_the_note() -> None:
    console = Console(force_terminal=True, record=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with shown("collect", console) as progress:
        progress(1, 4, "one kept")
        progress(4, 4, "all kept")
    assert "4/4" in console.export_text()


def test_a_log_gets_lines_even_where_markup_looks_like_brackets() -> None:
    console = Console(record=True, width=40, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with shown("x", console) as progress:
        progress(1, 2, "[bold] is no markup")
    assert "[bold] is no markup" in console.export_text()
