"""Overhead of an engine: seconds to start and close it, and milliseconds per job.

    python benchmarks/engines.py [--engines local,dask,ray] [--jobs 200] [--repeats 3] [--json]

Two workers of this machine run jobs that do nothing. As many jobs as workers give the time to start and close; many
more jobs give the time per job. The start is compared with that of a Python process that imports torch, as every run of
a benchmark does. All times are wall times, because the work is done in other processes.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import harness

from mien.engine.jobs import ENGINES, EngineConfig, run_jobs

N_WORKERS = 2


def seconds_of(engine: str, n_jobs: int) -> float:
    """Measure the wall time of jobs that do nothing, including the start and end of the engine.

    Args:
        engine: Name in `ENGINES`.
        n_jobs: Number of jobs.

    Returns:
        Seconds.
    """
    started_s = time.perf_counter()
    outcomes = list(run_jobs(EngineConfig(engine, workers=N_WORKERS), abs, range(n_jobs), lambda job, _reason: job))
    assert len(outcomes) == n_jobs
    return time.perf_counter() - started_s


def fresh_process_s() -> float:
    """Measure the wall time of a Python process that imports torch."""
    return harness.run([sys.executable, "-c", "import torch"])["wall_s"]


def measure(engines: str = ",".join(ENGINES), jobs: int = 200, repeats: int = 3) -> harness.Report:
    """Measure every engine with few and with many jobs, in turns.

    Args:
        engines: Comma-separated names in `ENGINES`.
        jobs: Number of additional jobs.
        repeats: Number of turns.

    Returns:
        Times per engine.
    """
    names = engines.split(",")
    # at least as many jobs as workers, so that all workers have to start
    counts = {"few": N_WORKERS, "many": jobs + N_WORKERS}
    ways = {f"{engine} {name}": partial(seconds_of, engine, n) for engine in names for name, n in counts.items()}
    results = harness.in_turns({"fresh process": fresh_process_s, **ways}, repeats)
    least = {name: min(seconds) for name, seconds in results.items()}
    rows = [
        {
            "engine": engine,
            "start and close s": least[f"{engine} few"],
            "ms per job": max(least[f"{engine} many"] - least[f"{engine} few"], 0.0) / jobs * 1000,
        }
        for engine in names
    ]
    return harness.Report(
        {"workers": N_WORKERS, "jobs": jobs, "fresh process s": least["fresh process"]},
        {"least times": rows},
        {f"ratio_to_fresh_process, {name}": least[f"{name} few"] / least["fresh process"] for name in names},
    )


if __name__ == "__main__":
    harness.main(measure)
