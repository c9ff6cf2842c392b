"""Where the runs of a benchmark are worked on. An engine is a joblib backend: adding one is one line in `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mien.errors import UnknownNameError

JobT = TypeVar("JobT")
OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True)
class Engine:
    """A place to work: the name of a joblib backend, registered or not."""

    backend: str
    description: str


ENGINES: dict[str, Engine] = {
    # Threads that each wait for one fresh process (`one_run`): a pool of processes would put two where one works, could
    # not tell what a single run needs in memory, and would lose all its work with one worker that the system kills.
    "local": Engine("threading", "the cores of this machine, one process of one thread per run"),
}


def find_engine(name: str) -> Engine:
    """Look an engine up. Raises UnknownNameError with the nearest name."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    return ENGINES[name]


def work_through(
    engine: Engine, function: Callable[[JobT], OutcomeT], jobs: Sequence[JobT], workers: int | None = None
) -> Generator[OutcomeT, None, None]:
    """Outcomes in the order in which they come, `workers` jobs at a time (None: as many as there are cores).

    `function` must not raise: an exception, or closing the iterator, gives up the jobs that have not begun.
    """
    import joblib

    parallel = joblib.Parallel(
        n_jobs=min(workers or joblib.cpu_count(), max(len(jobs), 1)),
        backend=engine.backend,
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch="n_jobs",
    )
    yield from parallel(joblib.delayed(function)(job) for job in jobs)
