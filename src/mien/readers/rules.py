"""Rules that all readers apply to invalid or missing values.

Each rule has a text. `SourceDataSet.notes` counts under this text how often the rule was applied, and docs/formats.md
documents the texts. No rule fills in a missing label or feature.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import StrEnum

import numpy as np

from mien.schema import EMOTION_RANGE, SENTIMENT_RANGE, BoolArray, FloatArray, Modality, Utterance

LABEL_CLAMPED = "label outside its range: clamped"
LABEL_NOT_FINITE = "label NaN or infinite: missing"
EMOTIONS_IN_PART = "only some of the six emotions given: all six missing"
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
# followed by ": " and the name of the column, so that the notes name it
COLUMN_UNUSED = "column not read"
COLUMN_RENAMED = "column with another usual name: read"
COLUMN_OF_CLASSES = "column not read, has names of classes"
COLUMN_DECIMAL_COMMA = "column with decimal commas: read as decimal points"
FILE_UNUSED = "file of another kind in the folder: not read"
SPLIT_RENAMED = "video in a split with another usual name: read"
ID_NUMBER_READ = "number at the end of a video id: read as the number of the utterance"
ID_NUMBERED = (
    "id that differs from others only in the number at its end: taken as a video (if it is an utterance: --unit video; "
    "if not: --unit id)"
)
UTTERANCE_SEPARATE = "utterance made a video of its own: no context (--unit utterance)"
TRANSCRIPT_SHARED = "transcript in more than one split: kept"
STREAM_MISSING = {modality: f"video without the {modality} stream: modality missing" for modality in Modality}
WORDS_MISSING = "video without the words stream: transcript empty"
# alarms of `readers.alarms`: nothing is changed
SCALE_ZERO_ONE = "scores that are only 0 and 1: scale doubtful"
SCALE_NO_NEGATIVE = "no score below the neutral value: scale doubtful"
SCALE_WITHIN_ONE = "no score beyond 1 in a wider range: scale doubtful"
SCALE_CLAMPED = "many labels outside their range: scale doubtful"
SCALE_ONE_CLASS = "labels of one class only: labels doubtful"
ALARMS = frozenset((SCALE_ZERO_ONE, SCALE_NO_NEGATIVE, SCALE_WITHIN_ONE, SCALE_CLAMPED, SCALE_ONE_CLASS))

# of type float32, so that a comparison with float16 values is one of float32 values
LARGEST = np.finfo(np.float32).max


class AccountPart(StrEnum):
    """Part of the account of an import in which a rule is listed."""

    IGNORED = "ignored"  # something was not read or not kept
    SUSPICIOUS = "suspicious"  # something was kept or assumed that may be wrong
    CHANGED = "changed"  # a value was corrected, or became a missing one


# Words in the texts of the rules that belong to a part. The first part with a word of a text is taken; a text without
# any of them belongs to `CHANGED`.
_PART_WORDS = {
    AccountPart.CHANGED: ("end dropped",),
    AccountPart.IGNORED: ("first kept", "dropped", "skipped", "not read", "not used", "ignored"),
    AccountPart.SUSPICIOUS: ("doubtful", "kept", "taken as", "taken for", "no context", "guess"),
}


def account_part(rule: str) -> AccountPart:
    """Return the part of the account of an import in which a rule is listed.

    Args:
        rule: Text of the rule.
    """
    action = rule.rpartition(": ")[2]
    parts = (part for part, words in _PART_WORDS.items() if any(word in action for word in words))
    return next(parts, AccountPart.CHANGED)


def add_note(notes: Counter[str], rule: str, n_times: int) -> None:
    """Increase the count of a rule. If `n_times` is zero, no entry is created.

    Args:
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        rule: Text of the rule.
        n_times: Number of times that the rule was applied.
    """
    if n_times:
        notes[rule] += n_times


def sentiment_label(value: float, notes: Counter[str], bounds: tuple[float, float] = SENTIMENT_RANGE) -> float | None:
    """Clamp a sentiment score to its range.

    Args:
        value: Score as stored in the data set.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        bounds: Smallest and largest score of the data set.

    Returns:
        The score within the range; None if it is not finite.
    """
    if not math.isfinite(value):
        notes[LABEL_NOT_FINITE] += 1
        return None
    low, high = bounds
    if not low <= value <= high:
        notes[LABEL_CLAMPED] += 1
    return float(min(max(value, low), high))


def emotion_labels(values: FloatArray, notes: Counter[str]) -> FloatArray | None:
    """Clamp the six emotion intensities to the range [0, 3].

    Args:
        values: Intensities (emotion,) in the order of `EMOTIONS`, as stored in the data set.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        Intensities (emotion,) within [0, 3]; None if any of the six is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        notes[LABEL_NOT_FINITE if not finite.any() else EMOTIONS_IN_PART] += 1
        return None
    clamped = np.clip(values, *EMOTION_RANGE)
    add_note(notes, LABEL_CLAMPED, int((clamped != values).sum()))
    return clamped


def usable_end(start_s: float | None, end_s: float | None, notes: Counter[str]) -> float | None:
    """Drop an end time that is not after the start time.

    Args:
        start_s: Start in seconds; None if unknown.
        end_s: End in seconds; None if unknown.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The end in seconds; None if it is unknown or not after the start.
    """
    if start_s is not None and end_s is not None and end_s <= start_s:
        notes[END_NOT_AFTER_START] += 1
        return None
    return end_s


def finite_cells(values: FloatArray) -> BoolArray:
    """Return a mask of the same shape, True where a value is finite and within the range of float32."""
    finite: BoolArray = np.abs(values) <= LARGEST
    return finite


def finite_mean(rows: FloatArray, notes: Counter[str]) -> FloatArray | None:
    """Compute the mean of each column, leaving out values that are not finite or beyond the range of float32.

    Args:
        rows: Feature vectors (row, feature).
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        Means (feature,) as float32; None if there is no row, or if a column has no finite value.
    """
    if not len(rows):
        return None
    finite = finite_cells(rows)
    if finite.all():  # nearly always, and several times as fast
        return np.asarray((rows.sum(axis=0, dtype=np.float64) / len(rows)).astype(np.float32))
    counts = finite.sum(axis=0)
    add_note(notes, VALUE_NOT_FINITE, finite.size - int(counts.sum()))
    if not counts.all():
        notes[VECTOR_NOT_FINITE] += 1
        return None
    sums = np.where(finite, rows, 0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = (sums / counts).astype(np.float32)
    return mean


def attach_vector(utterance: Utterance, modality: Modality, vector: FloatArray, notes: Counter[str]) -> None:
    """Store a vector as the features of an utterance, unless a value is not finite or beyond the range of float32.

    Args:
        utterance: Utterance to change.
        modality: Modality of the vector.
        vector: Features (feature,) as stored in the data set.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
    """
    if finite_cells(vector).all():
        utterance.features[modality] = vector.astype(np.float32)
    else:
        notes[VECTOR_NOT_FINITE] += 1


def attach_rows(
    utterance: Utterance, modality: Modality, rows: FloatArray, keep_words: bool, notes: Counter[str]
) -> None:
    """Set the features of an utterance to the mean of some rows. On request, store the rows as its word vectors, too.

    Args:
        utterance: Utterance to change. It stays unchanged if the rows have no mean (see `finite_mean`).
        modality: Modality of the rows.
        rows: Feature vectors (row, feature) without padding.
        keep_words: Whether to store the rows as word vectors. Each row must then be the vector of one word.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
    """
    mean = finite_mean(rows, notes)
    if mean is None:
        return
    utterance.features[modality] = mean
    if keep_words:
        utterance.words[modality], utterance.word_present[modality] = whole_words(rows, notes)


def whole_words(rows: FloatArray, notes: Counter[str]) -> tuple[FloatArray, BoolArray]:
    """Replace the vector of a word by zeros if it has a value that is not finite.

    Args:
        rows: Feature vectors (word, feature).
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        ``(words, present)``: vectors (word, feature) as float32, and a mask (word,) that is False for replaced words.
    """
    finite = finite_cells(rows)
    if finite.all():
        return rows.astype(np.float32), np.ones(len(rows), dtype=bool)
    present: BoolArray = np.asarray(finite.all(axis=1))
    add_note(notes, WORD_NOT_FINITE, int((~present).sum()))
    return np.where(present[:, None], rows, 0).astype(np.float32), present


def without_zero_ends(streams: list[FloatArray], notes: Counter[str]) -> slice:
    """Find the rows of an utterance that are not padding, for a file that stores no lengths.

    Rows at the start and at the end are taken for padding if they are zero in all streams (modalities). A zero row
    between rows that are not padding is kept, and so is a row that is zero in only one of several streams.

    Args:
        streams: Feature vectors of one utterance, one array (row, feature) per stream, with the same number of rows.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The range of rows that are not padding; empty if all rows are zero.
    """
    nonzero = np.zeros(len(streams[0]), dtype=bool)
    for stream in streams:
        nonzero |= (stream != 0).any(axis=1)
    nonzero_rows = np.flatnonzero(nonzero)
    data_rows = slice(int(nonzero_rows[0]), int(nonzero_rows[-1]) + 1) if len(nonzero_rows) else slice(0, 0)
    if data_rows.stop - data_rows.start < len(nonzero):
        notes[PADDING_GUESSED] += 1
    return data_rows
