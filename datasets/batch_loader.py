"""Batches of an epoch in order, gathered ahead in the background, from any place where an earlier run stopped."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ashore.datasets.errors import InvalidBatch
from ashore.datasets.windows import Batch, WindowSampler


@dataclass(frozen=True)
class LoaderState:
    """Where a loader stands; two numbers that go into JSON (`dataclasses.asdict`, `LoaderState(**raw)`)."""

    epoch: int = 0
    position: int = 0
    """Windows of the epoch that were given out."""


class BatchLoader:
    """Gives the batches of one epoch after the other, the same ones for the same sampler, size and seed.

    update      0     1     2     3     4     5         three batches an epoch
    epoch       0     0     0     1     1     1         each `for` loop goes to the end of its epoch
    state after 0,B   0,2B  1,0   1,B   1,2B  2,0       a loader made with that state goes on with the next batch

    Up to `prefetch` batches lie ready besides the one in use; that is all the memory there is. Windows that do not
    fill a batch are left out of their epoch. Leaving the loop by break, a fault or Ctrl-C ends the background work.
    """

    def __init__(
        self,
        sampler: WindowSampler,
        batch_size: int,
        seed: int,
        *,
        state: LoaderState | None = None,
        prefetch: int = 2,
        buffers: Sequence[Batch] = (),
    ) -> None:
        """Begin an epoch, or go on in one.

        Args:
            sampler: of the windows.
            batch_size: B, windows in a batch.
            seed: of the epochs' orders.
            state: where to go on; at the first epoch's begin where left out.
            prefetch: batches that are gathered ahead.
            buffers: pinned or shared memory that is written to in turn, prefetch + 1 batches or more; a batch is
                then good until the next one is asked for. Without, each batch is new memory.

        Raises:
            InvalidBatch: fewer windows than one batch, too few buffers, or a state that is none of this sampler.
        """
        if not 1 <= batch_size <= len(sampler):
            raise InvalidBatch(f"{batch_size} windows in a batch", f"1 to {len(sampler)}, the windows that there are")
        if prefetch < 0 or 0 < len(buffers) <= prefetch:
            raise InvalidBatch(f"prefetch {prefetch}, {len(buffers)} buffers", "prefetch + 1 buffers or none")
        state = state or LoaderState()
        if state.epoch < 0 or not 0 <= state.position <= len(sampler):
            raise InvalidBatch(f"the state is {state}", f"a position from 0 to {len(sampler)}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.seed = seed
        self._state = state
        self._prefetch = prefetch
        self._buffers = tuple(buffers)

    @property
    def state(self) -> LoaderState:
        """Where the next batch stands: that of a checkpoint which was made with the batches given so far."""
        return self._state

    def __iter__(self) -> Iterator[Batch]:
        """Give the rest of the epoch; then the loader stands at the next one's begin."""
        begin, epoch = self._state.position, self._state.epoch
        order = self.sampler.epoch(self.seed, epoch)
        last = len(order) - self.batch_size
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, "ashore-batches") as thread:
            try:
                for number, start in enumerate(range(begin, last + 1, self.batch_size)):
                    out = self._buffers[number % len(self._buffers)] if self._buffers else None
                    waiting.append(thread.submit(self.sampler.batch, order[start : start + self.batch_size], out))
                    if len(waiting) > self._prefetch:
                        yield self._next(waiting)
                while waiting:
                    yield self._next(waiting)
            finally:
                thread.shutdown(cancel_futures=True)
        if begin > last:  # Nothing was left, so that no batch moved on to the next epoch.
            self._state = LoaderState(epoch + 1)

    def _next(self, waiting: "deque[Future[Batch]]") -> Batch:
        batch = waiting.popleft().result()
        epoch, position = self._state.epoch, self._state.position + self.batch_size
        is_over = position + self.batch_size > len(self.sampler)
        self._state = LoaderState(epoch + 1) if is_over else LoaderState(epoch, position)
        return batch
