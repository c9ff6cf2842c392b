"""Features -> predictions: one video in this process, and a corpus of any size through the command.

    python benchmarks/inference.py [--json] [--utterances 40000] [--folder DIR]

One video of ten utterances at the paper's sizes (300 text, 74 acoustic, 35 visual), both tasks, attention, one thread:
median of 300 calls of `mien.load_model(run).predict_video(features)`. Beside it, in turns within the same run: the bare
matrix products of the same arithmetic; three plain `nn.GRU` over the same features, and nothing else; the exported
graph under onnxruntime on one thread. On a busy machine the median of many calls tells of the others' work: of
`--rounds` rounds the one with the lowest median is reported for each, the median processor time of a call likewise, and
the ratios are of processor times.

Corpus: `mien predict` over synthetic Datasets of a tenth and of all of `--utterances`, each in a fresh process on one
thread whose high-water mark of memory is reported, and the processor time beside the wall clock. The Datasets are
generated video by video and removed at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from machine import machine_facts
from torch import nn
from train_epoch import DENSE_SIZE, GRU_SIZE, N_FEATURES, mosei_like_lengths

import mien
from mien.schema import FeatureSpace, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.training.onnx_export import run_graph

N_UTTERANCES = 10
N_CALLS = 300
N_WARM_UP = 20
TRAINING_VIDEOS = 40
SPACES = {m: FeatureSpace(m, f"synthetic-{m}", size) for m, size in N_FEATURES.items()}
PREDICT = """
import json, sys, time
import mien
from mien.commands.train import peak_memory_mib
import torch
torch.set_num_threads(1)
mien.load_model(sys.argv[1])
before = peak_memory_mib()
started_s, started_cpu_s = time.perf_counter(), time.process_time()
done = mien.predict(*sys.argv[1:4])
seconds, processor_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
print(json.dumps({"utterances": done.n_utterances, "videos": done.n_videos, "seconds": seconds,
                  "processor_s": processor_s, "loaded_mib": before, "peak_mib": peak_memory_mib()}))
"""


def synthetic_videos(n_utterances: int, seed: int) -> Iterator[Video]:
    """Videos of CMU-MOSEI-like lengths, random features and labels, one at a time."""
    rng = np.random.default_rng(seed)
    number = 0
    while n_utterances > 0:
        for length in np.minimum(mosei_like_lengths(1000, rng), n_utterances):
            rows = {m: rng.normal(size=(length, size)).astype(np.float32) for m, size in N_FEATURES.items()}
            utterances = [
                Utterance(
                    index=i,
                    features={m: matrix[i] for m, matrix in rows.items()},
                    sentiment=float(rng.integers(-3, 4)),
                    emotions=rng.choice([0.0, 1.0], size=6, p=[0.8, 0.2]),
                )
                for i in range(length)
            ]
            yield Video(f"{seed}-{number}", utterances, "train" if number % 4 else "valid")
            number += 1
            n_utterances -= int(length)
            if n_utterances <= 0:
                return


def make_dataset(folder: Path, n_utterances: int, seed: int) -> Path:
    """Written as it is generated."""
    return write_dataset(folder, synthetic_videos(n_utterances, seed), DatasetFacts(folder.name, SPACES)).folder


def bare_products() -> Callable[[], None]:
    """The matrix products of one forward pass over one video of ten utterances, and nothing else."""
    n, rows = N_UTTERANCES, torch.randn(1, GRU_SIZE)
    states, weights = torch.randn(n, DENSE_SIZE), torch.randn(n, n)
    once = [(torch.randn(n, size), torch.randn(size, 2 * 3 * GRU_SIZE)) for size in N_FEATURES.values()]
    once += [(torch.randn(n, 2 * GRU_SIZE), torch.randn(2 * GRU_SIZE, DENSE_SIZE)) for _ in N_FEATURES]
    once += [(states, states.T), (weights, states)] * 6  # three pairs, both directions
    once += [(torch.randn(n, 9 * DENSE_SIZE), torch.randn(9 * DENSE_SIZE, n_outputs)) for n_outputs in (2, 7)]
    recurrent = [torch.randn(GRU_SIZE, 3 * GRU_SIZE) for _ in range(2 * len(N_FEATURES))]

    def run() -> None:
        for left, right in once:
            left @ right
        for matrix in recurrent:
            for _step in range(n):
                rows @ matrix

    return run


def plain_grus(features: dict[str, np.ndarray]) -> Callable[[], None]:
    """Three bidirectional `nn.GRU`, each over its modality: the recurrences alone."""
    inputs = [torch.from_numpy(features[m]).unsqueeze(0) for m in N_FEATURES]
    grus = [nn.GRU(size, GRU_SIZE, batch_first=True, bidirectional=True).eval() for size in N_FEATURES.values()]

    def run() -> None:
        for gru, rows in zip(grus, inputs, strict=True):
            gru(rows)

    return run


def graph_under_onnxruntime(run: Path, features: dict[str, np.ndarray]) -> Callable[[], None]:
    """The exported file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(mien.export(run).path, options)
    return lambda: run_graph(session, features)


def measure_one_video(run: Path, n_rounds: int) -> dict[str, float]:
    """Milliseconds per call. The calls of the candidates alternate in blocks, so that others' work slows all alike."""
    rng = np.random.default_rng(0)
    features = {m: rng.normal(size=(N_UTTERANCES, size)).astype(np.float32) for m, size in N_FEATURES.items()}
    model = mien.load_model(run)
    candidates = {
        "one_video": lambda: model.predict_video(features),
        "matrix_products": bare_products(),
        "nn_gru": plain_grus(features),
        "onnxruntime": graph_under_onnxruntime(run, features),
    }
    medians: dict[str, list[float]] = {name: [] for name in candidates}
    processor: dict[str, list[float]] = {name: [] for name in candidates}
    with torch.inference_mode():
        for _ in range(n_rounds):
            for name, call in candidates.items():
                for _ in range(N_WARM_UP):
                    call()
                walls, cpus = [], []
                for _ in range(N_CALLS):
                    started_s, started_cpu_s = time.perf_counter(), time.thread_time()
                    call()
                    cpus.append(1e3 * (time.thread_time() - started_cpu_s))
                    walls.append(1e3 * (time.perf_counter() - started_s))
                medians[name].append(float(np.median(walls)))
                processor[name].append(float(np.median(cpus)))
    result = {f"p50_ms_{name}": min(values) for name, values in medians.items()}
    result |= {f"p50_processor_ms_{name}": min(values) for name, values in processor.items()}
    for name in ("matrix_products", "nn_gru", "onnxruntime"):
        result[f"ratio_to_{name}"] = result["p50_processor_ms_one_video"] / result[f"p50_processor_ms_{name}"]
    return result


def measure_corpus(run: Path, dataset: Path) -> dict[str, float]:
    """One fresh process: seconds, utterances per second, memory after loading the model and at most."""
    out = dataset.with_suffix(".parquet")
    words = [sys.executable, "-c", PREDICT, str(run), str(dataset), str(out)]
    done: dict[str, float] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return done | {"utterances_per_s": done["utterances"] / done["seconds"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--utterances", type=int, default=40_000, help="of the larger corpus")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the corpora are made (1.7 GB for a million utterances)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        small = make_dataset(folder / "small", max(arguments.utterances // 10, TRAINING_VIDEOS * 10), seed=1)
        training = make_dataset(folder / "training", TRAINING_VIDEOS * 8, seed=0)
        request = mien.TrainRequest(settings={"epochs": 1, "gru_size": GRU_SIZE, "dense_size": DENSE_SIZE})
        run = mien.train(training, folder / "run", request).folder
        result = measure_one_video(run, arguments.rounds)
        corpora = [measure_corpus(run, small)]
        corpora.append(measure_corpus(run, make_dataset(folder / "large", arguments.utterances, seed=2)))
    report = result | {
        "utterances_per_s": corpora[-1]["utterances_per_s"],
        "peak_memory_ratio": corpora[-1]["peak_mib"] / corpora[0]["peak_mib"],
        "corpora": corpora,
        "machine": machine_facts(),
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    for name in ("one_video", "matrix_products", "nn_gru", "onnxruntime"):
        print(
            f"{name:20s} p50 {result[f'p50_ms_{name}']:7.2f} ms, processor {result[f'p50_processor_ms_{name}']:7.2f} ms"
        )
    for corpus in corpora:
        print(
            f"{corpus['utterances']:>9,} utterances in {corpus['seconds']:.1f} s ({corpus['processor_s']:.1f} s of "
            f"processor time, {corpus['utterances_per_s']:,.0f}/s), {corpus['peak_mib']:.0f} MiB at most"
        )


if __name__ == "__main__":
    main()
