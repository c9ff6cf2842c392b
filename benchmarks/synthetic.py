"""Synthetic data in the sizes of published data sets: random features, words and labels, lengths as in CMU-MOSEI."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.schema import EMOTIONS, FeatureSpace, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset

LONGEST = 98
# number of features in the paper
N_FEATURES = {Modality.TEXT: 300, Modality.ACOUSTIC: 74, Modality.VISUAL: 35}


def mosei_like_lengths(n_videos: int, rng: np.random.Generator) -> np.ndarray:
    """Draw utterances per video as in the train fold of CMU-MOSEI: median 5, mean about 7.5, maximum 98.

    Args:
        n_videos: Number of videos.
        rng: Random numbers.

    Returns:
        Number of utterances, (video,); the first video has the maximum.
    """
    lengths = np.clip(np.round(rng.lognormal(np.log(5.2), 0.85, size=n_videos)), 1, LONGEST).astype(int)
    lengths[0] = LONGEST
    return lengths


def lengths_of(n_utterances: int, rng: np.random.Generator) -> np.ndarray:
    """Draw utterances per video that add up to a given number.

    Args:
        n_utterances: Number of utterances in all.
        rng: Random numbers.

    Returns:
        Number of utterances, (video,).
    """
    # Every video has at least one utterance, so n_utterances videos are enough. The first, longest one is left out.
    lengths = mosei_like_lengths(n_utterances, rng)[1:]
    ends = np.minimum(np.cumsum(lengths), n_utterances)
    ends = ends[: int(np.searchsorted(ends, n_utterances)) + 1]
    return np.diff(ends, prepend=0)


def make_dataset(
    folder: Path, splits: Mapping[str, np.ndarray], n_features: Mapping[Modality, int] = N_FEATURES, seed: int = 0
) -> Path:
    """Write a Dataset of random features and labels, video by video.

    Args:
        folder: Folder of the Dataset.
        splits: Split -> utterances per video.
        n_features: Modality -> number of features.
        seed: Seed of the random numbers.

    Returns:
        Folder of the Dataset.
    """
    rng = np.random.default_rng(seed)

    def videos() -> Iterator[Video]:
        for split, lengths in splits.items():
            for number, length in enumerate(lengths):
                rows = {m: rng.normal(size=(length, size)).astype(np.float32) for m, size in n_features.items()}
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

    spaces = {m: FeatureSpace(m, f"synthetic-{m}", size) for m, size in n_features.items()}
    return write_dataset(folder, videos(), DatasetFacts("synthetic", spaces, licence_note="random numbers")).folder


def make_table(
    path: Path, splits: Mapping[str, np.ndarray], words: Sequence[str], n_words: float, spread: float
) -> Path:
    """Write a CSV file for `mien import table`: random texts, times and labels.

    Args:
        path: File to write.
        splits: Split -> utterances per video.
        words: Vocabulary of the texts.
        n_words: Median number of words of a text.
        spread: Standard deviation of the logarithm of the number of words.

    Returns:
        The path.
    """
    rng = np.random.default_rng(0)
    vocabulary = np.array(words)
    with path.open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(["video_id", "index", "start", "end", "text", "split", "sentiment", *EMOTIONS])
        for split, lengths in splits.items():
            for number, length in enumerate(lengths):
                for index in range(length):
                    count = int(np.clip(round(n_words * rng.lognormal(0, spread)), 1, 254))
                    text = " ".join(vocabulary[rng.integers(len(vocabulary), size=count)])
                    labels = [f"{rng.uniform(-3, 3):.3f}", *rng.integers(2, size=6).tolist()]
                    table.writerow([f"{split}-{number}", index, 5 * index, 5 * index + 4, text, split, *labels])
    return path
