"""Converts videos to the Arrow table of a Dataset and back. Only this module defines the columns of the table.

This module builds and reads Arrow arrays through their buffers. pyarrow's conversions to and from numpy would import
pandas, which adds a third of a second to a short command.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mien.errors import DataError
from mien.labels import LabelKind, LabelSpace, class_indices, class_names
from mien.schema import (
    EXTRA_COLUMNS,
    SPLITS,
    BoolArray,
    FeatureSpace,
    FloatArray,
    Level,
    Modality,
    Utterance,
    Video,
)
from mien.storage.split_columns import WordsOfOne, lay_out, stack_labels, vectors_of, words_of_utterance

# Columns that Parquet stores as a dictionary of their distinct values. Features have too many distinct values for that.
TEXTS = ["video_id", "transcript", "split", *EXTRA_COLUMNS]


def open_arrow(path: Path, mode: str = "rb") -> pa.NativeFile:
    """Open a file for pyarrow.

    The path need not be valid UTF-8, which pyarrow requires when it opens a file by its path.

    Args:
        path: The file.
        mode: "rb" to read it, "wb" to write it.

    Returns:
        The open file, a context manager.
    """
    return pa.OSFile(os.fsencode(path), mode)


def words_column_name(modality: Modality) -> str:
    """Return the name of the column with the word vectors of a modality."""
    return f"{modality}_words"


def arrow_schema(
    spaces: Mapping[Modality, FeatureSpace], label_spaces: Sequence[LabelSpace], extra: Sequence[str] = ()
) -> pa.Schema:
    """Return the schema of ``utterances.parquet`` for a Dataset with these feature and label spaces and extra columns.

    `extra` are names in `EXTRA_COLUMNS`.
    """
    fields = [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("transcript", pa.string()),
        pa.field("split", pa.string()),
        *(pa.field(name, label_type(space)) for space in label_spaces for name in space.columns),
        *(pa.field(name, pa.string()) for name in extra),
    ]
    for modality, space in spaces.items():
        vector = pa.list_(pa.float32(), space.n_features)
        fields.append(pa.field(modality, vector))
        if space.level is Level.WORD:
            fields.append(pa.field(words_column_name(modality), pa.list_(vector)))
    return pa.schema(fields)


def label_type(space: LabelSpace) -> pa.DataType:
    """Return the type of the columns of a label space: text for classes, else numbers."""
    return pa.string() if space.kind is LabelKind.CLASSES else pa.float64()


def label_arrays(labels: FloatArray, space: LabelSpace) -> dict[str, pa.Array]:
    """Return the columns that contain the labels (row, column) of a label space, with null for NaN."""
    if space.kind is LabelKind.CLASSES:
        return {space.name: _text_array(class_names(labels[:, 0], space.names))}
    columns = zip(space.columns, labels.T, strict=True)
    return {name: _nullable_numbers(values) for name, values in columns}


def labels_in(rows: pa.Table, space: LabelSpace) -> FloatArray:
    """Return the labels (row, column) of a label space in a table, NaN where missing.

    If one of several labels of a row is missing, all are.

    Raises:
        ValueError: A class has an unknown name.
    """
    if space.kind is LabelKind.CLASSES:
        return class_indices(rows[space.name].to_pylist(), space.names)[:, None]
    labels = np.stack([float_column(rows[name]) for name in space.columns], axis=1)
    return np.where(np.isnan(labels).any(axis=1, keepdims=True), np.nan, labels)


def videos_to_table(
    videos: Sequence[Video],
    spaces: Mapping[Modality, FeatureSpace],
    label_spaces: Sequence[LabelSpace],
    extra: Sequence[str] = (),
) -> pa.Table:
    """Convert videos to a table with one row per utterance.

    Args:
        videos: Videos; the order of videos and utterances is kept.
        spaces: Feature spaces of the Dataset.
        label_spaces: Label spaces of the Dataset.
        extra: Names in `EXTRA_COLUMNS`: the extra columns of the Dataset.

    Returns:
        Table with the columns of `arrow_schema`.

    Raises:
        DataError: A video is invalid, see `validate_video`, or has a value for a missing extra column.
    """
    for video in videos:
        validate_video(video, spaces, label_spaces)
    rows = [(video, utterance) for video in videos for utterance in video.utterances]
    utterances = [utterance for _, utterance in rows]
    data: dict[str, pa.Array] = {
        "video_id": _text_array([video.id for video, _ in rows]),
        "index": _number_array([utterance.index for utterance in utterances], np.int64),
        "start_s": _number_array([utterance.start_s for utterance in utterances]),
        "end_s": _number_array([utterance.end_s for utterance in utterances]),
        "transcript": _text_array([utterance.transcript for utterance in utterances]),
        "split": _text_array([video.split for video, _ in rows]),
    }
    for labels in label_spaces:
        data |= label_arrays(stack_labels(utterances, labels), labels)
    extra_values = {"speaker": [each.speaker for each in utterances], "fold": [video.fold for video, _ in rows]}
    for name, texts in extra_values.items():
        data[name] = _text_array(texts)
        if name not in extra and any(text is not None for text in texts):
            raise DataError(f"Expected no {name} in a Dataset without that column, but got one; name it in the facts")
    for modality, space in spaces.items():
        data[modality] = _vector_array(*vectors_of(utterances, space))
        if space.level is Level.WORD:
            data[words_column_name(modality)] = _word_array(utterances, space)
    schema = arrow_schema(spaces, label_spaces, extra)
    return pa.table([data[field.name] for field in schema], schema=schema)


def to_video(rows: pa.Table, spaces: Mapping[Modality, FeatureSpace], label_spaces: Sequence[LabelSpace]) -> Video:
    """Convert the rows of one video to a `Video`.

    Args:
        rows: All rows of one video.
        spaces: Feature spaces of the Dataset.
        label_spaces: Label spaces of the Dataset.

    Returns:
        The video.
    """
    features = {modality: vector_column(rows[modality], space.n_features) for modality, space in spaces.items()}
    labels = {each.name: labels_in(rows, each) for each in label_spaces}
    extra = [name for name in EXTRA_COLUMNS if name in rows.column_names]
    facts = rows.select(["index", "start_s", "end_s", "transcript", *extra]).to_pylist()
    utterances = []
    for row, fact in enumerate(facts):
        utterance = Utterance(
            index=fact["index"],
            start_s=fact["start_s"],
            end_s=fact["end_s"],
            transcript=fact["transcript"] or "",
            speaker=fact.get("speaker"),
            labels={name: values[row] for name, values in labels.items() if not np.isnan(values[row]).any()},
        )
        for modality, (matrix, present) in features.items():
            if present[row]:
                utterance.features[modality] = matrix[row]
        utterances.append(utterance)
    for modality, space in spaces.items():
        if space.level is Level.WORD:
            for utterance, words in zip(
                utterances, word_vectors_of(rows[words_column_name(modality)], space), strict=True
            ):
                if words is not None:
                    utterance.words[modality], utterance.word_present[modality] = words
    return Video(rows["video_id"][0].as_py(), utterances, rows["split"][0].as_py(), facts[0].get("fold"))


def float_column(column: pa.ChunkedArray) -> FloatArray:
    """Convert a column of numbers to a float64 array (row,), with NaN for null."""
    array = column.combine_chunks()
    return np.where(_present_mask(array), _raw_values(array, np.float64), np.nan)


def vector_column(column: pa.ChunkedArray | pa.Array, n_features: int) -> tuple[FloatArray, BoolArray]:
    """Convert a column of vectors to arrays.

    Args:
        column: Column of vectors, stored as lists of equal size.
        n_features: Number of features of a vector.

    Returns:
        ``(matrix, present)``. The matrix (row, feature) holds the vectors as float32, with zeros for a null row. The
        mask `present` (row,) is False for a null row.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    present = _present_mask(array)
    # a null row also has stored values, but they are arbitrary
    values = _raw_values(array.values, np.float32).reshape(-1, n_features)
    matrix = np.where(present[:, None], values[array.offset : array.offset + len(array)], np.float32(0))
    return matrix, present


def word_vectors_of(column: pa.ChunkedArray, space: FeatureSpace) -> list[WordsOfOne]:
    """Convert a column of word vectors to arrays.

    Args:
        column: Column with a list of vectors per row, one vector per word.
        space: Feature space of the modality.

    Returns:
        One entry per row: None if the row is null, else ``(matrix, present)``. The matrix (word, feature) holds the
        vectors. The mask `present` (word,) is True where the word has the modality.
    """
    return [
        vector_column(cell.values, space.n_features) if cell.is_valid and cell.values is not None else None
        for cell in column
    ]


def equal_id_ranges(ids: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return ``(id, start, stop)`` for each block of equal consecutive ids. The block is ``ids[start:stop]``."""
    starts = [row for row in range(len(ids)) if row == 0 or ids[row] != ids[row - 1]]
    return [(ids[start], start, stop) for start, stop in itertools.pairwise([*starts, len(ids)])]


def _word_array(utterances: Sequence[Utterance], space: FeatureSpace) -> pa.Array:
    """Convert the word vectors of utterances to an Arrow array (utterance,).

    Its values are lists with one vector per word, or null for an utterance without words.
    """
    words = [words_of_utterance(utterance, space.modality) for utterance in utterances]
    offsets = np.cumsum([0, *(0 if each is None else len(each[1]) for each in words)], dtype=np.int32)
    validity = _validity([each is not None for each in words])
    kind = pa.list_(pa.list_(pa.float32(), space.n_features))
    children = [_vector_array(*lay_out(words, offsets, space.n_features))]
    return pa.Array.from_buffers(kind, len(words), [validity, _buffer(offsets)], children=children)


def _number_array(values: Sequence[float | None], dtype: type[np.generic] = np.float64) -> pa.Array:
    """Convert numbers to an Arrow array, with null for None."""
    validity = _validity([value is not None for value in values])
    content = np.array([0 if value is None else value for value in values], dtype=dtype)
    return pa.Array.from_buffers(pa.from_numpy_dtype(dtype), len(values), [validity, _buffer(content)])


def _nullable_numbers(values: FloatArray) -> pa.Array:
    """Convert numbers to an Arrow array, with null for NaN."""
    known = ~np.isnan(values)
    content = np.where(known, values, 0.0)
    return pa.Array.from_buffers(pa.float64(), len(values), [_validity(known), _buffer(content)])


def _text_array(values: Sequence[str | None]) -> pa.Array:
    """Convert texts to an Arrow array, with null for None."""
    encoded = [b"" if value is None else value.encode("utf-8") for value in values]
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    validity = _validity([value is not None for value in values])
    return pa.Array.from_buffers(pa.string(), len(values), [validity, _buffer(bounds), pa.py_buffer(b"".join(encoded))])


def _vector_array(matrix: FloatArray, present: BoolArray) -> pa.Array:
    """Convert a float32 matrix (row, feature) to an Arrow array of vectors, null where `present` (row,) is False."""
    n_rows, n_features = matrix.shape
    values = pa.Array.from_buffers(pa.float32(), matrix.size, [None, _buffer(matrix)])
    return pa.Array.from_buffers(pa.list_(pa.float32(), n_features), n_rows, [_validity(present)], children=[values])


def _buffer(values: NDArray[Any]) -> pa.Buffer:
    """Return the bytes of an array as an Arrow buffer."""
    return pa.py_buffer(np.ascontiguousarray(values))


def _validity(present: Sequence[bool] | BoolArray) -> pa.Buffer | None:
    """Return Arrow's bitmap of the values that are not null; None if no value is null."""
    bits = np.asarray(present, dtype=bool)
    return None if bits.all() else pa.py_buffer(np.packbits(bits, bitorder="little"))


def _present_mask(array: pa.Array) -> BoolArray:
    """Return a mask (value,) that is False for null values."""
    bits = array.buffers()[0]
    if bits is None:
        return np.ones(len(array), dtype=bool)
    unpacked = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=array.offset + len(array), bitorder="little")
    return unpacked[array.offset :].astype(bool)


def _raw_values(array: pa.Array, dtype: type[np.generic]) -> NDArray[Any]:
    """Return the numbers of an Arrow array as a numpy array (value,). A number is arbitrary where the value is null."""
    stored = np.frombuffer(array.buffers()[1] or b"", dtype=dtype)
    return stored[array.offset : array.offset + len(array)]


def validate_video(video: Video, spaces: Mapping[Modality, FeatureSpace], label_spaces: Sequence[LabelSpace]) -> None:
    """Check that a video can be stored in a Dataset.

    Args:
        video: Video to check.
        spaces: Feature spaces of the Dataset.
        label_spaces: Label spaces of the Dataset.

    Raises:
        DataError: The split is unknown, two utterances have the same index, or features or labels are invalid.
    """
    if video.split is not None and video.split not in SPLITS:
        raise DataError(
            f"Expected the split of video {video.id!r} to be one of {', '.join(SPLITS)}, but got {video.split!r}; "
            f"give it the role that it has with --rename-split {video.split}=ROLE (=none leaves it out)"
        )
    indices = Counter(utterance.index for utterance in video.utterances)
    if indices and indices.most_common(1)[0][1] > 1:
        raise DataError(
            f"Expected unique utterance numbers in video {video.id!r}, but got {indices.most_common(1)[0][0]} twice"
        )
    for utterance in video.utterances:
        where = f"utterance {utterance.index} of video {video.id!r}"
        for modality, vector in utterance.features.items():
            _validate_features(vector[None], spaces, modality, where)
        for modality, rows in utterance.words.items():
            _validate_features(rows, spaces, modality, where)
    _validate_labels(video, label_spaces)


def _validate_features(
    rows: FloatArray, spaces: Mapping[Modality, FeatureSpace], modality: Modality, where: str
) -> None:
    """Raise DataError unless the vectors of a modality can be stored in a Dataset with the feature spaces `spaces`.

    The vectors (row, feature) must fit the feature space of the modality, and all their values must be finite.
    """
    if modality not in spaces:
        raise DataError(f"Expected {where} to have only {', '.join(spaces)} features, but got {modality} features too")
    if rows.shape[1] != spaces[modality].n_features:
        raise DataError(
            f"Expected {spaces[modality].n_features} {modality} features in {where}, but got {rows.shape[1]}; "
            "all rows of a modality must come from one extractor"
        )
    if not np.isfinite(rows).all():
        raise DataError(
            f"Expected finite {modality} features in {where}, but got NaN or infinity; "
            "leave the modality out of that utterance to mark it missing"
        )


def _validate_labels(video: Video, label_spaces: Sequence[LabelSpace]) -> None:
    """Raise DataError unless all labels of a video belong to a label space and are within its bounds."""
    known = {space.name: space for space in label_spaces}
    by_name: dict[str, list[FloatArray]] = {}
    for utterance in video.utterances:
        for name, values in utterance.labels.items():
            by_name.setdefault(name, []).append(values)
    # the labels of a whole video at once, which is several times as fast
    if all(name in known and _labels_fit(rows, known[name]) for name, rows in by_name.items()):
        return
    for utterance in video.utterances:
        where = f"utterance {utterance.index} of video {video.id!r}"
        for name, values in utterance.labels.items():
            if name not in known:
                raise DataError(f"Expected {where} to have only {', '.join(known)} labels, but got {name} labels too")
            if not _labels_fit([values], known[name]):
                (low, high), n_columns, got = known[name].bounds, known[name].n_columns, values.tolist()
                count = "" if n_columns == 1 else f"{n_columns} numbers for "
                shown = got[0] if len(got) == 1 else got
                raise DataError(f"Expected {count}{name} of {where} in [{low:g}, {high:g}], but got {shown}")


def _labels_fit(rows: Sequence[FloatArray], space: LabelSpace) -> bool:
    """Return whether labels, one array (column,) per utterance, can be stored in the columns of a label space."""
    if any(values.shape != (space.n_columns,) for values in rows):
        return False
    values, (low, high) = np.array(rows), space.bounds
    is_whole = space.kind is not LabelKind.CLASSES or bool((values == np.round(values)).all())
    return is_whole and bool(((values >= low) & (values <= high)).all())
