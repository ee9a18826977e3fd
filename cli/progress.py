"""Shows how far work is: a bar on a terminal, a line now and then in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ashore.datasets.progress import Progress as Listener

LINE_PERIOD_S = 5.0


@contextmanager
def shown(title: str, console: Console | None = None) -> Iterator[Listener]:
    """Give a listener that shows done, total, rate and time left for as long as the block runs."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield LineProgress(title, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield BarProgress(bar, bar.add_task(title, total=None, rate="", note=""))


class BarProgress:
    """A listener that moves a bar."""

    def __init__(self, bar: Progress, task: TaskID, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = bar
        self._task = task
        self._pace = Pace(clock)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Move the bar."""
        rate = self._pace.rate(done)
        self._bar.update(self._task, completed=done, total=total, note=note, rate=f"{rate:.3g}/s" if rate else "")


class LineProgress:
    """A listener that writes a line at the start, every few seconds, and at the end."""

    def __init__(self, title: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._write = write
        self._clock = clock
        self._pace = Pace(clock)
        self._written_s: float | None = None
        self._ended = False

    def __call__(self, done: int, total: int, note: str) -> None:
        """Write a line where one is due."""
        now_s = self._clock()
        rate = self._pace.rate(done)
        ends = done >= total and not self._ended
        if not ends and self._written_s is not None and now_s - self._written_s < LINE_PERIOD_S:
            return
        self._written_s, self._ended = now_s, done >= total
        pace = f", {rate:.3g}/s, {(total - done) / rate:.0f} s left" if rate and done < total else ""
        share = f" ({100 * done // total} %)" if total else ""
        self._write(f"{self._title}: {done}/{total}{share}{pace}{': ' if note else ''}{note}")


class Pace:
    """How fast work goes since it was first heard of."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def rate(self, done: int) -> float:
        """Units of work a second since the first call; 0 while that is unknown."""
        now_s = self._clock()
        if self._first is None:
            self._first = (now_s, done)
        elapsed_s = now_s - self._first[0]
        return (done - self._first[1]) / elapsed_s if elapsed_s > 0 else 0.0
