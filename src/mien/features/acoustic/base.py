"""The interface of acoustic extractors, reasons for a missing vector, and the paper's word-then-average rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord

RATE_HZ = 16_000
# Two analysis windows of 100 ms: a mean over frames needs at least two.
SHORTEST_S = 0.2
# Silence: no 20 ms window reaches -60 dB of full scale.
SILENCE_STRETCH_S = 0.02
SILENCE_RMS = 1e-3

# Reasons why an utterance has no acoustic features, as shown in reports.
TOO_SHORT = "shorter than 0.2 s"
NOT_FINITE = "the sound holds values that are no numbers"
SILENT = "silence"
NO_VOICE = "no voice: nothing in it is voiced"


@dataclass(frozen=True)
class AcousticExtractor:
    """A loaded extractor; its result depends only on the given samples.

    Pass the samples of one utterance, not of a long recording: everything is computed in memory.
    """

    # feature space of the utterance vectors
    space: FeatureSpace
    # feature space of words and their mean, see `word_then_average`; None if and only if `frames` is None
    word_space: FeatureSpace | None
    # sample rate of the mono sound it expects, Hz
    rate_hz: int
    # samples (sample,) float32 in [-1, 1] -> vector (feature,) float32, or the reason why there is none
    vector_or_reason: Callable[[FloatArray], FloatArray | str]
    # samples -> times_s (frame,), seconds after the first sample, and values (frame, feature) float32, NaN where a
    # column is undefined (F0 of an unvoiced frame). No frames if `why_unusable` gives a reason.
    # None: utterance level only
    frames: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None

    def utterance_vector(self, samples: FloatArray) -> FloatArray | None:
        """Compute the vector (feature,) of samples (sample,); None if there is none, see `why_missing`."""
        result = self.vector_or_reason(samples)
        return None if isinstance(result, str) else result

    def why_missing(self, samples: FloatArray) -> str | None:
        """Return the reason why samples (sample,) have no vector; None if they have one."""
        result = self.vector_or_reason(samples)
        return result if isinstance(result, str) else None


def why_unusable(samples: FloatArray, rate_hz: int) -> str | None:
    """Check whether samples can contain a voice.

    Args:
        samples: Mono sound (sample,) in [-1, 1].
        rate_hz: Sample rate.

    Returns:
        TOO_SHORT, NOT_FINITE or SILENT; None if the samples are usable.

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
    """Average frames over words, and words over the utterance: the paper's rule (section "Feature extraction").

    The vector of a word is the unweighted mean of the frames that overlap it, as in the CMU Multimodal SDK. That of the
    utterance is the mean of the word vectors, or the mean of all frames if no frame overlaps a word.

    NaN is ignored, so that F0 and the glottal columns are means over voiced frames, and the other columns over all
    frames. A word without a value in a column takes the mean of the other words, which does not change the mean of the
    utterance. If no word has a value in a column, every word takes the mean of all frames.

    Args:
        times_s: Centres of the frames (frame,), evenly spaced, in seconds after the first sample of the utterance.
        values: Frame features (frame, feature), NaN where a column is undefined.
        start_s: Time of the first sample in seconds, in the time base of `words`.
        words: Words of the utterance in time order.

    Returns:
        The utterance's vector (feature,) float32, or None if there is no frame or a column has no value in any frame;
        the word vectors (word, feature) float32, zero where absent; present (word,), False where no frame overlaps the
        word.
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
    """Average rows (row, feature) without NaN; NaN where a column has no other value."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
