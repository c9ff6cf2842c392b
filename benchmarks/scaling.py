"""How cost grows: training and its memory with the utterances, import with the rows, analysis with the video's length.

    python benchmarks/scaling.py [--curves train,import,analyze] [--largest 30000] [--features small|paper] [--out DIR]

Every point is the least of several repeats, in a process of its own, all in one run; the sizes take turns, so that a
busy machine slows all of them. Per curve: the exponent k of cost = fixed + c * n^k, by least squares on the logarithm,
with its standard error; the exponent of the growth over the smallest size in the last step alone; and what breaks
first. With --out, one SVG a curve.

Synthetic data: random features and labels, videos with lengths like CMU-MOSEI's. `small` is text alone, 50 columns, and
a small network, which shows the machinery; `paper` is 300 + 74 + 35 columns and the default network.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, memory_gib

os.environ["OMP_NUM_THREADS"] = "1"
HERE = Path(__file__).resolve().parent
STEP = 3
# an exponent whose standard error is above this says nothing
UNRESOLVED = 0.5
HELD_WHOLE = "train and valid are held whole"
ALL_ROWS = "rows may stand in any order, so all are held until the last is read"
SAMPLE = HERE.parent / "src/mien/sample/sample.mp4"


@dataclass
class Curve:
    """One cost over one size."""

    name: str
    size: str
    cost: str
    sizes: list[float]
    costs: list[float]
    # cost over a named other way to do the same, at the largest size
    reference: str = ""
    ratio_to_reference: float | None = None
    exponent: float | None = None
    standard_error: float | None = None
    last_step_exponent: float | None = None
    # linear fit through the two largest sizes
    per_unit: float | None = None
    breaks_first: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)


def fitted(curve: Curve) -> Curve:
    """The curve with its exponents and slope."""
    n, cost = np.array(curve.sizes), np.array(curve.costs)
    if len(n) >= 4 and (cost > 0).all():
        curve.exponent, curve.standard_error = power(n, cost)
    added_n, added = n[1:] - n[0], cost[1:] - cost[0]
    if len(n) >= 3 and (added[-2:] > 0).all():
        curve.last_step_exponent = math.log(added[-1] / added[-2]) / math.log(added_n[-1] / added_n[-2])
    if len(n) >= 2:
        curve.per_unit = float((cost[-1] - cost[-2]) / (n[-1] - n[-2]))
    return curve


def power(n: np.ndarray, cost: np.ndarray) -> tuple[float | None, float | None]:
    """Exponent k of cost = fixed + c * n^k by least squares on the logarithm, with standard error; None if it fails."""
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    def log_cost(log_n: np.ndarray, log_fixed: float, log_c: float, k: float) -> np.ndarray:
        return np.logaddexp(log_fixed, log_c + k * log_n)

    x, y = np.log(n / n[-1]), np.log(cost / cost[-1])
    start = (y[0] - math.log(2), math.log(0.9), 1.0)
    # below a thousandth of the largest cost a fixed part cannot be told from none
    bounds = ((-7.0, -7.0, 0.0), (0.0, 1.0, 4.0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            found, covariance = curve_fit(log_cost, x, y, p0=np.clip(start, *np.array(bounds)), bounds=bounds)
    except (RuntimeError, OptimizeWarning):
        return None, None
    return float(found[2]), float(np.sqrt(covariance[2, 2]))


def work(*words: object) -> dict[str, Any]:
    """One piece of work of scaling_work.py in a fresh process."""
    command = [sys.executable, str(HERE / "scaling_work.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def least(
    measure: Callable[[int], dict[str, Any]], sizes: list[int], repeats: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The least of every number over the repeats, per size."""
    found: dict[int, list[dict[str, Any]]] = {n: [] for n in sizes}
    for repeat in range(repeats):
        for n in sizes:
            found[n].append(measure(n))
            say(f"{n:,} ({repeat + 1} of {repeats}): {found[n][-1]}")
    return [{key: min(each[key] for each in rows) for key in rows[0]} for rows in found.values()]


def training_curves(folder: Path, arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Curve]:
    """Epoch time and peak memory of `mien train`, and the writing of the Datasets it reads."""
    sizes, size = grid(arguments), arguments.features
    say(f"writing Datasets of {sizes} utterances")
    written = [work("make-dataset", n, folder / f"data-{n}", size) for n in sizes]
    rows = least(lambda n: work("train", n, folder / f"data-{n}", size), sizes, arguments.repeats, say)
    on_disk = [sum(file.stat().st_size for file in (folder / f"data-{n}").iterdir()) for n in sizes]
    n = [float(each) for each in sizes]
    epoch = Curve(
        "epoch", "utterances", "processor seconds of an epoch and its validation", n, [row["epoch_s"] for row in rows]
    )
    memory = Curve("memory", "utterances", "peak MiB above the libraries", n, [row["memory_mib"] for row in rows])
    writing = Curve("write", "utterances", "processor seconds of writing", n, [row["write_s"] for row in written])
    writing.details = [{"memory_mib": row["memory_mib"]} for row in written]
    epoch.details, memory.details = rows, [{"dataset_mib": size_b / 2**20} for size_b in on_disk]
    for curve in (epoch, memory, writing):
        fitted(curve)
    memory.reference = "the features as float32"
    columns = 50 if size == "small" else 409
    if memory.per_unit and memory.per_unit > 0:
        memory.ratio_to_reference = memory.per_unit * 2**20 / (4 * columns)
        memory.breaks_first = memory_end(
            memory.per_unit, rows[-1]["libraries_mib"] + memory.costs[0], "utterances", HELD_WHOLE
        )
        if epoch.per_unit and epoch.per_unit > 0:
            hours = epoch.per_unit * (memory_gib() * 1024) / memory.per_unit / 3600
            epoch.breaks_first = f"memory, see there; an epoch takes {hours:.2g} h of one core by then"
    writing.breaks_first = "nothing here: videos stream into the file, what grows in memory is their ids"
    return [epoch, memory, writing]


def memory_end(mib_per_unit: float, fixed_mib: float, unit: str, why: str) -> str:
    """Where a cost that is linear in memory meets the machine's, and 24 GiB."""
    here, at_24 = ((gib * 1024 - fixed_mib) / mib_per_unit for gib in (memory_gib(), 24.0))
    return (
        f"memory: {why}; {mib_per_unit * 2**20:,.0f} bytes more with every one of the {unit}, so this machine's "
        f"{memory_gib():.1f} GiB end at about {here:.2g} {unit}, 24 GiB at {at_24:.2g} (extrapolated)"
    )


def import_curves(folder: Path, arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Curve]:
    """Time and peak memory of `mien import table` of a CSV file."""
    sizes = grid(arguments)
    for n in sizes:
        work("make-csv", n, folder / f"{n}.csv")
    rows = least(lambda n: work("import", n, folder / f"{n}.csv"), sizes, arguments.repeats, say)
    n = [float(each) for each in sizes]
    time = fitted(Curve("import", "rows", "processor seconds of mien import table", n, [r["import_s"] for r in rows]))
    memory = fitted(Curve("import-memory", "rows", "peak MiB above the libraries", n, [r["memory_mib"] for r in rows]))
    time.reference = "pandas.read_csv and to_parquet of the same file, nothing checked"
    time.ratio_to_reference = rows[-1]["import_s"] / rows[-1]["pandas_s"]
    time.details = rows
    memory.reference = "bytes of the CSV file"
    if memory.per_unit and memory.per_unit > 0:
        growth = (folder / f"{sizes[-1]}.csv").stat().st_size - (folder / f"{sizes[-2]}.csv").stat().st_size
        memory.ratio_to_reference = memory.per_unit * 2**20 * (sizes[-1] - sizes[-2]) / growth
        memory.breaks_first = memory_end(memory.per_unit, memory.costs[0], "rows", ALL_ROWS)
        time.breaks_first = "memory, see there"
    return [time, memory]


def analyze_curves(folder: Path, arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Curve]:
    """Time and peak memory of `mien analyze` with recognition, of the clip looped to several lengths."""
    from analyze import decode_only, looped, measure

    lengths = [float(text) for text in arguments.minutes.split(",")]
    videos = {minutes: looped(arguments.video, folder / f"{minutes:g}.mp4", 60 * minutes) for minutes in lengths}
    rows: dict[float, list[dict[str, Any]]] = {minutes: [] for minutes in lengths}
    for repeat in range(max(1, arguments.repeats - 1)):
        for minutes in lengths:
            out = folder / f"analysis-{minutes:g}-{repeat}"
            row = measure(videos[minutes], out, []) | {"decoding_s": decode_only(videos[minutes])}
            row["report_mib"] = (out / "report.html").stat().st_size / 2**20
            rows[minutes].append(row)
            say(f"{minutes:g} minutes: {row}")
    best = [{key: min(row[key] for row in each) for key in each[0]} for each in rows.values()]
    hours = [video_hours(video) for video in videos.values()]
    time = fitted(Curve("analyze", "hours of video", "processor seconds", hours, [row["process_s"] for row in best]))
    memory = fitted(Curve("analyze-memory", "hours of video", "peak MiB", hours, [r["peak_memory_mib"] for r in best]))
    time.details = best
    time.reference = "decoding the same file"
    time.ratio_to_reference = best[-1]["process_s"] / best[-1]["decoding_s"]
    if time.per_unit:
        report = (best[-1]["report_mib"] - best[0]["report_mib"]) / (hours[-1] - hours[0])
        time.breaks_first = (
            f"patience: {time.per_unit / 3600:.2g} h of processor time per hour of video; "
            f"then the report page, which grows by {report:.1f} MiB per hour"
        )
    if (
        memory.standard_error is None
        or memory.standard_error > UNRESOLVED
        or not memory.per_unit
        or memory.per_unit < 0
    ):
        memory.breaks_first = "no growth of memory that can be told from the noise at these lengths"
    else:
        memory.breaks_first = memory_end(memory.per_unit, memory.costs[0], "hours", "tracks and report are held whole")
    return [time, memory]


def video_hours(path: Path) -> float:
    """Duration of a file."""
    import av

    with av.open(str(path)) as tape:
        return float(tape.duration or 0) / 3.6e9


def grid(arguments: argparse.Namespace) -> list[int]:
    """Sizes in equal steps of the logarithm, the largest included."""
    n_sizes = max(4, 1 + round(math.log(arguments.largest / arguments.smallest) / math.log(STEP)))
    return [int(round(float(n), -2)) for n in np.geomspace(arguments.smallest, arguments.largest, n_sizes)]


FAMILIES = {"train": training_curves, "import": import_curves, "analyze": analyze_curves}


def draw(curve: Curve, path: Path) -> None:
    """The points, and what is linear through the last two of them."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    n = np.array(curve.sizes)
    axes.loglog(n, curve.costs, "o", color="#0b6e6e", label="measured, least of the repeats")
    if curve.per_unit and curve.per_unit > 0:
        linear = curve.costs[-1] + curve.per_unit * (n - n[-1])
        axes.loglog(n[linear > 0], linear[linear > 0], "--", color="#888888", label="linear, through the last two")
    title = f"{curve.name}: exponent {told_exponent(curve)}"
    axes.set(xlabel=curve.size, ylabel=curve.cost, title=title)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def told_exponent(curve: Curve) -> str:
    """The exponent with its standard error, or that there is none."""
    if curve.exponent is None or curve.standard_error is None or curve.standard_error > UNRESOLVED:
        return "not resolved"
    return f"{curve.exponent:.2f} ± {curve.standard_error:.2f}"


def table(curves: list[Curve]) -> str:
    """The curves as Markdown."""
    lines = ["| curve | sizes | cost, smallest to largest | exponent ± s.e. | last step | ratio | breaks first |"]
    lines.append("|---|---|---|---|---|---|---|")
    for each in curves:
        exponent = told_exponent(each)
        step = "-" if each.last_step_exponent is None else f"{each.last_step_exponent:.2f}"
        ratio = "-" if each.ratio_to_reference is None else f"{each.ratio_to_reference:.2g} times {each.reference}"
        sizes = f"{each.sizes[0]:.3g} to {each.sizes[-1]:.3g} {each.size}"
        costs = f"{each.costs[0]:.3g} to {each.costs[-1]:.3g} {each.cost}"
        lines.append(f"| {each.name} | {sizes} | {costs} | {exponent} | {step} | {ratio} | {each.breaks_first} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, fit, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--curves", default="train,import", help="of train, import and analyze (which needs the media extra)"
    )
    parser.add_argument("--smallest", type=int, default=1000)
    parser.add_argument("--largest", type=int, default=30_000, help="utterances and rows; up to a million takes hours")
    parser.add_argument("--features", choices=("small", "paper"), default="small")
    parser.add_argument("--minutes", default="0.7,1.5,3,6", help="lengths of video")
    parser.add_argument("--video", type=Path, default=SAMPLE, help="the clip that is looped; default: mien's sample")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    curves: list[Curve] = []
    left_out = {}
    with tempfile.TemporaryDirectory() as name:
        for family in arguments.curves.split(","):
            if family == "analyze" and find_spec("av") is None:
                left_out[family] = "not installed: av (the media extra)"
                continue
            folder = Path(name) / family
            folder.mkdir()
            curves += FAMILIES[family](folder, arguments, lambda text: print(text, file=sys.stderr, flush=True))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for curve in curves:
            draw(curve, arguments.out / f"scaling-{curve.name}.svg")
    if arguments.json:
        result = {"features": arguments.features, "curves": [asdict(curve) for curve in curves], "left_out": left_out}
        print(json.dumps(result | {"machine": machine_facts()}, indent=2))
        return
    for family, reason in left_out.items():
        print(f"{family} left out: {reason}")
    print(table(curves))


if __name__ == "__main__":
    main()
