"""CSV files with one row per utterance: a table of one's own, or CMU-MOSEI's texts and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import CsvRow, input_files, read_header, read_rows, require_columns
from mien.readers.rules import EMOTIONS_IN_PART, emotion_labels, sentiment_label, usable_end
from mien.schema import EMOTIONS, FloatArray, Utterance

# field -> column names tried in this order
FIELDS: dict[str, tuple[str, ...]] = {
    "video_id": ("video_id",),
    "index": ("segment_id", "index"),
    "start": ("start",),
    "end": ("end",),
    "text": ("text",),
    "split": ("split",),
    "sentiment": ("sentiment",),
    **{name: (name,) for name in EMOTIONS},
}
REQUIRED = ("video_id", "text")


def open_table(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one or more CSV files, read as one table.

    Columns (others are ignored): video_id and text; optional index, start and end in seconds, split, sentiment in
    [-3, 3], the six emotions in [0, 3]. An empty cell is a missing value. `options.mapping` renames columns.

    Raises DataError when a file is no UTF-8 CSV, a column is missing, or a cell is no number where one is needed.
    """
    files = input_files(paths, (".csv",), "table")
    columns = {path: _columns_of(path, options.mapping) for path in files}
    used = {field: column for of_file in columns.values() for field, column in of_file.items()}
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
    notes: Counter[str] = Counter()
    rows = (_row(row, columns[path], notes) for path in files for row in read_rows(path))
    groups = group(rows, notes, files[0], numbered=bool(numbered))
    return SourceDataSet(
        splits=groups.splits,
        spaces={},
        videos=groups.videos(),
        notes=notes,
        mapping=used,
        files=tuple(files),
    )


def _columns_of(path: Path, mapping: Mapping[str, str]) -> dict[str, str]:
    """Field -> column for what the file has. Raises DataError when a required field or half of a pair is missing."""
    header = read_header(path)
    found: dict[str, str] = {}
    for field, names in FIELDS.items():
        tried = (mapping[field],) if field in mapping else names
        column = next((name for name in tried if name in header), None)
        if column is not None:
            found[field] = column
    names_of = {field: mapping.get(field, FIELDS[field][0]) for field in FIELDS}
    together: list[tuple[str, ...]] = [REQUIRED]
    # a time needs both ends, and six emotions cannot be told from some of them
    together += [names for names in (("start", "end"), EMOTIONS) if any(name in found for name in names)]
    for names in together:
        require_columns(path, {name: names_of[name] for name in names}, header)
    return found


def _row(row: CsvRow, columns: Mapping[str, str], notes: Counter[str]) -> Row:
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
        sentiment=None if sentiment is None else sentiment_label(sentiment, notes),
        emotions=_emotions(row, columns, notes) if EMOTIONS[0] in columns else None,
    )
    split = row.cells[columns["split"]].strip() or None if "split" in columns else None
    return Row(video_id, split, utterance, row.where)


def _emotions(row: CsvRow, columns: Mapping[str, str], notes: Counter[str]) -> FloatArray | None:
    values = [row.number(columns[name]) for name in EMOTIONS]
    if None in values:
        if any(value is not None for value in values):
            notes[EMOTIONS_IN_PART] += 1
        return None
    return emotion_labels(np.array(values, dtype=np.float64), notes)
