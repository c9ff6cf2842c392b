"""Dask: a scheduler somebody started, or a local one that lives as long as the command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from mien.engine.cluster import CONNECT_TIMEOUT_S, Cluster, JobSpec, WorkersLostError, run_packed
from mien.engine.processes import stop_workers
from mien.errors import EngineError, MissingExtraError

# how often it is asked whether a worker is free
POLL_S = 0.05


@contextmanager
def dask_cluster(work: JobSpec, address: str | None, workers: int) -> Iterator[Cluster]:
    """Connect to a scheduler, or start `workers` local processes. Raises MissingExtraError, EngineError."""
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", "dask") from error
    with ExitStack() as stack:
        # A local one has no limit of memory, as the engine "local", and any free port: another command may have Dask's.
        local = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": "127.0.0.1:0"}
        place = address or stack.enter_context(distributed.LocalCluster(n_workers=workers, **local))
        try:
            client = stack.enter_context(distributed.Client(place, set_as_default=False, timeout=CONNECT_TIMEOUT_S))
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
        jobs = _Jobs(client, work, address or "(local)")
        yield Cluster(jobs.run, jobs.close)


class _Jobs:
    """Submits jobs, never more than the workers have threads.

    Dask assigns everything it has to workers at once, and counts a worker's death against all jobs it was assigned. It
    would give up jobs that only waited.
    """

    def __init__(self, client: Any, work: JobSpec, name: str) -> None:
        self._client = client
        self._work = work
        self._name = name
        # who holds it waits for a free worker; the others wait for it
        self._turn = threading.Lock()
        self._submitted: set[Any] = set()
        self._over = threading.Event()

    def run(self, job: Any) -> Any:
        """Wait for a free worker, then for what it makes of the job."""
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
        """In this order, or a worker whose process was ended takes the next job."""
        self._over.set()
        with suppress(Exception):  # a scheduler that is gone has nothing to give up, and the reason is told already
            self._client.cancel(list(self._submitted), force=True)
            if self._work.process_imports is not None:
                self._client.run(partial(stop_workers, self._work.token), on_error="ignore")

    def _submit(self, job: Any) -> Any:
        with self._turn:
            # asked again and again, because workers come and go
            while len(self._submitted) >= max(sum(self._client.ncores().values()), 1):
                if self._over.wait(POLL_S):
                    break
            if self._over.is_set():
                raise EngineError("the work was given up")
            future = self._client.submit(run_packed, self._work.pack(job), pure=False)
            self._submitted.add(future)
            return future
