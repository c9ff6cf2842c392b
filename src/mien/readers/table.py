"""Reader `table`: tables with one row per utterance, such as the user's own table or labels of CMU-MOSEI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError, UsageError
from mien.labels import PAPER_SPACES, LabelSpace, paper_labels, require_distinct
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import files_with_suffix, input_files
from mien.readers.label_columns import LabelColumns
from mien.readers.rules import EMOTIONS_IN_PART, FILE_UNUSED, emotion_labels, sentiment_label, usable_end
from mien.readers.table_columns import count_unused, find_columns, shown_name
from mien.readers.table_files import SUFFIXES, open_table_file, require_columns
from mien.readers.table_rows import TableRow
from mien.schema import EMOTION, EMOTIONS, EXTRA_COLUMNS, SENTIMENT, FloatArray, Utterance


def open_table(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one or more files as one table.

    A file is a CSV file with any usual separator, lines of JSON, or Parquet. Text files may be gzipped.

    Required columns: video_id and text. Optional columns: segment_id or index, start and end in seconds, split,
    speaker, fold, sentiment in [-3, 3], and the six emotions in [0, 3]. Columns with other usual names, such as "joy",
    are read and counted. All other columns are named in the notes, except those that `labels` names. An empty cell is a
    missing value.

    With `labels`, the data set has these label spaces, and the two of the paper only if the files have their columns.

    Args:
        paths: Files, or folders that contain them.
        options: `mapping` is a dictionary: field -> name of the column to use. `words` is ignored, because the format
            has no word vectors. `labels` are label spaces of the user's own.

    Returns:
        The data set, without features.

    Raises:
        DataError: A file is not a table, a column is missing, or a cell is not a number where one is needed.
    """
    notes: Counter[str] = Counter()
    files = _table_files(paths, notes)
    own = {option.name: option.columns for option in options.labels}
    opened = [
        find_columns(open_table_file(path, "table"), options.mapping, own, notes, options.needs_text) for path in files
    ]
    used = {field: column for each in opened for field, column in each.by_field.items()}
    for field, column in options.mapping.items():
        if field not in used:
            require_columns(opened[0].table, {field: column})
    numbered = [each for each in opened if "index" in each.by_field]
    if numbered and len(numbered) < len(opened):
        lacking = next(each for each in opened if each not in numbered)
        raise DataError(
            f"Expected an index column in every file or in none, but got one in {numbered[0].table.path} and none in "
            f"{lacking.table.path}; add it, or name it with --map index=COLUMN"
        )
    for option in options.labels:
        for each in opened:
            require_columns(each.table, {name: name for name in option.columns})
    labels = [
        option.label_columns(lambda: (row for each in opened for row in each.rows())) for option in options.labels
    ]
    spaces = _label_spaces(used, labels) if labels else PAPER_SPACES
    rows = (_table_row(row, each.by_field, labels) for each in opened for row in each.rows())
    groups = group(rows, notes, files[0], numbered=bool(numbered), unit=options.unit)
    count_unused(opened, list(own), notes)
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


def _table_files(paths: Sequence[Path], notes: Counter[str]) -> list[Path]:
    """List the files to read. Of a folder, these are the files of the first kind in `SUFFIXES` that it has.

    Files of other kinds are counted in `notes`.
    """
    files: list[Path] = []
    for path in paths:
        kinds = [files_with_suffix(path, suffixes) for suffixes in SUFFIXES] if path.is_dir() else [[path]]
        first = next((number for number, kind in enumerate(kinds) if kind), len(kinds))
        files.extend(kinds[first] if first < len(kinds) else [path])
        for unused in (each for kind in kinds[first + 1 :] for each in kind):
            notes[f"{FILE_UNUSED}: {shown_name(unused.name)}"] += 1
    return input_files(files, tuple(suffix for suffixes in SUFFIXES for suffix in suffixes), "table")


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


def _table_row(row: TableRow, columns: Mapping[str, str], labels: Sequence[LabelColumns]) -> Row:
    applied: Counter[str] = Counter()
    video_id = row.cells[columns["video_id"]]
    if not video_id:
        raise row.refuse(columns["video_id"], "a video id", "give every row its video")
    start_s = row.number(columns["start"]) if "start" in columns else None
    end_s = row.number(columns["end"]) if "end" in columns else None
    sentiment = _score(row, columns["sentiment"]) if "sentiment" in columns else None
    utterance = Utterance(
        index=row.integer(columns["index"]) if "index" in columns else 0,
        start_s=start_s,
        end_s=usable_end(start_s, end_s, applied),
        transcript=row.cells[columns["text"]] if "text" in columns else "",
        speaker=_text_or_none(row, columns, "speaker"),
        labels=paper_labels(
            None if sentiment is None else sentiment_label(sentiment, applied),
            _table_emotions(row, columns, applied) if EMOTIONS[0] in columns else None,
        ),
    )
    for each in labels:
        if (values := each.read(row)) is not None:
            utterance.labels[each.space.name] = values
    split, fold = (_text_or_none(row, columns, field) for field in ("split", "fold"))
    return Row(video_id, split, utterance, row.where, fold=fold, applied=applied)


def _score(row: TableRow, column: str) -> float | None:
    try:
        return row.number(column)
    except DataError:
        remedy = "correct the cell, leave it empty where the value is missing, or read names of classes with --label "
        raise row.refuse(column, "a number", f"{remedy}{SENTIMENT}={column}:classes") from None


def _text_or_none(row: TableRow, columns: Mapping[str, str], field: str) -> str | None:
    return row.cells[columns[field]].strip() or None if field in columns else None


def _table_emotions(row: TableRow, columns: Mapping[str, str], notes: Counter[str]) -> FloatArray | None:
    values = [row.number(columns[name]) for name in EMOTIONS]
    if None in values:
        if any(value is not None for value in values):
            notes[EMOTIONS_IN_PART] += 1
        return None
    return emotion_labels(np.array(values, dtype=np.float64), notes)
