"""The spectral envelope and the harmonics' phases of a voice, on the mel scale.

- MCEP: cepstrum of the mel-warped true envelope. True envelope: Röbel & Rodet, DAFx 2005 (cepstral smoothing of the
  larger of spectrum and envelope, again and again, until the envelope rests on the harmonics). Warping: the all-pass
  of Tokuda et al., ICSLP 1994: log |H(w)| = sum over m of c_m cos(m w~(w)).
- HMPDM, HMPDD: Degottex & Erro, EURASIP JASM 2014. Phase distortion of harmonic h is PD_h = phi_(h+1) - phi_h - phi_1:
  free of the place of the window. It is read on the flow derivative, from which the phase of the vocal tract is gone.
  Its circular mean and deviation are taken over neighbouring voiced frames and bands of the mel scale.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.features.voice_frames import RATE_HZ, centred_windows
from mien.features.voice_pitch import Pitch
from mien.schema import BoolArray, FloatArray

ComplexArray = NDArray[np.complexfloating[Any, Any]]

N_MCEP, N_HMPDM, N_HMPDD = 25, 25, 13
ENVELOPE_SAMPLES, ENVELOPE_SIZE = 640, 1024
ENVELOPE_ROUNDS = 8
# Cepstral order of the envelope: half the period (Röbel & Rodet), here of this F0 where a frame is unvoiced.
UNVOICED_F0_HZ = 160.0
# 80 dB below a frame's strongest bin: what rounding leaves there says nothing.
SPECTRAL_FLOOR = 1e-4
# the all-pass factor that comes nearest to the mel scale at 16 kHz
WARPING = 0.42
# Neighbouring voiced frames over which a phase is averaged: two on each side, about four periods.
PHASE_REACH_FRAMES = 2
PHASE_GRID = 256
BLOCK_FRAMES = 200


@cache
def _warped_cosines() -> FloatArray:
    """(bin, coefficient): log amplitudes on a linear frequency axis -> mel-cepstrum."""
    n_bins = ENVELOPE_SIZE // 2 + 1
    warped = np.linspace(0, np.pi, n_bins)
    linear = warped - 2 * np.arctan(WARPING * np.sin(warped) / (1 + WARPING * np.cos(warped)))
    place = np.clip(linear / np.pi * (n_bins - 1), 0, n_bins - 1)
    low = np.minimum(place.astype(int), n_bins - 2)
    part = place - low
    read = np.zeros((n_bins, n_bins))
    read[low, np.arange(n_bins)] = 1 - part
    read[low + 1, np.arange(n_bins)] += part
    # trapezoid rule over half the circle; all but the mean count twice
    weights = np.full(n_bins, 1 / (n_bins - 1))
    weights[[0, -1]] /= 2
    cosines = np.cos(np.outer(warped, np.arange(N_MCEP))) * weights[:, None]
    cosines[:, 1:] *= 2
    matrix: FloatArray = read @ cosines
    return matrix


def true_envelope(log_amplitude: FloatArray, order: FloatArray) -> FloatArray:
    """Smooth curve (frame, bin) that rests on the peaks of natural-log spectra (frame, bin); `order` (frame,)."""
    size = 2 * (log_amplitude.shape[1] - 1)
    quefrency = np.arange(log_amplitude.shape[1])
    # A soft edge (a raised cosine over the last quarter) keeps the envelope from ringing.
    edge = np.clip((quefrency - 0.75 * order[:, None]) / (0.25 * order[:, None]), 0, 1)
    lifter = 0.5 + 0.5 * np.cos(np.pi * edge)
    envelope = np.full_like(log_amplitude, -np.inf)
    for _ in range(ENVELOPE_ROUNDS):
        cepstrum = np.fft.irfft(np.maximum(log_amplitude, envelope), size, axis=1)[:, : len(quefrency)]
        envelope = np.fft.rfft(_mirrored(cepstrum * lifter), size, axis=1).real
    return envelope


def _mirrored(half: FloatArray) -> FloatArray:
    """Even sequences (frame, size) of which the first half plus one is given."""
    return np.concatenate([half, half[:, -2:0:-1]], axis=1)


def mel_cepstra(signal: FloatArray, pitch: Pitch, sounding: BoolArray) -> FloatArray:
    """MCEP_0..24 (frame, coefficient); c_0 is the mean log amplitude. NaN where `sounding` (frame,) is False."""
    windows = centred_windows(signal, ENVELOPE_SAMPLES)
    taper = np.hanning(ENVELOPE_SAMPLES)
    taper /= taper.sum()
    order = 0.5 * RATE_HZ / np.where(pitch.voiced, pitch.f0_hz, UNVOICED_F0_HZ)
    result = np.full((len(windows), N_MCEP), np.nan)
    frames = np.flatnonzero(sounding)
    for start in range(0, len(frames), BLOCK_FRAMES):
        block = frames[start : start + BLOCK_FRAMES]
        amplitude = np.abs(np.fft.rfft(windows[block] * taper, ENVELOPE_SIZE, axis=1))
        floor = SPECTRAL_FLOOR * amplitude.max(axis=1, keepdims=True)
        result[block] = true_envelope(np.log(np.maximum(amplitude, floor)), order[block]) @ _warped_cosines()
    return result


@cache
def _mel_bands(n_bands: int) -> FloatArray:
    """(grid, band): triangles equally wide on the mel scale over 0 to 8 kHz, each of sum 1."""
    grid_mel = _mel(np.linspace(0, RATE_HZ / 2, PHASE_GRID))
    edges = np.linspace(0, _mel(np.array(RATE_HZ / 2)), n_bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (grid_mel[:, None] - left) / (centre - left)
    falling = (right - grid_mel[:, None]) / (right - centre)
    bands = np.maximum(np.minimum(rising, falling), 0)
    shares: FloatArray = bands / bands.sum(axis=0)
    return shares


def _mel(frequency_hz: FloatArray) -> FloatArray:
    return 1127 * np.log1p(frequency_hz / 700)


def phase_distortion(harmonics: ComplexArray, pitch: Pitch) -> tuple[FloatArray, FloatArray]:
    """HMPDM (voiced frame, 25), radians, and HMPDD (voiced frame, 13), radians, of all voiced frames.

    Args:
        harmonics: complex amplitudes (voiced frame, harmonic), first harmonic first, zero above 8 kHz.
        pitch: of all frames.
    """
    turn = harmonics[:, 1:] * np.conj(harmonics[:, :-1]) * np.conj(harmonics[:, :1])
    length = np.abs(turn)
    unit = np.where(length > 0, turn / np.where(length > 0, length, 1.0), 0.0)
    mean = _running_mean(_on_grid(unit, pitch.f0_hz[pitch.voiced]), pitch.voiced)
    centre = np.angle(mean @ _mel_bands(N_HMPDM))
    resultant = np.clip(np.abs(mean) @ _mel_bands(N_HMPDD), 1e-6, 1)
    return centre, np.sqrt(-2 * np.log(resultant))


def _on_grid(unit: ComplexArray, f0_hz: FloatArray) -> ComplexArray:
    """Phase distortions (frame, harmonic) as unit vectors, read on PHASE_GRID frequencies up to 8 kHz."""
    last = np.maximum(np.floor(0.5 * RATE_HZ / f0_hz).astype(np.intp) - 2, 0)[:, None]
    # PD_h belongs to harmonic h; below the first and above the last harmonic the nearest stands
    place = np.clip(np.linspace(0, RATE_HZ / 2, PHASE_GRID) / f0_hz[:, None] - 1, 0, last)
    low = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
    part = place - low
    rows = np.arange(len(unit))[:, None]
    read: ComplexArray = unit[rows, low] * (1 - part) + unit[rows, np.minimum(low + 1, last)] * part
    return read


def _running_mean(values: ComplexArray, voiced: BoolArray) -> ComplexArray:
    """Mean (voiced frame, grid) over the voiced frames within PHASE_REACH_FRAMES of each."""
    reach = PHASE_REACH_FRAMES
    everywhere = np.zeros((len(voiced) + 2 * reach, values.shape[1]), dtype=values.dtype)
    count = np.zeros(len(everywhere))
    numbers = np.flatnonzero(voiced) + reach
    everywhere[numbers], count[numbers] = values, 1
    near = numbers[:, None] + np.arange(-reach, reach + 1)
    mean: ComplexArray = everywhere[near].sum(axis=1) / count[near].sum(axis=1)[:, None]
    return mean
