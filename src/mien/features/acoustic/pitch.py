"""Fundamental frequency and voicing by summation of residual harmonics (SRH).

Drugman & Alwan, Interspeech 2011, "Joint robust voicing detection and pitch estimation based on residual harmonics".
With E(f) the amplitude spectrum of the linear-prediction residual in a 100 ms window, at unit energy (eq. 1):

    SRH(f) = E(f) + sum over k = 2..5 of [E(k f) - E((k - 1/2) f)]

F0 maximises SRH, and a frame is voiced if the maximum exceeds a threshold (section 2.2). A second pass searches a
smaller range around the median F0 of the first. In addition to the paper, dynamic programming avoids octave jumps of
single frames, and a parabola interpolates on the 1 Hz grid.

This module also provides the frames and the linear prediction for all `covarep-like` columns. Frame `i` covers the
samples ``[160 i, 160 i + 160)``, and analysis windows are centred on it. Outside the utterance the signal is zero, so
that surrounding sound does not affect its frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mien.features.acoustic.base import RATE_HZ
from mien.schema import BoolArray, FloatArray, IntArray

# 10 ms: 100 frames a second, as in the published COVAREP set
HOP_SAMPLES = 160
F0_RANGE_HZ = (50, 500)
HARMONICS = 5
# a pole pair per kHz for the vocal tract, and one pair for glottis and lips
PREDICTION_ORDER = RATE_HZ // 1000 + 2
RESIDUAL_FRAME, RESIDUAL_HOP = 400, 80
WINDOW_SAMPLES = 1600
# High enough for five harmonics of 500 Hz; a transform of this size has 1 Hz bins.
SRH_RATE_HZ = 5120
BLOCK_FRAMES = 200
# The paper's thresholds are 0.07 on clean and 0.085 on noisy speech; white noise reaches 0.08.
VOICED_SRH = 0.085
# SRH from which on a frame counts for the median of the first pass (section 2.2)
SURE_SRH = 0.1
# A frame is unvoiced if its level in 30 ms is below -60 dB of full scale.
LEVEL_SAMPLES = 480
VOICED_RMS = 1e-3
# Path search: candidates per frame, cost of a jump by one octave, highest cost of a candidate (the best has cost 0).
PEAKS = 8
OCTAVE_LEAP_COST = 2.0
NO_PEAK_COST = 10.0
# If a third or fifth of a candidate has this share of its SRH, the candidate is a multiple: its SRH is scaled down.
ODD_MULTIPLE_TIE, ODD_MULTIPLE_SHARE = 0.6, 0.6
# shorter voiced runs are spurious
MIN_VOICED_FRAMES = 3


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """F0 and voicing of each frame; all arrays have the shape (frame,)."""

    # an estimate even for unvoiced frames
    f0_hz: FloatArray
    voiced: BoolArray
    # SRH at `f0_hz`
    strength: FloatArray
    # amplitude midway between harmonics 1 to 5, as a share of that and the harmonics' amplitude, in [0, 1]
    subharmonic_share: FloatArray


def track_pitch(signal: FloatArray, residual: FloatArray) -> PitchTrack:
    """Estimate F0 and voicing of each frame of an utterance.

    Args:
        signal: Sound (sample,) at 16 kHz, without offset, at least one frame long.
        residual: Prediction residual (sample,) of the signal, see `prediction_residual`.

    Returns:
        F0 in Hz and voicing of each frame.
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
    """Yield E(f) of blocks of frames: (frame, 1 Hz bin up to 2560 Hz), with unit energy over 0 to 8 kHz."""
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
    """Compute SRH and the sum of the half-harmonics that it subtracts.

    Args:
        spectra: Amplitude spectra E(f) of the residual (frame, 1 Hz bin).
        low_hz: Lowest candidate F0.
        high_hz: Highest candidate F0.

    Returns:
        SRH and the subtracted sum, both (frame, candidate), in steps of 1 Hz.
    """
    sums = spectra[:, low_hz : high_hz + 1].copy()
    between = np.zeros_like(sums)
    candidates = np.arange(low_hz, high_hz + 1)
    for k in range(2, HARMONICS + 1):
        sums += spectra[:, k * low_hz : k * high_hz + 1 : k]
        between += spectra[:, (2 * k - 1) * candidates // 2]
    return sums - between, between


def _without_odd_multiples(sums: FloatArray, spectra: FloatArray, low_hz: int) -> FloatArray:
    """Lower the SRH (frame, candidate from `low_hz`) of candidates whose third or fifth has nearly the same SRH.

    With a flat spectrum, the sums of F0, 3 F0 and 5 F0 are equal. Subtracting half-harmonics excludes even multiples,
    but not odd ones, whose half-harmonics also lie between harmonics. The harmonic that a candidate shares with its
    third or fifth is ignored, so that a pure tone does not count as the harmonic of a lower F0.
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
    """Find the highest local maxima of each frame: candidate numbers and values (frame, peak), -inf where missing."""
    inner = sums[:, 1:-1]
    is_peak = (inner > sums[:, :-2]) & (inner >= sums[:, 2:])
    values = np.where(is_peak, inner, -np.inf)
    numbers = np.argpartition(-values, PEAKS, axis=1)[:, :PEAKS]
    return numbers + 1, np.take_along_axis(values, numbers, axis=1)


def _smooth_path(log2_f0: FloatArray, values: FloatArray) -> IntArray:
    """Choose a peak (frame,) in each frame: high SRH, small jumps between frames (dynamic programming)."""
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
    """Locate the maximum of a parabola through three neighbouring values, as an offset in [-0.5, 0.5] steps."""
    curvature = left - 2 * middle + right
    return np.clip(
        np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, -1.0), 0.0), -0.5, 0.5
    )


def _without_short_runs(voiced: BoolArray) -> BoolArray:
    """Remove runs of fewer than `MIN_VOICED_FRAMES` voiced frames from a mask (frame,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    long_enough = np.zeros_like(voiced)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        long_enough[start:stop] = stop - start >= MIN_VOICED_FRAMES
    return long_enough


def prediction_residual(signal: FloatArray) -> FloatArray:
    """Compute the linear-prediction residual (sample,): 25 ms Hann frames, inverse filtered and overlap-added."""
    size, parts = 512, (RESIDUAL_FRAME + RESIDUAL_HOP) // RESIDUAL_HOP
    n_frames = len(signal) // RESIDUAL_HOP + parts
    padded = np.zeros((n_frames - 1) * RESIDUAL_HOP + RESIDUAL_FRAME)
    lead = RESIDUAL_FRAME - RESIDUAL_HOP
    padded[lead : lead + len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, RESIDUAL_FRAME)[::RESIDUAL_HOP]
    # periodic Hann: copies 80 samples apart sum to 2.5
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
    """Compute inverse filters from power spectra.

    Args:
        power: One-sided power spectra (frame, bin).
        order: Number of predictor coefficients.

    Returns:
        Inverse filters (frame, order + 1), first coefficient 1.
    """
    return prediction_filters(np.fft.irfft(power, axis=1)[:, : order + 1], order)


def prediction_filters(autocorrelation: FloatArray, order: int) -> FloatArray:
    """Compute inverse filters by the Levinson-Durbin recursion, for all frames at once.

    Args:
        autocorrelation: Autocorrelation (frame, lag) from lag 0 on, at least `order + 1` lags.
        order: Number of predictor coefficients.

    Returns:
        Inverse filters (frame, order + 1), first coefficient 1; a frame without energy has the identity filter.
    """
    # White noise 90 dB below the frame's level keeps pure tones from making the recursion singular.
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
    """Remove offset and low-frequency noise with a zero-phase filter.

    Args:
        signal: Sound (sample,) at 16 kHz.
        stop_hz: Frequencies up to here are removed.
        pass_hz: Frequencies from here on are unchanged; between both, the gain is a raised cosine.

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
    """Return the centre of each frame (frame,), in seconds after the first sample."""
    times_s: FloatArray = (np.arange(n_frames) + 0.5) * (HOP_SAMPLES / RATE_HZ)
    return times_s


def centred_windows(signal: FloatArray, width: int) -> FloatArray:
    """Cut a window around the centre of each frame.

    Args:
        signal: Sound (sample,) at 16 kHz.
        width: Samples per window.

    Returns:
        Windows (frame, width), zero outside the signal; a read-only view.
    """
    n_frames = frame_count(len(signal))
    before = width // 2 - HOP_SAMPLES // 2
    padded = np.concatenate([np.zeros(before), signal, np.zeros(width)])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[::HOP_SAMPLES][:n_frames]


def fast_length(n: int, multiple: int = 1) -> int:
    """Find a size that a fast Fourier transform computes quickly.

    Args:
        n: Least size.
        multiple: Number that divides the size.

    Returns:
        Smallest ``multiple * 2^a 3^b 5^c >= n`` with b <= 4 and c <= 3.
    """
    quotient = -(-n // multiple)
    best = 1 << max(0, quotient - 1).bit_length()
    for five in (1, 5, 25, 125):
        for three in (1, 3, 9, 27, 81):
            odd = five * three
            best = min(best, odd << max(0, -(-quotient // odd) - 1).bit_length())
    return best * multiple
