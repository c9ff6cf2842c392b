"""Runs all benchmarks, one after another, each in a new process, and writes one report.

    python benchmarks/all.py --out DIR [--quick] [--only metrics,scaling]

Writes DIR/report.md and DIR/report.json (the output of every benchmark, and facts about the machine). A benchmark whose
data or packages are missing is skipped, with the reason in the report. If one fails, the report shows the end of its
error output, the others continue, and the exit code is 1. `--quick` uses small sizes, which show only that everything
runs. Real videos and voices are read from the folder in the environment variable MIEN_DATA.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import harness
import typer
from machine import machine_facts

DATA = Path(os.environ.get("MIEN_DATA", "MIEN_DATA"))
LABELLED = f"{DATA}/videos {DATA}/videos/labels.csv"
VOICES = sorted(map(str, (DATA / "videos/librivox").glob("0*.wav"))) or [f"{DATA}/videos/librivox"]
LAST_WORDS = 600
# file -> its arguments, and those with --quick; None: it has no small size
BENCHMARKS: dict[str, tuple[str, str | None]] = {
    "train_epoch": ("", "--videos 200 --repeats 1"),
    "table4": ("", None),
    "tuned_epoch": ("", "--videos 4 --repeats 1"),
    "inference": ("", "--utterances 2000 --repeats 1"),
    "csd_import": ("", "--videos 10,20 --repeats 1"),
    "engines": ("", "--jobs 20 --repeats 1"),
    "modality_subsets": (f"{DATA}/mosi/mosi_2199.npz --out {{out}}/mosi", None),
    "metrics": ("", "--videos 100 --resamples 100 --repeats 1"),
    "scaling": ("", "--smallest 300 --largest 3000 --repeats 1"),
    "features": ("", "--seconds 3 --frames 5 --repeats 1"),
    "analyze": ("--minutes 0.7,1.5,3,6", "--minutes 0.2"),
    "mosei_originals": (LABELLED, LABELLED),
    "egemaps_against_opensmile": (" ".join(VOICES), VOICES[0]),
}


def run(name: str, quick: bool, out: Path) -> dict[str, Any]:
    """Run one benchmark in a new process.

    Args:
        name: Key in `BENCHMARKS`.
        quick: Whether to use small sizes.
        out: Folder of the report.

    Returns:
        State, command, duration and result.
    """
    arguments = BENCHMARKS[name][quick]
    if arguments is None:
        return {"state": "skipped: has no small size; run it without --quick"}
    words = arguments.format(out=out).split()
    absent = [word for word in words if word.startswith(str(DATA)) and not Path(word).exists()]
    if absent:
        return {"state": f"skipped: {absent[0]} is not there; set MIEN_DATA"}
    command = [sys.executable, str(harness.HERE / f"{name}.py"), *words, "--json"]
    started_s, load = time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    facts = {"command": " ".join(command), "load_before": load, "wall_s": time.perf_counter() - started_s}
    if done.returncode == 0:
        return facts | {"state": "done", "result": json.loads(done.stdout)}
    state = "skipped" if "ModuleNotFoundError" in done.stderr else "failed"
    return facts | {"state": f"{state}: {' '.join(done.stderr[-LAST_WORDS:].split())}"}


def markdown(report: dict[str, Any]) -> str:
    """Format the report as Markdown."""
    results = report["benchmarks"]
    machine = [{"machine": name, "": value} for name, value in report["machine"].items()]
    columns = ("state", "load_before", "wall_s")
    states = [{"benchmark": name} | {key: each.get(key) for key in columns} for name, each in results.items()]
    text = f"# Benchmarks of mien\n\n{harness.markdown_table(machine)}\n\n{harness.markdown_table(states)}\n\n"
    text += "A load above the number of cores means that other work ran beside it: then only the ratios count.\n"
    if report["quick"]:
        text += "Small sizes (`--quick`): this shows that everything runs; the figures say little.\n"
    for name, each in results.items():
        if each["state"] == "done":
            result = {key: value for key, value in each["result"].items() if key != "machine"}
            text += f"\n## {name}\n\n{harness.Report(**result).to_text()}\n"
    return text


def main(out: Annotated[Path, typer.Option()], quick: bool = False, only: str = ",".join(BENCHMARKS)) -> None:
    """Run benchmarks and write the report.

    Args:
        out: Folder of the report.
        quick: Whether to use small sizes.
        only: Comma-separated keys in `BENCHMARKS`.
    """
    if unknown := set(only.split(",")) - set(BENCHMARKS):
        raise typer.BadParameter(f"Expected names among {', '.join(BENCHMARKS)}, but got {', '.join(unknown)}")
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for name in only.split(","):
        print(f"{name} ...", flush=True)
        results[name] = run(name, quick, out)
        print(f"  {results[name]['state']}", flush=True)
        # after each benchmark, so that an interrupted call keeps its results
        report = {"quick": quick, "machine": machine_facts(), "benchmarks": results}
        (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / "report.md").write_text(markdown(report), encoding="utf-8")
    if any(each["state"].startswith("failed") for each in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
