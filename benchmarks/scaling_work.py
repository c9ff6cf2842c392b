"""One measured point of a scaling curve, in a process of its own: its memory is then that of this work alone.

    python benchmarks/scaling_work.py train 10000 DATASET small
    python benchmarks/scaling_work.py import 10000 FILE.csv

Prints one JSON object. Times are processor time of all threads, so that other processes count little.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn.metrics  # noqa: F401  (imported by what is measured; a second that must not count as an epoch's)

from mien.commands.import_ import import_dataset
from mien.commands.train import TrainRequest, peak_memory_mib, train
from mien.schema import EMOTIONS, FeatureSpace, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset

VALID_SHARE = 0.1
LONGEST = 98


@dataclass(frozen=True)
class Size:
    """Feature columns per modality and settings of the network."""

    n_features: dict[Modality, int]
    settings: dict[str, int]


SIZES = {
    # text alone and a small network: how the machinery around the arithmetic grows
    "small": Size({Modality.TEXT: 50}, {"gru_size": 20, "dense_size": 10}),
    "paper": Size({Modality.TEXT: 300, Modality.ACOUSTIC: 74, Modality.VISUAL: 35}, {}),
}


def mosei_like_lengths(n_utterances: int, rng: np.random.Generator) -> list[int]:
    """Utterances per video, distributed like CMU-MOSEI's (median 5, longest 98), until there are `n_utterances`."""
    lengths: list[int] = []
    left = n_utterances
    while left > 0:
        length = int(np.clip(round(rng.lognormal(np.log(5.2), 0.85)), 1, min(LONGEST, left)))
        lengths.append(length)
        left -= length
    return lengths


def make_dataset(folder: Path, n_utterances: int, size: Size) -> dict[str, Any]:
    """Write a Dataset of random features and labels, video by video; a tenth of the videos is `valid`."""
    rng = np.random.default_rng(n_utterances)
    lengths = mosei_like_lengths(n_utterances, rng)
    every = round(1 / VALID_SHARE)

    def videos() -> Iterator[Video]:
        for number, length in enumerate(lengths):
            features = {
                m: rng.normal(size=(length, columns)).astype(np.float32) for m, columns in size.n_features.items()
            }
            sentiment, emotions = rng.uniform(-3, 3, length), rng.choice([0.0, 1.0], (length, 6), p=[0.8, 0.2])
            utterances = [
                Utterance(
                    index=row,
                    features={m: matrix[row] for m, matrix in features.items()},
                    sentiment=float(sentiment[row]),
                    emotions=emotions[row],
                )
                for row in range(length)
            ]
            yield Video(f"v{number:07d}", utterances, "valid" if number % every == 0 else "train")

    spaces = {m: FeatureSpace(m, f"random-{m}", columns) for m, columns in size.n_features.items()}
    before_mib = peak_memory_mib()
    started_s = time.process_time()
    write_dataset(folder, videos(), DatasetFacts("scaling", spaces, licence_note="random numbers"))
    return {"write_s": time.process_time() - started_s, "memory_mib": peak_memory_mib() - before_mib}


def make_csv(path: Path, n_rows: int) -> dict[str, Any]:
    """Write a table as `mien import table` reads it: ids, times, texts and labels of `n_rows` utterances."""
    rng = np.random.default_rng(n_rows)
    lengths = mosei_like_lengths(n_rows, rng)
    words = np.array([f"word{number}" for number in range(2000)])
    with path.open("w", encoding="utf-8") as sink:
        sink.write("video_id,index,start,end,text,split,sentiment," + ",".join(EMOTIONS) + "\n")
        for number, length in enumerate(lengths):
            split = "train" if number % 10 else "valid"
            for index in range(length):
                text = " ".join(words[rng.integers(len(words), size=20)])
                sentiment, emotions = rng.uniform(-3, 3), rng.integers(2, size=6)
                labels = ",".join(map(str, emotions))
                sink.write(
                    f"v{number},{index},{index * 5.0},{index * 5.0 + 4},{text},{split},{sentiment:.3f},{labels}\n"
                )
    return {}


def measure_train(dataset: Path, size: Size) -> dict[str, Any]:
    """Two epochs of `mien train`: the second one's time, the whole command's, and its peak above the libraries'."""
    marks_s: list[float] = []
    before_mib = peak_memory_mib()
    started_s = time.process_time()
    with tempfile.TemporaryDirectory(dir=dataset.parent) as name:
        request = TrainRequest(settings={"epochs": 2, "keep_epochs": "false", **size.settings})
        train(dataset, Path(name) / "run", request, report=lambda _record: marks_s.append(time.process_time()))
    return {
        "epoch_s": marks_s[1] - marks_s[0],
        "command_s": time.process_time() - started_s,
        "memory_mib": peak_memory_mib() - before_mib,
        "libraries_mib": before_mib,
    }


def measure_import(path: Path) -> dict[str, Any]:
    """`mien import table` of a CSV file, and pandas reading it and writing it as Parquet."""
    before_mib = peak_memory_mib()
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        import_s = _seconds(lambda: import_dataset("table", [path], Path(name) / "data"))
        memory_mib = peak_memory_mib() - before_mib
        copy = Path(name) / "copy.parquet"
        pandas_s = _seconds(lambda: pd.read_csv(path).to_parquet(copy, compression="zstd"))
    return {"import_s": import_s, "pandas_s": pandas_s, "memory_mib": memory_mib}


def _seconds(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def main() -> None:
    """Do the named work."""
    kind, number, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if kind == "make-dataset":
        result = make_dataset(path, number, SIZES[sys.argv[4]])
    elif kind == "make-csv":
        result = make_csv(path, number)
    elif kind == "train":
        result = measure_train(path, SIZES[sys.argv[4]])
    else:
        result = measure_import(path)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
