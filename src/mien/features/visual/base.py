"""The interface of visual extractors, and the pooling of frame vectors to vectors of utterances and words.

A frame with a usable face has one vector; other frames have none. Without word vectors, the vector of an utterance
contains the mean and the standard deviation over its frames with a face. With word vectors, the vector of a word is the
mean over its frames with a face, and the vector of an utterance is the mean over its words, as in the paper (Akhtar et
al., NAACL 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality, TimedWord

# Least share of the frames of an utterance that must show the face; with word vectors, least share of its words.
MIN_FACE_SHARE = 0.3
# A time interval without a frame uses the nearest frame within this distance, which suits 5 frames per second.
REACH_S = 0.15


@dataclass(frozen=True)
class FaceObservation:
    """The main face of one frame, and its feature vector. A frame without a usable face has no observation.

    Attributes:
        vector: Features that the extractor computed from the face, (feature,) float32.
        box: Left, top, right and bottom of the face in pixels of the original frame.
        score: Confidence of the detector that this is a face, in [0, 1].
    """

    vector: FloatArray
    box: tuple[float, float, float, float]
    score: float


class FaceObserver(Protocol):
    """Interface of objects that track the main face in the frames of one video and compute its feature vectors.

    Make one observer per video, and do not share it between threads.
    """

    def see(self, time_s: float, image: np.ndarray) -> FaceObservation | None:
        """Process the next frame of the video, and compute the feature vector of its main face.

        Args:
            time_s: Time of the frame in seconds.
            image: Pixels (height, width, 3) uint8 RGB.

        Returns:
            The main face with its vector; None if the frame shows no usable main face.
        """
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each event occurred in the frames so far, by the name of the event.

        Most events are results of the search for the main face, such as "face", "no face" or "blurred"; each frame has
        one of these. The other events are frames with several faces, cuts between shots, and changes of the main face.
        """
        ...


@dataclass(frozen=True)
class VisualExtractor:
    """A loaded visual extractor: the feature spaces of its vectors, and a function that makes a `FaceObserver`.

    Attributes:
        space: Feature space of the utterance vectors.
        word_space: Feature space of word vectors and of their mean.
        rate_hz: Number of frames per second to pass to an observer.
        start: Function that makes an observer for one video.
    """

    space: FeatureSpace
    word_space: FeatureSpace
    rate_hz: float
    start: Callable[[], FaceObserver]


class PooledFeatures(NamedTuple):
    """The visual vector of an utterance, or the reason why there is none.

    Attributes:
        vector: Vector (feature,) float32; None if the utterance has no vector.
        face_present_share: Share of the frames of the utterance that show the face, in [0, 1]. If the vector is the
            mean of word vectors, it is the share of the words.
        reason: Reason why the utterance has no vector; empty if it has one.
    """

    vector: FloatArray | None
    face_present_share: float
    reason: str


def visual_spaces(name: str, columns: Sequence[str], recipe: Mapping[str, object]) -> tuple[FeatureSpace, FeatureSpace]:
    """Make the two feature spaces of a visual extractor.

    Args:
        name: Name of the extractor.
        columns: Names of the features of a frame.
        recipe: Settings of the extractor that change its values.

    Returns:
        The space of utterance vectors, which contain the mean and the standard deviation of each feature; and the space
        of word vectors, which contain only the means.
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
    """Stack the vectors of frames to an array.

    Args:
        observations: Main face of each frame; None for a frame without a usable face.
        n_features: Number of features of a vector.

    Returns:
        Vectors (frame, feature) float32. The vector of a frame without a usable face is NaN.
    """
    matrix = np.full((len(observations), n_features), np.nan, dtype=np.float32)
    for row, observation in zip(matrix, observations, strict=True):
        if observation is not None:
            row[:] = observation.vector
    return matrix


def pool(times_s: FloatArray, vectors: FloatArray, start_s: float, end_s: float) -> PooledFeatures:
    """Compute the vector of an utterance: mean and standard deviation over its frames that show the face.

    The utterance has no vector if the share of its frames that show the face is below `MIN_FACE_SHARE`.

    Args:
        times_s: Times of the frames of the video (frame,) in seconds, ascending.
        vectors: Vectors of the frames (frame, feature), NaN where a frame does not show the face.
        start_s: Start of the utterance in seconds, inclusive.
        end_s: End of the utterance in seconds, exclusive.

    Returns:
        The vector (2 * feature,), or the reason why there is none. The means of all features are followed by the
        standard deviations. These are population standard deviations, which are 0 for a single frame.
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
    """Compute the vector of each word: the mean over its frames that show the face.

    Args:
        times_s: Times of the frames of the video (frame,) in seconds, ascending.
        vectors: Vectors of the frames (frame, feature), NaN where a frame does not show the face.
        words: Words of the utterance.

    Returns:
        Vectors (word, feature) float32, and a mask (word,). The mask is False, and the vector is zero, where no frame
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
    """Compute the vector of an utterance: the mean over its words that have a vector.

    A word has a vector if the face is visible while the word is spoken. The utterance has no vector if the share of
    these words is below `MIN_FACE_SHARE`.

    Args:
        vectors: Vectors of the words (word, feature), see `pool_words`.
        present: Mask (word,), True for the words that have a vector.

    Returns:
        The vector (feature,), or the reason why there is none.
    """
    n_with_face = int(present.sum())
    share = n_with_face / len(present) if len(present) else 0.0
    if not n_with_face or share < MIN_FACE_SHARE:
        return PooledFeatures(None, share, _missing_reason(n_with_face, len(present), "words"))
    return PooledFeatures(vectors[present].astype(np.float64).mean(axis=0).astype(np.float32), share, "")


def _frame_slice(times_s: FloatArray, start_s: float, end_s: float) -> slice:
    """Return the slice of the frames whose times lie in [start_s, end_s). `times_s` (frame,) is ascending.

    If no frame is in this interval, the slice contains the frame nearest to the middle of the interval, provided that
    this frame is at most `REACH_S` before or after the interval. Otherwise, the slice is empty.
    """
    first, last = (int(index) for index in np.searchsorted(times_s, [start_s, end_s]))
    if first < last or not len(times_s):
        return slice(first, last)
    middle_s = (start_s + end_s) / 2
    neighbours = [index for index in (first - 1, first) if 0 <= index < len(times_s)]
    nearest = min(neighbours, key=lambda index: abs(float(times_s[index]) - middle_s))
    distance_s = max(start_s - float(times_s[nearest]), float(times_s[nearest]) - end_s)
    return slice(nearest, nearest + 1) if distance_s <= REACH_S else slice(0, 0)


def _has_face(rows: FloatArray) -> BoolArray:
    """Return a mask (frame,), False where the vector of a frame in `rows` is NaN, because it does not show the face."""
    return np.asarray(~np.isnan(rows).any(axis=1), dtype=np.bool_)


def _missing_reason(n_with_face: int, n: int, unit: str) -> str:
    """Return the message that says why an utterance has no vector: too few of its frames or words show the face.

    Args:
        n_with_face: Number of frames or words that show the face.
        n: Number of frames or words of the utterance.
        unit: ``frames`` or ``words``, for the message.
    """
    if not n_with_face:
        return f"no face in its {n} {unit}"
    return f"a face in {n_with_face} of {n} {unit}, less than the share of {MIN_FACE_SHARE:g} that is needed"
