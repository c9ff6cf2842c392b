"""The glottal source: inverse filtering, and what it says about the manner of phonation, for all voiced frames at once.

- Iterative adaptive inverse filtering (IAIF): Alku, Speech Communication 11, 1992. Glottis and vocal tract are
  estimated in turns by linear prediction; here every turn works on power spectra, where filtering is a product.
- NAQ, normalised amplitude quotient: Alku, Bäckström & Vilkman, JASA 112, 2002: f_ac / (d_peak T0).
- QOQ, quasi-open quotient: Hacki, Folia Phoniatrica 41, 1989; share of the period in which the flow exceeds half of
  its range.
- H1H2: level of the first over the second harmonic of the flow, dB (Titze & Sundberg, JASA 91, 1992).
- PSP, parabolic spectral parameter: Alku, Strik & Vilkman, Speech Communication 22, 1997.
- MDQ, maxima dispersion quotient: Kane & Gobl, IEEE TASLP 21, 2013; peakSlope: Kane & Gobl, Interspeech 2011. Both on
  the octave bands of d'Alessandro & Sturmel's wavelet.

Every period is read on `PHASES` points, so that frames of different F0 stand in one array. The glottis
closes, and excites the vocal tract, at the sharpest negative peak of the flow derivative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.features.acoustic.base import RATE_HZ
from mien.features.acoustic.pitch import (
    F0_RANGE_HZ,
    HOP_SAMPLES,
    PitchTrack,
    centred_windows,
    fast_length,
    frame_count,
    power_to_filters,
)
from mien.schema import FloatArray, IntArray

Array = NDArray[Any]

# Orders of the vocal tract (1 kHz per pole pair, two pairs more) and of the glottis.
TRACT_ORDER, GLOTTIS_ORDER = 20, 4
# Lip radiation is undone by an integrator that forgets, so that what is left of an offset does not grow.
LIP_LEAK = 0.99
ANALYSIS_SAMPLES, ANALYSIS_SIZE = 640, 1024
# The longest period has 320 samples: no period is read more coarsely than it was sampled.
PHASES = RATE_HZ // F0_RANGE_HZ[0]
# Periods read around the closure: two before it, one after.
PERIODS = 3
# Samples around the middle of a frame that may be read: half a period to the closure, two periods on.
REACH_SAMPLES = 5 * PHASES // 2 + 8
BLOCK_FRAMES = 100
POLARITY_FRAMES = 200
# a peak narrower than half a millisecond is noise
SMOOTHING = np.hanning(9)[1:-1] / np.hanning(9).sum()
# Parabola of PSP: bins of a sixteenth of F0; the fit grows until its error (log10 amplitude squared) exceeds the limit.
PSP_BINS, PSP_FINENESS, PSP_FIRST, PSP_ERROR = 64, 16, 4, 0.01
# Octave bands 8 kHz .. 125 Hz of the dispersion, 8 kHz .. 250 Hz of the slope.
MDQ_OCTAVES, SLOPE_OCTAVES = 7, 6
SLOPE_SAMPLES = 640


@dataclass(frozen=True, slots=True)
class GlottalParameters:
    """What the source of the voiced frames is like, all (voiced frame,) except `harmonics`."""

    naq: FloatArray
    qoq: FloatArray
    h1h2_db: FloatArray
    psp: FloatArray
    mdq: FloatArray
    # how alike two neighbouring periods of the flow derivative are, in [0, 1]
    regularity: FloatArray
    # complex amplitude of the harmonics of the flow derivative (voiced frame, harmonic), zero above 8 kHz; a closure is
    # a positive pulse, so that a train of bare pulses has phase 0 at all harmonics
    harmonics: NDArray[np.complexfloating[Any, Any]]


def inverse_filters(windows: FloatArray) -> FloatArray:
    """Vocal tract filters (frame, TRACT_ORDER + 1) of windows (frame, ANALYSIS_SAMPLES) by IAIF."""
    power = np.abs(np.fft.rfft(windows * np.hanning(ANALYSIS_SAMPLES), ANALYSIS_SIZE, axis=1)) ** 2
    angle = np.linspace(0, np.pi, ANALYSIS_SIZE // 2 + 1)
    integrator = 1 / np.abs(1 - LIP_LEAK * np.exp(-1j * angle)) ** 2

    def response(filters: FloatArray) -> FloatArray:
        gain: FloatArray = np.abs(np.fft.rfft(filters, ANALYSIS_SIZE, axis=1)) ** 2
        return gain

    tilt = response(power_to_filters(power, 1))
    tract = response(power_to_filters(power * tilt, TRACT_ORDER))
    glottis = response(power_to_filters(power * tract * integrator, GLOTTIS_ORDER))
    return power_to_filters(power * glottis * integrator, TRACT_ORDER)


def flow_derivative(wide: FloatArray, filters: FloatArray) -> FloatArray:
    """Windows (frame, sample) without their vocal tract, same shape; the first TRACT_ORDER samples lack their past."""
    size = fast_length(wide.shape[1] + filters.shape[1])
    product = np.fft.rfft(wide, size, axis=1) * np.fft.rfft(filters, size, axis=1)
    return np.fft.irfft(product, size, axis=1)[:, : wide.shape[1]]


def wavelet_bands(signal: FloatArray, n_octaves: int) -> Iterator[FloatArray]:
    """Octave bands (sample,) of a signal: 8 kHz first, each an octave below the one before, of equal peak for a click.

    The wavelet is -cos(2 pi f t) exp(-t^2 / (2 tau^2)) with tau = 1 / (2 f).
    """
    reach = 4 * 2 ** (n_octaves - 1)
    size = fast_length(len(signal) + 2 * reach)
    spectrum = np.fft.rfft(signal, size)
    for octave in range(n_octaves):
        times = np.arange(-4 * 2**octave, 4 * 2**octave + 1) / 2**octave
        wavelet = -np.cos(np.pi * times) * np.exp(-0.5 * times**2)
        placed = np.zeros(size)
        placed[np.arange(-4 * 2**octave, 4 * 2**octave + 1)] = wavelet
        yield np.fft.irfft(spectrum * np.fft.rfft(placed), size)[: len(signal)]


def peak_slope(signal: FloatArray) -> FloatArray:
    """Slope (frame,) of log10 of the octave bands' largest amplitudes over rising octaves; NaN without any signal."""
    n_frames = frame_count(len(signal))
    peaks = np.zeros((n_frames, SLOPE_OCTAVES))
    for octave, band in enumerate(wavelet_bands(signal, SLOPE_OCTAVES)):
        peaks[:, octave] = centred_windows(np.abs(band), SLOPE_SAMPLES).max(axis=1)
    rising = np.arange(SLOPE_OCTAVES)[::-1] - (SLOPE_OCTAVES - 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope: FloatArray = np.log10(peaks) @ rising / np.sum(rising**2)
    return np.where(peaks.min(axis=1) > 0, slope, np.nan)


def source_windows(signal: FloatArray, numbers: IntArray) -> FloatArray:
    """Flow derivative (frame, 2 REACH_SAMPLES) around the middle of the frames `numbers` of a signal (sample,)."""
    narrow = centred_windows(signal, ANALYSIS_SAMPLES)[numbers]
    wide = centred_windows(signal, 2 * (REACH_SAMPLES + TRACT_ORDER))[numbers]
    return flow_derivative(wide, inverse_filters(narrow))[:, TRACT_ORDER:-TRACT_ORDER]


def polarity(signal: FloatArray, pitch: PitchTrack) -> int:
    """1 if closures are negative peaks of the flow derivative, as they should be, else -1 (microphone or cable turned).

    A vote of at most `POLARITY_FRAMES` voiced frames spread over the utterance.
    """
    voiced = np.flatnonzero(pitch.voiced)
    if len(voiced) == 0:
        return 1
    voiced = voiced[np.linspace(0, len(voiced) - 1, min(len(voiced), POLARITY_FRAMES)).astype(np.intp)]
    windows = _near_middle(source_windows(signal, voiced), pitch.f0_hz[voiced])
    highest, lowest = np.nanmax(windows, axis=1), np.nanmin(windows, axis=1)
    return 1 if np.median((highest + lowest) / (highest - lowest)) <= 0 else -1


def _near_middle(windows: FloatArray, f0_hz: FloatArray) -> FloatArray:
    """The period around the middle of windows (frame, 2 REACH_SAMPLES), smoothed: (frame, PHASES + 1), else NaN."""
    width = len(SMOOTHING) // 2
    first = REACH_SAMPLES - PHASES // 2 - width
    pieces = windows[:, first : first + PHASES + 1 + 2 * width]
    smooth = sum(weight * pieces[:, shift : shift + PHASES + 1] for shift, weight in enumerate(SMOOTHING))
    offsets = np.arange(-(PHASES // 2), PHASES // 2 + 1)
    return np.where(np.abs(offsets) <= 0.5 * RATE_HZ / f0_hz[:, None], smooth, np.nan)


def closures(windows: FloatArray, f0_hz: FloatArray) -> IntArray:
    """Sample (frame,) of the closure in the period around the middle of flow derivatives (frame, 2 REACH_SAMPLES)."""
    number: IntArray = np.nanargmin(_near_middle(windows, f0_hz), axis=1) + REACH_SAMPLES - PHASES // 2
    return number


def _at_phases(windows: FloatArray, closure: IntArray, period: FloatArray) -> FloatArray:
    """Windows (frame, sample) read at PERIODS * PHASES + 1 phases (frame, phase) around the closure."""
    phases = np.arange(-2 * PHASES, PHASES + 1) / PHASES
    positions = closure[:, None] + period[:, None] * phases
    whole = np.floor(positions).astype(np.intp)
    part = positions - whole
    rows = np.arange(len(windows))[:, None]
    return windows[rows, whole] * (1 - part) + windows[rows, whole + 1] * part


def _parabolic_parameter(flow: FloatArray) -> FloatArray:
    """PSP (frame,) of flow periods (frame, PHASES) whose minimum is zero."""
    bins = np.arange(PSP_BINS)
    turn = np.exp(-2j * np.pi * np.outer(np.arange(PHASES), bins) / (PHASES * PSP_FINENESS))
    # the flow that decays fastest is one that never closes: a constant over the period
    both = np.concatenate([flow, np.ones((1, PHASES))])
    level = np.log10(np.maximum(np.abs(both @ turn), 1e-12 * np.abs(both).sum(axis=1, keepdims=True)))
    level -= level[:, :1]
    square = (bins**2).astype(np.float64)
    counts = np.arange(1, PSP_BINS + 1)
    sx, sxx = np.cumsum(square), np.cumsum(square**2)
    sy, sxy, syy = (np.cumsum(term, axis=1) for term in (level, level * square, level**2))
    vx = sxx - sx**2 / counts
    vxy, vy = sxy - sx * sy / counts, syy - sy**2 / counts
    slope = vxy / np.maximum(vx, 1e-12)
    error = (vy - slope * vxy) / counts
    poor = error > PSP_ERROR
    poor[:, :PSP_FIRST] = False
    poor[:, -1] = True
    last = poor.argmax(axis=1) - 1
    fitted = slope[np.arange(len(both)), last]
    parameter: FloatArray = fitted[:-1] / fitted[-1]
    return parameter


def _dispersion(residual: FloatArray, closure: IntArray, period: FloatArray) -> FloatArray:
    """MDQ (frame,): how far the maxima of a residual's (sample,) octave bands lie from the closure, periods, mean."""
    phases = np.linspace(-0.5, 0.5, PHASES // 2 + 1)
    offsets = np.round(period[:, None] * phases).astype(np.intp)
    places = closure[:, None] + offsets
    inside = (places >= 0) & (places < len(residual))
    places = np.clip(places, 0, len(residual) - 1)
    rows = np.arange(len(places))
    total = np.zeros(len(places))
    for band in wavelet_bands(residual, MDQ_OCTAVES):
        height = np.where(inside, np.abs(band)[places], -1.0)
        total += np.abs(offsets[rows, height.argmax(axis=1)]) / period
    return total / MDQ_OCTAVES


def glottal_parameters(signal: FloatArray, residual: FloatArray, pitch: PitchTrack) -> GlottalParameters:
    """Parameters of all voiced frames of a signal (sample,) whose closures are negative, and its residual (sample,)."""
    voiced = np.flatnonzero(pitch.voiced)
    f0_hz = pitch.f0_hz[voiced]
    period = RATE_HZ / f0_hz
    columns = [_cycle_parameters(np.ones((0, PERIODS * PHASES + 1)))]
    places = [np.zeros(0, dtype=np.intp)]
    for start in range(0, len(voiced), BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        windows = source_windows(signal, voiced[block])
        closure = closures(windows, f0_hz[block])
        columns.append(_cycle_parameters(_at_phases(windows, closure, period[block])))
        places.append(voiced[block] * HOP_SAMPLES + HOP_SAMPLES // 2 - REACH_SAMPLES + closure)
    naq, qoq, h1h2_db, psp, regularity, harmonics = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    number = np.arange(1, harmonics.shape[1] + 1)
    harmonics = np.where(number * f0_hz[:, None] < 0.5 * RATE_HZ, harmonics, 0.0)
    mdq = _dispersion(residual, np.concatenate(places), period)
    return GlottalParameters(naq, qoq, h1h2_db, psp, mdq, regularity, harmonics)


def _cycle_parameters(derivative: FloatArray) -> tuple[Array, ...]:
    """NAQ, QOQ, H1H2, PSP, regularity and harmonics of flow derivatives (frame, PERIODS * PHASES + 1)."""
    tiny = 1e-20
    cycle = derivative[:, PHASES : 2 * PHASES]
    flow = np.cumsum(cycle - cycle.mean(axis=1, keepdims=True), axis=1) / PHASES
    flow -= flow.min(axis=1, keepdims=True)
    span = flow.max(axis=1)
    # in units of the period: d_peak T0 is the closing slope per period
    slope = np.maximum(-derivative[:, PHASES : 2 * PHASES + 1].min(axis=1), tiny)
    naq = span / slope
    qoq = np.mean(flow > 0.5 * span[:, None], axis=1)
    taper = np.hanning(PERIODS * PHASES + 1)[:-1]
    harmonics = np.fft.rfft(-derivative[:, :-1] * taper, axis=1)[:, PERIODS::PERIODS]
    level = np.maximum(np.abs(harmonics), tiny)
    # the derivative lifts the second harmonic by a factor of two over the flow
    h1h2_db = 20 * np.log10(2 * level[:, 0] / level[:, 1])
    before = derivative[:, :PHASES]
    energy = np.sqrt(np.sum(cycle**2, axis=1) * np.sum(before**2, axis=1))
    regularity = np.clip(np.sum(cycle * before, axis=1) / np.maximum(energy, tiny), 0, 1)
    return naq, qoq, h1h2_db, _parabolic_parameter(flow), regularity, harmonics
