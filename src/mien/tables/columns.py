"""Between Arrow columns and the schema's types: the one place that knows the names of the table's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video
from mien.tables.split_columns import WordsOfOne


def words_name(modality: Modality) -> str:
    """Column of the word vectors of a modality."""
    return f"{modality}_words"


def arrow_schema(spaces: Mapping[Modality, FeatureSpace]) -> pa.Schema:
    """The columns of ``utterances.parquet`` for these feature spaces."""
    fields = [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("transcript", pa.string()),
        pa.field("split", pa.string()),
        pa.field("sentiment", pa.float64()),
        *(pa.field(name, pa.float64()) for name in EMOTIONS),
    ]
    for modality, space in spaces.items():
        vector = pa.list_(pa.float32(), space.n_features)
        fields.append(pa.field(modality, vector))
        if space.level is Level.WORD:
            fields.append(pa.field(words_name(modality), pa.list_(vector)))
    return pa.schema(fields)


def label_and_feature_names(spaces: Mapping[Modality, FeatureSpace]) -> list[str]:
    """Columns needed to train and score at utterance level."""
    return ["video_id", "index", "start_s", "end_s", "transcript", "sentiment", *EMOTIONS, *spaces]


def to_table(videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace]) -> pa.Table:
    """Rows of the given videos, utterances in the order they stand in."""
    rows = [(video, utterance) for video in videos for utterance in video.utterances]
    utterances = [utterance for _, utterance in rows]
    data: dict[str, Any] = {
        "video_id": [video.id for video, _ in rows],
        "index": [utterance.index for utterance in utterances],
        "start_s": [utterance.start_s for utterance in utterances],
        "end_s": [utterance.end_s for utterance in utterances],
        "transcript": [utterance.transcript for utterance in utterances],
        "split": [video.split for video, _ in rows],
        "sentiment": [utterance.sentiment for utterance in utterances],
    }
    for number, name in enumerate(EMOTIONS):
        data[name] = [None if each.emotions is None else float(each.emotions[number]) for each in utterances]
    for modality, space in spaces.items():
        vectors = [each.features.get(modality) for each in utterances]
        data[modality] = _vector_column(vectors, space.n_features)
        if space.level is Level.WORD:
            data[words_name(modality)] = _word_column(utterances, space)
    schema = arrow_schema(spaces)
    return pa.table([pa.array(data[field.name], field.type) for field in schema], schema=schema)


def to_video(rows: pa.Table, spaces: Mapping[Modality, FeatureSpace]) -> Video:
    """One video from its rows."""
    features = {modality: vectors(rows[modality], space.n_features) for modality, space in spaces.items()}
    emotions = np.stack([floats(rows[name]) for name in EMOTIONS], axis=1)
    facts = rows.select(["index", "start_s", "end_s", "transcript", "sentiment"]).to_pylist()
    utterances = []
    for row, fact in enumerate(facts):
        utterance = Utterance(
            index=fact["index"],
            start_s=fact["start_s"],
            end_s=fact["end_s"],
            transcript=fact["transcript"] or "",
            sentiment=fact["sentiment"],
            emotions=None if np.isnan(emotions[row]).any() else emotions[row],
        )
        for modality, (matrix, present) in features.items():
            if present[row]:
                utterance.features[modality] = matrix[row]
        utterances.append(utterance)
    for modality, space in spaces.items():
        if space.level is Level.WORD:
            _read_words(utterances, rows[words_name(modality)], space)
    return Video(rows["video_id"][0].as_py(), utterances, rows["split"][0].as_py())


def floats(column: pa.ChunkedArray) -> FloatArray:
    """A float column as (row,) float64 with NaN where null."""
    values: FloatArray = column.to_numpy().astype(np.float64)
    return values


def vectors(column: pa.ChunkedArray, n_features: int) -> tuple[FloatArray, BoolArray]:
    """A vector column as ``(matrix, present)``: (row, feature) float32 with zero rows where null, and (row,)."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    present = np.asarray(array.is_valid())
    matrix = np.zeros((len(array), n_features), dtype=np.float32)
    # flatten() leaves null rows out, whatever lies beneath them
    matrix[present] = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, n_features)
    return matrix, present


def _vector_column(rows: Sequence[FloatArray | None], n_features: int) -> pa.Array:
    mask = np.array([row is None for row in rows], dtype=bool)
    matrix = np.zeros((len(rows), n_features), dtype=np.float32)
    for number, row in enumerate(rows):
        if row is not None:
            matrix[number] = row
    return pa.FixedSizeListArray.from_arrays(matrix.ravel(), n_features, mask=pa.array(mask))


def _word_column(utterances: Sequence[Utterance], space: FeatureSpace) -> pa.Array:
    rows: list[FloatArray | None] = []
    bounds, missing = [0], []
    for utterance in utterances:
        words = utterance.words.get(space.modality)
        missing.append(words is None)
        if words is not None:
            present = utterance.word_present.get(space.modality, np.ones(len(words), dtype=bool))
            rows.extend(word if here else None for word, here in zip(words, present, strict=True))
        bounds.append(len(rows))
    values = _vector_column(rows, space.n_features)
    offsets = pa.array(bounds, pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(missing, pa.bool_()))


def words_of(column: pa.ChunkedArray, space: FeatureSpace) -> list[WordsOfOne]:
    """A column of word vectors as one ``(matrix, present)`` per row, (word, feature) and (word,); None where null."""
    return [
        vectors(pa.chunked_array([cell.values]), space.n_features)
        if cell.is_valid and cell.values is not None
        else None
        for cell in column
    ]


def _read_words(utterances: Sequence[Utterance], column: pa.ChunkedArray, space: FeatureSpace) -> None:
    for utterance, words in zip(utterances, words_of(column, space), strict=True):
        if words is not None:
            utterance.words[space.modality], utterance.word_present[space.modality] = words
