"""Runs the tasks of one analysis in parallel on threads.

The decoding of video, networks and most of numpy release Python's global interpreter lock. Threads can therefore use
all cores, and they share the loaded models. Each task computes on one thread and independently of the others, so that
the results do not depend on the number of threads.
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

# Speech recognition is one long task, and all other tasks together take about as long. A third thread would be idle.
USEFUL_THREADS = 2
CPU_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")

T = TypeVar("T")


def n_cores() -> int:
    """Return the number of cores that this process may use. In a container, the CPU quota can reduce it."""
    n_shown = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota_us, period_us = CPU_QUOTA_FILE.read_text(encoding="ascii").split()
        return min(n_shown, max(1, math.ceil(int(quota_us) / int(period_us))))
    except (OSError, ValueError):  # no container, or "max", which means no quota
        return n_shown


class TaskPool:
    """A pool of threads that starts tasks in the order of submission. It is a context manager.

    On exit, tasks that have not started are cancelled. Long tasks must call `check` regularly, so that they stop, too.
    A task may wait for a task that was submitted earlier, but never for a task that was submitted later.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        n_threads = min(USEFUL_THREADS, n_cores()) if n_threads is None else n_threads
        if n_threads < 1:
            raise UsageError(f"Expected at least one worker, but got {n_threads}; leave it out for the cores there are")
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="mien")
        self._stopping = threading.Event()
        # Threads that import libraries at the same time can get partially imported modules.
        self._loading = threading.Lock()

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Run a task as soon as a thread is free, and return its future at once."""
        return self._pool.submit(task)

    def submit_loading(self, task: Callable[[], T]) -> Future[T]:
        """Run a task that imports libraries, and return its future at once.

        The task starts when a thread is free, and waits until no other task of this kind is running.
        """

        def run_exclusively() -> T:
            with self._loading:
                self.check()
                return task()

        return self._pool.submit(run_exclusively)

    def check(self) -> None:
        """Raise CancelledError if the pool is being closed, because results are then no longer needed."""
        if self._stopping.is_set():
            raise CancelledError

    def __enter__(self) -> TaskPool:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def limit_numpy_threads() -> Iterator[None]:
    """Limit numpy's matrix products to one thread inside the context.

    Several threads would block each other, and would round sums differently.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def limit_torch_threads() -> Iterator[None]:
    """Limit torch to one thread inside the context.

    This function is separate from `limit_numpy_threads`, because torch is imported later.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
