"""Acoustic extractor `covarep-like-74`: 74 features of pitch, glottal source, spectral envelope and phase.

It computes 100 frames per second. The columns have the layout of the acoustic features that were published with
CMU-MOSI and CMU-MOSEI and that the paper (Akhtar et al., NAACL 2019) uses. Those were computed with COVAREP (Degottex
et al., ICASSP 2014). The values here are computed from the published definitions and differ from COVAREP's. The feature
space therefore has another name, and a model trained on the published features cannot use these. Where a feature is
undefined, the published set has 0; here the value is NaN, and means ignore it. `COLUMN_DOCUMENTATION` describes each
feature and the frames in which it is defined. Three features have another definition than in COVAREP; the description
of such a feature starts with "stand-in".

`pitch.py` computes F0 and voicing, and `glottal.py` the parameters of the glottal source. This module computes the
spectral envelope and the phases of the harmonics, both on the mel scale:

- MCEP: cepstrum of the true envelope on a mel-warped frequency axis. True envelope: Röbel & Rodet, DAFx 2005. It is
  computed iteratively. Each iteration smooths, by means of the cepstrum, the maximum of the spectrum and the previous
  envelope. This raises the envelope to the peaks of the harmonics. Warping: the all-pass filter of Tokuda et al.,
  ICSLP 1994. With the coefficients c_m, the envelope H at the frequency w, and the warped frequency v(w):
  log |H(w)| = sum over m of c_m cos(m v(w)).
- HMPDM, HMPDD: Degottex & Erro, EURASIP JASM 2014. With the phase phi_h of harmonic h, its phase distortion is
  PD_h = phi_(h+1) - phi_h - phi_1. The phase distortion does not depend on the position of the window. It is computed
  from the derivative of the glottal flow, which does not contain the phase of the vocal tract. HMPDM is the circular
  mean and HMPDD the circular deviation of the phase distortion, over neighbouring voiced frames and mel bands.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.features.acoustic.base import NO_VOICE, RATE_HZ, AcousticExtractor, why_unusable, word_then_average
from mien.features.acoustic.glottal import GlottalParameters, glottal_parameters, peak_slope, polarity
from mien.features.acoustic.pitch import (
    HOP_SAMPLES,
    PitchTrack,
    centred_windows,
    frame_times_s,
    high_passed,
    prediction_residual,
    track_pitch,
)
from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality

ComplexArray = NDArray[np.complexfloating[Any, Any]]
NAME = "covarep-like-74"
# Part of the feature space's identity; increment it whenever the values change.
VERSION = 1
N_MCEP, N_HMPDM, N_HMPDD = 25, 25, 13
SOURCE_COLUMNS = ("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak")
COLUMNS = (
    *SOURCE_COLUMNS,
    *(f"MCEP_{number}" for number in range(N_MCEP)),
    *(f"HMPDM_{number}" for number in range(N_HMPDM)),
    *(f"HMPDD_{number}" for number in range(N_HMPDD)),
)
COLUMN_DOCUMENTATION = {
    "F0": "fundamental frequency, Hz; voiced frames",
    "VUV": "1 voiced, 0 unvoiced; its mean is the voiced share",
    "NAQ": "normalised amplitude quotient of the glottal flow; voiced frames",
    "QOQ": "quasi-open quotient of the glottal flow; voiced frames",
    "H1H2": "level of the first over the second harmonic of the glottal flow, dB; voiced frames",
    "PSP": "parabolic spectral parameter of the glottal flow; voiced frames",
    "MDQ": "maxima dispersion quotient of the prediction residual; voiced frames",
    "peakSlope": "slope of log10 of the octave bands' maxima per octave; sounding frames",
    "Rd": "stand-in: NAQ / 0.11 (Fant's closed form; COVAREP minimises a phase error); voiced frames",
    "Rd_conf": "stand-in: correlation of two neighbouring periods of the flow derivative, 0 to 1; voiced frames",
    "creak": "stand-in: amplitude of the residual half-way between harmonics as a share of both, 0 to 1, higher where "
    "periods alternate (COVAREP has a trained network for creaky voice); voiced frames",
    "MCEP": "mel-cepstrum of the true envelope, natural log of the amplitude; 0 is the level; sounding frames",
    "HMPDM": "mean phase distortion in 25 mel bands over 0 to 8 kHz, radians in (-pi, pi]; voiced frames",
    "HMPDD": "deviation of the phase distortion in 13 mel bands, radians; voiced frames",
}
RECIPE = {
    "extractor": "covarep-like",
    "version": VERSION,
    "rate_hz": RATE_HZ,
    "frames_per_s": RATE_HZ // HOP_SAMPLES,
    "stand_ins": ["Rd", "Rd_conf", "creak"],
}
_POOLING = {"pooling": "frames where a column has a value -> utterance"}
_WORD_POOLING = {"pooling": "frames where a column has a value -> words -> utterance"}
SPACE = FeatureSpace(Modality.ACOUSTIC, NAME, len(COLUMNS), COLUMNS, recipe=RECIPE | _POOLING)
WORD_SPACE = replace(SPACE, level=Level.WORD, recipe=RECIPE | _WORD_POOLING)
# One quantisation step of 16-bit sound; a frame with a lower level cannot be analysed.
SOUNDING_RMS = 1 / 2**15
# Fant 1997: Rd = (1 / 0.11) f_ac F0 / d_peak, with the peak-to-peak amplitude f_ac of the glottal flow and the absolute
# value d_peak of the negative peak of its derivative. This is NAQ / 0.11 (Alku et al. 2002).
NAQ_PER_RD = 0.11
ENVELOPE_SAMPLES, ENVELOPE_SIZE = 640, 1024
ENVELOPE_ROUNDS = 8
# The cepstral order of the envelope is half the period in samples (Röbel & Rodet). Unvoiced frames use this F0.
UNVOICED_F0_HZ = 160.0
# 80 dB below the strongest bin of a frame; lower amplitudes are rounding errors.
SPECTRAL_FLOOR = 1e-4
# all-pass factor that best approximates the mel scale at 16 kHz
WARPING = 0.42
# Phases are averaged over the voiced frames within this distance, two before and two after: about four periods.
PHASE_REACH_FRAMES = 2
PHASE_GRID = 256
BLOCK_FRAMES = 200


def load_covarep_like(path: Path | None = None) -> AcousticExtractor:  # noqa: ARG001 - one signature for all extractors
    """Return the acoustic extractor `covarep-like-74`. It needs no files, so `path` is ignored."""

    def frames(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        if why_unusable(samples, RATE_HZ):
            return np.zeros(0), np.zeros((0, len(COLUMNS)), dtype=np.float32)
        return frame_features(samples)

    def vector_or_reason(samples: FloatArray) -> FloatArray | str:
        reason = why_unusable(samples, RATE_HZ)
        if reason:
            return reason
        vector, *_ = word_then_average(*frames(samples), 0.0, ())
        return NO_VOICE if vector is None else vector

    return AcousticExtractor(SPACE, WORD_SPACE, RATE_HZ, vector_or_reason, frames)


def frame_features(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the 74 features (`COLUMNS`) of each frame of a signal (sample,) at 16 kHz.

    Returns:
        The centres of the frames (frame,) in seconds after the first sample, and the features (frame, 74) float32,
        which are NaN where they are undefined.
    """
    sound = np.asarray(samples, dtype=np.float64)
    signal = high_passed(sound)
    residual = prediction_residual(signal)
    pitch = track_pitch(signal, residual)
    sign = polarity(signal, pitch)
    glottal = glottal_parameters(sign * signal, sign * residual, pitch)
    level = np.sqrt(np.mean(centred_windows(sound, HOP_SAMPLES) ** 2, axis=1))
    sounding = pitch.voiced | (level > SOUNDING_RMS)
    slope = np.where(sounding, peak_slope(signal), np.nan)
    values = np.full((len(sounding), len(COLUMNS)), np.nan, dtype=np.float32)
    values[:, : len(SOURCE_COLUMNS)] = _source_columns(pitch, glottal, slope)
    first = len(SOURCE_COLUMNS)
    values[:, first : first + N_MCEP] = mel_cepstra(signal, pitch, sounding)
    mean, deviation = phase_distortion(glottal.harmonics, pitch)
    values[pitch.voiced, first + N_MCEP :] = np.concatenate([mean, deviation], axis=1)
    return frame_times_s(len(values)), values


def _source_columns(pitch: PitchTrack, glottal: GlottalParameters, slope: FloatArray) -> FloatArray:
    """Return the 11 features of pitch and glottal source (frame, 11), in the order of `SOURCE_COLUMNS`.

    A feature is NaN in the frames in which it is undefined. `slope` (frame,) contains the values of `peakSlope`.
    """
    voiced_columns = {
        "F0": pitch.f0_hz[pitch.voiced],
        "NAQ": glottal.naq,
        "QOQ": glottal.qoq,
        "H1H2": glottal.h1h2_db,
        "PSP": glottal.psp,
        "MDQ": glottal.mdq,
        "Rd": glottal.naq / NAQ_PER_RD,
        "Rd_conf": glottal.regularity,
        "creak": pitch.subharmonic_share[pitch.voiced],
    }
    values = np.full((len(slope), len(SOURCE_COLUMNS)), np.nan)
    for name, column in voiced_columns.items():
        values[pitch.voiced, SOURCE_COLUMNS.index(name)] = column
    values[:, SOURCE_COLUMNS.index("VUV")] = pitch.voiced
    values[:, SOURCE_COLUMNS.index("peakSlope")] = slope
    return values


def mel_cepstra(signal: FloatArray, pitch: PitchTrack, sounding: BoolArray) -> FloatArray:
    """Compute the mel-cepstra of a signal.

    Args:
        signal: Sound (sample,) at 16 kHz with zero mean.
        pitch: F0 and voicing of its frames.
        sounding: Mask (frame,), True for the frames to analyse.

    Returns:
        MCEP_0 to MCEP_24 (frame, coefficient), where MCEP_0 is the mean log amplitude; NaN where `sounding` is False.
    """
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


def true_envelope(log_amplitude: FloatArray, order: FloatArray) -> FloatArray:
    """Estimate the spectral envelope: a smooth curve through the peaks of a spectrum.

    Args:
        log_amplitude: Natural logarithm of the amplitudes of one-sided spectra (frame, bin).
        order: Cepstral order of the envelope of each frame (frame,).

    Returns:
        Natural logarithm of the amplitudes of the envelopes (frame, bin).
    """
    size = 2 * (log_amplitude.shape[1] - 1)
    quefrency = np.arange(log_amplitude.shape[1])
    # A raised cosine over the last quarter of the lifter avoids ringing.
    edge = np.clip((quefrency - 0.75 * order[:, None]) / (0.25 * order[:, None]), 0, 1)
    lifter = 0.5 + 0.5 * np.cos(np.pi * edge)
    envelope = np.full_like(log_amplitude, -np.inf)
    for _ in range(ENVELOPE_ROUNDS):
        cepstrum = np.fft.irfft(np.maximum(log_amplitude, envelope), size, axis=1)[:, : len(quefrency)]
        envelope = np.fft.rfft(_even_extension(cepstrum * lifter), size, axis=1).real
    return envelope


def _even_extension(half: FloatArray) -> FloatArray:
    """Extend each row of `half`, (frame, size / 2 + 1), to a symmetric sequence, (frame, size).

    The second half of a sequence mirrors the first half: the values at the indices k and size - k are equal.
    """
    return np.concatenate([half, half[:, -2:0:-1]], axis=1)


@cache
def _warped_cosines() -> FloatArray:
    """Return the matrix (bin, coefficient) that converts log amplitudes on a linear frequency axis to mel-cepstra."""
    n_bins = ENVELOPE_SIZE // 2 + 1
    warped = np.linspace(0, np.pi, n_bins)
    linear = warped - 2 * np.arctan(WARPING * np.sin(warped) / (1 + WARPING * np.cos(warped)))
    position = np.clip(linear / np.pi * (n_bins - 1), 0, n_bins - 1)
    low = np.minimum(position.astype(int), n_bins - 2)
    fraction = position - low
    interpolation = np.zeros((n_bins, n_bins))
    interpolation[low, np.arange(n_bins)] = 1 - fraction
    interpolation[low + 1, np.arange(n_bins)] += fraction
    # trapezoidal rule over half the unit circle; all coefficients except the mean are doubled
    weights = np.full(n_bins, 1 / (n_bins - 1))
    weights[[0, -1]] /= 2
    cosines = np.cos(np.outer(warped, np.arange(N_MCEP))) * weights[:, None]
    cosines[:, 1:] *= 2
    matrix: FloatArray = interpolation @ cosines
    return matrix


def phase_distortion(harmonics: ComplexArray, pitch: PitchTrack) -> tuple[FloatArray, FloatArray]:
    """Compute the phase distortion of the harmonics in mel bands: its circular mean and its circular deviation.

    Both are computed over neighbouring voiced frames; the module docstring defines the phase distortion.

    Args:
        harmonics: Complex amplitudes of the harmonics in the derivative of the glottal flow, (voiced frame, harmonic).
            The first column is the first harmonic. Amplitudes above 8 kHz are zero.
        pitch: F0 and voicing of all frames.

    Returns:
        The means HMPDM (voiced frame, 25) in (-pi, pi] and the deviations HMPDD (voiced frame, 13), both in radians.
    """
    distortion = harmonics[:, 1:] * np.conj(harmonics[:, :-1]) * np.conj(harmonics[:, :1])
    length = np.abs(distortion)
    unit = np.where(length > 0, distortion / np.where(length > 0, length, 1.0), 0.0)
    mean = _mean_over_neighbours(_distortion_on_grid(unit, pitch.f0_hz[pitch.voiced]), pitch.voiced)
    centre = np.angle(mean @ _mel_bands(N_HMPDM))
    resultant = np.clip(np.abs(mean) @ _mel_bands(N_HMPDD), 1e-6, 1)
    return centre, np.sqrt(-2 * np.log(resultant))


def _distortion_on_grid(unit: ComplexArray, f0_hz: FloatArray) -> ComplexArray:
    """Interpolate the phase distortions of harmonics at evenly spaced frequencies from 0 to 8 kHz.

    Args:
        unit: Phase distortions (frame, harmonic), as complex numbers of absolute value 1.
        f0_hz: F0 of each frame (frame,).

    Returns:
        Phase distortions (frame, PHASE_GRID), as complex numbers.
    """
    last = np.maximum(np.floor(0.5 * RATE_HZ / f0_hz).astype(np.intp) - 2, 0)[:, None]
    # The phase distortion of harmonic h is placed at h times F0. Outside the range of harmonics, the nearest is used.
    position = np.clip(np.linspace(0, RATE_HZ / 2, PHASE_GRID) / f0_hz[:, None] - 1, 0, last)
    low = np.minimum(position.astype(np.intp), np.maximum(last - 1, 0))
    fraction = position - low
    rows = np.arange(len(unit))[:, None]
    interpolated: ComplexArray = unit[rows, low] * (1 - fraction) + unit[rows, np.minimum(low + 1, last)] * fraction
    return interpolated


def _mean_over_neighbours(values: ComplexArray, voiced: BoolArray) -> ComplexArray:
    """Smooth values over time.

    The value of a voiced frame is replaced by the mean over the voiced frames at most PHASE_REACH_FRAMES before or
    after it, including the frame itself.

    Args:
        values: Values of the voiced frames, (voiced frame, frequency).
        voiced: Mask of the voiced frames among all frames, (frame,).

    Returns:
        Smoothed values (voiced frame, frequency).
    """
    reach = PHASE_REACH_FRAMES
    padded = np.zeros((len(voiced) + 2 * reach, values.shape[1]), dtype=values.dtype)
    count = np.zeros(len(padded))
    numbers = np.flatnonzero(voiced) + reach
    padded[numbers], count[numbers] = values, 1
    near = numbers[:, None] + np.arange(-reach, reach + 1)
    mean: ComplexArray = padded[near].sum(axis=1) / count[near].sum(axis=1)[:, None]
    return mean


@cache
def _mel_bands(n_bands: int) -> FloatArray:
    """Return the weights (frequency, band) of mel bands, for PHASE_GRID evenly spaced frequencies from 0 to 8 kHz.

    The bands are triangles of equal width on the mel scale. The weights of each band sum to 1.
    """
    grid_mel = _mel(np.linspace(0, RATE_HZ / 2, PHASE_GRID))
    edges = np.linspace(0, _mel(np.array(RATE_HZ / 2)), n_bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (grid_mel[:, None] - left) / (centre - left)
    falling = (right - grid_mel[:, None]) / (right - centre)
    bands = np.maximum(np.minimum(rising, falling), 0)
    shares: FloatArray = bands / bands.sum(axis=0)
    return shares


def _mel(frequency_hz: FloatArray) -> FloatArray:
    """Convert frequencies from hertz to mel."""
    return 1127 * np.log1p(frequency_hz / 700)
