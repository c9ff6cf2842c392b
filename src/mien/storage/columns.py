"""Between Arrow columns and the schema's types: the one place that knows the names of the table's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video
from mien.storage import arrow_arrays
from mien.storage.split_columns import WordsOfOne

# Few values that repeat; a dictionary of feature values would only be given up again after some time.
TEXTS = ["video_id", "transcript", "split"]


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
    data: dict[str, pa.Array] = {
        "video_id": arrow_arrays.texts([video.id for video, _ in rows]),
        "index": arrow_arrays.integers([utterance.index for utterance in utterances]),
        "start_s": arrow_arrays.numbers([utterance.start_s for utterance in utterances]),
        "end_s": arrow_arrays.numbers([utterance.end_s for utterance in utterances]),
        "transcript": arrow_arrays.texts([utterance.transcript for utterance in utterances]),
        "split": arrow_arrays.texts([video.split for video, _ in rows]),
        "sentiment": arrow_arrays.numbers([utterance.sentiment for utterance in utterances]),
    }
    for number, name in enumerate(EMOTIONS):
        values = [None if each.emotions is None else float(each.emotions[number]) for each in utterances]
        data[name] = arrow_arrays.numbers(values)
    for modality, space in spaces.items():
        data[modality] = _vector_column([each.features.get(modality) for each in utterances], space.n_features)
        if space.level is Level.WORD:
            data[words_name(modality)] = _word_column(utterances, space)
    schema = arrow_schema(spaces)
    return pa.table([data[field.name] for field in schema], schema=schema)


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
    """A column of numbers as (row,) float64 with NaN where null."""
    if column.type != pa.float64():
        column = column.cast(pa.float64())  # another program's table
    parts = [
        np.where(arrow_arrays.present_in(array), arrow_arrays.stored_in(array, np.float64), np.nan)
        for array in column.chunks
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def vectors(column: pa.ChunkedArray, n_features: int) -> tuple[FloatArray, BoolArray]:
    """A vector column as ``(matrix, present)``: (row, feature) float32 with zero rows where null, and (row,)."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    present = arrow_arrays.present_in(array)
    # null rows are stored too, whatever lies there
    values = arrow_arrays.stored_in(array.values, np.float32).reshape(-1, n_features)
    matrix = np.where(present[:, None], values[array.offset : array.offset + len(array)], np.float32(0))
    return matrix, present


def _vector_column(rows: Sequence[FloatArray | None], n_features: int) -> pa.Array:
    present = np.array([row is not None for row in rows], dtype=bool)
    matrix = np.zeros((len(rows), n_features), dtype=np.float32)
    for number, row in enumerate(rows):
        if row is not None:
            matrix[number] = row
    return arrow_arrays.vectors(matrix, present)


def _word_column(utterances: Sequence[Utterance], space: FeatureSpace) -> pa.Array:
    words = [utterance.words.get(space.modality) for utterance in utterances]
    bounds = np.concatenate([[0], np.cumsum([0 if rows is None else len(rows) for rows in words])])
    matrix = np.zeros((int(bounds[-1]), space.n_features), dtype=np.float32)
    present = np.ones(len(matrix), dtype=bool)
    for utterance, rows, start, stop in zip(utterances, words, bounds[:-1], bounds[1:], strict=True):
        if rows is not None:
            matrix[start:stop] = rows
            present[start:stop] = utterance.word_present.get(space.modality, True)
    matrix[~present] = 0
    return arrow_arrays.lists(bounds, arrow_arrays.vectors(matrix, present), [rows is not None for rows in words])


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
