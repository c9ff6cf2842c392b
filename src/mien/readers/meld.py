"""Reader `meld`: dialogues of a television series (declare-lab/MELD).

Every utterance is labelled with one of seven emotions and one of three sentiments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import LabelKind, LabelSpace
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import input_files
from mien.readers.rules import START_ORDER_BROKEN, usable_end
from mien.readers.table_files import open_table_file
from mien.readers.table_rows import TableRow
from mien.schema import EMOTION, SENTIMENT, FloatArray, Utterance, in_start_order

FILE_SPLITS = {"train_sent_emo.csv": "train", "dev_sent_emo.csv": "valid", "test_sent_emo.csv": "test"}
# field -> column
MAPPING = {
    "video_id": "Dialogue_ID",
    "index": "Utterance_ID",
    "start": "StartTime",
    "end": "EndTime",
    "text": "Utterance",
    "speaker": "Speaker",
    EMOTION: "Emotion",
    SENTIMENT: "Sentiment",
}
EMOTION_CLASSES = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SENTIMENT_CLASSES = ("negative", "neutral", "positive")
LABEL_SPACES = tuple(
    LabelSpace(name, LabelKind.CLASSES, classes, neutral="neutral", origin=f"MELD: column {MAPPING[name]}")
    for name, classes in ((EMOTION, EMOTION_CLASSES), (SENTIMENT, SENTIMENT_CLASSES))
)
# such as "00:20:57,256"; the decimal sign may be a comma or a point
TIME = re.compile(r"(\d{1,4}):(\d\d?):(\d\d?)[,.](\d{1,3})")


def open_meld(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv.

    Each dialogue becomes a video. Its id includes the split (``train-dia12``), because dialogue numbers start again in
    every file. Times are seconds from the start of the episode. The label space `emotion` has seven classes, and the
    label space `sentiment` has three.

    Args:
        paths: One or more of the three files, or their folder.
        options: Ignored; the columns are fixed and there are no features.

    Returns:
        The data set, without features.

    Raises:
        DataError: A file has another name or other columns, or a cell has an unknown value.
    """
    files = [path for path in input_files(paths, (".csv",), "meld") if path.name in FILE_SPLITS]
    unexpected = [path for path in paths if not path.is_dir() and path.name not in FILE_SPLITS]
    if unexpected or not files:
        raise DataError(
            f"Expected {', '.join(FILE_SPLITS)} for the reader 'meld', but got "
            f"{', '.join(str(path) for path in unexpected or paths)}; the name of the file says the split"
        )
    files.sort(key=lambda path: list(FILE_SPLITS).index(path.name))
    tables = [open_table_file(path, "meld") for path in files]
    for table in tables:
        missing = next((name for name in MAPPING.values() if name not in table.header), None)
        if missing:
            raise DataError(
                f"Expected a column {missing!r} in {table.path}, but got {', '.join(table.header)}; "
                "use the file as MELD publishes it"
            )
    notes: Counter[str] = Counter()

    def by_number(utterances: list[Utterance]) -> list[Utterance]:
        ordered = sorted(utterances, key=lambda utterance: utterance.index)
        if in_start_order(utterances) != ordered:
            notes[START_ORDER_BROKEN] += 1
        return ordered

    rows = (_meld_row(row, FILE_SPLITS[table.path.name]) for table in tables for row in table.rows())
    groups = group(rows, notes, files[0], numbered=True, order=by_number)
    return SourceDataSet(
        splits=groups.splits,
        spaces={},
        videos=groups.videos(),
        notes=notes,
        mapping=MAPPING,
        files=tuple(files),
        licence_note="MELD: GPL-3.0; the dialogue text stays under the copyright of the series' owners",
        label_spaces=LABEL_SPACES,
        extra_columns=("speaker",),
    )


def _meld_row(row: TableRow, split: str) -> Row:
    applied: Counter[str] = Counter()
    start_s = _episode_time_s(row, "StartTime")
    utterance = Utterance(
        index=row.integer("Utterance_ID"),
        start_s=start_s,
        end_s=usable_end(start_s, _episode_time_s(row, "EndTime"), applied),
        transcript=row.cells["Utterance"],
        speaker=row.cells["Speaker"].strip() or None,
        labels={space.name: _class_index(row, space) for space in LABEL_SPACES},
    )
    return Row(f"{split}-dia{row.integer('Dialogue_ID')}", split, utterance, row.where, applied=applied)


def _episode_time_s(row: TableRow, column: str) -> float:
    match = TIME.fullmatch(row.cells[column].strip())
    if not match:
        raise row.refuse(column, "a time like 00:20:57,256", "use the file as MELD publishes it")
    hours, minutes, seconds, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _class_index(row: TableRow, space: LabelSpace) -> FloatArray:
    """Return the index of the row's class in a label space, (1,). Raise DataError if the class is unknown."""
    column = MAPPING[space.name]
    name = row.cells[column]
    if name not in space.names:
        raise row.refuse(column, ", ".join(space.names), "use the file as MELD publishes it")
    return np.array([float(space.names.index(name))])
