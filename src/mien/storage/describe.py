"""Statistics of a Dataset: counts, label distributions, missing modalities, and leakage between splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from mien.schema import (
    EMOTION_OUTPUTS,
    EMOTIONS,
    SPLITS,
    BoolArray,
    FeatureSpace,
    FloatArray,
    Modality,
    SentimentRule,
    emotion_multihot7,
    sentiment_classes,
)
from mien.storage import columns
from mien.storage.columns import equal_id_ranges
from mien.storage.dataset import Dataset

N_EXAMPLES = 5


def describe(dataset: Dataset) -> dict[str, Any]:
    """Compute the statistics of a Dataset that `mien describe` shows, as nested dictionaries that JSON can hold.

    All columns except the word vectors are read, one row group at a time.
    """
    spaces = dataset.facts.spaces
    tallies: dict[str, _Tally] = {}
    for rows in dataset.row_groups(
        [
            name
            for name in columns.arrow_schema(spaces, dataset.facts.extra_columns).names
            if not name.endswith("_words")
        ]
    ):
        splits = np.array([split or "none" for split in rows["split"].to_pylist()])
        vectors = {
            modality: columns.vector_column(rows[modality], space.n_features) for modality, space in spaces.items()
        }
        numbers = {name: columns.float_column(rows[name]) for name in ("start_s", "end_s", "sentiment", *EMOTIONS)}
        lengths = {start: stop - start for _, start, stop in equal_id_ranges(rows["video_id"].to_pylist())}
        for name in np.unique(splits).tolist():
            in_split = splits == name
            tally = tallies.setdefault(name, _Tally())
            tally.lengths.extend(length for start, length in lengths.items() if in_split[start])
            tally.add({key: values[in_split] for key, values in numbers.items()})
            if "speaker" in rows.column_names:
                tally.speakers.update(compress(rows["speaker"].to_pylist(), in_split.tolist()))
            for modality, (matrix, present) in vectors.items():
                tally.coverage.setdefault(modality, _Coverage()).add(matrix[in_split], present[in_split])
    return {
        "name": dataset.facts.name,
        "folder": str(dataset.folder),
        "fingerprint": dataset.fingerprint,
        "sentiment_values": str(dataset.facts.sentiment_values),
        "feature_spaces": {modality: _describe_space(space) for modality, space in spaces.items()},
        "splits": {name: tallies[name].described() for name in (*SPLITS, "none") if name in tallies},
        "folds": _videos_by_fold(dataset),
        "leakage": _leakage(dataset, {name: tally.named_speakers for name, tally in tallies.items()}),
        "origin": dict(dataset.facts.origin),
        "licence_note": dataset.facts.licence_note,
    }


@dataclass(slots=True)
class _Coverage:
    """Running statistics of the vectors of one modality in one split."""

    n_rows: int = 0
    n_present: int = 0
    all_zero_rows: int = 0
    low: FloatArray | float = np.inf  # minimum of each feature (feature,), as soon as there is a vector
    high: FloatArray | float = -np.inf  # maximum of each feature (feature,), as soon as there is a vector

    def add(self, matrix: FloatArray, present: BoolArray) -> None:
        """Update the statistics with vectors (row, feature). Where `present` (row,) is False, the vector is missing."""
        rows = matrix[present]
        self.n_rows += len(matrix)
        self.n_present += len(rows)
        self.all_zero_rows += int((rows == 0).all(axis=1).sum())
        if len(rows):
            self.low = np.minimum(rows.min(axis=0), self.low)
            self.high = np.maximum(rows.max(axis=0), self.high)

    def described(self) -> dict[str, Any]:
        """Return the statistics: number and share of utterances with the modality, and the range of its values."""
        return {
            "utterances": self.n_present,
            "share": self.n_present / self.n_rows,
            "constant_columns": int(np.sum(self.low == self.high)),
            "all_zero_rows": self.all_zero_rows,
            "min": float(np.min(self.low)) if self.n_present else None,
            "max": float(np.max(self.high)) if self.n_present else None,
        }


@dataclass(slots=True)
class _Tally:
    """Running statistics of one split."""

    lengths: list[int] = field(default_factory=list)  # number of utterances of each video
    duration_s: float = 0.0
    sentiment: Counter[str] = field(default_factory=Counter)
    emotion: Counter[str] = field(default_factory=Counter)
    coverage: dict[Modality, _Coverage] = field(default_factory=dict)
    # names, and None for an utterance without one; empty if the Dataset has no speakers
    speakers: set[str | None] = field(default_factory=set)

    @property
    def named_speakers(self) -> set[str]:
        """Names of the speakers, without None."""
        return {name for name in self.speakers if name is not None}

    def add(self, numbers: Mapping[str, FloatArray]) -> None:
        """Update the statistics with the times and labels of some utterances.

        `numbers` maps the name of a column to its values (utterance,), which are NaN where missing.
        """
        self.duration_s += float(np.nansum(numbers["end_s"] - numbers["start_s"]))
        sentiment = numbers["sentiment"]
        has0, labelled = sentiment_classes(sentiment, SentimentRule.HAS0)
        masks = {"labelled": labelled, "negative": sentiment < 0, "zero": sentiment == 0, "positive": sentiment > 0}
        self.sentiment.update({name: int(mask.sum()) for name, mask in (masks | {"has0": has0}).items()})
        labels, scored = emotion_multihot7(np.stack([numbers[name] for name in EMOTIONS], axis=1))
        self.emotion.update({name: int(labels[:, column].sum()) for column, name in enumerate(EMOTION_OUTPUTS)})
        self.emotion["labelled"] += int(scored.sum())

    def described(self) -> dict[str, Any]:
        """Return the statistics as values that JSON can hold."""
        sentiment, lengths = self.sentiment, np.array(self.lengths)
        return {
            "videos": len(lengths),
            "utterances": int(lengths.sum()),
            "utterances_per_video": {
                "min": int(lengths.min()),
                "median": float(np.median(lengths)),
                "max": int(lengths.max()),
            },
            "hours": self.duration_s / 3600,
            "speakers": len(self.named_speakers) if self.speakers else None,
            "sentiment": {
                **{name: sentiment[name] for name in ("labelled", "negative", "zero", "positive")},
                "share_positive_has0": sentiment["has0"] / max(sentiment["labelled"], 1),
            },
            "emotion": {
                "labelled": self.emotion["labelled"],
                "present": {name: self.emotion[name] for name in EMOTION_OUTPUTS},
            },
            "coverage": {modality: coverage.described() for modality, coverage in self.coverage.items()},
        }


def _describe_space(space: FeatureSpace) -> dict[str, Any]:
    """Return the fields of a feature space that `describe` reports."""
    facts = space.to_json()
    return {key: facts[key] for key in ("name", "n_features", "level", "fingerprint", "recipe")}


def _videos_by_fold(dataset: Dataset) -> dict[str, int] | None:
    """Return the number of videos of each fold, without the videos that have no fold; None without that column."""
    if "fold" not in dataset.facts.extra_columns:
        return None
    facts = dataset.table(["video_id", "fold"]).to_pydict()
    folds = dict(zip(facts["video_id"], facts["fold"], strict=True))
    counts = Counter(fold for fold in folds.values() if fold is not None)
    return dict(sorted(counts.items()))


def _leakage(dataset: Dataset, speakers: Mapping[str, set[str]]) -> dict[str, Any]:
    """Return which videos and how many transcripts occur in several splits, with examples of these transcripts.

    Rows without a split are ignored. Transcripts are compared in lower case and without surrounding blanks. `speakers`
    are the names of the speakers of each split, and of "none".
    """
    facts = dataset.table(["video_id", "split", "transcript"]).to_pydict()
    videos, texts = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for video, split, text in zip(facts["video_id"], facts["split"], facts["transcript"], strict=True):
        if split is not None:
            videos[video].add(split)
            if text and text.strip():
                texts[text.strip().lower()].add(split)
    shared = sorted((text for text, splits in texts.items() if len(splits) > 1), key=len, reverse=True)
    return {
        "videos_in_several_splits": sorted(video for video, splits in videos.items() if len(splits) > 1),
        "texts": len(texts),
        "texts_in_several_splits": len(shared),
        "longest_shared_texts": shared[:N_EXAMPLES],
        "speakers": _speaker_text(speakers),
    }


def _speaker_text(speakers: Mapping[str, set[str]]) -> str:
    """Return how many speakers occur in several splits, as a text."""
    counts = Counter(name for split, names in speakers.items() if split in SPLITS for name in names)
    if not counts:
        return "not recorded: the same person may stand in several splits"
    return f"{sum(n > 1 for n in counts.values())} of {len(counts)} in several splits"
