"""Duration of the paper's Table 4 at the paper's size: two parts are run by `mien benchmark`, the rest is extrapolated.

    python benchmarks/table4.py [--epochs 15] [--workers 2] [--json]

The full table is 7 subsets of the modalities x 3 choices of tasks x 5 seeds x 30 epochs. This script runs all settings
with one seed, once for `--epochs` (15: a tenth of the total) and once for a fifth of them, with validation after every
epoch, scoring under all protocols, tables and figures. A straight line through both gives the cost of a seed at 30
epochs, and five times that is the total; work done only once (tables, figures) is thereby counted five times. Two
results: wall time, and processor seconds divided by the number of workers, which is the wall time on an idle machine
whose workers never wait for the last run.

The Dataset is synthetic: CMU-MOSEI's sizes (2,250, 300 and 675 videos; 300 text, 74 acoustic, 35 visual), random
features and labels.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import harness
import numpy as np
from synthetic import make_dataset, mosei_like_lengths

SPLITS = {"train": 2250, "valid": 300, "test": 675}
WHOLE_SEEDS, WHOLE_EPOCHS = 5, 30


def measure(epochs: int = 15, workers: int = 2) -> harness.Report:
    """Measure both parts and extrapolate to the full table.

    Args:
        epochs: Epochs of the longer part.
        workers: Runs at a time.

    Returns:
        Costs of both parts, and the duration of the full table in minutes.
    """
    rng = np.random.default_rng(0)
    parts = {}
    with tempfile.TemporaryDirectory() as folder:
        splits = {split: mosei_like_lengths(n, rng) for split, n in SPLITS.items()}
        dataset = make_dataset(Path(folder) / "data", splits)
        for n in (epochs, max(1, epochs // 5)):
            words = ("--seeds", 1, "--workers", workers, "--set", f"epochs={n}", "--set", "patience=none")
            parts[n] = harness.mien("benchmark", "table4", dataset, "--out", f"{folder}/{n}", *words)
    (_, longer), (fewer, shorter) = parts.items()
    minutes = {}
    for name, at_once in (("wall_s", 1), ("process_s", workers)):
        per_epoch_s = (longer[name] - shorter[name]) / (epochs - fewer)
        seed_s = longer[name] + (WHOLE_EPOCHS - epochs) * per_epoch_s
        minutes[f"whole_minutes_by_{name}"] = WHOLE_SEEDS * seed_s / at_once / 60
    rows = [{"epochs of one seed": n} | longer for n, longer in parts.items()]
    return harness.Report({"workers": workers, **minutes}, {"the parts": rows})


if __name__ == "__main__":
    harness.main(measure)
