"""Growth of costs: training and its memory with the number of utterances, import with the number of rows.

    python benchmarks/scaling.py [--curves train,import] [--smallest 1000] [--largest 30000] [--repeats 3] [--json]

Every point is the least of several repeats, each in its own process; the sizes take turns. Reported per curve: the
exponent k of cost = fixed + c * n^k, by least squares on the logarithm, with its standard error; the cost of one more
unit at the largest size; and the ratio to another way of doing the same. Times are processor time of one thread; memory
excludes the libraries. For `mien analyze` by the length of a video see analyze.py.

The data is synthetic: text only, 50 features, lengths as in CMU-MOSEI. The network is small, so that the costs around
the network dominate.
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
import sklearn.metrics  # noqa: F401  (loaded first, so that its time and memory do not count)
from scipy.optimize import curve_fit
from synthetic import lengths_of, make_dataset, make_table

from mien import import_dataset, train  # noqa: F401  (loaded first, as above)
from mien.schema import Modality

STEP = 3
N_COLUMNS = 50
NETWORK = {"gru_size": 20, "dense_size": 10}
WORDS = tuple(f"word{number}" for number in range(2000))
# exponents with a larger standard error are not reported
UNRESOLVED = 0.5
Point = dict[str, float]
Row = dict[str, Any]


def curve(name: str, sizes: list[float], costs: list[float], beside: str = "", ratio: float | None = None) -> Row:
    """Describe the growth of one cost with one size.

    Args:
        name: Name of the curve.
        sizes: Sizes in ascending order.
        costs: Cost at each size.
        beside: Name of the alternative that the ratio compares with.
        ratio: Ratio to the alternative at the largest size.

    Returns:
        Row of the table.
    """
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
    """Compute the cost of one more unit from the two largest sizes.

    Args:
        sizes: Sizes in ascending order.
        costs: Cost at each size.

    Returns:
        Cost per unit.
    """
    return (costs[-1] - costs[-2]) / (sizes[-1] - sizes[-2])


def power(n: np.ndarray, cost: np.ndarray) -> tuple[float, float]:
    """Fit cost = fixed + c * n^k by least squares on the logarithm.

    Args:
        n: Sizes in ascending order, (size,).
        cost: Cost at each size, (size,).

    Returns:
        Exponent k and its standard error; NaN and infinity where no fit is possible.
    """
    if len(n) < 4 or not (cost > 0).all():
        return math.nan, math.inf

    def log_cost(log_n: np.ndarray, log_fixed: float, log_c: float, k: float) -> np.ndarray:
        return np.logaddexp(log_fixed, log_c + k * log_n)

    x, y = np.log(n / n[-1]), np.log(cost / cost[-1])
    # a fixed cost below a thousandth of the largest cost cannot be distinguished from none
    bounds = ((-7.0, -7.0, 0.0), (0.0, 1.0, 4.0))
    start = np.clip((y[0] - math.log(2), math.log(0.9), 1.0), *np.array(bounds))
    try:
        parameters, covariance = curve_fit(log_cost, x, y, p0=start, bounds=bounds)
    except RuntimeError:
        return math.nan, math.inf
    return float(parameters[2]), float(np.sqrt(covariance[2, 2]))


def write_data(folder: str, n: int) -> Point:
    """Write a Dataset whose split valid has a tenth of the videos.

    Args:
        folder: Folder of the Dataset.
        n: Number of utterances.

    Returns:
        ``write_s``: processor seconds.
    """
    lengths = lengths_of(n, np.random.default_rng(n))
    splits = {"train": lengths[len(lengths) // 10 :], "valid": lengths[: len(lengths) // 10]}
    return {"write_s": harness.process_s(partial(make_dataset, Path(folder), splits, {Modality.TEXT: N_COLUMNS}, n))}


def two_epochs(dataset: str) -> Point:
    """Train two epochs; return the time of the second one, and the peak memory without that of the libraries."""
    before_mib = harness.peak_memory_mib()
    first_s, second_s = harness.epoch_ends_s(dataset, {"epochs": 2, **NETWORK})
    return {"epoch_s": second_s - first_s, "memory_mib": harness.peak_memory_mib() - before_mib}


def import_table(path: str) -> Point:
    """Measure `mien import table` of a CSV file, and pandas reading it and writing it as Parquet."""
    before_mib = harness.peak_memory_mib()
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as name:
        import_s = harness.process_s(partial(import_dataset, "table", [Path(path)], Path(name) / "data"))
        memory_mib = harness.peak_memory_mib() - before_mib
        copy = Path(name) / "copy.parquet"
        pandas_s = harness.process_s(lambda: pd.read_csv(path).to_parquet(copy, compression="zstd"))
    return {"import_s": import_s, "pandas_s": pandas_s, "memory_mib": memory_mib}


def least(points: dict[float, Callable[[], Point]], repeats: int) -> dict[str, list[float]]:
    """Measure points in turns and take the least of every cost.

    Args:
        points: Size -> function that returns costs by name.
        repeats: Number of turns.

    Returns:
        Name of a cost -> least value at each size.
    """
    turns = harness.in_turns({str(size): point for size, point in points.items()}, repeats)
    minima = [{name: min(turn[name] for turn in each) for name in each[0]} for each in turns.values()]
    return {name: [each[name] for each in minima] for name in minima[0]}


def training_curves(folder: Path, sizes: list[int], repeats: int) -> list[Row]:
    """Measure time and peak memory of an epoch, and the time to write the Datasets.

    Args:
        folder: Folder for the Datasets.
        sizes: Numbers of utterances.
        repeats: Number of turns.

    Returns:
        One row per curve.
    """
    written = least({n: partial(harness.call, write_data, folder / f"{n}", n) for n in sizes}, 1)["write_s"]
    costs = least({n: partial(harness.call, two_epochs, folder / f"{n}") for n in sizes}, repeats)
    memory_mib = costs["memory_mib"]
    as_numbers = slope(sizes, memory_mib) * 2**20 / (4 * N_COLUMNS)
    return [
        curve("an epoch and its validation, s over utterances", sizes, costs["epoch_s"]),
        curve("memory of training, MiB over utterances", sizes, memory_mib, "features as float32", as_numbers),
        curve("writing a Dataset, s over utterances", sizes, written),
    ]


def import_curves(folder: Path, sizes: list[int], repeats: int) -> list[Row]:
    """Measure time and peak memory of `mien import table` of a CSV file.

    Args:
        folder: Folder for the files.
        sizes: Numbers of rows.
        repeats: Number of turns.

    Returns:
        One row per curve.
    """
    files = {n: folder / f"{n}.csv" for n in sizes}
    for n, path in files.items():
        make_table(path, {"train": lengths_of(n, np.random.default_rng(n))}, WORDS, n_words=20, spread=0)
    costs = least({n: partial(harness.call, import_table, path) for n, path in files.items()}, repeats)
    pandas = costs["import_s"][-1] / costs["pandas_s"][-1]
    return [
        curve("mien import table, s over rows", sizes, costs["import_s"], "pandas.read_csv and to_parquet", pandas),
        curve("memory of mien import table, MiB over rows", sizes, costs["memory_mib"]),
    ]


def grid(smallest: int, largest: int) -> list[int]:
    """Choose sizes in equal steps of the logarithm.

    Args:
        smallest: First size.
        largest: Last size.

    Returns:
        At least four sizes in ascending order, rounded to hundreds.
    """
    n_sizes = max(4, 1 + round(math.log(largest / smallest) / math.log(STEP)))
    return [int(round(float(n), -2)) for n in np.geomspace(smallest, largest, n_sizes)]


def measure(
    curves: str = "train,import", smallest: int = 1000, largest: int = 30_000, repeats: int = 3
) -> harness.Report:
    """Measure the chosen curves.

    Args:
        curves: Comma-separated: train, import.
        smallest: Smallest number of utterances or rows.
        largest: Largest number of utterances or rows.
        repeats: Number of turns.

    Returns:
        One row per curve.
    """
    families = {"train": training_curves, "import": import_curves}
    rows: list[Row] = []
    for family in curves.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows += families[family](Path(folder), grid(smallest, largest), repeats)
    return harness.Report({"columns": N_COLUMNS, "repeats": repeats}, {"curves": rows})


if __name__ == "__main__":
    harness.main(measure)
