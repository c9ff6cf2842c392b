"""What a Dataset holds: counts, label distributions, coverage, and what two splits share that they should not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mien.schema import EMOTION_OUTPUTS, SPLITS, FeatureSpace, SentimentRule, emotion_multihot7, sentiment_classes
from mien.tables import columns
from mien.tables.dataset import Dataset

N_EXAMPLES = 5


def describe(dataset: Dataset) -> dict[str, Any]:
    """A JSON-able description (docs/formats.md). Reads every column but the word vectors."""
    rows = dataset.table(
        [name for name in columns.arrow_schema(dataset.facts.spaces).names if not name.endswith("_words")]
    )
    splits = {}
    for name in (*SPLITS, "none"):
        of_split = rows.filter(pc.is_null(rows["split"]) if name == "none" else pc.equal(rows["split"], name))
        if of_split.num_rows:
            splits[name] = _describe_split(of_split, dataset)
    return {
        "name": dataset.facts.name,
        "folder": str(dataset.folder),
        "fingerprint": dataset.fingerprint,
        "sentiment_values": str(dataset.facts.sentiment_values),
        "feature_spaces": {modality: _describe_space(space) for modality, space in dataset.facts.spaces.items()},
        "splits": splits,
        "leakage": _leakage(rows),
        "origin": dict(dataset.facts.origin),
        "licence_note": dataset.facts.licence_note,
    }


def _describe_split(rows: pa.Table, dataset: Dataset) -> dict[str, Any]:
    lengths = np.array(list(Counter(rows["video_id"].to_pylist()).values()))
    sentiment = columns.floats(rows["sentiment"])
    emotions = np.stack([columns.floats(rows[name]) for name in EMOTION_OUTPUTS[:-1]], axis=1)
    labels, scored = emotion_multihot7(emotions)
    positive, has_sentiment = sentiment_classes(sentiment, SentimentRule.HAS0)
    duration_s = columns.floats(rows["end_s"]) - columns.floats(rows["start_s"])
    return {
        "videos": len(lengths),
        "utterances": rows.num_rows,
        "utterances_per_video": {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
        },
        "hours": float(np.nansum(duration_s) / 3600),
        "sentiment": {
            "labelled": int(has_sentiment.sum()),
            "negative": int((sentiment < 0).sum()),
            "zero": int((sentiment == 0).sum()),
            "positive": int((sentiment > 0).sum()),
            "share_positive_has0": float(positive.sum() / max(has_sentiment.sum(), 1)),
        },
        "emotion": {
            "labelled": int(scored.sum()),
            "present": {name: int(labels[:, column].sum()) for column, name in enumerate(EMOTION_OUTPUTS)},
        },
        "coverage": {
            modality: _describe_features(rows[modality], space) for modality, space in dataset.facts.spaces.items()
        },
    }


def _describe_features(column: pa.ChunkedArray, space: FeatureSpace) -> dict[str, Any]:
    matrix, present = columns.vectors(column, space.n_features)
    here = matrix[present]
    constant = int((here.min(axis=0) == here.max(axis=0)).sum()) if len(here) else 0
    return {
        "utterances": int(present.sum()),
        "share": float(present.mean()),
        "constant_columns": constant,
        "all_zero_rows": int((here == 0).all(axis=1).sum()),
        "min": float(here.min()) if len(here) else None,
        "max": float(here.max()) if len(here) else None,
    }


def _describe_space(space: FeatureSpace) -> dict[str, Any]:
    facts = space.to_json()
    return {key: facts[key] for key in ("name", "n_features", "level", "fingerprint", "recipe")}


def _leakage(rows: pa.Table) -> dict[str, Any]:
    """Videos and transcripts (stripped, lower case) that stand in more than one split."""
    facts = rows.select(["video_id", "split", "transcript"]).to_pydict()
    videos: dict[str, set[str]] = {}
    texts: dict[str, set[str]] = {}
    for video, split, text in zip(facts["video_id"], facts["split"], facts["transcript"], strict=True):
        if split is not None:
            videos.setdefault(video, set()).add(split)
            if text and text.strip():
                texts.setdefault(text.strip().lower(), set()).add(split)
    shared = sorted((text for text, splits in texts.items() if len(splits) > 1), key=len, reverse=True)
    return {
        "videos_in_several_splits": sorted(video for video, splits in videos.items() if len(splits) > 1),
        "texts": len(texts),
        "texts_in_several_splits": len(shared),
        "longest_shared_texts": shared[:N_EXAMPLES],
        "speakers": "not recorded: the same person may stand in several splits",
    }
