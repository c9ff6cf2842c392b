"""Processor seconds of `cim-tuned` per 1,000 training utterances: length-sorted against padded encoding.

    python benchmarks/tuned_epoch.py [--videos 60] [--repeats 3] [--threads 1] [--tuning adapters] [--json]

sorted: as in training: batches of whole videos of similar length, utterances encoded in chunks of similar length;
padded: the same batches, each encoded at once and padded to its longest utterance;
random: batches of 16 videos in random order, each encoded at once.

The data set is synthetic: random words, and lengths of videos and utterances distributed as in CMU-MOSEI (utterances:
median 24 word pieces, longest 256). An epoch is one of `mien.train`, with the validation of three videos.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import harness
import numpy as np
import torch
from synthetic import make_table, mosei_like_lengths

import mien
from mien.models import cim_tuned
from mien.training import loop

# each is one word piece
WORDS = ("the", "film", "was", "good", "bad", "and", "people", "say", "it", "never", "really", "works")
VALID_VIDEOS = 3
BATCH_VIDEOS = 16


def random_batches(lengths: np.ndarray, _most: int, rng: np.random.Generator, *_budget: Any) -> list[list[int]]:
    """Draw batches of videos in random order; replaces `bucketed_batches`, with its parameters.

    Args:
        lengths: Utterances per video, (video,).
        _most: Unused.
        rng: Random numbers.
        *_budget: Unused.

    Returns:
        Video numbers of each batch.
    """
    order = rng.permutation(len(lengths)).tolist()
    return [order[start : start + BATCH_VIDEOS] for start in range(0, len(order), BATCH_VIDEOS)]


class Encoding:
    """Splits a batch into chunks as the network does, or keeps it whole; counts encoded and non-padding word pieces."""

    def __init__(self, *, whole: bool) -> None:
        self.cut = (lambda lengths: [slice(0, len(lengths))]) if whole else cim_tuned.chunks_of_like_length
        self.places = self.real = 0
        # processor time at the first batch; loading libraries and data before it does not count
        self.first_s = 0.0

    def __call__(self, lengths: Sequence[int]) -> Iterator[slice]:
        """Yield the chunks of a batch, whose lengths in word pieces are in descending order."""
        self.first_s = self.first_s or time.process_time()
        self.real += sum(lengths)
        for chunk in self.cut(lengths):
            self.places += lengths[chunk.start] * (chunk.stop - chunk.start)
            yield chunk


def epoch(dataset: Path, way: str, threads: int, tuning: str) -> dict[str, float]:
    """Train one epoch.

    Args:
        dataset: Folder of the Dataset.
        way: "sorted", "padded" or "random".
        threads: Number of threads.
        tuning: Setting `tuning` of `cim-tuned`.

    Returns:
        Processor ``seconds`` of the epoch, and the share of ``padding`` among encoded word pieces.
    """
    encoding = Encoding(whole=way != "sorted")
    with patch.object(cim_tuned, "chunks_of_like_length", encoding), ExitStack() as stack:
        if way == "random":
            stack.enter_context(patch.object(loop, "bucketed_batches", random_batches))
        settings = {"epochs": 1, "threads": threads, "tuning": tuning}
        (end_s,) = harness.epoch_ends_s(dataset, settings, "cim-tuned")
    return {"seconds": end_s - encoding.first_s, "padding": 1 - encoding.real / encoding.places}


def measure(videos: int = 60, threads: int = 1, tuning: str = "adapters", repeats: int = 3) -> harness.Report:
    """Measure the three kinds of batches in turns.

    Args:
        videos: Number of training videos.
        threads: Number of threads.
        tuning: Setting `tuning` of `cim-tuned`.
        repeats: Number of turns.

    Returns:
        Times, padding, and speed-ups of "sorted".
    """
    torch.set_num_threads(threads)
    lengths = mosei_like_lengths(videos, np.random.default_rng(0))
    lengths[0] = lengths[1:].max()  # a video of 98 utterances would be a fifth of this small set
    with tempfile.TemporaryDirectory() as name:
        splits = {"train": lengths, "valid": lengths[1 : VALID_VIDEOS + 1]}
        table = make_table(Path(name) / "talk.csv", splits, WORDS, n_words=22, spread=0.7)
        dataset = mien.import_dataset("table", [table], Path(name) / "data").folder
        ways = ("sorted", "padded", "random")
        results = harness.in_turns({way: lambda way=way: epoch(dataset, way, threads, tuning) for way in ways}, repeats)
    per_1000 = 1000 / lengths.sum()
    least = {way: min(turn["seconds"] for turn in turns) * per_1000 for way, turns in results.items()}
    rows = [
        {"way": way, "s per 1,000 utterances": least[way], "% padding": 100 * turns[0]["padding"]}
        for way, turns in results.items()
    ]
    return harness.Report(
        {"videos": videos, "utterances": int(lengths.sum()), "threads": threads, "tuning": tuning},
        {"processor time and padding": rows},
        {f"speedup_over_{way}": least[way] / least["sorted"] for way in ("padded", "random")},
    )


if __name__ == "__main__":
    harness.main(measure)
