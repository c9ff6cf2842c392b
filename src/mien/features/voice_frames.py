"""Frames of a voice and linear prediction over all of them at once: what the `covarep-like` columns are built on.

Frame `i` stands for the samples ``[160 i, 160 i + 160)``; analysis windows are centred on its middle, and the signal is
zero outside the utterance, so nothing that surrounds an utterance can reach its frames.
"""

from __future__ import annotations

import numpy as np

from mien.schema import FloatArray

RATE_HZ = 16_000
# 10 ms: 100 frames a second, as in the published COVAREP set
HOP_SAMPLES = 160


def frame_count(n_samples: int) -> int:
    """Number of whole frames in that many samples."""
    return n_samples // HOP_SAMPLES


def frame_times_s(n_frames: int) -> FloatArray:
    """Middle of every frame (frame,), seconds after the first sample."""
    times_s: FloatArray = (np.arange(n_frames) + 0.5) * (HOP_SAMPLES / RATE_HZ)
    return times_s


def centred_windows(signal: FloatArray, width: int) -> FloatArray:
    """Windows (frame, width) around the middle of every frame, zero outside the signal; a read-only view."""
    n_frames = frame_count(len(signal))
    before = width // 2 - HOP_SAMPLES // 2
    padded = np.concatenate([np.zeros(before), signal, np.zeros(width)])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[::HOP_SAMPLES][:n_frames]


def fast_length(n: int, multiple: int = 1) -> int:
    """Least ``multiple * 2^a 3^b 5^c >= n``: sizes that a Fourier transform handles quickly."""
    need = -(-n // multiple)
    best = 1 << max(0, need - 1).bit_length()
    for five in (1, 5, 25, 125):
        for three in (1, 3, 9, 27, 81):
            odd = five * three
            best = min(best, odd << max(0, -(-need // odd) - 1).bit_length())
    return best * multiple


def high_passed(signal: FloatArray, *, stop_hz: float = 30.0, pass_hz: float = 60.0) -> FloatArray:
    """Signal (sample,) without rumble and offset; zero phase, raised-cosine edge from `stop_hz` to `pass_hz`."""
    size = fast_length(len(signal) + RATE_HZ // 10)
    frequencies_hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = 0.5 - 0.5 * np.cos(np.pi * np.clip((frequencies_hz - stop_hz) / (pass_hz - stop_hz), 0, 1))
    return np.fft.irfft(np.fft.rfft(signal, size) * gain, size)[: len(signal)]


def prediction_filters(autocorrelation: FloatArray, order: int) -> FloatArray:
    """Inverse filters (frame, order + 1), first coefficient 1, by the Levinson-Durbin recursion over all frames.

    Args:
        autocorrelation: (frame, lag), at least `order + 1` lags.
        order: number of predictor coefficients.

    Frames without energy give the filter that changes nothing.
    """
    # A floor of white noise 90 dB below the frame keeps the recursion away from singular frames (pure tones).
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


def power_to_filters(power: FloatArray, order: int) -> FloatArray:
    """Inverse filters (frame, order + 1) from one-sided power spectra (frame, bin)."""
    return prediction_filters(np.fft.irfft(power, axis=1)[:, : order + 1], order)
