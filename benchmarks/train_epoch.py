"""One training epoch at the paper's size, against three references measured in the same run.

    python benchmarks/train_epoch.py [--json] [--videos 2250] [--padded-batches 8] [--repeats 5]

(a) the same network with three `nn.GRU` and torch's own dropout, on the same batches of videos of similar length,
(b) the same on every video padded to 98 utterances, as the released script trains it, and
(c) the bare matrix products that the network's arithmetic consists of, of the very shapes of the bucketed epoch.

The set is synthetic: random features of the paper's sizes (300 text, 35 visual, 74 acoustic) and lengths drawn like
CMU-MOSEI's (2,250 videos, about 17,000 utterances, longest 98). Only ratios mean anything; absolute seconds are this
machine's. Seconds are processor time of this process on one thread, so that other work on the machine disturbs less.
Timing (b) for a whole epoch would take long: some batches are timed and scaled, which is said in the output.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from machine import machine_facts
from torch import Tensor, nn

from mien.models import build_model
from mien.schema import Modality
from mien.storage.split_columns import SplitColumns
from mien.tasks import EMOTION, SENTIMENT
from mien.training.batching import VideoSet, bucketed_batches, collate, fit_scaling, to_video_set
from mien.training.loop import make_optimizer
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.settings import TrainSettings

N_FEATURES = {Modality.TEXT: 300, Modality.ACOUSTIC: 74, Modality.VISUAL: 35}
TASKS = (SENTIMENT, EMOTION)
LONGEST = 98
GRU_SIZE, DENSE_SIZE = 200, 100
BACKWARD_COST = 2  # the backward pass of a product is two products of the same size


def mosei_like_lengths(n_videos: int, rng: np.random.Generator) -> np.ndarray:
    """Lengths with median 5, mean about 7.5 and a longest of 98, as in CMU-MOSEI's train fold."""
    lengths = np.clip(np.round(rng.lognormal(np.log(5.2), 0.85, size=n_videos)), 1, LONGEST).astype(int)
    lengths[0] = LONGEST
    return lengths


def synthetic_videos(lengths: np.ndarray, rng: np.random.Generator) -> VideoSet:
    """Random features and labels for videos of the given lengths."""
    n = int(lengths.sum())
    columns = SplitColumns(
        video_ids=[str(number) for number in range(len(lengths))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        index=np.arange(n),
        features={m: rng.normal(size=(n, size)).astype(np.float32) for m, size in N_FEATURES.items()},
        present={m: np.ones(n, dtype=bool) for m in N_FEATURES},
        sentiment=rng.uniform(-3, 3, size=n),
        emotions=rng.choice([0.0, 1.0], size=(n, 6), p=[0.8, 0.2]),
    )
    return to_video_set(columns, fit_scaling(columns, list(N_FEATURES)), tasks=TASKS)


def train_batches(network: nn.Module, videos: VideoSet, batches: list[list[int]]) -> float:
    """Seconds of forward, backward and step over the batches, by mien's own loop body."""
    settings = TrainSettings()
    weighting = TaskWeighting(TASKS, settings)
    optimizer = make_optimizer(network, settings)
    network.train()
    started_s = time.process_time()
    for numbers in batches:
        batch, rows = collate(videos, numbers)
        targets = videos.targets.at(rows)
        loss = weighting.total(loss_sums(network(batch), batch, targets), scored_counts(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - started_s


class Plain(nn.Module):
    """The network as one writes it with torch's own parts: three GRUs, three pairs, dropout.

    With lengths the recurrences step over the padding; without, they and the attention run over every slot, as the
    released script's arithmetic does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grus = nn.ModuleDict(
            {m: nn.GRU(size, GRU_SIZE, batch_first=True, bidirectional=True) for m, size in N_FEATURES.items()}
        )
        self.dense = nn.ModuleDict({m: nn.Linear(2 * GRU_SIZE, DENSE_SIZE) for m in N_FEATURES})
        self.heads = nn.ModuleList([nn.Linear(9 * DENSE_SIZE, 2), nn.Linear(9 * DENSE_SIZE, 7)])

    def forward(
        self, features: dict[Modality, Tensor], lengths: Tensor | None = None, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (video, utterance, 2) and (video, utterance, 7)."""
        drop = nn.functional.dropout
        states = {}
        for m, rows in features.items():
            out = self._recur(self.grus[m], drop(rows, 0.3), lengths)
            states[m] = drop(torch.relu(self.dense[m](drop(out, 0.3))), 0.3)
            if real is not None:
                states[m] = states[m] * real.unsqueeze(-1)
        blocks = []
        for x, y in combinations(states.values(), 2):
            blocks += [_gate(x, y, real), _gate(y, x, real)]
        shared = torch.cat([*blocks, *states.values()], dim=-1)
        return self.heads[0](shared), self.heads[1](shared)

    def _recur(self, gru: nn.GRU, rows: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None or bool((lengths == rows.shape[1]).all()):
            return gru(rows)[0]
        packed = nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(gru(packed)[0], batch_first=True)[0]


def _gate(x: Tensor, y: Tensor, real: Tensor | None) -> Tensor:
    scores = x @ y.mT
    if real is not None:
        scores = scores.masked_fill(~real.unsqueeze(1), torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ y) * x


def train_plain(videos: VideoSet, batches: list[list[int]], padded: bool) -> float:
    """Seconds of forward, backward and step over the batches, padded to 98 or to the longest video of each batch."""
    network = Plain()
    optimizer = make_optimizer(network, TrainSettings())
    started_s = time.process_time()
    for numbers in batches:
        batch, rows = collate(videos, numbers)
        targets = videos.targets.at(rows)
        if padded:
            extra = LONGEST - batch.real.shape[1]
            features = {m: nn.functional.pad(matrix, (0, 0, 0, extra)) for m, matrix in batch.features.items()}
            real = nn.functional.pad(batch.real, (0, extra))
            sentiment, emotion = network(features)
        else:
            real = batch.real
            sentiment, emotion = network(dict(batch.features), batch.lengths, real)
        loss = nn.functional.cross_entropy(sentiment[real], targets.sentiment)
        loss = loss + nn.functional.binary_cross_entropy_with_logits(emotion[real], targets.emotions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - started_s


def bare_products(lengths: np.ndarray, batches: list[list[int]]) -> float:
    """Seconds of the matrix products alone, with no padding: forward plus twice that for the backward pass.

    Per batch: every input projection and dense layer as one product over the real utterances, every recurrent step as
    one product over the videos still running, every attention as its four products per pair and video length.
    """
    seconds = 0.0
    for numbers in batches:
        for shapes in product_shapes(np.sort(lengths[numbers])[::-1]):
            left, right = (torch.randn(shape) for shape in shapes)
            started_s = time.process_time()
            left @ right
            seconds += time.process_time() - started_s
    return seconds * (1 + BACKWARD_COST)


def product_shapes(lengths: np.ndarray) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of the products of one batch whose lengths are in falling order."""
    n = int(lengths.sum())
    running = [int((lengths > step).sum()) for step in range(int(lengths[0]))]
    for size in N_FEATURES.values():
        yield (n, size), (size, 2 * 3 * GRU_SIZE)
        for videos in running:
            for _direction in range(2):
                yield (videos, GRU_SIZE), (GRU_SIZE, 3 * GRU_SIZE)
        yield (n, 2 * GRU_SIZE), (2 * GRU_SIZE, DENSE_SIZE)
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        u, v = int(length), int(count)
        for _pair in range(3):
            for _direction in range(2):
                yield (v, u, DENSE_SIZE), (v, DENSE_SIZE, u)
                yield (v, u, u), (v, u, DENSE_SIZE)
    yield (n, 9 * DENSE_SIZE), (9 * DENSE_SIZE, 2 + 7)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--videos", type=int, default=2250)
    parser.add_argument("--padded-batches", type=int, default=8, help="batches of (b) that are timed, then scaled")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lengths = mosei_like_lengths(arguments.videos, rng)
    videos = synthetic_videos(lengths, rng)
    batches = bucketed_batches(lengths, TrainSettings().batch_videos, rng)
    train_batches(build_model("cim", N_FEATURES, TASKS), videos, batches[:5])  # warm up
    # Padded, every batch costs the same, so a few tell the epoch.
    few = [list(range(start, start + 16)) for start in range(0, 16 * arguments.padded_batches, 16)]
    epochs_s, plain_epochs_s, padded_batches_s, all_products_s = [], [], [], []
    for _ in range(arguments.repeats):  # in turn, so that a busy machine slows all four
        epochs_s.append(train_batches(build_model("cim", N_FEATURES, TASKS), videos, batches))
        plain_epochs_s.append(train_plain(videos, batches, padded=False))
        padded_batches_s.append(train_plain(videos, few, padded=True))
        all_products_s.append(bare_products(lengths, batches))
    # The least of several measurements: noise only ever adds.
    epoch_s, plain_s, products_s = min(epochs_s), min(plain_epochs_s), min(all_products_s)
    padded_s = min(padded_batches_s) / len(few) * len(batches)
    result = {
        "videos": len(lengths),
        "utterances": int(lengths.sum()),
        "batches": len(batches),
        "epoch_s": epoch_s,
        "nn_gru_epoch_s": plain_s,
        "padded_epoch_s": padded_s,
        "padded_batches_timed": len(few),
        "matrix_products_s": products_s,
        "speedup_over_nn_gru": plain_s / epoch_s,
        "speedup_over_padded": padded_s / epoch_s,
        "ratio_to_matrix_products": epoch_s / products_s,
        "machine": machine_facts(),
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{len(lengths):,} videos, {lengths.sum():,} utterances, {len(batches)} batches of 16, one thread")
    scaled, ratio = f"scaled from {len(few)} batches", result["ratio_to_matrix_products"]
    print(f"one epoch                      {epoch_s:8.2f} s")
    print(f"three nn.GRU, same batches     {plain_s:8.2f} s  ({result['speedup_over_nn_gru']:.2f} times)")
    print(f"padded to 98 as released       {padded_s:8.2f} s  ({result['speedup_over_padded']:.1f} times; {scaled})")
    print(f"bare matrix products           {products_s:8.2f} s  (the epoch takes {ratio:.2f} times as long)")


if __name__ == "__main__":
    main()
