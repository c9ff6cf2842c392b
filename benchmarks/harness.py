"""Shared parts of the benchmarks: options, turns, separate processes, comparison of two checkouts, and output.

A benchmark is one file with one function from its options to a `Report`. Everything that is compared runs in turns
within one call, so that a busy machine slows all of it equally, and processor time is preferred to wall time. Noise
only increases times: of several turns the least counts; the median and the largest are reported next to it.
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
    """Result of a benchmark, printed as text or, with --json, as one object."""

    # sizes and settings
    facts: dict[str, Any] = field(default_factory=dict)
    # title -> rows with the same keys
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # ratios of two measurements of this call, which can be compared between machines
    ratios: dict[str, float] = field(default_factory=dict)

    def to_text(self) -> str:
        """Format facts, tables and ratios as Markdown."""
        lines = [", ".join(f"{name} {shown(value)}" for name, value in self.facts.items())]
        for title, rows in self.tables.items():
            lines += ["", f"{title}:", "", markdown_table(rows)]
        if self.ratios:
            lines += ["", markdown_table([{"figure": name, "": value} for name, value in self.ratios.items()])]
        return "\n".join(lines).strip()


def shown(value: Any) -> str:
    """Format a value for a table."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Format rows with the same keys as a Markdown table."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join(lines + [f"| {' | '.join(shown(row[name]) for name in names)} |" for row in rows])


def main(measure: Callable[..., Report]) -> None:
    """Run a benchmark from the command line: the parameters of `measure`, and --json, are its options."""

    def command(**chosen: Any) -> None:
        as_json = chosen.pop("json")
        report = measure(**chosen)
        print(json.dumps({**vars(report), "machine": machine_facts()}, indent=2) if as_json else report.to_text())

    signature = inspect.signature(measure, eval_str=True)
    flag = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    vars(command)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), flag])
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()} | {"json": bool}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    # \b keeps the line breaks of a paragraph
    app.command(help="\b\n" + measure.__globals__["__doc__"].replace("\n\n", "\n\n\b\n"))(command)
    app()


def in_turns(ways: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Call functions in turns; every second turn is in reverse order.

    Args:
        ways: Name -> function without parameters.
        repeats: Number of turns.

    Returns:
        Name -> result of each turn.
    """
    results: dict[str, list[T]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            results[name].append(ways[name]())
    return results


def process_s(work: Callable[[], object]) -> float:
    """Measure the processor seconds of one call, over all threads of this process."""
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def spread(values: list[float], name: str) -> dict[str, float]:
    """Summarise values as three columns of a table.

    Args:
        values: Values of all turns.
        name: First word of the columns.

    Returns:
        Least, median and largest value by column.
    """
    return {f"{name} least": min(values), f"{name} median": float(np.median(values)), f"{name} largest": max(values)}


def run(command: list[str], tree: Path | None = None) -> dict[str, float]:
    """Run a command and measure it.

    Memory is sampled: the sum of the peaks of the process and of its children.

    Args:
        command: Program and arguments.
        tree: Checkout whose package is imported; None takes the installed one.

    Returns:
        Wall seconds ``wall_s``, processor seconds ``process_s`` and peak memory ``peak_mib``.

    Raises:
        SystemExit: The command fails.
    """
    with tempfile.TemporaryFile() as errors:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=_environment(tree))
        peak_kib, ended = 0, 0
        while not ended:
            peak_kib = max(peak_kib, _memory_kib(process.pid))
            time.sleep(SAMPLE_EVERY_S)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {errors.read().decode()[-2000:]}")
    return {"wall_s": wall_s, "process_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak_kib / 1024}


def mien(*words: object, tree: Path | None = None) -> dict[str, float]:
    """Run a `mien` command and measure it.

    Args:
        *words: Words of the command line.
        tree: Checkout whose package is imported; None takes the installed one.

    Returns:
        Costs, as from `run`.
    """
    return run([sys.executable, "-P", "-m", "mien", *map(str, words)], tree)


def call(function: Callable[..., Any], *arguments: Any, tree: Path | None = None) -> Any:
    """Call a function of a benchmark in a new process with one thread.

    Args:
        function: Function of a file in this folder.
        *arguments: JSON values; paths become strings.
        tree: Checkout whose package is imported; None takes the installed one.

    Returns:
        The JSON value that the function returns.

    Raises:
        SystemExit: The process fails.
    """
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
    """Train in a temporary folder and record when each epoch ends.

    Args:
        dataset: Folder of the Dataset.
        settings: Settings of the training and the model.
        model: Name of the model.

    Returns:
        Processor seconds of this process at the end of each epoch.
    """
    from mien import TrainRequest, train

    ends_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        request = TrainRequest(model, settings={"keep_epochs": False, **settings})
        train(dataset, Path(folder) / "run", request, report=lambda _record: ends_s.append(time.process_time()))
    return ends_s


def compare_trees(other: Path, measure: Callable[..., dict[str, float]], repeats: int) -> Report:
    """Compare the costs of this checkout with those of another one.

    Args:
        other: The other checkout.
        measure: Function that takes `tree`, runs in new processes, and returns costs by name.
        repeats: Number of turns.

    Returns:
        Costs of both, and their ratios.

    Raises:
        SystemExit: There is no package `mien` in the other checkout.
    """
    if not (other / "src/mien").is_dir():
        raise SystemExit(f"Expected a checkout of mien with src/mien, but got {other}; name the folder that holds src")
    costs = in_turns({"this": partial(measure, tree=ROOT), "other": partial(measure, tree=other.resolve())}, repeats)
    report = Report({"this": ROOT.name, "against": str(other), "turns": repeats})
    rows = report.tables["costs, and their ratio within a turn"] = []
    for cost in costs["this"][0]:
        this, that = (np.array([turn[cost] for turn in costs[name]]) for name in ("this", "other"))
        row: dict[str, Any] = {"cost": cost}
        for name, values in (("this", this), ("other", that), ("ratio", this / that)):
            row |= spread(values.tolist(), name)
        rows.append(row)
        report.ratios[f"{cost}_ratio_of_leasts"] = float(this.min() / that.min())
        report.ratios[f"{cost}_median_ratio_of_turns"] = row["ratio median"]
    return report


def peak_memory_mib() -> float:
    """Return the peak memory of this process in MiB."""
    return _own_memory_kib("self") / 1024


def _environment(tree: Path | None) -> dict[str, str]:
    # let processes write bytecode, or each of them would compile again
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
