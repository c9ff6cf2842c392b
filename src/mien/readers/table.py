"""Reader `table`: CSV files with one row per utterance, such as the user's own table or labels of CMU-MOSEI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError, UsageError
from mien.labels import PAPER_SPACES, LabelSpace, paper_labels, require_distinct
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import CsvRow, input_files, read_header, read_rows, require_columns
from mien.readers.label_columns import LabelColumns
from mien.readers.rules import EMOTIONS_IN_PART, emotion_labels, sentiment_label, usable_end
from mien.schema import EMOTION, EMOTIONS, EXTRA_COLUMNS, SENTIMENT, FloatArray, Utterance

# field -> column names to try, in this order
FIELDS: dict[str, tuple[str, ...]] = {
    "video_id": ("video_id",),
    "index": ("segment_id", "index"),
    "start": ("start",),
    "end": ("end",),
    "text": ("text",),
    "split": ("split",),
    "speaker": ("speaker",),
    "fold": ("fold",),
    "sentiment": ("sentiment",),
    **{name: (name,) for name in EMOTIONS},
}
REQUIRED = ("video_id", "text")


def open_table(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one or more CSV files as one table.

    Required columns: video_id and text. Optional columns: segment_id or index, start and end in seconds, split,
    speaker, fold, sentiment in [-3, 3], and the six emotions in [0, 3]. Other columns are ignored, except those that
    `labels` names. An empty cell is a missing value.

    With `labels`, the data set has these label spaces, and the two of the paper only if the files have their columns.

    Args:
        paths: CSV files, or folders that contain them.
        options: `mapping` is a dictionary: field -> name of the column to use. `words` is ignored, because the format
            has no word vectors. `labels` are label spaces of the user's own.

    Returns:
        The data set, without features.

    Raises:
        DataError: A file is not a UTF-8 CSV, a column is missing, or a cell is not a number where one is needed.
    """
    files = input_files(paths, (".csv",), "table")
    own = [option.name for option in options.labels]
    columns = {path: _column_by_field(path, options.mapping, own) for path in files}
    used = {field: column for file_columns in columns.values() for field, column in file_columns.items()}
    for field, column in options.mapping.items():
        if field not in used:
            require_columns(files[0], {field: column}, read_header(files[0]))
    numbered = [path for path in files if "index" in columns[path]]
    if numbered and len(numbered) < len(files):
        lacking = next(path for path in files if path not in numbered)
        raise DataError(
            f"Expected an index column in every file or in none, but got one in {numbered[0]} and none in {lacking}; "
            "add it, or name it with --map index=COLUMN"
        )
    for option in options.labels:
        for path in files:
            require_columns(path, {each: each for each in option.columns}, read_header(path))
    labels = [
        option.label_columns(lambda: (row for path in files for row in read_rows(path))) for option in options.labels
    ]
    spaces = _label_spaces(used, labels) if labels else PAPER_SPACES
    notes: Counter[str] = Counter()
    rows = (_table_row(row, columns[path], labels, notes) for path in files for row in read_rows(path))
    groups = group(rows, notes, files[0], numbered=bool(numbered), unit=options.unit)
    return SourceDataSet(
        splits=groups.splits,
        spaces={},
        videos=groups.videos(),
        notes=notes,
        mapping=used | {each.space.name: ", ".join(each.columns) for each in labels},
        files=tuple(files),
        label_spaces=spaces,
        extra_columns=tuple(name for name in EXTRA_COLUMNS if name in used),
    )


def _label_spaces(used: Mapping[str, str], labels: Sequence[LabelColumns]) -> tuple[LabelSpace, ...]:
    """Return the paper's label spaces whose columns the files have, then those of the user.

    Raises:
        UsageError: Two label spaces would have columns of the same name.
    """
    columns = {SENTIMENT: SENTIMENT, EMOTION: EMOTIONS[0]}
    paper = [space for space in PAPER_SPACES if columns[space.name] in used]
    try:
        return require_distinct([*paper, *(each.space for each in labels)])
    except ValueError as error:
        raise UsageError(f"{error} with --label") from None


def _column_by_field(path: Path, mapping: Mapping[str, str], own: Sequence[str]) -> dict[str, str]:
    """Find the column of the file that contains the values of each field, except fields that `own` labels replace.

    Returns:
        Field -> name of its column, for the fields that the file has.

    Raises:
        DataError: A required column is missing. Or the file has only one of start and end, or only some of the six
            emotions.
    """
    header = read_header(path)
    columns: dict[str, str] = {}
    replaced = {*own, *(EMOTIONS if EMOTION in own else ())}
    for field, names in FIELDS.items():
        if field in replaced:
            continue
        candidates = (mapping[field],) if field in mapping else names
        column = next((name for name in candidates if name in header), None)
        if column is not None:
            columns[field] = column
    column_names = {field: mapping.get(field, FIELDS[field][0]) for field in FIELDS}
    column_groups: list[tuple[str, ...]] = [REQUIRED]
    # a file must have both start and end or neither, and all six emotions or none
    column_groups += [names for names in (("start", "end"), EMOTIONS) if any(name in columns for name in names)]
    for names in column_groups:
        require_columns(path, {name: column_names[name] for name in names}, header)
    return columns


def _table_row(row: CsvRow, columns: Mapping[str, str], labels: Sequence[LabelColumns], notes: Counter[str]) -> Row:
    video_id = row.cells[columns["video_id"]]
    if not video_id:
        raise row.refuse(columns["video_id"], "a video id", "give every row its video")
    start_s = row.number(columns["start"]) if "start" in columns else None
    end_s = row.number(columns["end"]) if "end" in columns else None
    sentiment = row.number(columns["sentiment"]) if "sentiment" in columns else None
    utterance = Utterance(
        index=row.integer(columns["index"]) if "index" in columns else 0,
        start_s=start_s,
        end_s=usable_end(start_s, end_s, notes),
        transcript=row.cells[columns["text"]],
        speaker=_text_or_none(row, columns, "speaker"),
        labels=paper_labels(
            None if sentiment is None else sentiment_label(sentiment, notes),
            _table_emotions(row, columns, notes) if EMOTIONS[0] in columns else None,
        ),
    )
    for each in labels:
        if (values := each.read(row)) is not None:
            utterance.labels[each.space.name] = values
    split, fold = (_text_or_none(row, columns, field) for field in ("split", "fold"))
    return Row(video_id, split, utterance, row.where, fold=fold)


def _text_or_none(row: CsvRow, columns: Mapping[str, str], field: str) -> str | None:
    return row.cells[columns[field]].strip() or None if field in columns else None


def _table_emotions(row: CsvRow, columns: Mapping[str, str], notes: Counter[str]) -> FloatArray | None:
    values = [row.number(columns[name]) for name in EMOTIONS]
    if None in values:
        if any(value is not None for value in values):
            notes[EMOTIONS_IN_PART] += 1
        return None
    return emotion_labels(np.array(values, dtype=np.float64), notes)
