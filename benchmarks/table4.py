"""How long the paper's Table 4 takes at the paper's size: two parts are run by `mien benchmark`, the rest is computed.

    python benchmarks/table4.py [--epochs 15] [--workers 2] [--json]

The whole is 7 subsets of the modalities x 3 choices of tasks x 5 seeds x 30 epochs. Run here: all settings with one
seed, once for `--epochs` (15: a tenth of the whole) and once for a fifth of them, with validation after every epoch,
scoring under all protocols, tables and figures. The straight line through both gives what a seed costs at 30 epochs,
and the whole is five of them; what is there once only (tables, figures) is counted five times. Two figures: by the wall
clock, and by processor seconds divided by the number of workers, which is what the wall clock comes to where nothing
else runs and no worker waits for the last run.

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
    """Both parts, and the whole from them."""
    rng = np.random.default_rng(0)
    parts = {}
    with tempfile.TemporaryDirectory() as folder:
        splits = {split: mosei_like_lengths(n, rng) for split, n in SPLITS.items()}
        dataset = make_dataset(Path(folder) / "data", splits)
        for n in (epochs, max(1, epochs // 5)):
            words = ("--seeds", 1, "--workers", workers, "--set", f"epochs={n}", "--set", "patience=none")
            parts[n] = harness.mien("benchmark", "table4", dataset, "--out", f"{folder}/{n}", *words)
    (_, part), (fewer, fewer_part) = parts.items()
    minutes = {}
    for name, at_once in (("wall_s", 1), ("process_s", workers)):
        per_epoch_s = (part[name] - fewer_part[name]) / (epochs - fewer)
        seed_s = part[name] + (WHOLE_EPOCHS - epochs) * per_epoch_s
        minutes[f"whole_minutes_by_{name}"] = WHOLE_SEEDS * seed_s / at_once / 60
    rows = [{"epochs of one seed": n} | part for n, part in parts.items()]
    return harness.Report({"workers": workers, **minutes}, {"the parts": rows})


if __name__ == "__main__":
    harness.main(measure)
