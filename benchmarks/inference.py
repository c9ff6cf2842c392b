"""Speed of prediction from features: one video in this process, and corpora in processes of their own.

    python benchmarks/inference.py [--utterances 40000] [--repeats 5] [--folder DIR] [--json]

One video of ten utterances at the paper's sizes (300 text, 74 acoustic, 35 visual), both tasks, attention, one thread:
`mien.load_model(run).predict_video(features)` is compared with only the matrix products of the network, with three
plain `nn.GRU` over the same features, and with the exported graph under onnxruntime. A turn is the median of 300 calls;
the turn with the lowest median counts, and ratios are of processor times.

Corpus: `mien.predict` over synthetic Datasets of a tenth and of all of `--utterances`, each in a fresh process with one
thread. The Datasets are written video by video and removed at the end (1.7 GB for a million utterances).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from synthetic import N_FEATURES, lengths_of, make_dataset
from train_epoch import DENSE_SIZE, GRU_SIZE, SIZES, Plain

import mien

N_UTTERANCES = 10
N_CALLS, N_WARM_UP = 300, 20
TRAINING_VIDEOS = 40
Features = Mapping[str, np.ndarray]


def bare_products() -> Callable[[], None]:
    """Return a function that computes only the matrix products of one forward pass over ten utterances."""
    n, row = N_UTTERANCES, torch.randn(1, GRU_SIZE)
    states, weights = torch.randn(n, DENSE_SIZE), torch.randn(n, n)
    once = [(torch.randn(n, size), torch.randn(size, 2 * 3 * GRU_SIZE)) for size in SIZES]
    once += [(torch.randn(n, 2 * GRU_SIZE), torch.randn(2 * GRU_SIZE, DENSE_SIZE)) for _ in SIZES]
    once += [(states, states.T), (weights, states)] * 6  # three pairs, both directions
    once += [(torch.randn(n, 9 * DENSE_SIZE), torch.randn(9 * DENSE_SIZE, n_outputs)) for n_outputs in (2, 7)]
    recurrent = [torch.randn(GRU_SIZE, 3 * GRU_SIZE) for _ in range(2 * len(SIZES))]

    def run() -> None:
        for left, right in once:
            left @ right
        for matrix in recurrent:
            for _step in range(n):
                row @ matrix

    return run


def plain_grus(features: Features) -> Callable[[], object]:
    """Return a function that runs three bidirectional `nn.GRU`, each over its modality."""
    inputs = [torch.from_numpy(rows).unsqueeze(0) for rows in features.values()]
    grus = Plain().eval().grus
    return lambda: [gru(rows) for gru, rows in zip(grus, inputs, strict=True)]


def exported_graph(run: Path, features: Features) -> Callable[[], object]:
    """Return a function that runs the exported graph under onnxruntime on one thread.

    Args:
        run: Folder of a finished run, to export.
        features: Modality -> features (utterance, feature).

    Returns:
        Function without parameters.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(mien.export(run).path, options)
    present = np.ones(N_UTTERANCES, dtype=bool)
    return partial(session.run, None, {**features, **{f"{name}_present": present for name in features}})


def median_ms(work: Callable[[], object]) -> tuple[float, float]:
    """Measure the median of many calls after a warm-up: wall and processor time in milliseconds."""
    durations_s = []
    with torch.inference_mode():
        for _ in range(N_WARM_UP + N_CALLS):
            started = time.perf_counter(), time.thread_time()
            work()
            durations_s.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
    wall_s, processor_s = np.median(durations_s[N_WARM_UP:], axis=0)
    return 1e3 * wall_s, 1e3 * processor_s


def one_video(run: Path, repeats: int) -> harness.Report:
    """Measure the prediction of one video and its references.

    Args:
        run: Folder of a finished run.
        repeats: Number of turns.

    Returns:
        Times and their ratios.
    """
    rng = np.random.default_rng(0)
    features = {m: rng.normal(size=(N_UTTERANCES, size)).astype(np.float32) for m, size in N_FEATURES.items()}
    ways: dict[str, Callable[[], object]] = {
        "one_video": partial(mien.load_model(run).predict_video, features),
        "matrix_products": bare_products(),
        "nn_gru": plain_grus(features),
        "onnxruntime": exported_graph(run, features),
    }
    times = harness.in_turns({name: partial(median_ms, work) for name, work in ways.items()}, repeats)
    least = {name: np.min(turns, axis=0).tolist() for name, turns in times.items()}
    rows = [{"way": name, "ms": wall, "processor ms": processor} for name, (wall, processor) in least.items()]
    ratios = {f"ratio_to_{name}": least["one_video"][1] / least[name][1] for name in list(ways)[1:]}
    return harness.Report(tables={"one video of ten utterances": rows}, ratios=ratios)


def corpus(run: str, dataset: str) -> dict[str, Any]:
    """Measure `mien.predict` in this process, with all libraries loaded beforehand.

    Args:
        run: Folder of a finished run.
        dataset: Folder of the Dataset to predict.

    Returns:
        Number of utterances, seconds and peak memory.
    """
    torch.set_num_threads(1)
    mien.load_model(run)
    loaded_mib = harness.peak_memory_mib()
    started_s, started_processor_s = time.perf_counter(), time.process_time()
    done = mien.predict(run, dataset, f"{dataset}.parquet")
    seconds = time.perf_counter() - started_s
    return {
        "utterances": done.n_utterances,
        "s": seconds,
        "processor s": time.process_time() - started_processor_s,
        "utterances per s": done.n_utterances / seconds,
        "loaded MiB": loaded_mib,
        "peak MiB": harness.peak_memory_mib(),
    }


def measure(utterances: int = 40_000, repeats: int = 5, folder: Path | None = None) -> harness.Report:
    """Measure one video, then two corpora.

    Args:
        utterances: Size of the larger corpus; the smaller one is a tenth of it.
        repeats: Turns for one video.
        folder: Folder for the Datasets, which are removed at the end; None takes the system's temporary folder.

    Returns:
        Times, ratios and peak memory.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        splits = {"train": np.full(TRAINING_VIDEOS, 7), "valid": np.full(TRAINING_VIDEOS, 7)}
        training = make_dataset(scratch / "training", splits)
        run = mien.train(training, scratch / "run", mien.TrainRequest(settings={"epochs": 1})).folder
        report = one_video(run, repeats)
        corpora = []
        for number in (max(utterances // 10, 100), utterances):
            dataset = make_dataset(scratch / f"{number}", {"test": lengths_of(number, rng)})
            corpora.append(harness.call(corpus, run, dataset))
    report.tables["corpora"] = corpora
    report.ratios["peak_memory_ratio"] = corpora[1]["peak MiB"] / corpora[0]["peak MiB"]
    return report


if __name__ == "__main__":
    harness.main(measure)
