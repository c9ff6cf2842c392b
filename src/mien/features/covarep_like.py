"""`covarep-like-74`: pitch, glottal source, envelope and phase, 100 frames a second, in COVAREP's column order.

The layout is that of the acoustic set published with CMU-MOSI and CMU-MOSEI (Degottex et al., ICASSP 2014), which the
paper uses. The numbers are computed here from the published definitions, cited in `voice_pitch.py`, `glottal.py` and
`voice_spectrum.py`; they are **not** COVAREP's and not interchangeable with them. A model trained on the published set
cannot be fed with these: the feature space has another name.

Unlike the published set, a frame in which a column has no value holds NaN and not 0, and the means leave it out.
`COLUMN_DOCUMENTATION` says what every column is, where it has a value, and which three are stand-ins.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.features.acoustic import NO_VOICE, RATE_HZ, AcousticExtractor, unusable, word_then_average
from mien.features.glottal import Glottal, glottal_parameters, peak_slope, polarity
from mien.features.voice_frames import HOP_SAMPLES, centred_windows, frame_times_s, high_passed
from mien.features.voice_pitch import Pitch, prediction_residual, track_pitch
from mien.features.voice_spectrum import N_HMPDD, N_HMPDM, N_MCEP, mel_cepstra, phase_distortion
from mien.schema import FeatureSpace, FloatArray, Level, Modality

NAME = "covarep-like-74"
# Any change of the numbers is a new version: it is part of the feature space's identity.
VERSION = 1
SOURCE_COLUMNS = ("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak")
COLUMNS = (
    *SOURCE_COLUMNS,
    *(f"MCEP_{number}" for number in range(N_MCEP)),
    *(f"HMPDM_{number}" for number in range(N_HMPDM)),
    *(f"HMPDD_{number}" for number in range(N_HMPDD)),
)
# A frame whose sound stays below one step of 16 bits holds nothing that could be analysed.
SOUNDING_RMS = 1 / 2**15
# Fant 1997: Rd = (1 / 0.11) f_ac F0 / d_peak, which is NAQ / 0.11 (Alku et al. 2002)
NAQ_PER_RD = 0.11

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
SPACE = FeatureSpace(
    Modality.ACOUSTIC,
    NAME,
    len(COLUMNS),
    columns=COLUMNS,
    recipe=RECIPE | {"pooling": "frames where a column has a value -> utterance"},
)
WORD_SPACE = FeatureSpace(
    Modality.ACOUSTIC,
    NAME,
    len(COLUMNS),
    columns=COLUMNS,
    level=Level.WORD,
    recipe=RECIPE | {"pooling": "frames where a column has a value -> words -> utterance"},
)


def load_covarep_like(path: Path | None = None) -> AcousticExtractor:  # noqa: ARG001 - one signature for all extractors
    """The extractor; it needs no files."""

    def frames(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        if unusable(samples, RATE_HZ):
            return np.zeros(0), np.zeros((0, len(COLUMNS)), dtype=np.float32)
        return frame_features(samples)

    def utterance_vector(samples: FloatArray) -> FloatArray | None:
        return word_then_average(*frames(samples), 0.0, ())[0]

    def why_missing(samples: FloatArray) -> str | None:
        reason = unusable(samples, RATE_HZ)
        return reason or (None if utterance_vector(samples) is not None else NO_VOICE)

    return AcousticExtractor(SPACE, WORD_SPACE, RATE_HZ, utterance_vector, frames, why_missing)


def frame_features(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Times (frame,), seconds after the first sample, and values (frame, 74) float32 of samples (sample,) at 16 kHz."""
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


def _source_columns(pitch: Pitch, glottal: Glottal, slope: FloatArray) -> FloatArray:
    """F0 to creak (frame, 11), NaN where a column has no value."""
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
