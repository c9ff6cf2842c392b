"""Reader `meld`: dialogues of a television series (declare-lab/MELD).

Every utterance is labelled with one emotion and one sentiment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import paper_labels
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import CsvRow, input_files, read_header, read_rows
from mien.readers.rules import SENTIMENT_NEUTRAL, START_ORDER_BROKEN, usable_end
from mien.schema import EMOTIONS, FloatArray, SentimentValues, Utterance, in_start_order

FILE_SPLITS = {"train_sent_emo.csv": "train", "dev_sent_emo.csv": "valid", "test_sent_emo.csv": "test"}
# field -> column
MAPPING = {
    "video_id": "Dialogue_ID",
    "index": "Utterance_ID",
    "start": "StartTime",
    "end": "EndTime",
    "text": "Utterance",
    "speaker": "Speaker",
    "sentiment": "Sentiment",
    "emotions": "Emotion",
}
# name of an emotion in MELD -> emotion in mien, whose intensity becomes 1; None for neutral
EMOTION_NAMES = {
    "neutral": None,
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happy",
    "sadness": "sad",
    "surprise": "surprise",
}
SENTIMENTS = {"positive": 1.0, "negative": -1.0, "neutral": None}
# such as "00:20:57,256"; the decimal sign may be a comma or a point
TIME = re.compile(r"(\d{1,4}):(\d\d?):(\d\d?)[,.](\d{1,3})")


def open_meld(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv.

    Each dialogue becomes a video. Its id includes the split (``train-dia12``), because dialogue numbers start again in
    every file. Times are seconds from the start of the episode. The emotion of an utterance gets intensity 1, the other
    emotions get 0; a neutral utterance gets 0 in all emotions. Positive and negative sentiment become +1 and -1.
    Neutral sentiment becomes a missing label.

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
    for path in files:
        header = read_header(path)
        missing = next((name for name in MAPPING.values() if name not in header), None)
        if missing:
            raise DataError(
                f"Expected a column {missing!r} in {path}, but got {', '.join(header)}; "
                "use the file as MELD publishes it"
            )
    files.sort(key=lambda path: list(FILE_SPLITS).index(path.name))
    notes: Counter[str] = Counter()

    def by_number(utterances: list[Utterance]) -> list[Utterance]:
        ordered = sorted(utterances, key=lambda utterance: utterance.index)
        if in_start_order(utterances) != ordered:
            notes[START_ORDER_BROKEN] += 1
        return ordered

    rows = (_meld_row(row, FILE_SPLITS[path.name], notes) for path in files for row in read_rows(path))
    groups = group(rows, notes, files[0], numbered=True, order=by_number)
    return SourceDataSet(
        splits=groups.splits,
        spaces={},
        videos=groups.videos(),
        sentiment_values=SentimentValues.SIGNED_CLASS,
        notes=notes,
        mapping=MAPPING,
        files=tuple(files),
        licence_note="MELD: GPL-3.0; the dialogue text stays under the copyright of the series' owners",
        extra_columns=("speaker",),
    )


def _meld_row(row: CsvRow, split: str, notes: Counter[str]) -> Row:
    start_s = _episode_time_s(row, "StartTime")
    utterance = Utterance(
        index=row.integer("Utterance_ID"),
        start_s=start_s,
        end_s=usable_end(start_s, _episode_time_s(row, "EndTime"), notes),
        transcript=row.cells["Utterance"],
        speaker=row.cells["Speaker"].strip() or None,
        labels=paper_labels(_meld_sentiment(row, notes), _meld_emotions(row)),
    )
    return Row(f"{split}-dia{row.integer('Dialogue_ID')}", split, utterance, row.where)


def _episode_time_s(row: CsvRow, column: str) -> float:
    match = TIME.fullmatch(row.cells[column].strip())
    if not match:
        raise row.refuse(column, "a time like 00:20:57,256", "use the file as MELD publishes it")
    hours, minutes, seconds, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _meld_sentiment(row: CsvRow, notes: Counter[str]) -> float | None:
    name = row.cells["Sentiment"]
    if name not in SENTIMENTS:
        raise row.refuse("Sentiment", ", ".join(SENTIMENTS), "use the file as MELD publishes it")
    if SENTIMENTS[name] is None:
        notes[SENTIMENT_NEUTRAL] += 1
    return SENTIMENTS[name]


def _meld_emotions(row: CsvRow) -> FloatArray:
    name = row.cells["Emotion"]
    if name not in EMOTION_NAMES:
        raise row.refuse("Emotion", ", ".join(EMOTION_NAMES), "use the file as MELD publishes it")
    return np.array([float(emotion == EMOTION_NAMES[name]) for emotion in EMOTIONS])
