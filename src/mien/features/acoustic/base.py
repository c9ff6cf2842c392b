"""The interface of acoustic extractors, the check for usable sound, and the averaging of frames over words.

Frames are averaged over each spoken word, and the words over the utterance, as in the paper (Akhtar et al., NAACL
2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord

RATE_HZ = 16_000
# Shortest usable sound: two analysis windows of 100 ms, because a mean over frames needs at least two.
SHORTEST_S = 0.2
# A sound is silent if the level of none of its 20 ms windows reaches -60 dB of full scale.
SILENCE_STRETCH_S = 0.02
SILENCE_RMS = 1e-3

# Reasons why an utterance has no acoustic features, as shown in reports.
TOO_SHORT = "shorter than 0.2 s"
NOT_FINITE = "the sound holds values that are no numbers"
SILENT = "silence"
NO_VOICE = "no voice: nothing in it is voiced"


@dataclass(frozen=True)
class AcousticExtractor:
    """A loaded acoustic extractor: functions that compute vectors from sound, and the feature spaces of the vectors.

    The results depend only on the given samples. Pass the samples of one utterance, not of a long recording, because
    everything is computed in memory.
    """

    # feature space of the utterance vectors
    space: FeatureSpace
    # feature space of word vectors and of their mean, see `word_then_average`; None if and only if `frames` is None
    word_space: FeatureSpace | None
    # sample rate in Hz of the mono sound that the functions expect
    rate_hz: int
    # Takes the samples of an utterance (sample,), float32 in [-1, 1]. Returns their vector (feature,) float32, or the
    # reason why they have none.
    vector_or_reason: Callable[[FloatArray], FloatArray | str]
    # Takes the samples of an utterance. Returns the times of its frames (frame,) in seconds after the first sample, and
    # their features (frame, feature) float32, which are NaN where a feature is undefined (F0 of an unvoiced frame). The
    # result has no frames if `why_unusable` gives a reason. None if the extractor has only utterance vectors.
    frames: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None

    def utterance_vector(self, samples: FloatArray) -> FloatArray | None:
        """Compute the vector (feature,) of an utterance from its samples (sample,).

        The result is None if the utterance has no vector; `why_missing` returns the reason.
        """
        result = self.vector_or_reason(samples)
        return None if isinstance(result, str) else result

    def why_missing(self, samples: FloatArray) -> str | None:
        """Return the reason why an utterance with the samples (sample,) has no vector; None if it has a vector."""
        result = self.vector_or_reason(samples)
        return result if isinstance(result, str) else None


def why_unusable(samples: FloatArray, rate_hz: int) -> str | None:
    """Check whether a sound is long enough, finite and not silent, so that it can contain a voice.

    Args:
        samples: Mono sound (sample,) in [-1, 1].
        rate_hz: Sample rate.

    Returns:
        The reason why the sound is unusable: TOO_SHORT, NOT_FINITE or SILENT. None if it is usable.

    Raises:
        DataError: The samples are not one channel.
    """
    if samples.ndim != 1:
        raise DataError(
            f"Expected one channel of sound with the axis (sample,), but got the shape {samples.shape}; mix it to mono"
        )
    if len(samples) < SHORTEST_S * rate_hz:
        return TOO_SHORT
    if not np.isfinite(samples).all():
        return NOT_FINITE
    width = int(SILENCE_STRETCH_S * rate_hz)
    windows = samples[: len(samples) // width * width].reshape(-1, width).astype(np.float64)
    if np.sqrt(np.mean(windows**2, axis=1)).max() < SILENCE_RMS:
        return SILENT
    return None


def word_then_average(
    times_s: FloatArray, values: FloatArray, start_s: float, words: Sequence[TimedWord]
) -> tuple[FloatArray | None, FloatArray, BoolArray]:
    """Average frame features over each word, and the word vectors over the utterance.

    This is the method of the paper (Akhtar et al., NAACL 2019, section "Feature extraction"). The vector of a word is
    the unweighted mean of the frames that overlap the word, as in the CMU Multimodal SDK. The vector of the utterance
    is the mean of the word vectors. If no frame overlaps any word, it is the mean of all frames.

    Means leave out NaN. F0 and the glottal features are NaN in unvoiced frames, so their means are over voiced frames.
    If a feature is NaN in all frames of a word, the word gets the mean of this feature over the other words. This does
    not change the mean of the utterance. If the feature is NaN in all words, every word gets the mean of all frames.

    Args:
        times_s: Centres of the frames (frame,), evenly spaced, in seconds after the first sample of the utterance.
        values: Frame features (frame, feature), NaN where a feature is undefined.
        start_s: Time of the first sample in seconds, on the same clock as the times of `words`.
        words: Words of the utterance in time order.

    Returns:
        ``(utterance, words, present)``. `utterance` (feature,) float32 is the vector of the utterance. It is None if
        there is no frame, or if a feature is NaN in all frames. `words` (word, feature) float32 are the word vectors.
        `present` (word,) is False where no frame overlaps the word, and everywhere if `utterance` is None. The vector
        of a word is zero where `present` is False.
    """
    rows = np.zeros((len(words), values.shape[1]), dtype=np.float32)
    present = np.zeros(len(words), dtype=np.bool_)
    overall = _mean_without_nan(values) if len(values) else np.full(values.shape[1], np.nan)
    if np.isnan(overall).any():
        return None, rows, present
    half_s = 0.5 * (times_s[1] - times_s[0]) if len(times_s) > 1 else np.inf
    # Frames and words often end at the same time, so rounding errors must not count as an overlap.
    slack_s = half_s * (1 - 1e-6) if np.isfinite(half_s) else 0.0
    means = np.full((len(words), values.shape[1]), np.nan)
    for number, word in enumerate(words):
        centres_s = times_s + start_s
        inside = (centres_s + slack_s > word.start_s) & (centres_s - slack_s < word.end_s)
        present[number] = inside.any()
        if present[number]:
            means[number] = _mean_without_nan(values[inside])
    if not present.any():
        return overall.astype(np.float32), rows, present
    means = means[present]
    typical = _mean_without_nan(means)
    typical = np.where(np.isnan(typical), overall, typical)
    rows[present] = np.where(np.isnan(means), typical, means)
    return rows[present].mean(axis=0, dtype=np.float64).astype(np.float32), rows, present


def _mean_without_nan(values: FloatArray) -> FloatArray:
    """Return the mean of each column of an array (row, feature), leaving out NaN.

    The mean of a column that contains only NaN is NaN.
    """
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
