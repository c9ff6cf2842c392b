"""The 88 eGeMAPS columns of mien beside those of openSMILE itself, on the same samples.

    pip install opensmile==2.6.0   # for this check alone; its licence does not allow commercial use
    python benchmarks/egemaps_against_opensmile.py VOICE.wav...

Every file is one utterance. Prints, per column, the mean of both over the files, the median relative difference, and
how many columns agree. mien computes with afx-audio, an independent implementation of the same published set (Eyben et
al. 2016).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import opensmile
from machine import machine_facts

from mien.features import load_acoustic_extractor
from mien.media.container import probe
from mien.media.decode import read_audio

LEVELS = (0.05, 0.2, 0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    extractor = load_acoustic_extractor("egemaps")
    reference = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    ours, theirs = [], []
    for path in arguments.voices:
        samples = read_audio(path, 0.0, probe(path).duration_s, extractor.rate_hz)
        vector = extractor.utterance_vector(samples)
        if vector is None:
            raise SystemExit(f"Expected a voice in {path}, but got: {extractor.why_missing(samples)}")
        row = reference.process_signal(samples, extractor.rate_hz)
        assert tuple(row.columns) == tuple(extractor.space.columns), "both name the same 88 columns in the same order"
        ours.append(vector)
        theirs.append(row.to_numpy()[0])
    mine, other = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    difference = np.median(np.abs(mine - other) / np.maximum(np.abs(other), 1e-9), axis=0)
    agree = {f"within {level:.0%}": int((difference <= level).sum()) for level in LEVELS}
    if arguments.json:
        rows = zip(extractor.space.columns, mine.mean(axis=0), other.mean(axis=0), difference, strict=True)
        names = ("column", "mien", "opensmile", "median_relative_difference")
        table = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps({"columns": table, "agree": agree, "machine": machine_facts()}, indent=2))
        return
    print("| column | mien | openSMILE | median relative difference |\n|---|---|---|---|")
    for number in np.argsort(difference, kind="stable"):
        values = f"{mine[:, number].mean():.4g} | {other[:, number].mean():.4g} | {100 * difference[number]:.1f} %"
        print(f"| `{extractor.space.columns[number]}` | {values} |")
    print(", ".join(f"{count} of {len(difference)} {level}" for level, count in agree.items()))


if __name__ == "__main__":
    main()
