"""Runs jobs on this machine or on a cluster. The function for it is `run_jobs`.

Dask and Ray assign the jobs to workers. If a worker dies, they retry its job on another worker.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

from mien.engine.cluster import Engine, JobSpec, WorkersLostError, local_cluster
from mien.engine.dask import dask_cluster
from mien.engine.processes import LostJob
from mien.engine.ray import ray_cluster
from mien.engine.threads import n_cores
from mien.errors import UnknownNameError, UsageError

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")
LOCAL = "local"
# Most jobs that are submitted to a running cluster at a time. They may be more than its workers, because a cluster has
# a queue and may grow. One thread waits for each submitted job.
MAX_WAITING = 256

# engine name -> function that starts a cluster or connects to one
ENGINES: dict[str, Engine] = {"local": local_cluster, "dask": dask_cluster, "ray": ray_cluster}


@dataclass(frozen=True)
class EngineConfig:
    """Which engine runs the jobs, and how many at a time.

    Raises:
        UnknownNameError: No engine has this name.
        UsageError: The engine "local" has an address, or `workers` is below 1.
    """

    # key of `ENGINES`
    engine: str = LOCAL
    # HOST:PORT of a running cluster; if None, dask and ray start one on this machine and close it at the end
    address: str | None = None
    # number of jobs at a time; if None, the number of cores, or as many as a running cluster accepts
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownNameError("engine", self.engine, ENGINES)
        if self.engine == LOCAL and self.address is not None:
            raise UsageError(
                f"Expected an address for the engine dask or ray only, but got {self.address} for {LOCAL}; add --engine"
            )
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"Expected at least one worker, but got {self.workers}; change --workers")

    @property
    def is_local(self) -> bool:
        """Whether jobs run on this machine, without Dask or Ray."""
        return self.engine == LOCAL

    @property
    def is_on_this_machine(self) -> bool:
        """Whether jobs run on this machine, without a cluster or on one that is started here."""
        return self.address is None


def run_jobs(
    engine: EngineConfig,
    function: Callable[..., OutcomeT],
    jobs: Sequence[JobT],
    on_lost: Callable[[JobT, str], OutcomeT],
    *,
    context: Callable[[], Any] | None = None,
    process_imports: Sequence[str] | None = None,
) -> Generator[OutcomeT, None, None]:
    """Call `function` with each job, and yield the outcomes as the jobs complete.

    When the iterator is closed or an error ends it, jobs that have not started are cancelled. Jobs that run in separate
    processes are killed.

    Args:
        engine: Where to run the jobs, and how many at a time.
        function: Function from a job to its outcome. It may raise only errors that would stop every job. Any other
            failure must be described by the outcome.
        jobs: Arguments of `function`, one per call.
        on_lost: Function that takes a job whose process or workers died, and the reason. It returns the outcome to
            yield for this job.
        context: Function that makes an object, which is shared by the jobs of a process. `function` gets the object as
            its argument `context`. On a cluster, only one job at a time uses the object, and the object is cached for
            later calls with the same `context`. If None, `function` gets no such argument.
        process_imports: Names of modules. Each job runs in a separate process that has imported these modules. If None,
            there are no separate processes.

    Yields:
        Outcome of each job, in order of completion.

    Raises:
        EngineError: The cluster cannot be reached or cannot run the jobs.
    """
    if not jobs:
        return
    work = JobSpec(function, context, None if process_imports is None else tuple(process_imports))
    n_workers = min(engine.workers or n_cores(), len(jobs))
    n_waiting = n_workers if engine.address is None else min(engine.workers or MAX_WAITING, len(jobs))
    suspects: list[JobT] = []

    with ENGINES[engine.engine](work, engine.address, n_workers) as cluster:

        def run(job: JobT) -> OutcomeT:
            outcome = cluster.run(job)
            return on_lost(job, outcome.reason) if isinstance(outcome, LostJob) else outcome

        def run_or_suspect(job: JobT) -> list[OutcomeT]:
            try:
                return [run(job)]
            except WorkersLostError:
                suspects.append(job)
                return []

        try:
            for outcomes in _run_on_threads(run_or_suspect, jobs, n_waiting, cluster.close):
                yield from outcomes
            # Retry these jobs one at a time. Some of them may only have waited for a worker that another job killed.
            for job in suspects:
                try:
                    yield run(job)
                except WorkersLostError as error:
                    yield on_lost(job, str(error))
        finally:
            cluster.close()


def _run_on_threads(
    run: Callable[[JobT], OutcomeT], jobs: Sequence[JobT], n_threads: int, cancel: Callable[[], None]
) -> Iterator[OutcomeT]:
    """Run jobs on `n_threads` threads, and yield the outcomes as the jobs complete. On an error, call `cancel`.

    If `n_threads` is 1, the jobs run in the calling thread, so that an interrupt stops the job at once.
    """
    if n_threads == 1:
        yield from map(run, jobs)
        return
    with ThreadPoolExecutor(n_threads, thread_name_prefix="mien-jobs") as pool:
        try:
            for done in as_completed([pool.submit(run, job) for job in jobs]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            cancel()
            raise
