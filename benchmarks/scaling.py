"""How cost grows: training and its memory with the utterances, import with the rows.

    python benchmarks/scaling.py [--curves train,import] [--smallest 1000] [--largest 30000] [--repeats 3] [--json]

Every point is the least of several repeats, each in a process of its own; the sizes take turns. Per curve: the exponent
k of cost = fixed + c * n^k, by least squares on the logarithm, with its standard error, what one more costs at the
largest size, and the cost beside another way to do the same. Times are processor time of one thread; memory is what
comes on top of the libraries. How `mien analyze` grows with the video's length: analyze.py.

Synthetic data: text alone, 50 columns, videos with lengths like CMU-MOSEI's, and a small network: it shows the
machinery around the arithmetic.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pandas as pd
import sklearn.metrics  # noqa: F401  (what is measured loads it: neither its second nor its memory must count)
from scipy.optimize import curve_fit
from synthetic import lengths_of, make_dataset, make_table

from mien import import_dataset, train  # noqa: F401  (loaded first, as above)
from mien.schema import Modality

STEP = 3
N_COLUMNS = 50
NETWORK = {"gru_size": 20, "dense_size": 10}
WORDS = tuple(f"word{number}" for number in range(2000))
# an exponent whose standard error is above this says nothing
UNRESOLVED = 0.5
Point = dict[str, float]
Row = dict[str, Any]


def curve(name: str, sizes: list[float], costs: list[float], beside: str = "", ratio: float | None = None) -> Row:
    """One cost over one size, as a line of the table; `beside`: what the ratio is to, at the largest size."""
    exponent, error = power(np.array(sizes), np.array(costs))
    return {
        "curve": name,
        "sizes": f"{sizes[0]:.3g} to {sizes[-1]:.3g}",
        "cost": f"{costs[0]:.3g} to {costs[-1]:.3g}",
        "exponent": exponent if error <= UNRESOLVED else None,
        "s.e.": error if error <= UNRESOLVED else None,
        "more per unit": slope(sizes, costs),
        "ratio": ratio,
        "beside": beside,
    }


def slope(sizes: list[float], costs: list[float]) -> float:
    """What one more costs, through the two largest sizes."""
    return (costs[-1] - costs[-2]) / (sizes[-1] - sizes[-2])


def power(n: np.ndarray, cost: np.ndarray) -> tuple[float, float]:
    """Exponent k of cost = fixed + c * n^k by least squares on the logarithm, and its standard error."""
    if len(n) < 4 or not (cost > 0).all():
        return math.nan, math.inf

    def log_cost(log_n: np.ndarray, log_fixed: float, log_c: float, k: float) -> np.ndarray:
        return np.logaddexp(log_fixed, log_c + k * log_n)

    x, y = np.log(n / n[-1]), np.log(cost / cost[-1])
    # below a thousandth of the largest cost a fixed part cannot be told from none
    bounds = ((-7.0, -7.0, 0.0), (0.0, 1.0, 4.0))
    start = np.clip((y[0] - math.log(2), math.log(0.9), 1.0), *np.array(bounds))
    try:
        found, covariance = curve_fit(log_cost, x, y, p0=start, bounds=bounds)
    except RuntimeError:
        return math.nan, math.inf
    return float(found[2]), float(np.sqrt(covariance[2, 2]))


def write_data(folder: str, n: int) -> Point:
    """Write a Dataset; a tenth of the videos is `valid`."""
    lengths = lengths_of(n, np.random.default_rng(n))
    splits = {"train": lengths[len(lengths) // 10 :], "valid": lengths[: len(lengths) // 10]}
    return {"write_s": harness.process_s(partial(make_dataset, Path(folder), splits, {Modality.TEXT: N_COLUMNS}, n))}


def two_epochs(dataset: str) -> Point:
    """Two epochs of `mien.train`: the second one's time, and the peak above the libraries'."""
    before_mib = harness.peak_memory_mib()
    first_s, second_s = harness.epoch_ends_s(dataset, {"epochs": 2, **NETWORK})
    return {"epoch_s": second_s - first_s, "memory_mib": harness.peak_memory_mib() - before_mib}


def import_table(path: str) -> Point:
    """`mien import table` of a CSV file, and pandas reading it and writing it as Parquet."""
    before_mib = harness.peak_memory_mib()
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as name:
        import_s = harness.process_s(partial(import_dataset, "table", [Path(path)], Path(name) / "data"))
        memory_mib = harness.peak_memory_mib() - before_mib
        copy = Path(name) / "copy.parquet"
        pandas_s = harness.process_s(lambda: pd.read_csv(path).to_parquet(copy, compression="zstd"))
    return {"import_s": import_s, "pandas_s": pandas_s, "memory_mib": memory_mib}


def least(points: dict[float, Callable[[], Point]], repeats: int) -> dict[str, list[float]]:
    """The least of every number over the repeats: name -> one value per size."""
    turns = harness.in_turns({str(size): point for size, point in points.items()}, repeats)
    found = [{name: min(turn[name] for turn in each) for name in each[0]} for each in turns.values()]
    return {name: [each[name] for each in found] for name in found[0]}


def training_curves(folder: Path, sizes: list[int], repeats: int) -> list[Row]:
    """Epoch time and peak memory of `mien train`, and the writing of the Datasets it reads."""
    written = least({n: partial(harness.call, write_data, folder / f"{n}", n) for n in sizes}, 1)["write_s"]
    found = least({n: partial(harness.call, two_epochs, folder / f"{n}") for n in sizes}, repeats)
    memory_mib = found["memory_mib"]
    as_numbers = slope(sizes, memory_mib) * 2**20 / (4 * N_COLUMNS)
    return [
        curve("an epoch and its validation, s over utterances", sizes, found["epoch_s"]),
        curve("memory of training, MiB over utterances", sizes, memory_mib, "features as float32", as_numbers),
        curve("writing a Dataset, s over utterances", sizes, written),
    ]


def import_curves(folder: Path, sizes: list[int], repeats: int) -> list[Row]:
    """Time and peak memory of `mien import table` of a CSV file."""
    files = {n: folder / f"{n}.csv" for n in sizes}
    for n, path in files.items():
        make_table(path, {"train": lengths_of(n, np.random.default_rng(n))}, WORDS, n_words=20, spread=0)
    found = least({n: partial(harness.call, import_table, path) for n, path in files.items()}, repeats)
    pandas = found["import_s"][-1] / found["pandas_s"][-1]
    return [
        curve("mien import table, s over rows", sizes, found["import_s"], "pandas.read_csv and to_parquet", pandas),
        curve("memory of mien import table, MiB over rows", sizes, found["memory_mib"]),
    ]


def grid(smallest: int, largest: int) -> list[int]:
    """Sizes in equal steps of the logarithm, the largest included."""
    n_sizes = max(4, 1 + round(math.log(largest / smallest) / math.log(STEP)))
    return [int(round(float(n), -2)) for n in np.geomspace(smallest, largest, n_sizes)]


def measure(
    curves: str = "train,import", smallest: int = 1000, largest: int = 30_000, repeats: int = 3
) -> harness.Report:
    """The chosen curves."""
    families = {"train": training_curves, "import": import_curves}
    rows: list[Row] = []
    for family in curves.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows += families[family](Path(folder), grid(smallest, largest), repeats)
    return harness.Report({"columns": N_COLUMNS, "repeats": repeats}, {"curves": rows})


if __name__ == "__main__":
    harness.main(measure)
