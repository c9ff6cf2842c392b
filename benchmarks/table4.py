"""How long the paper's Table 4 takes at the paper's size: two parts are run by `mien benchmark`, the rest is computed.

    python benchmarks/table4.py [--json] [--epochs 15] [--workers 2]

The whole is 7 subsets of the modalities x 3 choices of tasks x 5 seeds x 30 epochs. Run here: all settings with one
seed, once for `--epochs` (15: a tenth of the whole) and once for a fifth of them, with validation after every epoch,
scoring under all protocols, tables and figures. The straight line through both gives what a seed costs at 30 epochs,
and the whole is five of them; what is there once only (tables, figures) is counted five times. Two figures: by the wall
clock, and by the processor seconds of all runs divided by the number of workers, which is what the wall clock comes to
where nothing else runs and no worker waits for the last run.

The Dataset is synthetic: CMU-MOSEI's sizes (2,250, 300 and 675 videos; 300 text, 74 acoustic, 35 visual), random
features and labels.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import machine_facts
from train_epoch import N_FEATURES, mosei_like_lengths

from mien import BenchmarkRequest, Place, benchmark
from mien.schema import FeatureSpace, Utterance, Video
from mien.storage.dataset import Dataset, DatasetFacts, write_dataset

SPLITS = {"train": 2250, "valid": 300, "test": 675}
WHOLE_SEEDS, WHOLE_EPOCHS = 5, 30


def videos_of_all_splits() -> Iterator[Video]:
    """One at a time."""
    rng = np.random.default_rng(0)
    for split, n_videos in SPLITS.items():
        for number, length in enumerate(mosei_like_lengths(n_videos, rng)):
            rows = {m: rng.normal(size=(length, size)).astype(np.float32) for m, size in N_FEATURES.items()}
            utterances = [
                Utterance(
                    index=place,
                    features={m: matrix[place] for m, matrix in rows.items()},
                    sentiment=float(rng.uniform(-3, 3)),
                    emotions=rng.choice([0.0, 1.0], size=6, p=[0.8, 0.2]),
                )
                for place in range(length)
            ]
            yield Video(f"{split}-{number}", utterances, split)


def measure(folder: Path, epochs: int, workers: int) -> dict[str, float]:
    """Seconds of both parts, and minutes of the whole."""
    spaces = {m: FeatureSpace(m, f"synthetic-{m}", size) for m, size in N_FEATURES.items()}
    dataset = write_dataset(folder / "data", videos_of_all_splits(), DatasetFacts("synthetic", spaces))
    fewer = max(1, epochs // 5)
    part, fewer_part = (run_part(dataset, folder, each, workers) for each in (epochs, fewer))
    facts = (
        {"epochs": epochs, "fewer_epochs": fewer}
        | part
        | {f"fewer_{name}": value for name, value in fewer_part.items()}
    )
    for name, at_once in (("wall_s", 1), ("processor_s", workers)):
        per_epoch_s = (part[name] - fewer_part[name]) / (epochs - fewer)
        seed_s = part[name] + (WHOLE_EPOCHS - epochs) * per_epoch_s
        facts[f"whole_minutes_by_{name.removesuffix('_s')}"] = WHOLE_SEEDS * seed_s / at_once / 60
    return facts


def run_part(dataset: Dataset, folder: Path, epochs: int, workers: int) -> dict[str, float]:
    """Seconds by the clock, and of processor time of all runs, for one seed of so many epochs."""
    settings = {"epochs": str(epochs), "patience": "none"}
    started_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    request = BenchmarkRequest(n_seeds=1, place=Place(workers=workers), settings=settings)
    benchmark("table4", dataset, folder / f"table4-{epochs}", request)
    wall_s, after = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall_s, "processor_s": processor_s}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--epochs", type=int, default=15, help="of the larger part, at least 2")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.epochs, arguments.workers)
    if arguments.json:
        print(json.dumps(result | {"machine": machine_facts()}, indent=2))
        return
    for epochs, prefix in ((result["epochs"], ""), (result["fewer_epochs"], "fewer_")):
        wall_s, processor_s = result[f"{prefix}wall_s"], result[f"{prefix}processor_s"]
        print(f"one seed of {epochs} epochs: {wall_s:.0f} s by the clock, {processor_s:.0f} s of processor time")
    print(f"all of table 4 by the wall clock              {result['whole_minutes_by_wall']:8.1f} minutes")
    print(f"all of table 4 by the runs' processor seconds {result['whole_minutes_by_processor']:8.1f} minutes")


if __name__ == "__main__":
    main()
