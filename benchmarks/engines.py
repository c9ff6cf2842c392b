"""What an engine costs beside the work itself: to start and close it, and per job.

    python benchmarks/engines.py [--engines local,dask,ray] [--jobs 200] [--repeats 3] [--json]

Two workers of this machine, the engines in turn, and of every figure the least of the repeats. As many jobs as workers
that do nothing give the time to start and close; many of them give the time of one more job. `ratio_to_fresh_process`
sets the start beside that of one Python process that imports torch, which every run of a benchmark begins with,
measured in the same turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from machine import machine_facts

from mien.engine import ENGINES
from mien.engine.jobs import Place, run_jobs

N_WORKERS = 2


def seconds_of(engine: str, n_jobs: int) -> float:
    """Wall time of so many jobs that do nothing, with all that belongs to it."""
    started_s = time.perf_counter()
    outcomes = list(run_jobs(Place(engine, workers=N_WORKERS), abs, range(n_jobs), lambda job, _reason: job))
    assert len(outcomes) == n_jobs
    return time.perf_counter() - started_s


def fresh_process_s() -> float:
    """Wall time of a Python process that imports torch."""
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - started_s


def measure(engines: list[str], n_jobs: int, repeats: int) -> dict[str, Any]:
    """Engine -> its figures."""
    few: dict[str, list[float]] = {engine: [] for engine in engines}
    many: dict[str, list[float]] = {engine: [] for engine in engines}
    fresh: list[float] = []
    for _ in range(repeats):
        fresh.append(fresh_process_s())
        for engine in engines:
            # as many as workers, so that all of them have to be there
            few[engine].append(seconds_of(engine, N_WORKERS))
            many[engine].append(seconds_of(engine, n_jobs + N_WORKERS))
    return {
        engine: {
            "start_and_close_s": min(few[engine]),
            "ratio_to_fresh_process": min(few[engine]) / min(fresh),
            "per_job_ms": max(min(many[engine]) - min(few[engine]), 0.0) / n_jobs * 1000,
        }
        for engine in engines
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.engines.split(","), arguments.jobs, arguments.repeats)
    if arguments.json:
        print(json.dumps({"machine": machine_facts(), "engines": figures}, indent=2))
        return
    print(f"{'engine':<8}{'start and close':>18}{'/ import torch':>16}{'per job':>12}")
    for engine, each in figures.items():
        print(
            f"{engine:<8}{each['start_and_close_s']:>16.2f} s{each['ratio_to_fresh_process']:>16.2f}"
            f"{each['per_job_ms']:>9.1f} ms"
        )


if __name__ == "__main__":
    main()
