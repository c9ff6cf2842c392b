"""Fundamental frequency (F0) and voicing by summation of residual harmonics (SRH).

The method is from Drugman & Alwan, "Joint robust voicing detection and pitch estimation based on residual harmonics",
Interspeech 2011. E(f) is the amplitude at the frequency f in the spectrum of the linear-prediction residual. The
spectrum is computed in a window of 100 ms and scaled to unit energy. SRH is (their equation 1):

    SRH(f) = E(f) + sum over k = 2..5 of [E(k f) - E((k - 1/2) f)]

F0 is the frequency with the greatest SRH, and a frame is voiced if this SRH exceeds a threshold (section 2.2). A second
pass searches a smaller range around the median F0 of the first pass. Two steps are added to the published method:
dynamic programming avoids octave jumps of single frames, and a parabola interpolates F0 between multiples of 1 Hz.

This module also provides the frames and the linear prediction for all `covarep-like` features. Frame `i` covers the
samples ``[160 i, 160 i + 160)``, and analysis windows are centred on it. The signal counts as zero outside the
utterance, so that sound before and after the utterance does not affect its frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mien.features.acoustic.base import RATE_HZ
from mien.schema import BoolArray, FloatArray, IntArray

# 10 ms: 100 frames per second, as in the published COVAREP features
HOP_SAMPLES = 160
F0_RANGE_HZ = (50, 500)
HARMONICS = 5
# one pair of poles per kHz for the vocal tract, and one pair for glottis and lips
PREDICTION_ORDER = RATE_HZ // 1000 + 2
RESIDUAL_FRAME, RESIDUAL_HOP = 400, 80
WINDOW_SAMPLES = 1600
# High enough for five harmonics of 500 Hz. A Fourier transform of this size has bins of 1 Hz.
SRH_RATE_HZ = 5120
BLOCK_FRAMES = 200
# Least SRH of a voiced frame. Drugman & Alwan use 0.07 on clean and 0.085 on noisy speech. White noise reaches 0.08.
VOICED_SRH = 0.085
# Frames with an SRH above this are used for the median of the first pass (section 2.2).
SURE_SRH = 0.1
# A frame is unvoiced if its level in 30 ms is below -60 dB of full scale.
LEVEL_SAMPLES = 480
VOICED_RMS = 1e-3
# Dynamic programming: number of candidates per frame, cost of a jump by one octave between two frames, and highest cost
# of a candidate with a low SRH (the best candidate has the cost 0).
PEAKS = 8
OCTAVE_LEAP_COST = 2.0
NO_PEAK_COST = 10.0
# A candidate is a multiple of F0 if the SRH at a third or a fifth of its frequency is at least the first share of its
# SRH. Its SRH is then multiplied by the second number.
ODD_MULTIPLE_TIE, ODD_MULTIPLE_SHARE = 0.6, 0.6
# shorter sequences of voiced frames are spurious
MIN_VOICED_FRAMES = 3


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """F0 and voicing of each frame. All arrays have the shape (frame,).

    Attributes:
        f0_hz: F0 of each frame; an estimate also for unvoiced frames.
        voiced: True for voiced frames.
        strength: Sum of residual harmonics (SRH) at `f0_hz`.
        subharmonic_share: Sum of the amplitudes midway between harmonics 1 to 5, divided by this sum plus that of the
            amplitudes of the harmonics; in [0, 1].
    """

    f0_hz: FloatArray
    voiced: BoolArray
    strength: FloatArray
    subharmonic_share: FloatArray


def track_pitch(signal: FloatArray, residual: FloatArray) -> PitchTrack:
    """Estimate F0 and voicing of each frame of an utterance.

    Args:
        signal: Sound (sample,) at 16 kHz with zero mean, at least one frame long.
        residual: Prediction residual (sample,) of the signal, see `prediction_residual`.
    """
    loud = np.sqrt(np.mean(centred_windows(signal, LEVEL_SAMPLES) ** 2, axis=1)) > VOICED_RMS
    low, high = F0_RANGE_HZ
    # an extra candidate on each side allows the first and last one to be peaks
    low, high = low - 1, high + 1
    blocks = []
    for spectra in residual_spectra(residual):
        block, subtracted = harmonic_sums(spectra, low, high)
        blocks.append(
            (_without_odd_multiples(block, spectra, low), subtracted / np.maximum(block + 2 * subtracted, 1e-20))
        )
    sums, share = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    confident = loud & (sums.max(axis=1) > SURE_SRH)
    if confident.any():
        median = low + float(np.median(sums[confident].argmax(axis=1)))
        first, last = max(0, int(median / 2) - low - 1), int(2 * median) - low + 1
        sums, share, low = sums[:, first : last + 1], share[:, first : last + 1], low + first
    sums = np.where(loud[:, None], sums, 0.0)
    numbers, values = _best_peaks(sums)
    path = _smooth_path(np.log2(numbers + low), values)
    frames = np.arange(len(sums))
    number, value = numbers[frames, path], values[frames, path]
    offset = _peak_offset(sums[frames, number - 1], sums[frames, number], sums[frames, number + 1])
    voiced = _without_short_runs(loud & (value > VOICED_SRH))
    return PitchTrack(low + number + offset, voiced, np.maximum(value, 0.0), share[frames, number])


def residual_spectra(residual: FloatArray) -> Iterator[FloatArray]:
    """Compute the amplitude spectra of a residual for blocks of successive frames.

    Args:
        residual: Prediction residual (sample,) at 16 kHz.

    Yields:
        Spectra (frame, bin) of one block, with bins of 1 Hz from 0 to 2560 Hz. They are scaled so that each spectrum
        has unit energy over 0 to 8 kHz.
    """
    n_frames = frame_count(len(residual))
    ratio = RATE_HZ / SRH_RATE_HZ
    size = fast_length(len(residual) + 2 * WINDOW_SAMPLES, 400)
    before = WINDOW_SAMPLES // 2 - HOP_SAMPLES // 2
    padded = np.zeros(size)
    padded[before : before + len(residual)] = residual
    small = int(size / ratio)
    slow = np.fft.irfft(np.fft.rfft(padded)[: small // 2 + 1], small) / ratio
    width = int(WINDOW_SAMPLES / ratio)
    starts = np.round(np.arange(n_frames) * (HOP_SAMPLES / ratio)).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(slow, width)[starts]
    squares = centred_windows(residual**2, WINDOW_SAMPLES)
    taper, squared_taper = np.blackman(width).astype(np.float32), np.blackman(WINDOW_SAMPLES) ** 2
    for start in range(0, n_frames, BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        amplitude = np.abs(np.fft.rfft(windows[block].astype(np.float32) * taper, SRH_RATE_HZ, axis=1))
        energy = squares[block] @ squared_taper
        scale = ratio / np.sqrt(0.5 * RATE_HZ * np.maximum(energy, 1e-20))
        yield (amplitude * scale[:, None]).astype(np.float32)


def harmonic_sums(spectra: FloatArray, low_hz: int, high_hz: int) -> tuple[FloatArray, FloatArray]:
    """Compute the sum of residual harmonics (SRH) for each candidate F0, in steps of 1 Hz.

    SRH is the sum of the amplitudes at the harmonics, minus the sum of those midway between the harmonics.

    Args:
        spectra: Amplitude spectra of the residual (frame, bin), with bins of 1 Hz.
        low_hz: Lowest candidate F0.
        high_hz: Highest candidate F0.

    Returns:
        SRH (frame, candidate), and the sum that was subtracted (frame, candidate).
    """
    sums = spectra[:, low_hz : high_hz + 1].copy()
    between = np.zeros_like(sums)
    candidates = np.arange(low_hz, high_hz + 1)
    for k in range(2, HARMONICS + 1):
        sums += spectra[:, k * low_hz : k * high_hz + 1 : k]
        between += spectra[:, (2 * k - 1) * candidates // 2]
    return sums - between, between


def _without_odd_multiples(sums: FloatArray, spectra: FloatArray, low_hz: int) -> FloatArray:
    """Reduce the SRH of candidates that are probably 3 or 5 times the true F0.

    If all harmonics have the same amplitude, three candidates have the same SRH: F0, 3 F0 and 5 F0. The SRH of a
    candidate is therefore reduced if the SRH at a third or a fifth of its frequency is nearly as high. For this
    comparison, the SRH of the lower frequency leaves out the amplitude at the frequency of the candidate. Otherwise, a
    pure tone would be taken for a harmonic of a lower F0.

    SRH subtracts the amplitudes midway between the harmonics of a candidate. For an even multiple of F0, these midway
    frequencies are harmonics of F0, so its SRH is low anyway.

    Args:
        sums: SRH (frame, candidate) in steps of 1 Hz.
        spectra: Amplitude spectra of the residual (frame, bin), with bins of 1 Hz.
        low_hz: Frequency of the first candidate.

    Returns:
        The reduced SRH (frame, candidate).
    """
    damped = sums.copy()
    candidates = np.arange(low_hz, low_hz + sums.shape[1])
    for divisor in (3, 5):
        high = candidates[candidates >= divisor * low_hz]
        own = sums[:, high - low_hz]
        lower = sums[:, np.round(high / divisor).astype(int) - low_hz] - spectra[:, high]
        factor = np.where(lower > ODD_MULTIPLE_TIE * own, ODD_MULTIPLE_SHARE, 1.0)
        damped[:, high - low_hz] = np.minimum(damped[:, high - low_hz], factor * own)
    return damped


def _best_peaks(sums: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find the `PEAKS` highest local maxima of the SRH (frame, candidate) in each frame.

    Returns:
        Indices of the candidates (frame, peak), and their SRH (frame, peak). If a frame has fewer maxima, the SRH of
        the remaining peaks is -inf.
    """
    inner = sums[:, 1:-1]
    is_peak = (inner > sums[:, :-2]) & (inner >= sums[:, 2:])
    values = np.where(is_peak, inner, -np.inf)
    numbers = np.argpartition(-values, PEAKS, axis=1)[:, :PEAKS]
    return numbers + 1, np.take_along_axis(values, numbers, axis=1)


def _smooth_path(log2_f0: FloatArray, values: FloatArray) -> IntArray:
    """Choose one peak per frame by dynamic programming, so that SRH is high and jumps of F0 between frames are small.

    Args:
        log2_f0: Logarithm to base 2 of the F0 of each peak (frame, peak).
        values: SRH of each peak (frame, peak).

    Returns:
        Index of the chosen peak of each frame (frame,).
    """
    best = np.maximum(values.max(axis=1, keepdims=True), VOICED_SRH)
    local = np.minimum((best - values) / best, NO_PEAK_COST)
    cost = local[0]
    came_from = np.zeros(values.shape, dtype=np.intp)
    for frame in range(1, len(values)):
        jump = np.abs(log2_f0[frame][:, None] - log2_f0[frame - 1][None, :])
        total = cost[None, :] + OCTAVE_LEAP_COST * jump
        came_from[frame] = total.argmin(axis=1)
        cost = total.min(axis=1) + local[frame]
    path = np.empty(len(values), dtype=np.intp)
    path[-1] = cost.argmin()
    for frame in range(len(values) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def _peak_offset(left: FloatArray, middle: FloatArray, right: FloatArray) -> FloatArray:
    """Fit a parabola through three evenly spaced values, and locate its maximum.

    Returns:
        Position of the maximum relative to the middle value, in units of the spacing, limited to [-0.5, 0.5]. The
        position is 0 if the parabola has no maximum.
    """
    curvature = left - 2 * middle + right
    return np.clip(
        np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, -1.0), 0.0), -0.5, 0.5
    )


def _without_short_runs(voiced: BoolArray) -> BoolArray:
    """Set sequences of fewer than `MIN_VOICED_FRAMES` voiced frames to unvoiced in a mask (frame,).

    The given mask is not changed; the new mask (frame,) is returned.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    long_enough = np.zeros_like(voiced)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        long_enough[start:stop] = stop - start >= MIN_VOICED_FRAMES
    return long_enough


def prediction_residual(signal: FloatArray) -> FloatArray:
    """Compute the linear-prediction residual (sample,) of a signal (sample,) at 16 kHz.

    The signal is divided into overlapping Hann windows of 25 ms. Each window is filtered with the inverse filter that
    is estimated from it, and the filtered windows are added.
    """
    size, parts = 512, (RESIDUAL_FRAME + RESIDUAL_HOP) // RESIDUAL_HOP
    n_frames = len(signal) // RESIDUAL_HOP + parts
    padded = np.zeros((n_frames - 1) * RESIDUAL_HOP + RESIDUAL_FRAME)
    lead = RESIDUAL_FRAME - RESIDUAL_HOP
    padded[lead : lead + len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, RESIDUAL_FRAME)[::RESIDUAL_HOP]
    # The sum of periodic Hann windows that start 80 samples apart is 2.5.
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(RESIDUAL_FRAME) / RESIDUAL_FRAME)
    taper /= 2.5
    total = np.zeros((n_frames + parts, RESIDUAL_HOP))
    for start in range(0, n_frames, BLOCK_FRAMES):
        block = windows[start : start + BLOCK_FRAMES] * taper
        spectrum = np.fft.rfft(block, size, axis=1)
        filters = power_to_filters(np.abs(spectrum) ** 2, PREDICTION_ORDER)
        error = np.fft.irfft(spectrum * np.fft.rfft(filters, size, axis=1), size, axis=1)
        pieces = error[:, : parts * RESIDUAL_HOP].reshape(len(block), parts, RESIDUAL_HOP)
        for part in range(parts):
            total[start + part : start + part + len(block)] += pieces[:, part]
    return total.ravel()[lead : lead + len(signal)]


def power_to_filters(power: FloatArray, order: int) -> FloatArray:
    """Compute the inverse filters of linear prediction from power spectra.

    Args:
        power: One-sided power spectra (frame, bin).
        order: Prediction order.

    Returns:
        Coefficients of the inverse filters (frame, order + 1); the first one is 1.
    """
    return prediction_filters(np.fft.irfft(power, axis=1)[:, : order + 1], order)


def prediction_filters(autocorrelation: FloatArray, order: int) -> FloatArray:
    """Compute the inverse filters of linear prediction by the Levinson-Durbin recursion, for all frames at once.

    Args:
        autocorrelation: Autocorrelation (frame, lag) with at least `order + 1` lags, starting with lag 0.
        order: Prediction order.

    Returns:
        Coefficients of the inverse filters (frame, order + 1); the first one is 1. The filter of a frame without energy
        leaves a signal unchanged.
    """
    # White noise 90 dB below the level of the frame is added, so that the recursion is not singular for pure tones.
    r = autocorrelation[:, : order + 1].astype(np.float64)
    r[:, 0] = r[:, 0] * (1 + 1e-9) + 1e-30
    filters = np.zeros((len(r), order + 1))
    filters[:, 0] = 1
    error = r[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -np.einsum("fk,fk->f", filters[:, :step], r[:, step:0:-1]) / error
        filters[:, 1 : step + 1] += reflection[:, None] * filters[:, step - 1 :: -1][:, :step]
        error *= 1 - reflection**2
        error = np.maximum(error, 1e-12 * r[:, 0])
    return filters


def high_passed(signal: FloatArray, *, stop_hz: float = 30.0, pass_hz: float = 60.0) -> FloatArray:
    """Remove the constant offset and low-frequency noise from a signal with a zero-phase filter.

    Args:
        signal: Sound (sample,) at 16 kHz.
        stop_hz: Frequencies up to `stop_hz` are removed.
        pass_hz: Frequencies from `pass_hz` on are unchanged. From `stop_hz` to `pass_hz`, the gain rises as a raised
            cosine.

    Returns:
        The filtered signal (sample,).
    """
    size = fast_length(len(signal) + RATE_HZ // 10)
    frequencies_hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = 0.5 - 0.5 * np.cos(np.pi * np.clip((frequencies_hz - stop_hz) / (pass_hz - stop_hz), 0, 1))
    return np.fft.irfft(np.fft.rfft(signal, size) * gain, size)[: len(signal)]


def frame_count(n_samples: int) -> int:
    """Return the number of complete frames in `n_samples` samples."""
    return n_samples // HOP_SAMPLES


def frame_times_s(n_frames: int) -> FloatArray:
    """Return the times of the centres of `n_frames` frames (frame,), in seconds after the first sample."""
    times_s: FloatArray = (np.arange(n_frames) + 0.5) * (HOP_SAMPLES / RATE_HZ)
    return times_s


def centred_windows(signal: FloatArray, width: int) -> FloatArray:
    """Cut a window around the centre of each frame.

    Args:
        signal: Sound (sample,) at 16 kHz.
        width: Samples per window.

    Returns:
        Windows (frame, width), as a read-only view. They are zero where they extend beyond the signal.
    """
    n_frames = frame_count(len(signal))
    before = width // 2 - HOP_SAMPLES // 2
    padded = np.concatenate([np.zeros(before), signal, np.zeros(width)])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[::HOP_SAMPLES][:n_frames]


def fast_length(n: int, multiple: int = 1) -> int:
    """Find a size of at least `n` for which the fast Fourier transform is fast.

    Args:
        n: Least size.
        multiple: The size must be a multiple of this number.

    Returns:
        The smallest number ``multiple * 2^a * 3^b * 5^c`` that is at least `n`, with a >= 0, 0 <= b <= 4, 0 <= c <= 3.
    """
    quotient = -(-n // multiple)
    best = 1 << max(0, quotient - 1).bit_length()
    for five in (1, 5, 25, 125):
        for three in (1, 3, 9, 27, 81):
            odd = five * three
            best = min(best, odd << max(0, -(-quotient // odd) - 1).bit_length())
    return best * multiple
