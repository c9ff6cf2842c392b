"""The Dask engine. It uses a running scheduler, or starts a local cluster that ends with the command."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

from mien.engine.cluster import CONNECT_TIMEOUT_S, Cluster, JobSpec, WorkersLostError, run_packed
from mien.engine.processes import safe_children, stop_workers
from mien.errors import EngineError, MissingExtraError

LOOPBACK = "127.0.0.1"
# interval at which to check for a free worker
POLL_S = 0.05


@contextmanager
def dask_cluster(work: JobSpec, address: str | None, workers: int) -> Iterator[Cluster]:
    """Connect to a Dask scheduler, or start a local cluster.

    Args:
        work: How to run each job.
        address: HOST:PORT of the scheduler. If it is None, a local cluster is started.
        workers: Number of worker processes of a local cluster; ignored if there is an address.

    Yields:
        Cluster that submits jobs to the scheduler.

    Raises:
        MissingExtraError: Dask is not installed.
        EngineError: No scheduler answers at the address, or it has no workers.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", "dask") from error
    with ExitStack() as stack:
        scheduler = address or stack.enter_context(_local_cluster(workers))
        try:
            client = stack.enter_context(distributed.Client(scheduler, set_as_default=False, timeout=CONNECT_TIMEOUT_S))
        except (OSError, ValueError, TypeError) as error:
            raise EngineError(
                f"Expected a Dask scheduler at {address}, but got {type(error).__name__}: {error}; start it with: "
                "dask scheduler"
            ) from error
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError as error:
            raise EngineError(
                f"Expected workers at the Dask scheduler {address}, but got none within {CONNECT_TIMEOUT_S} s; start "
                f"some with: dask worker {address}"
            ) from error
        jobs = _DaskJobs(client, work, address or "(local)")
        yield Cluster(jobs.run, jobs.close)


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    """Start a Dask cluster with `workers` worker processes, and yield it. At the end of the block, it is stopped.

    Only programs on this machine can reach its ports.
    """
    import dask
    from distributed import LocalCluster

    # There is no memory limit, as in the engine "local". The port is any free one, because another command may use the
    # default port.
    settings: dict[str, Any] = {
        "threads_per_worker": 1,
        "memory_limit": None,
        "host": LOOPBACK,
        "dashboard_address": f"{LOOPBACK}:0",
        "scheduler_kwargs": {"dashboard": False},
    }
    with ExitStack() as stack:
        stack.enter_context(safe_children())
        # Dask puts its scratch folder on the module path. By default, it is one that other users could have made.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mien-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set({"temporary-directory": folder}))
        # The workers must not print tracebacks at Ctrl-C. Processes inherit the signals that their starter blocks. The
        # tracker is started before, because its start would unblock the signal.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            cluster = stack.enter_context(LocalCluster(n_workers=workers, **settings))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield cluster


class _DaskJobs:
    """Submits jobs to Dask, at most as many at a time as the workers have threads.

    Without this limit, Dask would assign all jobs to workers at once. When a worker dies, Dask counts a failure for
    every job assigned to this worker. Dask would therefore give up jobs that had not even started.
    """

    def __init__(self, client: Any, work: JobSpec, name: str) -> None:
        self._client = client
        self._work = work
        self._name = name
        # one thread at a time has this lock and waits for a free worker; the other threads wait for the lock
        self._submit_lock = threading.Lock()
        self._submitted: set[Any] = set()
        self._closed = threading.Event()

    def run(self, job: Any) -> Any:
        """Wait for a free worker, run a job on it and return the outcome."""
        from distributed import KilledWorker

        future = None
        try:
            future = self._submit(job)
            return future.result()
        except EngineError:
            raise
        except KilledWorker as error:
            raise WorkersLostError("the workers that took it died one after the other (out of memory?)") from error
        except Exception as error:
            raise EngineError(
                f"Expected work to be done at the Dask scheduler {self._name}, but got {type(error).__name__}: "
                f"{error}; mien must be installed on all workers, and the scheduler must stay"
            ) from error
        finally:
            self._submitted.discard(future)

    def close(self) -> None:
        """Cancel the submitted jobs, then kill their processes.

        If the processes were killed first, their workers would start other jobs.
        """
        self._closed.set()
        with suppress(Exception):  # the scheduler may be gone, which `run` has reported
            self._client.cancel(list(self._submitted), force=True)
            if self._work.process_imports is not None:
                self._client.run(partial(stop_workers, self._work.token), on_error="ignore")

    def _submit(self, job: Any) -> Any:
        """Wait until a thread of a worker is free, then submit the job and return its future."""
        with self._submit_lock:
            # Read the number of threads every time, because workers join and leave.
            while len(self._submitted) >= max(sum(self._client.ncores().values()), 1):
                if self._closed.wait(POLL_S):
                    break
            if self._closed.is_set():
                raise EngineError("the work was given up")
            future = self._client.submit(run_packed, self._work.pack(job), pure=False)
            self._submitted.add(future)
            return future
