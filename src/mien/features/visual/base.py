"""What every visual extractor offers, and how the frames of an utterance become its vector.

One frame gives one vector or nothing. An utterance is the mean and the standard deviation over its frames with a face;
at word level, a word is the mean over its frames and the utterance the mean over its words, the paper's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality, TimedWord

# Least share of an utterance's frames (of its words at word level) that must show the face.
MIN_FACE_SHARE = 0.3
# A span that no sampled frame falls into takes the nearest one, if it is that near; 0.15 suits 5 frames per second.
REACH_S = 0.15


@dataclass(frozen=True)
class FaceObservation:
    """The main face of one frame. A frame without a usable one has no observation."""

    # (feature,) float32, the extractor's numbers for this frame
    vector: FloatArray
    # left, top, right, bottom in the pixels of the frame as it was given
    box: tuple[float, float, float, float]
    # the detector's confidence that this is a face, in [0, 1]
    score: float


class FaceObserver(Protocol):
    """Watches one video: remembers who the main face is. Make a new one for every video, and one per thread."""

    def see(self, time_s: float, image: np.ndarray) -> FaceObservation | None:
        """Look at the next sampled frame, (height, width, 3) uint8 RGB; None if it shows no usable face."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many frames ended how (``face``, ``no face`` ...), plus cuts and changes of the main face."""
        ...


@dataclass(frozen=True)
class VisualExtractor:
    """A loaded extractor. `space` names its utterance vectors, `word_space` what words are described by."""

    space: FeatureSpace
    word_space: FeatureSpace
    # how many frames per second it wants to see
    rate_hz: float
    # begin a video
    start: Callable[[], FaceObserver]


class PooledFeatures(NamedTuple):
    """One utterance's visual vector, or why there is none."""

    # (feature,) float32; None is a missing modality
    vector: FloatArray | None
    face_present_share: float
    # empty if there is a vector
    reason: str


def visual_spaces(name: str, columns: Sequence[str], recipe: Mapping[str, object]) -> tuple[FeatureSpace, FeatureSpace]:
    """The utterance and the word space of an extractor whose frames have `columns`."""
    rules = {"min_face_share": MIN_FACE_SHARE, "reach_s": REACH_S}
    pooled = [f"{column}_{statistic}" for statistic in ("mean", "sd") for column in columns]
    utterance = FeatureSpace(
        Modality.VISUAL,
        name,
        len(pooled),
        tuple(pooled),
        recipe={**recipe, **rules, "pooling": "mean and standard deviation over the frames with a face"},
    )
    word = FeatureSpace(
        Modality.VISUAL,
        name,
        len(columns),
        tuple(columns),
        Level.WORD,
        {**recipe, **rules, "pooling": "mean over the frames of a word, mean over the words"},
    )
    return utterance, word


def frame_matrix(observations: Sequence[FaceObservation | None], n_features: int) -> FloatArray:
    """Vectors (frame, feature) float32; a frame without a face is a row of NaN."""
    matrix = np.full((len(observations), n_features), np.nan, dtype=np.float32)
    for row, observation in zip(matrix, observations, strict=True):
        if observation is not None:
            row[:] = observation.vector
    return matrix


def pool(times_s: FloatArray, vectors: FloatArray, start_s: float, end_s: float) -> PooledFeatures:
    """Mean and standard deviation of the frames in [start_s, end_s) that show the face.

    Args:
        times_s: (frame,) rising.
        vectors: (frame, feature), NaN where there is no face.
        start_s: first moment of the utterance.
        end_s: first moment after it.

    Returns:
        A vector (2 * feature,), all means before all deviations (of the population: 0 for one frame); or None with the
        reason.
    """
    rows = vectors[_frames_of(times_s, start_s, end_s)]
    if not len(rows):
        return PooledFeatures(None, 0.0, f"no frame between {start_s:.2f} and {end_s:.2f} s")
    seen = rows[_with_face(rows)].astype(np.float64)
    share = len(seen) / len(rows)
    if not len(seen) or share < MIN_FACE_SHARE:
        return PooledFeatures(None, share, _too_few(len(seen), len(rows), "frames"))
    vector = np.concatenate([seen.mean(axis=0), seen.std(axis=0)]).astype(np.float32)
    return PooledFeatures(vector, share, "")


def pool_words(times_s: FloatArray, vectors: FloatArray, words: Sequence[TimedWord]) -> tuple[FloatArray, BoolArray]:
    """Mean over each word's frames with a face: vectors (word, feature), zero rows where `present` (word,) is False."""
    result = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
    present = np.zeros(len(words), dtype=np.bool_)
    for number, word in enumerate(words):
        rows = vectors[_frames_of(times_s, word.start_s, word.end_s)]
        seen = rows[_with_face(rows)].astype(np.float64)
        if len(seen):
            result[number], present[number] = seen.mean(axis=0), True
    return result, present


def average_words(vectors: FloatArray, present: BoolArray) -> PooledFeatures:
    """The utterance as the mean of its words (word, feature) that show the face, or None with the reason."""
    n_seen = int(present.sum())
    share = n_seen / len(present) if len(present) else 0.0
    if not n_seen or share < MIN_FACE_SHARE:
        return PooledFeatures(None, share, _too_few(n_seen, len(present), "words"))
    return PooledFeatures(vectors[present].astype(np.float64).mean(axis=0).astype(np.float32), share, "")


def _frames_of(times_s: FloatArray, start_s: float, end_s: float) -> slice:
    """The frames in [start_s, end_s); if there are none, the one nearest to the middle within `REACH_S` of the span."""
    first, last = (int(at) for at in np.searchsorted(times_s, [start_s, end_s]))
    if first < last or not len(times_s):
        return slice(first, last)
    middle_s = (start_s + end_s) / 2
    near = [at for at in (first - 1, first) if 0 <= at < len(times_s)]
    nearest = min(near, key=lambda at: abs(float(times_s[at]) - middle_s))
    distance_s = max(start_s - float(times_s[nearest]), float(times_s[nearest]) - end_s)
    return slice(nearest, nearest + 1) if distance_s <= REACH_S else slice(0, 0)


def _with_face(rows: FloatArray) -> BoolArray:
    return np.asarray(~np.isnan(rows).any(axis=1), dtype=np.bool_)


def _too_few(n_seen: int, n: int, what: str) -> str:
    if not n_seen:
        return f"no face in its {n} {what}"
    return f"a face in {n_seen} of {n} {what}, less than the share of {MIN_FACE_SHARE:g} that is needed"
