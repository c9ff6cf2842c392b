"""Statistics of a Dataset: counts, label distributions, features of each modality, and leakage between splits."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from mien.labels import LabelKind, LabelSpace
from mien.schema import (
    EMOTION,
    EMOTION_OUTPUTS,
    SENTIMENT,
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
from mien.storage.column_checks import ColumnCheck
from mien.storage.columns import equal_id_ranges
from mien.storage.dataset import Dataset
from mien.storage.leakage import find_leakage
from mien.storage.suspicions import stored_alarms, suspicions, without_splits


def describe(dataset: Dataset) -> dict[str, Any]:
    """Compute the statistics of a Dataset that `mien describe` shows, as nested dictionaries that JSON can hold.

    All columns except the word vectors are read, one row group at a time.
    """
    spaces, label_spaces = dataset.facts.spaces, dataset.facts.label_spaces
    tallies: dict[str, _Tally] = {}
    checks = {modality: ColumnCheck(space.n_features) for modality, space in spaces.items()}
    for rows in dataset.row_groups(
        [
            name
            for name in columns.arrow_schema(spaces, label_spaces, dataset.facts.extra_columns).names
            if not name.endswith("_words")
        ]
    ):
        splits = np.array([split or "none" for split in rows["split"].to_pylist()])
        vectors = {
            modality: columns.vector_column(rows[modality], space.n_features) for modality, space in spaces.items()
        }
        for modality, (matrix, present) in vectors.items():
            checks[modality].add(matrix[present])
        numbers = {name: columns.float_column(rows[name]) for name in ("start_s", "end_s")}
        numbers |= {space.name: columns.labels_in(rows, space) for space in label_spaces}
        lengths = {start: stop - start for _, start, stop in equal_id_ranges(rows["video_id"].to_pylist())}
        for name in np.unique(splits).tolist():
            in_split = splits == name
            tally = tallies.setdefault(name, _Tally(label_spaces))
            tally.lengths.extend(length for start, length in lengths.items() if in_split[start])
            tally.add({key: values[in_split] for key, values in numbers.items()})
            if "speaker" in rows.column_names:
                tally.speakers.update(compress(rows["speaker"].to_pylist(), in_split.tolist()))
            for modality, (matrix, present) in vectors.items():
                tally.coverage.setdefault(modality, _Coverage()).add(matrix[in_split], present[in_split])
    modalities = {
        str(modality): _merged([tally.coverage[modality] for tally in tallies.values()]).described()
        | {"suspected_placeholders": checks[modality].suspected(space.columns)}
        for modality, space in spaces.items()
    }
    leakage = find_leakage(dataset, {name: tally.named_speakers for name, tally in tallies.items()})
    return {
        "name": dataset.facts.name,
        "folder": str(dataset.folder),
        "fingerprint": dataset.fingerprint,
        "sentiment_values": str(dataset.facts.sentiment_values),
        "feature_spaces": {modality: _describe_space(space) for modality, space in spaces.items()},
        "label_spaces": [space.to_json() for space in label_spaces],
        "splits": {name: tallies[name].described() for name in (*SPLITS, "none") if name in tallies},
        "folds": _videos_by_fold(dataset),
        "modalities": modalities,
        "leakage": leakage,
        "suspicious": [
            *stored_alarms(dataset.facts.origin),
            *without_splits(tallies),
            *suspicions(modalities, leakage, dataset.facts.origin.get("unit")),
        ],
        "origin": dict(dataset.facts.origin),
        "licence_note": dataset.facts.licence_note,
    }


@dataclass(slots=True)
class _Coverage:
    """Running statistics of the vectors of one modality in one split.

    Attributes:
        n_rows: Number of utterances so far.
        n_present: Number of utterances that have the modality.
        all_zero_rows: Number of vectors that contain only zeros.
        low: Minimum of each feature (feature,), as soon as there is a vector.
        high: Maximum of each feature (feature,), as soon as there is a vector.
    """

    n_rows: int = 0
    n_present: int = 0
    all_zero_rows: int = 0
    low: FloatArray | float = np.inf
    high: FloatArray | float = -np.inf

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


def _merged(parts: Sequence[_Coverage]) -> _Coverage:
    """Return the statistics of all splits together."""
    return _Coverage(
        sum(part.n_rows for part in parts),
        sum(part.n_present for part in parts),
        sum(part.all_zero_rows for part in parts),
        functools.reduce(np.minimum, (part.low for part in parts)),
        functools.reduce(np.maximum, (part.high for part in parts)),
    )


@dataclass(slots=True)
class _Tally:
    """Running statistics of one split."""

    label_spaces: tuple[LabelSpace, ...]
    lengths: list[int] = field(default_factory=list)  # number of utterances of each video
    duration_s: float = 0.0
    sentiment: Counter[str] = field(default_factory=Counter)
    emotion: Counter[str] = field(default_factory=Counter)
    coverage: dict[Modality, _Coverage] = field(default_factory=dict)
    # name of a label space -> counts of its classes, levels or labels, and sums and extremes of its scores
    labels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    sums: dict[str, list[float]] = field(default_factory=dict)
    # names, and None for an utterance without one; empty if the Dataset has no speakers
    speakers: set[str | None] = field(default_factory=set)

    @property
    def named_speakers(self) -> set[str]:
        """Names of the speakers, without None."""
        return {name for name in self.speakers if name is not None}

    def add(self, numbers: Mapping[str, FloatArray]) -> None:
        """Update the statistics with the times and labels of some utterances.

        `numbers` maps "start_s" and "end_s" to times (utterance,), and the name of a label space to labels (utterance,
        column). They are NaN where missing.
        """
        self.duration_s += float(np.nansum(numbers["end_s"] - numbers["start_s"]))
        for space in self.label_spaces:
            self._add_labels(space, numbers[space.name])
            if space.is_paper and space.name == SENTIMENT:
                neutral = space.neutral if isinstance(space.neutral, float) else 0.0
                self._add_sentiment(numbers[space.name][:, 0] - neutral)
            elif space.is_paper:
                self._add_emotions(numbers[space.name])

    def _add_labels(self, space: LabelSpace, labels: FloatArray) -> None:
        """Count the classes, levels or labels of a label space, or update the statistics of its score."""
        known = labels[~np.isnan(labels).any(axis=1)]
        counts = self.labels[space.name]
        counts["labelled"] += len(known)
        if space.kind is LabelKind.MULTILABEL:
            counts.update({name: int((known[:, column] > 0).sum()) for column, name in enumerate(space.names)})
        elif space.kind is LabelKind.SCORE and len(known):
            total, low, high = self.sums.get(space.name, [0.0, np.inf, -np.inf])
            self.sums[space.name] = [total + float(known.sum()), min(low, known.min()), max(high, known.max())]
        else:
            values = known[:, 0]
            index = np.digitize(values, space.cuts) if space.kind is LabelKind.ORDINAL else values.astype(np.int64)
            counts.update({name: int((index == number).sum()) for number, name in enumerate(space.names)})

    def _add_sentiment(self, sentiment: FloatArray) -> None:
        """Count scores (utterance,), given as differences from the neutral value."""
        has0, labelled = sentiment_classes(sentiment, SentimentRule.HAS0)
        masks = {"labelled": labelled, "negative": sentiment < 0, "zero": sentiment == 0, "positive": sentiment > 0}
        self.sentiment.update({name: int(mask.sum()) for name, mask in (masks | {"has0": has0}).items()})

    def _add_emotions(self, emotions: FloatArray) -> None:
        labels, scored = emotion_multihot7(emotions)
        self.emotion.update({name: int(labels[:, column].sum()) for column, name in enumerate(EMOTION_OUTPUTS)})
        self.emotion["labelled"] += int(scored.sum())

    def described(self) -> dict[str, Any]:
        """Return the statistics as values that JSON can hold."""
        lengths = np.array(self.lengths)
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
            **self._paper_labels(),
            "labels": {space.name: self._described_labels(space) for space in self.label_spaces},
            "coverage": {modality: coverage.described() for modality, coverage in self.coverage.items()},
        }

    def _paper_labels(self) -> dict[str, Any]:
        """Return the statistics of the paper's label spaces, as far as the Dataset has them."""
        sentiment, names = self.sentiment, {space.name for space in self.label_spaces if space.is_paper}
        facts: dict[str, Any] = {
            SENTIMENT: {
                **{name: sentiment[name] for name in ("labelled", "negative", "zero", "positive")},
                "share_positive_has0": sentiment["has0"] / max(sentiment["labelled"], 1),
            },
            EMOTION: {
                "labelled": self.emotion["labelled"],
                "present": {name: self.emotion[name] for name in EMOTION_OUTPUTS},
            },
        }
        return {name: facts[name] for name in facts if name in names}

    def _described_labels(self, space: LabelSpace) -> dict[str, Any]:
        """Return the number of labelled utterances, and the counts of the names or the statistics of the score."""
        counts = self.labels[space.name]
        labelled = counts["labelled"]
        if space.kind is not LabelKind.SCORE:
            return {"labelled": labelled, "counts": {name: counts[name] for name in space.names}}
        total, low, high = self.sums.get(space.name, [None, None, None])
        mean = None if total is None else total / labelled
        return {"labelled": labelled, "mean": mean, "min": low, "max": high}


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
