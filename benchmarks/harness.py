"""What every benchmark of this folder shares: options, turns, fresh processes, two trees side by side, and output.

A benchmark is one question, one file and one function from its options to a
`Report`. What is compared runs in turns in
one call, so that a busy machine slows all of it alike, and processor time is preferred to the clock. Noise only ever
adds: of several turns the least counts, the median and the largest stand beside it.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import typer
from machine import machine_facts

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLE = ROOT / "src/mien/sample/sample.mp4"
SAMPLE_EVERY_S = 0.02
T = TypeVar("T")


@dataclass
class Report:
    """What a benchmark found; printed as text or, with --json, as one object."""

    # sizes and settings
    facts: dict[str, Any] = field(default_factory=dict)
    # title -> lines with the same keys
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # figures that compare two things of this call: these travel between machines
    ratios: dict[str, float] = field(default_factory=dict)

    def to_text(self) -> str:
        """Facts, table and ratios for a reader."""
        lines = [", ".join(f"{name} {shown(value)}" for name, value in self.facts.items())]
        for title, rows in self.tables.items():
            lines += ["", f"{title}:", "", markdown_table(rows)]
        if self.ratios:
            lines += ["", markdown_table([{"figure": name, "": value} for name, value in self.ratios.items()])]
        return "\n".join(lines).strip()


def shown(value: Any) -> str:
    """A value as the tables print it."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys as Markdown."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join(lines + [f"| {' | '.join(shown(row[name]) for name in names)} |" for row in rows])


def main(measure: Callable[..., Report]) -> None:
    """The command line of a benchmark: the parameters of `measure` are its options, and --json."""

    def command(**chosen: Any) -> None:
        as_json = chosen.pop("json")
        report = measure(**chosen)
        print(json.dumps({**vars(report), "machine": machine_facts()}, indent=2) if as_json else report.to_text())

    signature = inspect.signature(measure, eval_str=True)
    flag = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    vars(command)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), flag])
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()} | {"json": bool}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    # the mark keeps the lines of a paragraph as they are
    app.command(help="\b\n" + measure.__globals__["__doc__"].replace("\n\n", "\n\n\b\n"))(command)
    app()


def in_turns(ways: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Name -> what each turn gave; every second turn goes through the ways in reverse."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            found[name].append(ways[name]())
    return found


def process_s(work: Callable[[], object]) -> float:
    """Processor seconds of one call, over all threads of this process."""
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def spread(values: list[float], name: str) -> dict[str, float]:
    """Three columns of a table."""
    return {f"{name} least": min(values), f"{name} median": float(np.median(values)), f"{name} largest": max(values)}


def run(command: list[str], tree: Path | None = None) -> dict[str, float]:
    """A command in a process of its own: seconds by the clock and of processor time, and peak memory.

    Memory is that of the process and its children together, sampled: each one's own high-water mark. With a tree the
    package of that checkout is imported, else the installed one.
    """
    with tempfile.TemporaryFile() as told:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, env=_environment(tree))
        peak_kib, ended = 0, 0
        while not ended:
            peak_kib = max(peak_kib, _memory_kib(process.pid))
            time.sleep(SAMPLE_EVERY_S)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {told.read().decode()[-2000:]}")
    return {"wall_s": wall_s, "process_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak_kib / 1024}


def mien(*words: object, tree: Path | None = None) -> dict[str, float]:
    """What a `mien` command costs."""
    return run([sys.executable, "-P", "-m", "mien", *map(str, words)], tree)


def call(function: Callable[..., Any], *arguments: Any, tree: Path | None = None) -> Any:
    """The JSON value of a benchmark's function in a fresh process with one thread, of this or of another tree."""
    module = Path(function.__code__.co_filename).stem
    script = (
        f"import json, sys; sys.path.insert(0, {str(HERE)!r}); import {module}\n"
        f"print(json.dumps({module}.{function.__name__}(*json.loads(sys.argv[1]))))"
    )
    command = [sys.executable, "-P", "-c", script, json.dumps(arguments, default=str)]
    environment = _environment(tree) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{module}.{function.__name__} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def epoch_ends_s(dataset: str | Path, settings: dict[str, Any], model: str = "cim") -> list[float]:
    """Processor seconds of this process at the end of every epoch of a training, which leaves nothing."""
    from mien import TrainRequest, train

    ends_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        request = TrainRequest(model, settings={"keep_epochs": False, **settings})
        train(dataset, Path(folder) / "run", request, report=lambda _record: ends_s.append(time.process_time()))
    return ends_s


def compare_trees(other: Path, measure: Callable[..., dict[str, float]], repeats: int) -> Report:
    """Costs of this checkout beside another one's: `measure(tree=...)` names them, in fresh processes."""
    if not (other / "src/mien").is_dir():
        raise SystemExit(f"Expected a checkout of mien with src/mien, but got {other}; name the folder that holds src")
    found = in_turns({"this": partial(measure, tree=ROOT), "other": partial(measure, tree=other.resolve())}, repeats)
    report = Report({"this": ROOT.name, "against": str(other), "turns": repeats})
    rows = report.tables["costs, and their ratio within a turn"] = []
    for cost in found["this"][0]:
        this, that = (np.array([turn[cost] for turn in found[name]]) for name in ("this", "other"))
        row: dict[str, Any] = {"cost": cost}
        for name, values in (("this", this), ("other", that), ("ratio", this / that)):
            row |= spread(values.tolist(), name)
        rows.append(row)
        report.ratios[f"{cost}_ratio_of_leasts"] = float(this.min() / that.min())
        report.ratios[f"{cost}_median_ratio_of_turns"] = row["ratio median"]
    return report


def peak_memory_mib() -> float:
    """High-water mark of this process."""
    return _own_memory_kib("self") / 1024


def _environment(tree: Path | None) -> dict[str, str]:
    # compiled bytecode is written: else every process would compile anew
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return rest | ({"PYTHONPATH": str(tree / "src")} if tree else {})


def _own_memory_kib(process: int | str) -> int:
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _memory_kib(process: int) -> int:
    try:
        own = _own_memory_kib(process)
        tasks = list(Path(f"/proc/{process}/task").glob("*/children"))
        return own + sum(_memory_kib(int(child)) for task in tasks for child in task.read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0
