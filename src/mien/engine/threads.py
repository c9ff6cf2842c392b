"""Independent pieces of one analysis side by side, on threads.

Decoding, networks and most of numpy run outside Python's lock, so that threads use the cores and share what is loaded.
Every piece computes on one thread and knows nothing of the others: results do not depend on how many run at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from threadpoolctl import threadpool_limits

from mien.errors import UsageError

# Listening is one long piece and everything else together hardly longer: a third worker would have nothing to do.
USEFUL_WORKERS = 2

T = TypeVar("T")


def default_workers() -> int:
    """The cores this process may use, as far as they are useful."""
    if hasattr(os, "sched_getaffinity"):
        return min(USEFUL_WORKERS, len(os.sched_getaffinity(0)))
    return min(USEFUL_WORKERS, os.cpu_count() or 1)


class Crew:
    """Workers that take pieces of work in the order they are given. Leaving the block stops them.

    A piece may wait for another that was given before it, never for a later one. Long pieces call `check` now and then.
    """

    def __init__(self, workers: int | None = None) -> None:
        workers = default_workers() if workers is None else workers
        if workers < 1:
            raise UsageError(f"Expected at least one worker, but got {workers}; leave it out for the cores there are")
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="mien")
        self._stopping = threading.Event()
        # Two threads that import libraries at once can see each other's half-imported modules.
        self._loading = threading.Lock()

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Give a piece of work."""
        return self._pool.submit(work)

    def load(self, work: Callable[[], T]) -> Future[T]:
        """Give a piece of work that imports libraries: one such piece at a time."""

        def alone() -> T:
            with self._loading:
                self.check()
                return work()

        return self._pool.submit(alone)

    def check(self) -> None:
        """Raises CancelledError once nobody waits for the results any more."""
        if self._stopping.is_set():
            raise CancelledError

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep numpy's matrix products on one thread: several would wait for each other, and their sums round otherwise."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """The same for torch, which is loaded later than the rest."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
