"""Tasks of one analysis side by side, on threads.

Decoding, networks and most of numpy run outside Python's lock, so that threads use the cores and share what is loaded.
Every task computes on one thread and knows nothing of the others: results do not depend on how many run at once.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from mien.errors import UsageError

# Recognition is one long task and all others together take hardly longer: a third thread would have nothing to do.
USEFUL_THREADS = 2
CPU_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")

T = TypeVar("T")


def n_cores() -> int:
    """The cores this process may use; a container may grant the time of fewer than it shows."""
    n_shown = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota_us, period_us = CPU_QUOTA_FILE.read_text(encoding="ascii").split()
        return min(n_shown, max(1, math.ceil(int(quota_us) / int(period_us))))
    except (OSError, ValueError):  # no container, or "max": no quota
        return n_shown


class TaskPool:
    """Threads that take tasks in the order they are submitted. Leaving the block stops them.

    A task may wait for another that was submitted before it, never for a later one. Long tasks call `check` now and
    then.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        n_threads = min(USEFUL_THREADS, n_cores()) if n_threads is None else n_threads
        if n_threads < 1:
            raise UsageError(f"Expected at least one worker, but got {n_threads}; leave it out for the cores there are")
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="mien")
        self._stopping = threading.Event()
        # Two threads that import libraries at once can see each other's half-imported modules.
        self._loading = threading.Lock()

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Begin a task as soon as a thread is free."""
        return self._pool.submit(task)

    def submit_loading(self, task: Callable[[], T]) -> Future[T]:
        """The same for a task that imports libraries: one such task at a time."""

        def alone() -> T:
            with self._loading:
                self.check()
                return task()

        return self._pool.submit(alone)

    def check(self) -> None:
        """Raises CancelledError once nobody waits for the results any more."""
        if self._stopping.is_set():
            raise CancelledError

    def __enter__(self) -> TaskPool:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def limit_numpy_threads() -> Iterator[None]:
    """Keep numpy's matrix products on one thread: several would wait for each other, and their sums round otherwise."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def limit_torch_threads() -> Iterator[None]:
    """The same for torch, which is loaded later than the rest."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
