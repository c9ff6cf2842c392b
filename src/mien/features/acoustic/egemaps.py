"""Acoustic extractor `egemaps`: the 88 functionals of eGeMAPS v02, which are statistics of the voice in an utterance.

eGeMAPS: Eyben et al., IEEE Transactions on Affective Computing 7, 2016. The package afx-audio computes the functionals.
The functionals have the names and the order of openSMILE. The package is an independent implementation: its values are
close to those of openSMILE, but not equal. The tests compare some of the values with the published definitions.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from mien.errors import MissingExtraError
from mien.features.acoustic.base import NO_VOICE, RATE_HZ, AcousticExtractor, why_unusable
from mien.schema import FeatureSpace, FloatArray, Modality

NAME = "egemaps"
# If this functional is zero, no frame is voiced. The functionals of voiced frames are then zero, but not measurements.
VOICED_COLUMN = "VoicedSegmentsPerSec"
NO_VALUE = "a functional of the voice is no number"


def load_egemaps(path: Path | None = None) -> AcousticExtractor:  # noqa: ARG001 - one signature for all extractors
    """Return the acoustic extractor `egemaps`. It needs no files, so `path` is ignored.

    The extractor has no word vectors, because the functionals are statistics of an utterance.

    Raises:
        MissingExtraError: afx-audio is not installed.
    """
    try:
        from afx_audio.extractors.egemaps import EGEMAPS_NAMES, egemaps
    except ImportError as error:
        raise MissingExtraError("afx-audio", "media") from error
    columns = tuple(EGEMAPS_NAMES)
    voiced_column = columns.index(VOICED_COLUMN)
    recipe = {"extractor": "afx-audio egemaps", "version": version("afx-audio"), "rate_hz": RATE_HZ}

    def vector_or_reason(samples: FloatArray) -> FloatArray | str:
        reason = why_unusable(samples, RATE_HZ)
        if reason:
            return reason
        by_name = egemaps(np.asarray(samples, dtype=np.float64), RATE_HZ)
        vector = np.array([by_name[name] for name in columns])
        if vector[voiced_column] == 0:
            return NO_VOICE
        return vector.astype(np.float32) if np.isfinite(vector).all() else NO_VALUE

    space = FeatureSpace(Modality.ACOUSTIC, NAME, len(columns), columns=columns, recipe=recipe)
    return AcousticExtractor(space, None, RATE_HZ, vector_or_reason, frames=None)
