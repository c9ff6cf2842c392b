"""The rules every source applies to doubtful rows, each with the text under which it is counted in `Intake.notes`.

The texts are documented in docs/formats.md. Nothing here invents a label or a feature: what is missing stays missing.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter

import numpy as np

from mien.errors import DataError
from mien.schema import EMOTION_RANGE, SENTIMENT_RANGE, FloatArray, Modality

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
