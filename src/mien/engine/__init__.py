"""Where jobs are worked on. An engine is one line in `ENGINES`: who starts or finds the place.

joblib hands out the jobs and gives back the outcomes as they come; Dask and Ray decide which worker takes which, and
give a dead worker's job to another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from mien.engine.cluster import Cluster, WorkersLostError
from mien.engine.dask import dask_cluster
from mien.engine.ray import ray_cluster
from mien.errors import UnknownNameError, UsageError

__all__ = ["ENGINES", "LOCAL", "Engine", "Place", "work_through"]

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")
LOCAL = "local"
# A cluster has its own queue, and may grow: it gets more jobs than it has workers, each waited for by one thread.
MOST_WAITED_FOR = 256


@dataclass(frozen=True)
class Engine:
    """A kind of place to work."""

    # address (None: start it here), number of workers to start -> the place, closed on leaving
    connect: Callable[[str | None, int], AbstractContextManager[Cluster]]
    description: str


@dataclass(frozen=True)
class Place:
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


@contextmanager
def _this_machine(_address: str | None, _workers: int) -> Iterator[Cluster]:
    yield Cluster(lambda function, job: function(job), lambda function: function())


ENGINES: dict[str, Engine] = {
    "local": Engine(_this_machine, "the cores of this machine"),
    "dask": Engine(dask_cluster, "a Dask cluster, started here or at an address"),
    "ray": Engine(ray_cluster, "a Ray cluster, started here or at an address"),
}


def work_through(
    place: Place,
    function: Callable[[JobT], OutcomeT],
    jobs: Sequence[JobT],
    lost: Callable[[JobT, str], OutcomeT],
    stop: Callable[[], None] = lambda: None,
) -> Generator[OutcomeT, None, None]:
    """Outcomes in the order in which they come; `lost` makes that of a job whose workers die, whoever takes it.

    Such a job is tried again at the end, alone: a cluster also blames those that only waited for the worker that died.

    `function` may raise EngineError, which ends everything; an outcome says what else went wrong. Then, and when the
    iterator is closed, jobs that have not begun are given up, and `stop` is called wherever work may be going on.
    """
    import joblib

    if not jobs:
        return
    n_workers = min(place.workers or joblib.cpu_count(), len(jobs))
    n_waited_for = n_workers if place.address is None else min(place.workers or MOST_WAITED_FOR, len(jobs))

    with ENGINES[place.engine].connect(place.address, n_workers) as cluster:

        def do(job: JobT) -> list[OutcomeT]:
            try:
                return [cluster.do(function, job)]
            except WorkersLostError:
                suspects.append(job)
                return []

        # Threads: each waits for one job that is done elsewhere.
        parallel = joblib.Parallel(
            n_jobs=n_waited_for,
            backend="threading",
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="n_jobs",
        )
        suspects: list[JobT] = []
        outcomes = parallel(joblib.delayed(do)(job) for job in jobs)
        try:
            for one_or_none in outcomes:
                yield from one_or_none
            for job in suspects:
                yield _again(cluster, function, job, lost)
        except BaseException:
            with warnings.catch_warnings():  # joblib thinks it worth a warning
                warnings.filterwarnings("ignore", message=".*have been cancelled", category=UserWarning)
                outcomes.close()
            cluster.give_up(stop)
            raise


def _again(
    cluster: Cluster, function: Callable[[JobT], OutcomeT], job: JobT, lost: Callable[[JobT, str], OutcomeT]
) -> OutcomeT:
    try:
        outcome: OutcomeT = cluster.do(function, job)
        return outcome
    except WorkersLostError as error:
        return lost(job, str(error))
