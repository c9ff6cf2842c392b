"""Reader `arrays`: one .npz archive of aligned arrays with one row per utterance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import PAPER_SPACES, LabelSpace, paper_labels
from mien.readers.archives import array_names, read_arrays, require_arrays
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.fields import ARRAY_FIELDS, SENTIMENT_CLASS
from mien.readers.input_files import AnyArray, as_text, only_file
from mien.readers.label_columns import LabelOption
from mien.readers.rules import (
    ARRAY_UNREAD,
    attach_vector,
    emotion_labels,
    sentiment_label,
    usable_end,
    with_names,
    without_absurd,
)
from mien.readers.split_labels import add_own_labels, with_own_spaces
from mien.readers.table_rows import LARGEST_INDEX, TableRow
from mien.schema import EMOTION, EMOTIONS, SENTIMENT, FeatureSpace, Modality, SentimentValues, Utterance

# label space -> the fields that hold its labels
LABEL_FIELDS = {SENTIMENT: (SENTIMENT, SENTIMENT_CLASS), EMOTION: ("emotions", *EMOTIONS)}
# the array of the bc-LSTM features that repeats video id and index
UTTERANCE_ID = "utt_id"
KINDS = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "b": "true or false", "U": "text", "S": "bytes"}


def open_arrays(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one archive of arrays that have one row per utterance.

    The array video_id (utterance,) is required. The other arrays are optional:

    - index, start, end, split and transcript, each (utterance,), with start and end in seconds;
    - text, acoustic and visual, each (utterance, feature);
    - sentiment (utterance,), a score in [-3, 3], or sentiment_class (utterance,), 1 for a score >= 0 and 0 for a
      negative one;
    - emotions (utterance, 6), intensities in [0, 3] in alphabetical order, or one array (utterance,) per emotion.

    A label that is NaN is missing.

    Args:
        paths: One .npz file.
        options: `mapping` is a dictionary: field -> name of the array to use. `words` is ignored, because the format
            has no word vectors.

    Returns:
        The data set with one feature vector per utterance.

    Raises:
        DataError: The file is not an .npz archive, an array is missing, or its shape, type or values are wrong.
    """
    path = only_file(paths, (".npz",), "arrays")
    names_in_file = array_names(path, "arrays")
    used = _array_name_by_field(path, names_in_file, options.mapping)
    own_names = {column for option in options.labels for column in option.columns}
    used = _without_replaced(used, options.labels)
    require_arrays(path, sorted(own_names), names_in_file)
    by_name = read_arrays(path, {*used.values(), *own_names}, "arrays")
    arrays = {field: by_name[name] for field, name in used.items()}
    _require_shapes(path, arrays, used)
    own = [option.label_columns(partial(_array_cells, path, by_name, option.columns)) for option in options.labels]
    notes: Counter[str] = Counter()
    unread = [name for name in names_in_file if name not in {*used.values(), *own_names, UTTERANCE_ID}]
    if unread:
        known = [name for names in ARRAY_FIELDS.values() for name in names]
        notes[with_names(ARRAY_UNREAD, unread, known)] += len(unread)
    sentiment_values = SentimentValues.INTENSITY
    if SENTIMENT_CLASS in arrays:
        # 0 and 1 become -1 and +1, which the rule `has0` maps back to the two classes; NaN stays NaN
        arrays["sentiment"] = arrays[SENTIMENT_CLASS].astype(np.float64) * 2 - 1
        sentiment_values = SentimentValues.HAS0_CLASS
    if EMOTIONS[0] in arrays:
        arrays["emotions"] = np.stack([arrays[name] for name in EMOTIONS], axis=1)
    rows = _rows_of_arrays(path, arrays)
    for each in own:
        add_own_labels([row.utterance.labels for row in rows], each, _array_cells(path, by_name, each.columns))
    groups = group(rows, notes, path, numbered="index" in arrays, unit=options.unit)
    spaces = {}
    for modality in Modality:
        if modality in arrays:
            arrays[modality] = without_absurd(arrays[modality], notes)
            recipe = {"source": "arrays", "key": used[modality], "pooling": "none: one vector per utterance, as stored"}
            spaces[modality] = FeatureSpace(modality, f"arrays-{modality}", arrays[modality].shape[1], recipe=recipe)

    def attach(row: Row) -> None:
        for modality in spaces:
            attach_vector(row.utterance, modality, arrays[modality][row.place], notes)

    return SourceDataSet(
        splits=groups.splits,
        spaces=spaces,
        videos=groups.videos(attach),
        sentiment_values=sentiment_values,
        notes=notes,
        mapping=used | {each.space.name: ", ".join(each.columns) for each in own},
        files=(path,),
        label_spaces=with_own_spaces(_paper_spaces(arrays) if own else PAPER_SPACES, own),
    )


def _without_replaced(used: Mapping[str, str], labels: Sequence[LabelOption]) -> dict[str, str]:
    """Leave out sentiment or the emotions if a label of the user's own has their name or reads one of their arrays."""
    own_names = {column for option in labels for column in option.columns}
    dropped: set[str] = set()
    for space, fields in LABEL_FIELDS.items():
        if space in {option.name for option in labels} or any(used.get(field) in own_names for field in fields):
            dropped |= set(fields)
    return {field: name for field, name in used.items() if field not in dropped}


def _paper_spaces(arrays: Collection[str]) -> tuple[LabelSpace, ...]:
    """Return the label spaces of the paper that a file has."""
    fields = {SENTIMENT: SENTIMENT, EMOTION: "emotions"}
    return tuple(space for space in PAPER_SPACES if fields[space.name] in arrays)


def _array_cells(path: Path, arrays: Mapping[str, AnyArray], columns: Sequence[str]) -> Iterator[TableRow]:
    """Yield the values of some arrays as the row of a table, for each utterance. NaN is an empty cell."""
    n_rows = len(arrays[columns[0]]) if arrays[columns[0]].ndim else 0
    for column in columns:
        if arrays[column].shape != (n_rows,) or arrays[column].dtype.kind not in "fiuUS":
            raise DataError(
                f"Expected one number or text per utterance in array {column!r} of {path}, but got "
                f"{arrays[column].dtype} of {arrays[column].shape}; name another array with --label"
            )
    texts = {column: as_text(arrays[column]) for column in columns}
    for column in columns:
        if arrays[column].dtype.kind == "f":
            texts[column] = ["" if text == "nan" else text for text in texts[column]]
    for row in range(n_rows):
        yield TableRow(path, row, {column: each[row] for column, each in texts.items()})


def _array_name_by_field(path: Path, names_in_file: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Find the array of the file that contains the values of each field.

    An array that `mapping` assigns to one field is not used for another field.

    Returns:
        Field -> name of its array, for the fields that the file has.

    Raises:
        DataError: A needed array is missing. Or the file has both an array of all emotions and an array of a single
            emotion. Or `mapping` has both the scores and the classes of sentiment.
    """
    mapped = set(mapping.values())
    used: dict[str, str] = {}
    for field, names in ARRAY_FIELDS.items():
        if field in mapping:
            used[field] = mapping[field]
            if mapping[field] not in names_in_file:
                raise _missing_array_error(path, field, mapping[field], names_in_file)
            continue
        name = next((name for name in names if name in names_in_file and name not in mapped), None)
        if name is not None:
            used[field] = name
    if "video_id" not in used:
        raise _missing_array_error(path, "video_id", ARRAY_FIELDS["video_id"][0], names_in_file)
    if "sentiment" in used and SENTIMENT_CLASS in used:
        if "sentiment" in mapping and SENTIMENT_CLASS in mapping:
            raise DataError(
                "Expected --map for sentiment or for sentiment_class, but got both; keep the scores if there are any"
            )
        # prefer scores, which have more information than classes, unless the mapping names the classes
        del used["sentiment" if SENTIMENT_CLASS in mapping else SENTIMENT_CLASS]
    singles = [name for name in EMOTIONS if name in used]
    if singles and "emotions" in used:
        raise DataError(
            f"Expected one array of six emotions or six arrays in {path}, but got {used['emotions']!r} and "
            f"{', '.join(used[name] for name in singles)}; remove one kind"
        )
    if singles and len(singles) < len(EMOTIONS):
        lacking = next(name for name in EMOTIONS if name not in singles)
        raise _missing_array_error(path, lacking, lacking, names_in_file)
    return used


def _missing_array_error(path: Path, field: str, name: str, names_in_file: Collection[str]) -> DataError:
    return DataError(
        f"Expected an array {name!r} in {path}, but got {', '.join(names_in_file) or 'none'}; "
        f"name the array that holds it with --map {field}=ARRAY"
    )


def _require_shapes(path: Path, arrays: Mapping[str, AnyArray], used: Mapping[str, str]) -> None:
    n_rows = len(arrays["video_id"]) if arrays["video_id"].ndim else 0
    if not n_rows:
        raise DataError(f"Expected at least one row in {used['video_id']!r} of {path}, but got none; check the file")
    matrix_fields = {*Modality, "emotions"}
    kinds = {"video_id": "USiu", "split": "US", "transcript": "US", "index": "iu", SENTIMENT_CLASS: "fiub"}
    for field, values in arrays.items():
        shape = f"({n_rows}, feature)" if field in matrix_fields else f"({n_rows},)"
        fits = values.ndim == (2 if field in matrix_fields else 1) and len(values) == n_rows and values.size > 0
        if field == "emotions":
            shape, fits = f"({n_rows}, {len(EMOTIONS)})", values.shape == (n_rows, len(EMOTIONS))
        if not fits:
            raise DataError(
                f"Expected shape {shape} in array {used[field]!r} of {path}, but got {values.shape}; "
                "every array needs one row per utterance"
            )
        allowed = kinds.get(field, "fiu")
        if values.dtype.kind not in allowed:
            expected = " or ".join(dict.fromkeys(KINDS[kind] for kind in allowed))
            raise DataError(
                f"Expected {expected} in array {used[field]!r} of {path} (field {field!r}), but got "
                f"{KINDS.get(values.dtype.kind, str(values.dtype))}; {_kind_remedy(field, used[field], values)}"
            )
    if "index" in arrays and (arrays["index"] > LARGEST_INDEX).any():
        raise DataError(
            f"Expected whole numbers up to {LARGEST_INDEX} in array {used['index']!r} of {path}, but got "
            f"{arrays['index'].max()}; store the position of the utterance in its video"
        )
    if SENTIMENT_CLASS in arrays:
        values, name = arrays[SENTIMENT_CLASS], used[SENTIMENT_CLASS]
        unexpected = values[(values != 0) & (values != 1) & ~np.isnan(values)]
        if len(unexpected):
            raise DataError(
                f"Expected only 0 and 1 in array {name!r} of {path}, but got {unexpected[0]}; "
                f"if these are scores in [-3, 3], say so with --map sentiment={name}; if classes, with --label "
                f"{SENTIMENT}={name}:classes"
            )


def _kind_remedy(field: str, name: str, values: AnyArray) -> str:
    """Return what to do about an array with values of another kind than its field needs."""
    if field == "index":
        return "store whole numbers"
    if values.dtype.kind not in "US":
        return f"say what it holds with --map {field}={name}"
    if field in (SENTIMENT, SENTIMENT_CLASS):
        return f"store numbers, or read names of classes with --label {SENTIMENT}={name}:classes"
    return f"say what it holds with --map transcript={name}" if field in {*Modality} else "store numbers"


def _rows_of_arrays(path: Path, arrays: Mapping[str, AnyArray]) -> list[Row]:
    video_ids = as_text(arrays["video_id"])
    no_texts = [""] * len(video_ids)
    transcripts = as_text(arrays["transcript"]) if "transcript" in arrays else no_texts
    splits = as_text(arrays["split"]) if "split" in arrays else no_texts
    rows = []
    for row, video_id in enumerate(video_ids):
        applied: Counter[str] = Counter()
        start_s = _time_or_none(arrays.get("start"), row)
        utterance = Utterance(
            index=int(arrays["index"][row]) if "index" in arrays else 0,
            start_s=start_s,
            end_s=usable_end(start_s, _time_or_none(arrays.get("end"), row), applied),
            transcript=transcripts[row],
            labels=paper_labels(
                sentiment_label(float(arrays["sentiment"][row]), applied) if "sentiment" in arrays else None,
                emotion_labels(arrays["emotions"][row], applied) if "emotions" in arrays else None,
            ),
        )
        rows.append(Row(video_id, splits[row] or None, utterance, f"row {row} of {path}", row, applied=applied))
    return rows


def _time_or_none(values: AnyArray | None, row: int) -> float | None:
    if values is None or not np.isfinite(values[row]):
        return None
    return float(values[row])
