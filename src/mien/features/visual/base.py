"""The interface of visual extractors, and the pooling of frames to utterances and words.

A frame has one vector, or none without a usable face. The vector of an utterance contains mean and standard deviation
over its frames with a face. At word level, a word is the mean over its frames, and an utterance the mean over its words
(the paper's rule).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality, TimedWord

# Least share of an utterance's frames (at word level: words) that must show the face.
MIN_FACE_SHARE = 0.3
# A span without a sampled frame uses the nearest frame within this distance, chosen for 5 frames per second.
REACH_S = 0.15


@dataclass(frozen=True)
class FaceObservation:
    """The main face of one frame; a frame without a usable face has no observation."""

    # the extractor's features of this frame, (feature,) float32
    vector: FloatArray
    # left, top, right, bottom in pixels of the original frame
    box: tuple[float, float, float, float]
    # the detector's confidence that this is a face, in [0, 1]
    score: float


class FaceObserver(Protocol):
    """Describes the frames of one video and keeps track of its main face; make one per video and thread."""

    def see(self, time_s: float, image: np.ndarray) -> FaceObservation | None:
        """Describe the main face of the next sampled frame.

        Args:
            time_s: Time of the frame in seconds.
            image: Pixels (height, width, 3) uint8 RGB.

        Returns:
            The main face; None if the frame shows no usable one.
        """
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of frames by outcome (``face``, ``no face`` ...), of cuts and of changes of the main face."""
        ...


@dataclass(frozen=True)
class VisualExtractor:
    """A loaded extractor."""

    # feature space of the utterance vectors
    space: FeatureSpace
    # feature space of words and their mean
    word_space: FeatureSpace
    # frames per second that it expects
    rate_hz: float
    # makes the observer of a video
    start: Callable[[], FaceObserver]


class PooledFeatures(NamedTuple):
    """The visual vector of an utterance, or the reason why there is none."""

    # (feature,) float32; None if the modality is missing
    vector: FloatArray | None
    # share of the frames (at word level: words) that show the face, in [0, 1]
    face_present_share: float
    # empty if there is a vector
    reason: str


def visual_spaces(name: str, columns: Sequence[str], recipe: Mapping[str, object]) -> tuple[FeatureSpace, FeatureSpace]:
    """Make the feature spaces of a visual extractor.

    Args:
        name: Name of the extractor.
        columns: Names of the features of a frame.
        recipe: Settings of the extractor that change its values.

    Returns:
        Space of the utterance vectors, with mean and standard deviation of each column; space of the word vectors.
    """
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
    """Stack the vectors of frames.

    Args:
        observations: Main face of each frame, None without a usable face.
        n_features: Features of a vector.

    Returns:
        Vectors (frame, feature) float32; a frame without a face is a row of NaN.
    """
    matrix = np.full((len(observations), n_features), np.nan, dtype=np.float32)
    for row, observation in zip(matrix, observations, strict=True):
        if observation is not None:
            row[:] = observation.vector
    return matrix


def pool(times_s: FloatArray, vectors: FloatArray, start_s: float, end_s: float) -> PooledFeatures:
    """Pool the frames of an utterance that show the face to their mean and standard deviation.

    Args:
        times_s: Times of the frames (frame,) in seconds, ascending.
        vectors: Vectors of the frames (frame, feature), NaN where there is no face.
        start_s: Start of the utterance in seconds, inclusive.
        end_s: End of the utterance in seconds, exclusive.

    Returns:
        Vector (2 * feature,), all means before all standard deviations (of the population, hence 0 for one frame); or
        None with the reason.
    """
    rows = vectors[_frame_slice(times_s, start_s, end_s)]
    if not len(rows):
        return PooledFeatures(None, 0.0, f"no frame between {start_s:.2f} and {end_s:.2f} s")
    with_face = rows[_has_face(rows)].astype(np.float64)
    share = len(with_face) / len(rows)
    if not len(with_face) or share < MIN_FACE_SHARE:
        return PooledFeatures(None, share, _missing_reason(len(with_face), len(rows), "frames"))
    vector = np.concatenate([with_face.mean(axis=0), with_face.std(axis=0)]).astype(np.float32)
    return PooledFeatures(vector, share, "")


def pool_words(times_s: FloatArray, vectors: FloatArray, words: Sequence[TimedWord]) -> tuple[FloatArray, BoolArray]:
    """Pool the frames of each word that show the face to their mean.

    Args:
        times_s: Times of the frames (frame,) in seconds, ascending.
        vectors: Vectors of the frames (frame, feature), NaN where there is no face.
        words: Words of the utterance.

    Returns:
        Vectors (word, feature) float32, and present (word,); a row is zero where `present` is False because no frame
        of the word shows the face.
    """
    result = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
    present = np.zeros(len(words), dtype=np.bool_)
    for number, word in enumerate(words):
        rows = vectors[_frame_slice(times_s, word.start_s, word.end_s)]
        with_face = rows[_has_face(rows)].astype(np.float64)
        if len(with_face):
            result[number], present[number] = with_face.mean(axis=0), True
    return result, present


def average_words(vectors: FloatArray, present: BoolArray) -> PooledFeatures:
    """Pool the words of an utterance that show the face to their mean.

    Args:
        vectors: Vectors of the words (word, feature), see `pool_words`.
        present: Mask of the words (word,) that show the face.

    Returns:
        Vector (feature,), or None with the reason.
    """
    n_with_face = int(present.sum())
    share = n_with_face / len(present) if len(present) else 0.0
    if not n_with_face or share < MIN_FACE_SHARE:
        return PooledFeatures(None, share, _missing_reason(n_with_face, len(present), "words"))
    return PooledFeatures(vectors[present].astype(np.float64).mean(axis=0).astype(np.float32), share, "")


def _frame_slice(times_s: FloatArray, start_s: float, end_s: float) -> slice:
    """Find the frames in [start_s, end_s), else the frame nearest to the middle within `REACH_S` of the span."""
    first, last = (int(index) for index in np.searchsorted(times_s, [start_s, end_s]))
    if first < last or not len(times_s):
        return slice(first, last)
    middle_s = (start_s + end_s) / 2
    neighbours = [index for index in (first - 1, first) if 0 <= index < len(times_s)]
    nearest = min(neighbours, key=lambda index: abs(float(times_s[index]) - middle_s))
    distance_s = max(start_s - float(times_s[nearest]), float(times_s[nearest]) - end_s)
    return slice(nearest, nearest + 1) if distance_s <= REACH_S else slice(0, 0)


def _has_face(rows: FloatArray) -> BoolArray:
    """Mark the rows (frame,) of vectors (frame, feature) that have a face."""
    return np.asarray(~np.isnan(rows).any(axis=1), dtype=np.bool_)


def _missing_reason(n_with_face: int, n: int, unit: str) -> str:
    """Word the reason for a missing vector: the face is seen in `n_with_face` of `n` frames or words."""
    if not n_with_face:
        return f"no face in its {n} {unit}"
    return f"a face in {n_with_face} of {n} {unit}, less than the share of {MIN_FACE_SHARE:g} that is needed"
