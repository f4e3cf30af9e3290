"""Prefetching: threads make the next batches while the model works, since opening and augmenting pictures costs time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(make: Callable[[int], T], steps: Iterable[int], threads: int = 2, ahead: int = 4) -> Iterator[T]:
    """Yield ``make(step)`` of each step in order; threads make the next ones meanwhile.

    An error of a step is raised when its turn comes, as if it had been made then; nothing after it is given. Leaving the loop
    early (``break``, an error, ``close()``) stops the threads.

    Args:
        make: Safe to call from several threads, as ``TrainBatches.__getitem__`` is.
        threads: How many work at once; 0 makes each when it is asked for. Pillow and numpy let them run beside each other.
        ahead: How many results wait at most, those being made included.

    Raises:
        ValueError: for fewer than 0 threads, or for less than 1 ahead.

    Example:
        >>> list(prefetched(lambda step: step * step, range(4)))
        [0, 1, 4, 9]
    """
    if threads < 0 or ahead < 1:
        raise ValueError(f"prefetched: expected threads from 0 and ahead from 1, found threads={threads} and ahead={ahead}")
    return _results(make, steps, threads, ahead) if threads else map(make, steps)


def _results(make: Callable[[int], T], steps: Iterable[int], threads: int, ahead: int) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    try:
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
