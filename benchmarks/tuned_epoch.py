"""Processor seconds of `cim-tuned` per 1,000 utterances of training: length-sorted against padded encoding.

    python benchmarks/tuned_epoch.py [--videos 60] [--repeats 3] [--threads 1] [--tuning adapters] [--json]

sorted: as trained, batches of whole videos of similar length, in them the utterances encoded in chunks of like length;
padded: the same batches, each encoded in one piece, padded to its longest utterance;
random: batches of 16 videos in random order, each encoded in one piece.

The set is synthetic: random words, lengths of videos and utterances drawn like CMU-MOSEI's (utterances: median 24 word
pieces, longest 256). An epoch is that of `mien.train`, with the validation of three videos.
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

# one word piece each
WORDS = ("the", "film", "was", "good", "bad", "and", "people", "say", "it", "never", "really", "works")
VALID_VIDEOS = 3
BATCH_VIDEOS = 16


def random_batches(lengths: np.ndarray, _most: int, rng: np.random.Generator, *_budget: Any) -> list[list[int]]:
    """Batches in random order, in place of those of similar length."""
    order = rng.permutation(len(lengths)).tolist()
    return [order[start : start + BATCH_VIDEOS] for start in range(0, len(order), BATCH_VIDEOS)]


class Encoding:
    """Cuts a batch into chunks as the network does, or not at all, and counts the places encoded and those filled."""

    def __init__(self, *, whole: bool) -> None:
        self.cut = (lambda lengths: [slice(0, len(lengths))]) if whole else cim_tuned.chunks_of_like_length
        self.places = self.real = 0
        # when the first batch came: what was loaded before is no part of the epoch
        self.first_s = 0.0

    def __call__(self, lengths: Sequence[int]) -> Iterator[slice]:
        """The chunks of a batch, its longest utterance first."""
        self.first_s = self.first_s or time.process_time()
        self.real += sum(lengths)
        for chunk in self.cut(lengths):
            self.places += lengths[chunk.start] * (chunk.stop - chunk.start)
            yield chunk


def epoch(dataset: Path, way: str, threads: int, tuning: str) -> dict[str, float]:
    """Seconds of an epoch, and the share of padding in it."""
    encoding = Encoding(whole=way != "sorted")
    with patch.object(cim_tuned, "chunks_of_like_length", encoding), ExitStack() as stack:
        if way == "random":
            stack.enter_context(patch.object(loop, "bucketed_batches", random_batches))
        settings = {"epochs": 1, "threads": threads, "tuning": tuning}
        (end_s,) = harness.epoch_ends_s(dataset, settings, "cim-tuned")
    return {"seconds": end_s - encoding.first_s, "padding": 1 - encoding.real / encoding.places}


def measure(videos: int = 60, threads: int = 1, tuning: str = "adapters", repeats: int = 3) -> harness.Report:
    """The three ways, in turns."""
    torch.set_num_threads(threads)
    lengths = mosei_like_lengths(videos, np.random.default_rng(0))
    lengths[0] = lengths[1:].max()  # one video of 98 would be a fifth of so small a set
    with tempfile.TemporaryDirectory() as name:
        splits = {"train": lengths, "valid": lengths[1 : VALID_VIDEOS + 1]}
        table = make_table(Path(name) / "talk.csv", splits, WORDS, n_words=22, spread=0.7)
        dataset = mien.import_dataset("table", [table], Path(name) / "data").folder
        ways = ("sorted", "padded", "random")
        found = harness.in_turns({way: lambda way=way: epoch(dataset, way, threads, tuning) for way in ways}, repeats)
    per_1000 = 1000 / lengths.sum()
    least = {way: min(turn["seconds"] for turn in turns) * per_1000 for way, turns in found.items()}
    rows = [
        {"way": way, "s per 1,000 utterances": least[way], "% padding": 100 * turns[0]["padding"]}
        for way, turns in found.items()
    ]
    return harness.Report(
        {"videos": videos, "utterances": int(lengths.sum()), "threads": threads, "tuning": tuning},
        {"processor time and padding": rows},
        {f"speedup_over_{way}": least[way] / least["sorted"] for way in ("padded", "random")},
    )


if __name__ == "__main__":
    harness.main(measure)
