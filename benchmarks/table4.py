"""How long the paper's Table 4 takes at the paper's size: a part is run by `mien benchmark` and scaled.

    python benchmarks/table4.py [--json] [--epochs 15] [--seeds 1] [--workers 2] [--folder DIR]

The whole is 7 subsets of the modalities x 3 choices of tasks x 5 seeds x 30 epochs. Run here: one seed of half as many
epochs, that is a tenth, with validation after every epoch, scoring under all protocols, tables and figures. Two
figures: the wall clock times the factor, and the processor seconds of all runs times the factor, divided by the number
of workers, which is what the wall clock comes to where nothing else runs. Both scale the fixed cost of a run (start,
reading the Dataset, scoring) as if it grew with the epochs, so that they are upper bounds.

The Dataset is synthetic: CMU-MOSEI's sizes (2,250, 300 and 675 videos; 300 text, 74 acoustic, 35 visual), random
features and labels. With `--folder` it goes on where an interrupted one ended, and its times are then of the rest only.
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
from mien.tables import DatasetFacts, write_dataset

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


def measure(folder: Path, epochs: int, seeds: int, workers: int) -> dict[str, float]:
    """Seconds of the part, and of the whole as scaled."""
    spaces = {m: FeatureSpace(m, f"synthetic-{m}", size) for m, size in N_FEATURES.items()}
    dataset = write_dataset(folder / "data", videos_of_all_splits(), DatasetFacts("synthetic", spaces))
    settings = {"epochs": str(epochs), "patience": "none"}
    started_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    request = BenchmarkRequest(n_seeds=seeds, place=Place(workers=workers), settings=settings)
    benchmark("table4", dataset, folder / "table4", request)
    wall_s, after = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    factor = WHOLE_SEEDS * WHOLE_EPOCHS / (seeds * epochs)
    return {
        "part_of_the_whole": 1 / factor,
        "wall_s": wall_s,
        "processor_s": processor_s,
        "whole_minutes_by_wall": wall_s * factor / 60,
        "whole_minutes_by_processor": processor_s * factor / workers / 60,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the Dataset and the runs here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        result = measure(folder, arguments.epochs, arguments.seeds, arguments.workers)
    if arguments.json:
        print(json.dumps(result | {"machine": machine_facts()}, indent=2))
        return
    print(f"run: {result['part_of_the_whole']:.3f} of the whole, {result['wall_s']:.0f} s by the wall clock")
    print(f"all of table 4 by the wall clock              {result['whole_minutes_by_wall']:8.1f} minutes")
    print(f"all of table 4 by the runs' processor seconds {result['whole_minutes_by_processor']:8.1f} minutes")


if __name__ == "__main__":
    main()
