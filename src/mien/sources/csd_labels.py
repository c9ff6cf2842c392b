"""Utterances with labels from the label sequences of a .csd data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.schema import EMOTIONS, FloatArray, Utterance, in_start_order
from mien.sources.alignment import EPSILON_S
from mien.sources.csd_files import SequenceReader
from mien.sources.csd_roles import label_columns
from mien.sources.rules import (
    LABEL_ROW_UNMATCHED,
    ROW_REPEATED,
    SEGMENT_EMPTY,
    count,
    emotion_labels,
    sentiment_label,
)


@dataclass(frozen=True, slots=True)
class _LabelRow:
    number: int
    start_s: float
    end_s: float
    # column name -> value as the file has it
    values: Mapping[str, float]


def read_utterances(readers: Sequence[SequenceReader], video_id: str, notes: Counter[str]) -> list[Utterance]:
    """The segments of a video in start order, labels looked up by name, the row number as index.

    The first reader's rows are the segments; a second one's (the older pair of files) are joined by their times.
    Raises DataError when the file is damaged.
    """
    holders = [reader for reader in readers if video_id in reader]
    rows = _rows(holders[0], video_id)
    for reader in holders[1:]:
        rows = _joined(rows, _rows(reader, video_id), notes)
    utterances: list[Utterance] = []
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        # written so that a time that is NaN is no length either
        if not (row.end_s - row.start_s >= EPSILON_S and np.isfinite(row.end_s)):
            notes[SEGMENT_EMPTY] += 1
            continue
        content = (row.start_s, row.end_s, *sorted(row.values.items()))
        if content in seen:
            notes[ROW_REPEATED] += 1
            continue
        seen.add(content)
        utterances.append(_utterance(row, notes))
    return in_start_order(utterances)


def _rows(reader: SequenceReader, video_id: str) -> list[_LabelRow]:
    columns = label_columns(reader.sequence)
    read = reader.read(video_id, "fiu")
    return [
        _LabelRow(int(number), float(start_s), float(end_s), dict(zip(columns, map(float, values), strict=True)))
        for number, (start_s, end_s), values in zip(read.numbers, read.intervals, read.features, strict=True)
    ]


def _joined(rows: list[_LabelRow], others: list[_LabelRow], notes: Counter[str]) -> list[_LabelRow]:
    """Each row with the values of the other row of the same times, if there is one."""
    left = list(others)
    joined = []
    for row in rows:
        same = [
            each
            for each in left
            if abs(each.start_s - row.start_s) <= EPSILON_S and abs(each.end_s - row.end_s) <= EPSILON_S
        ]
        values = dict(row.values)
        if same:
            left.remove(same[0])
            values |= same[0].values
        joined.append(_LabelRow(row.number, row.start_s, row.end_s, values))
    count(notes, LABEL_ROW_UNMATCHED, len(left))
    return joined


def _utterance(row: _LabelRow, notes: Counter[str]) -> Utterance:
    emotions: FloatArray | None = None
    if EMOTIONS[0] in row.values:
        emotions = emotion_labels(np.array([row.values[name] for name in EMOTIONS]), notes)
    sentiment = sentiment_label(row.values["sentiment"], notes) if "sentiment" in row.values else None
    return Utterance(row.number, row.start_s, row.end_s, sentiment=sentiment, emotions=emotions)
