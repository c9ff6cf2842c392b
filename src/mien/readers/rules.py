"""The rules every source applies to doubtful rows, each with the text under which it is counted in `Intake.notes`.

The texts are documented in docs/formats.md. Nothing here invents a label or a feature: what is missing stays missing.

From rows in any order to videos: numbering, repeated rows, splits, order. Shared by all sources that read rows.

From rows of features to one vector: means in which non-finite values do not take part.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.schema import (
    EMOTION_RANGE,
    SENTIMENT_RANGE,
    BoolArray,
    FloatArray,
    Modality,
    Utterance,
    Video,
    in_start_order,
)

LABEL_CLAMPED = "label outside its range: clamped"
LABEL_NOT_FINITE = "label NaN or infinite: missing"
EMOTIONS_IN_PART = "only some of the six emotions given: all six missing"
SENTIMENT_NEUTRAL = "neutral sentiment: neither of the two classes, missing"
LABEL_ROW_UNMATCHED = "emotion row without a sentiment row of the same times: dropped"
VALUE_NOT_FINITE = "feature value NaN, infinite or beyond float32: left out of the mean"
VECTOR_NOT_FINITE = "column without a finite value: utterance lacks the modality"
WORD_NOT_FINITE = "column without a finite value: word lacks the modality"
WORD_UNTOUCHED = "word without a row of a stream: word lacks the modality"
PADDING_GUESSED = "no lengths stored: all-zero rows at both ends taken as padding"
ROW_REPEATED = "row repeated exactly: first kept"
END_NOT_AFTER_START = "end not after start: end dropped"
START_ORDER_BROKEN = "utterance numbers not in start order: order of the numbers kept"
SEGMENT_EMPTY = "segment without a positive length: skipped"
WORD_EMPTY = "word without a positive length: skipped"
WORD_OUTSIDE = "word outside every segment: not used"
FOLD_UNKNOWN = "video in no official fold: no split"
VIDEO_UNLABELLED = "video without labels: dropped"
VIDEO_EMPTY = "video without an utterance: dropped"
VIDEO_WORDLESS = "video without timed words: nothing to align to, no features"
VIDEO_ANONYMOUS = "video without an id: numbered by its row"
UTTERANCE_ALONE = "utterance without a video id: a video of its own, no context can be rebuilt"
SEQUENCE_UNUSED = "sequence without a role: not read"
TRANSCRIPT_SHARED = "transcript in more than one split: kept"
STREAM_MISSING = {modality: f"video without the {modality} stream: modality missing" for modality in Modality}
WORDS_MISSING = "video without the words stream: transcript empty"

RULES = frozenset(
    {
        *STREAM_MISSING.values(),
        EMOTIONS_IN_PART,
        END_NOT_AFTER_START,
        FOLD_UNKNOWN,
        LABEL_CLAMPED,
        LABEL_NOT_FINITE,
        LABEL_ROW_UNMATCHED,
        PADDING_GUESSED,
        ROW_REPEATED,
        SEGMENT_EMPTY,
        SENTIMENT_NEUTRAL,
        SEQUENCE_UNUSED,
        START_ORDER_BROKEN,
        TRANSCRIPT_SHARED,
        UTTERANCE_ALONE,
        VALUE_NOT_FINITE,
        VECTOR_NOT_FINITE,
        VIDEO_ANONYMOUS,
        VIDEO_EMPTY,
        VIDEO_UNLABELLED,
        VIDEO_WORDLESS,
        WORDS_MISSING,
        WORD_EMPTY,
        WORD_NOT_FINITE,
        WORD_UNTOUCHED,
        WORD_OUTSIDE,
    }
)


def count(notes: Counter[str], rule: str, n_times: int) -> None:
    """Count a rule that was applied at least once; one that never was leaves no note."""
    if n_times:
        notes[rule] += n_times


def sentiment_label(value: float, notes: Counter[str]) -> float | None:
    """A sentiment score inside [-3, 3], or None where it is not finite."""
    if not math.isfinite(value):
        notes[LABEL_NOT_FINITE] += 1
        return None
    low, high = SENTIMENT_RANGE
    if not low <= value <= high:
        notes[LABEL_CLAMPED] += 1
    return float(min(max(value, low), high))


def emotion_labels(values: FloatArray, notes: Counter[str]) -> FloatArray | None:
    """Six intensities inside [0, 3] in the order of `EMOTIONS`, or None unless all six are finite."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        notes[LABEL_NOT_FINITE if not finite.any() else EMOTIONS_IN_PART] += 1
        return None
    clamped = np.clip(values, *EMOTION_RANGE)
    count(notes, LABEL_CLAMPED, int((clamped != values).sum()))
    return clamped


def usable_end(start_s: float | None, end_s: float | None, notes: Counter[str]) -> float | None:
    """The end, or None where it does not come after the start; the utterance itself is kept."""
    if start_s is not None and end_s is not None and end_s <= start_s:
        notes[END_NOT_AFTER_START] += 1
        return None
    return end_s


def require_same_split(video_id: str, first: str | None, other: str | None) -> None:
    """Raise DataError when one video is in two splits: its utterances are each other's context."""
    if first != other:
        names = " and ".join(repr(name) if name is not None else "no split" for name in (first, other))
        raise DataError(
            f"Expected every video in one split, but got video {video_id!r} in {names}; "
            "split by video, because the utterances of a video are each other's context"
        )


class TranscriptWatch:
    """Counts the texts (stripped, lower case) that occur in more than one split.

    Keeps eight bytes per text instead of the text, so that a corpus can stream past.
    """

    def __init__(self, notes: Counter[str]) -> None:
        self._notes = notes
        self._split_of: dict[bytes, str] = {}
        self._shared: set[bytes] = set()

    def see(self, transcript: str, split: str | None) -> None:
        """Take note of one utterance's text."""
        text = transcript.strip().lower()
        if not text or split is None:
            return
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if self._split_of.setdefault(key, split) != split and key not in self._shared:
            self._shared.add(key)
            self._notes[TRANSCRIPT_SHARED] += 1


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as it stands in its source, without features."""

    video_id: str
    split: str | None
    utterance: Utterance
    # for messages: "line 3 of train.csv"
    where: str
    # where its features are
    place: Any = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows by video. N videos in order of first appearance."""

    splits: dict[str, str | None] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def videos(self, attach: Callable[[Row], None] | None = None) -> Iterator[Video]:
        """Each video once; `attach` gives an utterance its features when its turn comes. Rows passed are let go."""
        for video_id in list(self.rows):
            rows = self.rows.pop(video_id)
            if attach is not None:
                for row in rows:
                    attach(row)
            yield Video(video_id, [row.utterance for row in rows])


def group(
    rows: Iterable[Row],
    notes: Counter[str],
    numbered: bool,
    order: Callable[[list[Utterance]], list[Utterance]] = in_start_order,
) -> Groups:
    """Group rows by video and put each video's utterances in order.

    With ``numbered`` the utterances carry their source's own index; without, they are numbered here by stored order.
    An exact repetition (same index, times, text and labels) is left out and counted; without indices only rows with
    times can be told apart from a phrase said twice.

    Raises DataError for a video in two splits, one index with two contents, and when there is no row.
    """
    groups, watch = Groups(), TranscriptWatch(notes)
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        require_same_split(row.video_id, groups.splits.setdefault(row.video_id, row.split), row.split)
        earlier = seen.setdefault(_key(row, numbered), row)
        if earlier is not row and _content(earlier) == _content(row):
            notes[ROW_REPEATED] += 1
            continue
        if earlier is not row:
            raise DataError(
                f"Expected one utterance {row.utterance.index} in video {row.video_id!r}, but got two that differ, in "
                f"{earlier.where} and {row.where}; give each utterance of a video its own index"
            )
        of_video = groups.rows.setdefault(row.video_id, [])
        if not numbered:
            row.utterance.index = len(of_video)
        of_video.append(row)
        watch.see(row.utterance.transcript, row.split)
    for video_id, of_video in groups.rows.items():
        by_index = {row.utterance.index: row for row in of_video}
        ordered = order([row.utterance for row in of_video])
        groups.rows[video_id] = [by_index[utterance.index] for utterance in ordered]
    return groups


def present_videos(videos: Iterable[Video], notes: Counter[str]) -> Iterator[Video]:
    """Leave out, and count, the videos without an utterance."""
    for video in videos:
        if video.utterances:
            yield video
        else:
            notes[VIDEO_EMPTY] += 1


def _key(row: Row, numbered: bool) -> tuple[Any, ...]:
    if numbered:
        return (row.video_id, row.utterance.index)
    if row.utterance.start_s is None:
        # without times and numbers nothing tells a repeated row from a phrase said twice
        return (id(row),)
    return (row.video_id, *_content(row))


def _content(row: Row) -> tuple[Any, ...]:
    utterance = row.utterance
    emotions = None if utterance.emotions is None else tuple(utterance.emotions.tolist())
    return (utterance.start_s, utterance.end_s, utterance.transcript, utterance.sentiment, emotions)


LARGEST = float(np.finfo(np.float32).max)
# how rows become an utterance vector, as stated in the recipe of a feature space
POOLING = "mean of the valid rows, non-finite values left out"


def finite_cells(values: FloatArray) -> BoolArray:
    """True where a value is finite once it is stored as float32; same shape."""
    finite: BoolArray = np.abs(values) <= LARGEST
    return finite


def finite_mean(rows: FloatArray, notes: Counter[str]) -> FloatArray | None:
    """Mean over rows (row, feature) -> (feature,) float32; None without rows or where a column has no finite value."""
    if not len(rows):
        return None
    finite = finite_cells(rows)
    counts = finite.sum(axis=0)
    count(notes, VALUE_NOT_FINITE, finite.size - int(counts.sum()))
    if not counts.all():
        notes[VECTOR_NOT_FINITE] += 1
        return None
    sums = np.where(finite, rows, 0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = (sums / counts).astype(np.float32)
    return mean


def attach_vector(utterance: Utterance, modality: Modality, vector: FloatArray, notes: Counter[str]) -> None:
    """Give the utterance a vector (feature,) as it is stored, unless a value is not finite."""
    if finite_cells(vector).all():
        utterance.features[modality] = vector.astype(np.float32)
    else:
        notes[VECTOR_NOT_FINITE] += 1


def attach_rows(
    utterance: Utterance, modality: Modality, rows: FloatArray, keep_words: bool, notes: Counter[str]
) -> None:
    """Give the utterance the mean of its valid rows (row, feature) and, on request, the rows as its words."""
    mean = finite_mean(rows, notes)
    if mean is None:
        return
    utterance.features[modality] = mean
    if keep_words:
        present: BoolArray = np.asarray(finite_cells(rows).all(axis=1))
        count(notes, WORD_NOT_FINITE, int((~present).sum()))
        utterance.words[modality] = np.where(present[:, None], rows, 0).astype(np.float32)
        utterance.word_present[modality] = present


def without_zero_ends(streams: list[FloatArray], notes: Counter[str]) -> slice:
    """Rows left when the rows that are all zero in every stream, each (row, feature), are stripped at both ends.

    Only for files that store no lengths: a zero row inside, or zero in one stream alone, is data.
    """
    filled = np.zeros(len(streams[0]), dtype=bool)
    for stream in streams:
        filled |= (stream != 0).any(axis=1)
    places = np.flatnonzero(filled)
    kept = slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
    if kept.stop - kept.start < len(filled):
        notes[PADDING_GUESSED] += 1
    return kept
