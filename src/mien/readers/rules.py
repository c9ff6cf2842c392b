"""Rules that all readers apply to invalid or missing values.

Each rule has a text. `SourceDataSet.notes` counts under this text how often the rule was applied, and docs/formats.md
documents the texts. No rule fills in a missing label or feature.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

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
PADDING_IN_FRONT = "rows within the stored length all zero, rows after it not: padding taken to be in front"
LENGTHS_TOO_LONG = "stored length ends in all-zero rows in nearly all utterances: these rows taken as padding"
MASK_FOREIGN = "token mask that does not belong to the rows of text: not used"
VECTOR_MALFORMED = "entry without a vector of the usual length: utterance lacks the modality"
ENTRY_MALFORMED = "entry without the usual parts: dropped"
VALUE_ABSURD = "feature value far beyond the others of its column: taken as missing"
KEY_UNREAD = "key not read"
SPLIT_UNREAD = "split not read, because others are train, valid and test"
ARRAY_UNREAD = "array not read"
TEXT_LIKE_MISSING = "transcript that is only None, nan, NULL or the like: kept"
WORDS_AS_NUMBERS = "words stored as numbers of a vocabulary: transcript empty"
SEGMENT_UNREAD = "segment id without a number: a video of its own, no context can be rebuilt"
ROW_REPEATED = "row repeated exactly: first kept"
END_NOT_AFTER_START = "end not after start: end dropped"
START_ORDER_BROKEN = "utterance numbers not in start order: order of the numbers kept"
SEGMENT_EMPTY = "segment without a positive length: skipped"
WORD_EMPTY = "word without a positive length: skipped"
WORD_OUTSIDE = "word outside every segment: not used"
FOLD_UNKNOWN = "video in no official fold: no split"
FOLD_UNLISTED = "video not in the list of folds: no split"
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
# of the readers of corpora by file names; the first two are followed by names
FILE_MISNAMED = "file whose name does not fit the corpus: not read"
FILE_NOT_MEDIA = "file without the first bytes of a sound or video file: not read"
RECORDING_REPEATED = "file of a recording that has another file: not read"
RECORDING_SUNG = "sung recording: not read"
TEXT_UNLISTED = "recording without a text in data.tsv: transcript empty"
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

# of type float32, so that a comparison with float16 values is one of float32 values
LARGEST = np.finfo(np.float32).max
# Some extractors store a number such as -1e38 where they have no value. One of them makes all other values of its
# column equal after scaling. No feature in use reaches 1e9 in single rows only: energies and sums over a recording do,
# but in all rows. A value is absurd if it is beyond 1e9 and beyond a million times the small values of its column.
# These are the values at the 10 % quantile of the non-zero magnitudes, so that most values may be placeholders.
ABSURD_LEAST = 1e9
ABSURD_RATIO = 1e6
ABSURD_QUANTILE = 0.1
# Where only a part of the rows is known, such as the frames of one video, a whole column may hold placeholders. A value
# of this size is then absurd whatever the others are.
ABSURD_ALWAYS = 1e30
# Where a value was infinite, or beyond its range, half precision has its largest number. It is absurd in a column whose
# other values are far smaller.
LARGEST_HALF = float(np.finfo(np.float16).max)
ABSURD_RATIO_HALF = 100
# share of the entries of a file that may be malformed; with more, it is a file of another kind
MOST_MALFORMED = 0.1
# about this many values are compared at a time, so that a large array needs no second one of its size
BLOCK_VALUES = 1 << 20
SHOWN_NAMES = 12
SHOWN_CHARACTERS = 80
# what Python, numpy, pandas, SQL and Excel write for a missing text
TEXTS_OF_MISSING = ("None", "nan", "NaN", "<NA>", "NULL", "null", "N/A", "#N/A", "NaT")


def add_note(notes: Counter[str], rule: str, n_times: int) -> None:
    """Increase the count of a rule. If `n_times` is zero, no entry is created.

    Args:
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        rule: Text of the rule.
        n_times: Number of times that the rule was applied.
    """
    if n_times:
        notes[rule] += n_times


def with_names(rule: str, names: Iterable[object], known: Iterable[str] = ()) -> str:
    """Add names to the text of a rule, as in ``key not read: extra, Text (perhaps text)``.

    Args:
        rule: Text of the rule.
        names: Names of what the rule was applied to. At most `SHOWN_NAMES` of them are shown, shortened.
        known: Names that the reader knows. A name that differs from one of these only in case is pointed out.

    Returns:
        The text for the notes; its beginning is the rule.
    """
    by_lower = {name.lower(): name for name in known}
    shown = []
    for name in names:
        text = ascii(name[:SHOWN_CHARACTERS])[1:-1] if isinstance(name, str) else ascii(name)[:SHOWN_CHARACTERS]
        near = by_lower.get(text.lower(), text)
        shown.append(text if near == text else f"{text} (perhaps {near})")
    more = f", and {len(shown) - SHOWN_NAMES} more" if len(shown) > SHOWN_NAMES else ""
    return f"{rule}: {', '.join(shown[:SHOWN_NAMES])}{more}"


def note_text(text: str, notes: Counter[str]) -> None:
    """Count a transcript that looks like a missing value that was written as a text.

    Args:
        text: Transcript.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
    """
    if text in TEXTS_OF_MISSING:
        notes[TEXT_LIKE_MISSING] += 1


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


def without_absurd(values: FloatArray, notes: Counter[str], largest: float = math.inf) -> FloatArray:
    """Replace values far beyond all others of their column by NaN, see `ABSURD_LEAST`.

    Args:
        values: Features (..., feature). They are not changed.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        largest: Values beyond this one are replaced in any case.

    Returns:
        The same array if it has no such value, else a changed copy.
    """
    if values.dtype == np.float16:
        return _without_largest_half(values, notes)
    if values.dtype.kind != "f":
        return values  # an integer is never a placeholder of this size
    is_odd = np.zeros(values.shape[-1], dtype=bool)
    n_rows = max(1, BLOCK_VALUES * len(values) // max(1, values.size))
    for start in range(0, len(values), n_rows):
        magnitudes = np.abs(values[start : start + n_rows].reshape(-1, len(is_odd)))
        if not (magnitudes <= ABSURD_LEAST).all():  # True for NaN and infinity, too
            is_odd |= ((magnitudes > ABSURD_LEAST) & (magnitudes <= LARGEST)).any(axis=0)
    changed: FloatArray | None = None
    for column in np.flatnonzero(is_odd):
        magnitudes = np.abs(values[..., column].astype(np.float64))
        usable = magnitudes[(magnitudes <= LARGEST) & (magnitudes > 0)]
        small = float(np.quantile(usable, ABSURD_QUANTILE, method="lower"))
        limit = min(max(ABSURD_LEAST, ABSURD_RATIO * small), largest)
        absurd = (magnitudes > limit) & (magnitudes <= LARGEST)
        if absurd.any():
            changed = values.copy() if changed is None else changed
            changed[..., column][absurd] = np.nan
            add_note(notes, VALUE_ABSURD, int(absurd.sum()))
    return values if changed is None else changed


def _without_largest_half(values: FloatArray, notes: Counter[str]) -> FloatArray:
    """Replace the largest number of half precision by NaN in columns whose other values are far smaller."""
    is_largest = np.abs(values) == LARGEST_HALF
    changed: FloatArray | None = None
    for column in np.flatnonzero(is_largest.reshape(-1, values.shape[-1]).any(axis=0)):
        magnitudes = np.abs(values[..., column].astype(np.float64))
        others = magnitudes[(magnitudes < LARGEST_HALF) & (magnitudes > 0)]
        if others.size and others.max() * ABSURD_RATIO_HALF <= LARGEST_HALF:
            changed = values.copy() if changed is None else changed
            changed[..., column][is_largest[..., column]] = np.nan
            add_note(notes, VALUE_ABSURD, int(is_largest[..., column].sum()))
    return values if changed is None else changed


def parts_without_absurd(parts: Sequence[FloatArray], notes: Counter[str]) -> list[FloatArray]:
    """Apply `without_absurd` to the rows of several arrays together.

    Args:
        parts: Features (row, feature), such as those of each dialogue. They are not changed.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The arrays, of which those with absurd values are changed copies.
    """
    if len({part.shape[1:] for part in parts}) != 1:
        return list(parts)  # the reader refuses them
    joined = np.concatenate(parts)
    usual = without_absurd(joined, notes)
    return list(parts) if usual is joined else np.split(usual, np.cumsum([len(part) for part in parts])[:-1])


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
