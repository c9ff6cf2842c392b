"""One way to run jobs, here or on a cluster: `run_jobs`.

Dask and Ray decide which worker takes which job, and give a dead worker's job to another.
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
# A cluster has its own queue, and may grow: it gets more jobs than it has workers, each waited for by one thread.
MAX_WAITING = 256


# an engine is one line: how its place is started or found
ENGINES: dict[str, Engine] = {
    "local": local_cluster,
    "dask": dask_cluster,
    "ray": ray_cluster,
}


@dataclass(frozen=True)
class EngineConfig:
    """Where a user wants the work done. Raises UnknownNameError or UsageError."""

    # name in `ENGINES`
    engine: str = LOCAL
    # HOST:PORT of a running cluster; None: one is started on this machine and closed again
    address: str | None = None
    # jobs at a time; None: as many as there are cores, or as many as a running cluster takes
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
        """Whether the work is done here without a cluster."""
        return self.engine == LOCAL


def run_jobs(
    engine: EngineConfig,
    function: Callable[..., OutcomeT],
    jobs: Sequence[JobT],
    on_lost: Callable[[JobT, str], OutcomeT],
    *,
    context: Callable[[], Any] | None = None,
    process_imports: Sequence[str] | None = None,
) -> Generator[OutcomeT, None, None]:
    """Call `function` with every job; yield the outcomes in the order in which they come.

    When the iterator is closed, or ends by an error, jobs that have not begun are given up, and processes of their own
    are killed.

    Args:
        engine: where to run
        function: job -> outcome. It raises what would stop every job; an outcome says what else went wrong
        jobs: what it is called with
        on_lost: job, reason -> the outcome of a job whose process or whose workers die, whoever takes it
        context: makes what the jobs share, once per process; `function` gets it as `context`. On a cluster one job at a
            time uses it, and it is kept for other calls that need the same
        process_imports: given, every job has a process of its own, in which these modules are imported already

    Raises:
        EngineError: the cluster cannot be reached, or cannot do the work
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
            for outcomes in _side_by_side(run_or_suspect, jobs, n_waiting, cluster.close):
                yield from outcomes
            # Again, alone: a cluster also blames those jobs that only waited for the worker that died.
            for job in suspects:
                try:
                    yield run(job)
                except WorkersLostError as error:
                    yield on_lost(job, str(error))
        finally:
            cluster.close()


def _side_by_side(
    run: Callable[[JobT], OutcomeT], jobs: Sequence[JobT], n_threads: int, give_up: Callable[[], None]
) -> Iterator[OutcomeT]:
    """Outcomes as they come; of one thread, the calling one, so that an interrupt reaches the job at once."""
    if n_threads == 1:
        yield from map(run, jobs)
        return
    with ThreadPoolExecutor(n_threads, thread_name_prefix="mien-jobs") as pool:
        try:
            for done in as_completed([pool.submit(run, job) for job in jobs]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            give_up()
            raise
