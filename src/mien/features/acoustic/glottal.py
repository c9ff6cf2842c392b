"""Parameters of the glottal source in voiced frames, estimated by inverse filtering.

- Iterative adaptive inverse filtering (IAIF): Alku, Speech Communication 11, 1992. Linear prediction estimates the
  glottis and the vocal tract alternately. Here, it uses power spectra, where filtering is a product.
- NAQ, normalised amplitude quotient: Alku, Bäckström & Vilkman, JASA 112, 2002. It is f_ac / (d_peak T0), with the
  peak-to-peak amplitude f_ac of the glottal flow, the absolute value d_peak of the negative peak of the derivative of
  the flow, and the period T0.
- QOQ, quasi-open quotient: Hacki, Folia Phoniatrica 41, 1989. It is the share of the period in which the flow exceeds
  half of its range.
- H1H2: level of the first harmonic of the flow relative to the second in dB (Titze & Sundberg, JASA 91, 1992).
- PSP, parabolic spectral parameter: Alku, Strik & Vilkman, Speech Communication 22, 1997.
- MDQ, maxima dispersion quotient: Kane & Gobl, IEEE TASLP 21, 2013. peakSlope: Kane & Gobl, Interspeech 2011. Both use
  octave bands, which are computed with the wavelet of d'Alessandro & Sturmel.

Every period is resampled to `PHASES` points, so that one array can contain frames of different F0. The closure of the
glottis, which excites the vocal tract, is the strongest negative peak of the derivative of the flow.
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

# Prediction orders of the vocal tract (one pair of poles per kHz, and two more pairs) and of the glottis.
TRACT_ORDER, GLOTTIS_ORDER = 20, 4
# Coefficient of the integrator that inverts the lip radiation. It leaks, so that a remaining offset does not grow.
LIP_LEAK = 0.99
ANALYSIS_SAMPLES, ANALYSIS_SIZE = 640, 1024
# The longest period has 320 samples, so no period is resampled to fewer points than it has samples.
PHASES = RATE_HZ // F0_RANGE_HZ[0]
# Number of periods analysed around the closure: two before it and one after it.
PERIODS = 3
# Samples needed before and after the centre of a frame: half a period to the closure, and two periods beyond it.
REACH_SAMPLES = 5 * PHASES // 2 + 8
BLOCK_FRAMES = 100
POLARITY_FRAMES = 200
# Smoothing filter, because a peak narrower than half a millisecond is noise.
SMOOTHING = np.hanning(9)[1:-1] / np.hanning(9).sum()
# Parabola of the PSP: number of bins, number of bins between two harmonics, least number of bins of a fit, and error of
# a fit (mean square in log10 of the amplitude) above which no more bins are fitted.
PSP_BINS, PSP_FINENESS, PSP_FIRST, PSP_ERROR = 64, 16, 4, 0.01
# Octave bands: 8 kHz to 125 Hz for MDQ, 8 kHz to 250 Hz for peakSlope.
MDQ_OCTAVES, SLOPE_OCTAVES = 7, 6
SLOPE_SAMPLES = 640


@dataclass(frozen=True, slots=True)
class GlottalParameters:
    """Parameters of the glottal source in the voiced frames.

    All arrays except `harmonics` have the shape (voiced frame,). The module docstring defines NAQ, QOQ, H1H2, PSP and
    MDQ.
    """

    naq: FloatArray
    qoq: FloatArray
    h1h2_db: FloatArray
    psp: FloatArray
    mdq: FloatArray
    # correlation of two neighbouring periods of the derivative of the flow, in [0, 1]
    regularity: FloatArray
    # Complex amplitudes of the harmonics of the flow derivative (voiced frame, harmonic), zero above 8 kHz. They are
    # negated, so that closures are positive and all harmonics of a pure pulse train have the phase 0.
    harmonics: NDArray[np.complexfloating[Any, Any]]


def inverse_filters(windows: FloatArray) -> FloatArray:
    """Estimate the inverse filters of the vocal tract by iterative adaptive inverse filtering.

    Args:
        windows: Windows of the signal (frame, ANALYSIS_SAMPLES).

    Returns:
        Coefficients of the inverse filters (frame, TRACT_ORDER + 1); the first one is 1.
    """
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
    """Compute the derivative of the glottal flow: remove the effect of the vocal tract from a signal.

    Args:
        wide: Windows of the signal (frame, sample).
        filters: Inverse filters of the vocal tract (frame, coefficient), see `inverse_filters`.

    Returns:
        Derivative of the glottal flow (frame, sample). The first TRACT_ORDER samples of each window are not valid,
        because the filter needs the samples before them.
    """
    size = fast_length(wide.shape[1] + filters.shape[1])
    product = np.fft.rfft(wide, size, axis=1) * np.fft.rfft(filters, size, axis=1)
    return np.fft.irfft(product, size, axis=1)[:, : wide.shape[1]]


def wavelet_bands(signal: FloatArray, n_octaves: int) -> Iterator[FloatArray]:
    """Filter a signal into octave bands.

    The filter of the band with the centre frequency f is the wavelet -cos(2 pi f t) exp(-t^2 / (2 tau^2)), where t is
    the time and tau = 1 / (2 f).

    Args:
        signal: Sound (sample,) at 16 kHz.
        n_octaves: Number of bands.

    Yields:
        The filtered signal (sample,) of each band. The first band has the centre frequency 8 kHz, and each further
        band is one octave lower. An impulse has the same peak in all bands.
    """
    reach = 4 * 2 ** (n_octaves - 1)
    size = fast_length(len(signal) + 2 * reach)
    spectrum = np.fft.rfft(signal, size)
    for octave in range(n_octaves):
        times = np.arange(-4 * 2**octave, 4 * 2**octave + 1) / 2**octave
        wavelet = -np.cos(np.pi * times) * np.exp(-0.5 * times**2)
        padded = np.zeros(size)
        padded[np.arange(-4 * 2**octave, 4 * 2**octave + 1)] = wavelet
        yield np.fft.irfft(spectrum * np.fft.rfft(padded), size)[: len(signal)]


def peak_slope(signal: FloatArray) -> FloatArray:
    """Compute the parameter peakSlope of each frame of a signal (sample,) at 16 kHz.

    peakSlope is the slope of a line fitted to the log10 of the maxima of a frame's octave bands.

    Returns:
        Slope per octave (frame,); NaN where an octave band is zero.
    """
    n_frames = frame_count(len(signal))
    peaks = np.zeros((n_frames, SLOPE_OCTAVES))
    for octave, band in enumerate(wavelet_bands(signal, SLOPE_OCTAVES)):
        peaks[:, octave] = centred_windows(np.abs(band), SLOPE_SAMPLES).max(axis=1)
    rising = np.arange(SLOPE_OCTAVES)[::-1] - (SLOPE_OCTAVES - 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope: FloatArray = np.log10(peaks) @ rising / np.sum(rising**2)
    return np.where(peaks.min(axis=1) > 0, slope, np.nan)


def source_windows(signal: FloatArray, numbers: IntArray) -> FloatArray:
    """Compute the derivative of the glottal flow around the centres of selected frames.

    Args:
        signal: Sound (sample,) at 16 kHz.
        numbers: Indices of the selected frames (frame,).

    Returns:
        Derivative of the flow (frame, 2 * REACH_SAMPLES). Half of the samples are before the centre of the frame.
    """
    narrow = centred_windows(signal, ANALYSIS_SAMPLES)[numbers]
    wide = centred_windows(signal, 2 * (REACH_SAMPLES + TRACT_ORDER))[numbers]
    return flow_derivative(wide, inverse_filters(narrow))[:, TRACT_ORDER:-TRACT_ORDER]


def polarity(signal: FloatArray, pitch: PitchTrack) -> int:
    """Determine the polarity of a recording from up to `POLARITY_FRAMES` voiced frames.

    Args:
        signal: Sound (sample,) at 16 kHz.
        pitch: F0 and voicing of its frames.

    Returns:
        1 if closures of the glottis are negative peaks of the derivative of the flow, as the other functions assume;
        -1 if they are positive peaks. If no frame is voiced, the result is 1.
    """
    voiced = np.flatnonzero(pitch.voiced)
    if len(voiced) == 0:
        return 1
    voiced = voiced[np.linspace(0, len(voiced) - 1, min(len(voiced), POLARITY_FRAMES)).astype(np.intp)]
    windows = _near_middle(source_windows(signal, voiced), pitch.f0_hz[voiced])
    highest, lowest = np.nanmax(windows, axis=1), np.nanmin(windows, axis=1)
    return 1 if np.median((highest + lowest) / (highest - lowest)) <= 0 else -1


def _near_middle(windows: FloatArray, f0_hz: FloatArray) -> FloatArray:
    """Smooth each window and cut out one period around its centre.

    Args:
        windows: Derivative of the flow (frame, 2 * REACH_SAMPLES), see `source_windows`.
        f0_hz: F0 of the frames (frame,).

    Returns:
        The PHASES + 1 smoothed values around the centre of each window, (frame, PHASES + 1). Where a period has fewer
        values, those outside the period are NaN.
    """
    width = len(SMOOTHING) // 2
    first = REACH_SAMPLES - PHASES // 2 - width
    pieces = windows[:, first : first + PHASES + 1 + 2 * width]
    smooth = sum(weight * pieces[:, shift : shift + PHASES + 1] for shift, weight in enumerate(SMOOTHING))
    offsets = np.arange(-(PHASES // 2), PHASES // 2 + 1)
    return np.where(np.abs(offsets) <= 0.5 * RATE_HZ / f0_hz[:, None], smooth, np.nan)


def closures(windows: FloatArray, f0_hz: FloatArray) -> IntArray:
    """Locate the closure of the glottis in the period around the centre of each window.

    Args:
        windows: Derivative of the flow (frame, 2 * REACH_SAMPLES), see `source_windows`.
        f0_hz: F0 of the frames (frame,).

    Returns:
        Index of the sample of each window at which the glottis closes, (frame,).
    """
    number: IntArray = np.nanargmin(_near_middle(windows, f0_hz), axis=1) + REACH_SAMPLES - PHASES // 2
    return number


def _at_phases(windows: FloatArray, closure: IntArray, period: FloatArray) -> FloatArray:
    """Resample three periods of each window: two before the closure of the glottis and one after it.

    Args:
        windows: Windows of a signal (frame, sample).
        closure: Index of the sample of each window at which the glottis closes, (frame,).
        period: Period of each window in samples (frame,).

    Returns:
        The three periods (frame, PERIODS * PHASES + 1), with PHASES points per period.
    """
    phases = np.arange(-2 * PHASES, PHASES + 1) / PHASES
    positions = closure[:, None] + period[:, None] * phases
    lower = np.floor(positions).astype(np.intp)
    fraction = positions - lower
    rows = np.arange(len(windows))[:, None]
    return windows[rows, lower] * (1 - fraction) + windows[rows, lower + 1] * fraction


def _parabolic_spectral_parameter(flow: FloatArray) -> FloatArray:
    """Compute the parabolic spectral parameter (PSP) of each frame, (frame,).

    Args:
        flow: One period of the glottal flow, (frame, PHASES). The minimum of each period must be zero.
    """
    bins = np.arange(PSP_BINS)
    kernel = np.exp(-2j * np.pi * np.outer(np.arange(PHASES), bins) / (PHASES * PSP_FINENESS))
    # PSP is relative to the flow with the fastest decay of the spectrum: one that is constant over the period.
    flows = np.concatenate([flow, np.ones((1, PHASES))])
    level = np.log10(np.maximum(np.abs(flows @ kernel), 1e-12 * np.abs(flows).sum(axis=1, keepdims=True)))
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
    fitted = slope[np.arange(len(flows)), last]
    parameter: FloatArray = fitted[:-1] / fitted[-1]
    return parameter


def _maxima_dispersion(residual: FloatArray, closure: IntArray, period: FloatArray) -> FloatArray:
    """Compute the maxima dispersion quotient (MDQ) of each frame.

    MDQ is the mean distance between the closure of the glottis and the maxima of the octave bands of the residual.

    Args:
        residual: Prediction residual of the signal (sample,).
        closure: Index of the sample of the residual at which the glottis closes in each frame, (frame,).
        period: Period of each frame in samples (frame,).

    Returns:
        The distances (frame,) in periods.
    """
    phases = np.linspace(-0.5, 0.5, PHASES // 2 + 1)
    offsets = np.round(period[:, None] * phases).astype(np.intp)
    positions = closure[:, None] + offsets
    inside = (positions >= 0) & (positions < len(residual))
    positions = np.clip(positions, 0, len(residual) - 1)
    rows = np.arange(len(positions))
    total = np.zeros(len(positions))
    for band in wavelet_bands(residual, MDQ_OCTAVES):
        height = np.where(inside, np.abs(band)[positions], -1.0)
        total += np.abs(offsets[rows, height.argmax(axis=1)]) / period
    return total / MDQ_OCTAVES


def glottal_parameters(signal: FloatArray, residual: FloatArray, pitch: PitchTrack) -> GlottalParameters:
    """Compute the parameters of the glottal source in all voiced frames.

    Args:
        signal: Sound (sample,) at 16 kHz. Closures of the glottis must be negative peaks of the derivative of the flow,
            see `polarity`.
        residual: Prediction residual (sample,) of the signal.
        pitch: F0 and voicing of all frames of the signal.
    """
    voiced = np.flatnonzero(pitch.voiced)
    f0_hz = pitch.f0_hz[voiced]
    period = RATE_HZ / f0_hz
    columns = [_cycle_parameters(np.ones((0, PERIODS * PHASES + 1)))]
    closure_samples = [np.zeros(0, dtype=np.intp)]
    for start in range(0, len(voiced), BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        windows = source_windows(signal, voiced[block])
        closure = closures(windows, f0_hz[block])
        columns.append(_cycle_parameters(_at_phases(windows, closure, period[block])))
        closure_samples.append(voiced[block] * HOP_SAMPLES + HOP_SAMPLES // 2 - REACH_SAMPLES + closure)
    naq, qoq, h1h2_db, psp, regularity, harmonics = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    number = np.arange(1, harmonics.shape[1] + 1)
    harmonics = np.where(number * f0_hz[:, None] < 0.5 * RATE_HZ, harmonics, 0.0)
    mdq = _maxima_dispersion(residual, np.concatenate(closure_samples), period)
    return GlottalParameters(naq, qoq, h1h2_db, psp, mdq, regularity, harmonics)


def _cycle_parameters(derivative: FloatArray) -> tuple[Array, ...]:
    """Compute parameters of the glottal source from three periods of the derivative of the glottal flow.

    Args:
        derivative: Derivative of the flow (frame, PERIODS * PHASES + 1), resampled by `_at_phases`.

    Returns:
        Arrays (frame,) of NAQ, QOQ, H1H2, PSP and regularity, and an array (frame, harmonic) of the complex amplitudes
        of the harmonics; see `GlottalParameters`.
    """
    tiny = 1e-20
    cycle = derivative[:, PHASES : 2 * PHASES]
    flow = np.cumsum(cycle - cycle.mean(axis=1, keepdims=True), axis=1) / PHASES
    flow -= flow.min(axis=1, keepdims=True)
    span = flow.max(axis=1)
    # The derivative is per period instead of per second, so that `slope` is d_peak T0.
    slope = np.maximum(-derivative[:, PHASES : 2 * PHASES + 1].min(axis=1), tiny)
    naq = span / slope
    qoq = np.mean(flow > 0.5 * span[:, None], axis=1)
    taper = np.hanning(PERIODS * PHASES + 1)[:-1]
    harmonics = np.fft.rfft(-derivative[:, :-1] * taper, axis=1)[:, PERIODS::PERIODS]
    level = np.maximum(np.abs(harmonics), tiny)
    # Differentiation doubles the second harmonic relative to the first; the factor 2 reverses this.
    h1h2_db = 20 * np.log10(2 * level[:, 0] / level[:, 1])
    previous = derivative[:, :PHASES]
    energy = np.sqrt(np.sum(cycle**2, axis=1) * np.sum(previous**2, axis=1))
    regularity = np.clip(np.sum(cycle * previous, axis=1) / np.maximum(energy, tiny), 0, 1)
    return naq, qoq, h1h2_db, _parabolic_spectral_parameter(flow), regularity, harmonics
