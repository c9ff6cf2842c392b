"""CPU seconds of `cim-tuned` per 1,000 utterances, forward and backward: length-sorted against padded encoding.

    python benchmarks/tuned_epoch.py [--json] [--videos 60] [--repeats 3] [--threads 1]

(a) as trained: batches of whole videos of similar length and a budget of tokens, in them the utterances encoded in
    chunks of like length;
(b) the same batches, each encoded in one piece, padded to its longest utterance;
(c) batches of 16 videos in random order, each encoded in one piece: as it was first tried.

The set is synthetic: random words, lengths of videos and utterances drawn like CMU-MOSEI's (utterances: median 24 word
pieces, longest 256). Only ratios mean anything; absolute seconds are this machine's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import machine_facts
from torch import nn
from train_epoch import mosei_like_lengths

from mien.features.text.transcript import as_transcripts
from mien.models import build_model, model_entry
from mien.models import cim_tuned as token_encoder
from mien.models.batch import Reads
from mien.schema import Modality
from mien.settings import override
from mien.storage.split_columns import SplitColumns
from mien.tasks import EMOTION, SENTIMENT
from mien.training.batching import Budget, VideoSet, bucketed_batches, collate, fit_scaling, to_video_set
from mien.training.loop import make_optimizer
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.settings import TrainSettings

TASKS = (SENTIMENT, EMOTION)
TEXT = Modality.TEXT
ENTRY = model_entry("cim-tuned")
SETTINGS = override(TrainSettings(), ENTRY.training)
# one word piece each
WORDS = ("the", "film", "was", "good", "bad", "and", "people", "say", "it", "never", "really", "works")
NO_LIMIT = 10**9


def synthetic_videos(lengths: np.ndarray, rng: np.random.Generator) -> VideoSet:
    """Random talk and labels for videos of the given lengths."""
    n = int(lengths.sum())
    n_words = np.clip(np.round(rng.lognormal(np.log(22), 0.7, size=n)), 1, 254).astype(int)
    columns = SplitColumns(
        video_ids=[str(number) for number in range(len(lengths))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        index=np.arange(n),
        features={},
        present={},
        sentiment=rng.uniform(-3, 3, size=n),
        emotions=rng.choice([0.0, 1.0], size=(n, 6), p=[0.8, 0.2]),
        transcripts=[" ".join(rng.choice(WORDS, size=count)) for count in n_words],
    )
    columns = as_transcripts(columns)
    return to_video_set(columns, fit_scaling(columns, [TEXT]), Reads.TRANSCRIPTS, TASKS)


def train_batches(network: nn.Module, videos: VideoSet, batches: list[list[int]]) -> float:
    """CPU seconds of forward, backward and step over the batches, by mien's own loop body."""
    optimizer = make_optimizer(network, SETTINGS)
    weighting = TaskWeighting(TASKS, SETTINGS)
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


def in_one_piece(run: Callable[[], float]) -> float:
    """Call `run` while the encoder takes any number of utterances at once, padded to the longest."""
    own = token_encoder.chunks_of_like_length

    def whole(lengths: list[int]) -> list[slice]:
        return [slice(0, len(lengths))]

    token_encoder.chunks_of_like_length = whole
    try:
        return run()
    finally:
        token_encoder.chunks_of_like_length = own


def padded_share(videos: VideoSet, batches: list[list[int]], *, whole: bool) -> float:
    """Share of the encoded places that are padding."""
    assert videos.tokens is not None
    places = 0
    most = ENTRY.settings.max_tokens
    for numbers in batches:
        batch, _ = collate(videos, numbers)
        lengths = sorted(batch.tokens.lengths.clamp(max=most).tolist(), reverse=True)
        chunks = [slice(0, len(lengths))] if whole else token_encoder.chunks_of_like_length(lengths)
        places += sum(lengths[chunk.start] * (chunk.stop - chunk.start) for chunk in chunks)
    real = int(videos.tokens.offsets.diff().clamp(max=most).sum())
    return 1 - real / places


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tuning", default="adapters", help="adapters, full or frozen")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    lengths = mosei_like_lengths(arguments.videos, rng)
    lengths[0] = lengths[1:].max()  # one video of 98 would be a fifth of so small a set
    videos = synthetic_videos(lengths, rng)
    n = int(lengths.sum())
    budget = Budget(videos.n_tokens, SETTINGS.batch_tokens)
    sorted_batches = bucketed_batches(lengths, SETTINGS.batch_videos, rng, budget)
    shuffled = rng.permutation(len(lengths)).tolist()
    random_batches = [shuffled[start : start + 16] for start in range(0, len(shuffled), 16)]
    settings = dataclasses.replace(ENTRY.settings, tuning=arguments.tuning)

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return build_model("cim-tuned", {TEXT: 0}, TASKS, settings)

    train_batches(fresh(), videos, sorted_batches[:2])  # warm up
    ways: dict[str, list[float]] = {"sorted": [], "padded": [], "random": []}
    for _ in range(arguments.repeats):  # in turn, so that a busy machine slows all
        ways["sorted"].append(train_batches(fresh(), videos, sorted_batches))
        ways["padded"].append(in_one_piece(lambda: train_batches(fresh(), videos, sorted_batches)))
        ways["random"].append(in_one_piece(lambda: train_batches(fresh(), videos, random_batches)))
    least = {name: min(times) / n * 1000 for name, times in ways.items()}
    result = {
        "videos": len(lengths),
        "utterances": n,
        "tokens": int(videos.n_tokens.sum()),
        "threads": arguments.threads,
        "tuning": arguments.tuning,
        "seconds_per_1000_utterances": least,
        "padding": {
            "sorted": padded_share(videos, sorted_batches, whole=False),
            "padded": padded_share(videos, sorted_batches, whole=True),
            "random": padded_share(videos, random_batches, whole=True),
        },
        "speedup_over_padded": least["padded"] / least["sorted"],
        "speedup_over_random": least["random"] / least["sorted"],
        "machine": machine_facts(),
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{len(lengths)} videos, {n:,} utterances, {result['tokens']:,} word pieces, tuning {arguments.tuning}")
    for name, seconds in least.items():
        print(f"{name:8} {seconds:8.2f} s per 1,000 utterances, {100 * result['padding'][name]:5.1f} % padding")
    print(f"speed-up over padded batches          {result['speedup_over_padded']:6.2f}")
    print(f"speed-up over random, padded batches  {result['speedup_over_random']:6.2f}")


if __name__ == "__main__":
    main()
