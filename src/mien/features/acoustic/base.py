"""What every acoustic extractor offers, when it has nothing to say, and the paper's word-then-average rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord

RATE_HZ = 16_000
# Shorter than two analysis windows of 100 ms there is nothing to average.
SHORTEST_S = 0.2
# Silence: no stretch of 20 ms reaches -60 dB of full scale.
SILENCE_STRETCH_S = 0.02
SILENCE_RMS = 1e-3

# Why an utterance has no acoustic features, as reports show it.
TOO_SHORT = "shorter than 0.2 s"
NOT_FINITE = "the sound holds values that are no numbers"
SILENT = "silence"
NO_VOICE = "no voice: nothing in it is voiced"


@dataclass(frozen=True)
class AcousticExtractor:
    """A loaded extractor. Its answer depends on the samples it is given and on nothing else.

    Give it the samples of one utterance, not of a whole film: everything is computed in memory.
    """

    # what its utterance vectors are
    space: FeatureSpace
    # what words and their mean are, see `word_then_average`; None exactly where `frames` is None
    word_space: FeatureSpace | None
    # rate of the samples it expects, hertz; mono
    rate_hz: int
    # samples (sample,) float32 in [-1, 1] -> (feature,) float32, or the reason why there is no vector
    vector_or_reason: Callable[[FloatArray], FloatArray | str]
    # samples -> times_s (frame,), seconds after the first sample, and values (frame, feature) float32, NaN where a
    # column has no value in a frame (F0 of an unvoiced frame); no frames where a vector is missing.
    # None: utterance level only
    frames: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None

    def utterance_vector(self, samples: FloatArray) -> FloatArray | None:
        """Vector (feature,) of samples (sample,), or None; then `why_missing` gives the reason."""
        answer = self.vector_or_reason(samples)
        return None if isinstance(answer, str) else answer

    def why_missing(self, samples: FloatArray) -> str | None:
        """The reason why samples (sample,) have no vector, None if they have one."""
        answer = self.vector_or_reason(samples)
        return answer if isinstance(answer, str) else None


def why_unusable(samples: FloatArray, rate_hz: int) -> str | None:
    """Why samples (sample,) cannot hold a voice: TOO_SHORT, NOT_FINITE or SILENT; None if they can.

    Raises:
        DataError: the samples are not one channel.
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
    stretches = samples[: len(samples) // width * width].reshape(-1, width).astype(np.float64)
    if np.sqrt(np.mean(stretches**2, axis=1)).max() < SILENCE_RMS:
        return SILENT
    return None


def word_then_average(
    times_s: FloatArray, values: FloatArray, start_s: float, words: Sequence[TimedWord]
) -> tuple[FloatArray | None, FloatArray, BoolArray]:
    """Frames -> words -> utterance: the paper's rule (section "Feature extraction").

    A word's vector is the plain mean of the frames that overlap it, as the CMU Multimodal SDK aligns frames to words;
    the utterance's is the mean of its words' vectors. Without words, or where no word has a frame, the utterance's
    vector is the mean of all frames.

    A column counts where it has a value: NaN is left out, so that F0 and the glottal columns are means over voiced
    frames and the rest over all. A word without any value in a column takes the mean of the other words there, which
    leaves the utterance's mean what it is. Where no word has a value in a column, all take the mean of all frames.

    Args:
        times_s: middles of the frames (frame,), evenly spaced, seconds after the first sample of the utterance.
        values: (frame, feature), NaN where a column has no value.
        start_s: when the first sample sounds, on the clock of `words`.
        words: in time order.

    Returns:
        ``(utterance, rows, present)``: (feature,) float32 or None if a column has no value in any frame or there is no
        frame; (word, feature) float32, zero where absent; (word,), False where no frame overlaps the word.
    """
    rows = np.zeros((len(words), values.shape[1]), dtype=np.float32)
    present = np.zeros(len(words), dtype=np.bool_)
    overall = _mean(values) if len(values) else np.full(values.shape[1], np.nan)
    if np.isnan(overall).any():
        return None, rows, present
    half_s = 0.5 * (times_s[1] - times_s[0]) if len(times_s) > 1 else np.inf
    # Frames and words often meet at the same instant: a millionth of a frame is no overlap.
    slack_s = half_s * (1 - 1e-6) if np.isfinite(half_s) else 0.0
    means = np.full((len(words), values.shape[1]), np.nan)
    for number, word in enumerate(words):
        middles_s = times_s + start_s
        inside = (middles_s + slack_s > word.start_s) & (middles_s - slack_s < word.end_s)
        present[number] = inside.any()
        if present[number]:
            means[number] = _mean(values[inside])
    if not present.any():
        return overall.astype(np.float32), rows, present
    means = means[present]
    typical = _mean(means)
    typical = np.where(np.isnan(typical), overall, typical)
    rows[present] = np.where(np.isnan(means), typical, means)
    return rows[present].mean(axis=0, dtype=np.float64).astype(np.float32), rows, present


def _mean(values: FloatArray) -> FloatArray:
    """Mean (feature,) of rows (row, feature) over what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
