"""What an engine costs beside the work itself: to start and close it, and per job.

    python benchmarks/engines.py [--engines local,dask,ray] [--jobs 200] [--repeats 3] [--json]

Two workers of this machine. As many jobs as workers that do nothing give the time to start and close; many of them give
the time of one more job. The start stands beside that of one Python process that imports torch, which every run of a
benchmark begins with. By the clock, because the work is done in other processes.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import harness

from mien.engine.jobs import ENGINES, EngineConfig, run_jobs

N_WORKERS = 2


def seconds_of(engine: str, n_jobs: int) -> float:
    """Wall time of so many jobs that do nothing, with all that belongs to it."""
    started_s = time.perf_counter()
    outcomes = list(run_jobs(EngineConfig(engine, workers=N_WORKERS), abs, range(n_jobs), lambda job, _reason: job))
    assert len(outcomes) == n_jobs
    return time.perf_counter() - started_s


def fresh_process_s() -> float:
    """Wall time of a Python process that imports torch."""
    return harness.run([sys.executable, "-c", "import torch"])["wall_s"]


def measure(engines: str = ",".join(ENGINES), jobs: int = 200, repeats: int = 3) -> harness.Report:
    """Every engine with few jobs and with many, in turns."""
    names = engines.split(",")
    # at least as many jobs as workers, so that all of them have to be there
    counts = {"few": N_WORKERS, "many": jobs + N_WORKERS}
    ways = {f"{engine} {name}": partial(seconds_of, engine, n) for engine in names for name, n in counts.items()}
    found = harness.in_turns({"fresh process": fresh_process_s, **ways}, repeats)
    least = {name: min(seconds) for name, seconds in found.items()}
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
