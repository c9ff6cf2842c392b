"""Compares the 88 eGeMAPS columns of mien with those of openSMILE on the same samples.

    pip install opensmile==2.6.0   # only for this check; its licence forbids commercial use
    python benchmarks/egemaps_against_opensmile.py VOICE.wav... [--json]

Every file (16-bit, 16 kHz, mono) is one utterance. Reported are, per column, the mean of both over the files and the
median relative difference, and the number of columns that agree. mien uses afx-audio, an independent implementation of
the same published feature set (Eyben et al. 2016).
"""

from __future__ import annotations

from pathlib import Path

import harness
import numpy as np
import opensmile
import pandas as pd
from scipy.io import wavfile

from mien.features.extractors import load_acoustic_extractor

RATE_HZ = 16_000
LEVELS = (0.05, 0.2, 0.5)


def read_voice(path: Path) -> np.ndarray:
    """Read the samples (sample,) in [-1, 1] of a 16-bit file with one channel at 16 kHz."""
    rate_hz, samples = wavfile.read(path)
    if (rate_hz, samples.dtype, samples.ndim) != (RATE_HZ, np.int16, 1):
        raise SystemExit(f"Expected 16 bits, one channel and {RATE_HZ} Hz, but got {path}; convert it with ffmpeg")
    return samples.astype(np.float32) / 2**15


def measure(voices: list[Path]) -> harness.Report:
    """Compute the columns of both programs for every file."""
    extractor = load_acoustic_extractor("egemaps")
    reference = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    ours, theirs = [], []
    for path in voices:
        samples = read_voice(path)
        vector = extractor.utterance_vector(samples)
        if vector is None:
            raise SystemExit(f"Expected a voice in {path}, but got: {extractor.why_missing(samples)}")
        row = reference.process_signal(samples, RATE_HZ)
        assert tuple(row.columns) == tuple(extractor.space.columns), "both name the same 88 columns in the same order"
        ours.append(vector)
        theirs.append(row.to_numpy()[0])
    mine, other = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    difference = np.median(np.abs(mine - other) / np.maximum(np.abs(other), 1e-9), axis=0)
    columns = {"column": extractor.space.columns, "mien": mine.mean(axis=0), "openSMILE": other.mean(axis=0)}
    table = pd.DataFrame(columns | {"median relative difference": difference})
    rows = table.sort_values("median relative difference", kind="stable").to_dict("records")
    agree = {f"columns within {level:.0%}": int((difference <= level).sum()) for level in LEVELS}
    return harness.Report({"files": len(ours), **agree}, {"columns": rows})


if __name__ == "__main__":
    harness.main(measure)
