"""The rules every reader applies to doubtful values, each with the text that counts it in `SourceDataSet.notes`.

The texts are documented in docs/formats.md. Nothing here invents a label or a feature: what is missing stays missing.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from mien.schema import EMOTION_RANGE, SENTIMENT_RANGE, BoolArray, FloatArray, Modality, Utterance

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

LARGEST = float(np.finfo(np.float32).max)


def add_note(notes: Counter[str], rule: str, n_times: int) -> None:
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
    add_note(notes, LABEL_CLAMPED, int((clamped != values).sum()))
    return clamped


def usable_end(start_s: float | None, end_s: float | None, notes: Counter[str]) -> float | None:
    """The end, or None where it does not come after the start; the utterance itself is kept."""
    if start_s is not None and end_s is not None and end_s <= start_s:
        notes[END_NOT_AFTER_START] += 1
        return None
    return end_s


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
    add_note(notes, VALUE_NOT_FINITE, finite.size - int(counts.sum()))
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
        utterance.words[modality], utterance.word_present[modality] = whole_words(rows, notes)


def whole_words(rows: FloatArray, notes: Counter[str]) -> tuple[FloatArray, BoolArray]:
    """``(words, present)``: (word, feature) float32, zero rows where a value is not finite, and (word,)."""
    present: BoolArray = np.asarray(finite_cells(rows).all(axis=1))
    add_note(notes, WORD_NOT_FINITE, int((~present).sum()))
    return np.where(present[:, None], rows, 0).astype(np.float32), present


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
