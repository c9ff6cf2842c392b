"""`mien benchmark`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.guard import FAILED, guarded
from mien.cli.options import EngineAddress, EngineName, Json, one_object, print_json
from mien.settings import parse_pairs

CommonSet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Setting of the training loop, for all systems alike. Repeatable."),
]


@dataclass(frozen=True)
class BenchmarkCall:
    """What the command line says to `mien benchmark`."""

    suite: Annotated[str, typer.Argument(metavar="SUITE", help="table4, table7, tasks, or a TOML file of your own.")]
    dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset with train, valid and test splits.")]
    out: Annotated[Path, typer.Option(help="Folder of the runs, results and tables; repeat the command to go on.")]
    seeds: Annotated[int, typer.Option(min=1, help="Runs per setting, seeds from 0; five or more for a claim.")] = 5
    engine: EngineName = "local"
    engine_address: EngineAddress = None
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; by default as many as cores, or as a cluster takes.")
    ] = None
    protocol: Annotated[str, typer.Option(help="What is printed: clean, fixed or released (an upper bound).")] = "clean"
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of the videos, behind intervals and tests of all settings.")
    ] = 10_000
    video: Annotated[str | None, typer.Option(help="Draw the attention of this scored video.")] = None
    set_: CommonSet = None
    json: Json = False


@guarded
@one_object(BenchmarkCall)
def benchmark(call: BenchmarkCall) -> None:
    """Train, score and compare many systems: one table against one reference. Resumable; nothing runs twice."""
    from mien.benchmark.benchmark import BenchmarkRequest
    from mien.benchmark.benchmark import benchmark as run_benchmark
    from mien.cli import progress, render_reports
    from mien.engine.jobs import Place
    from mien.errors import UnknownNameError
    from mien.evaluation.protocols import PROTOCOLS

    if call.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", call.protocol, PROTOCOLS)
    place = Place(call.engine, call.engine_address, call.workers)
    request = BenchmarkRequest(call.seeds, place, call.bootstrap, parse_pairs(call.set_ or []), call.video)
    with progress.items("benchmark") as report:
        done = run_benchmark(call.suite, call.dataset, call.out, request, report=report)
    if call.json:
        print_json(done.results)
    else:
        render_reports.show_benchmark(done.results, done.folder, call.protocol)
    for name, reason in done.failures.items():
        sys.stderr.write(f"mien: {name}: {' '.join(reason.split())}\n")
    if done.failures:
        raise typer.Exit(FAILED)
