"""How fast the acoustic extractors are, and how their values compare with definitions and with another estimator.

    python benchmarks/acoustic_features.py [--json] [--voice FILE.wav] [--seconds 30] [--repeats 3] [--no-checks]

Speed: one thread; the ratio to scipy.signal.stft (25 ms Hann windows every 10 ms) of the same sound in the same run
means something on any machine, the real-time factor (seconds of work per second of sound, processor time) on this one.
Checks: eGeMAPS and `covarep-like` on a synthetic voice whose values are known, and F0 of a real voice (--voice, 16-bit
16 kHz mono) by three estimators that share no code: ours, eGeMAPS's and the tests' YIN.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import machine_facts
from scipy.signal import stft

from mien.features.acoustic.covarep_like import COLUMNS, load_covarep_like
from mien.features.acoustic.egemaps import load_egemaps
from mien.schema import FloatArray

# The sounds with known answers are the tests' own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.features import voices

RATE_HZ = voices.RATE_HZ
F0_HZ, OPEN_QUOTIENT = 110.0, 0.6


@dataclass(frozen=True)
class Check:
    """One value beside what its published definition says it should be."""

    extractor: str
    column: str
    measured: float
    expected: float
    unit: str
    definition: str


def talking(seconds: float) -> FloatArray:
    """A synthetic speaker (sample,) float32: vowels of changing pitch with hiss and pauses between, 60 % voiced."""
    pieces: list[FloatArray] = []
    rng = np.random.default_rng(0)
    while sum(map(len, pieces)) < seconds * RATE_HZ:
        pieces.append(voices.voice(float(rng.uniform(90, 250)), 0.3) + 0.001 * voices.noise(0.3))
        pieces.append(0.2 * voices.noise(0.1))
        pieces.append(0.002 * voices.noise(0.1))
    return np.concatenate(pieces)[: int(seconds * RATE_HZ)].astype(np.float32)


def least_s(work: Callable[[], object], repeats: int) -> float:
    """Least processor time of several runs, after one to warm up: noise only ever adds."""
    work()
    times_s = []
    for _ in range(repeats):
        started_s = time.process_time()
        work()
        times_s.append(time.process_time() - started_s)
    return min(times_s)


def speeds(sound: FloatArray, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds, real-time factor and ratio to the reference of every extractor."""
    duration_s = len(sound) / RATE_HZ
    covarep_like, egemaps = load_covarep_like(), load_egemaps()
    jobs: dict[str, Callable[[], object]] = {
        "scipy.signal.stft": lambda: stft(sound, RATE_HZ, nperseg=400, noverlap=240, nfft=512),
        "covarep-like-74": lambda: covarep_like.utterance_vector(sound),
        "egemaps": lambda: egemaps.utterance_vector(sound),
    }
    seconds = {name: least_s(job, repeats) for name, job in jobs.items()}
    return {
        name: {"s": value, "real_time_factor": value / duration_s, "ratio": value / seconds["scipy.signal.stft"]}
        for name, value in seconds.items()
    }


def egemaps_checks() -> list[Check]:
    """Columns of eGeMAPS for a perfect voice, and of the same voice at another gain."""
    extractor = load_egemaps()

    def columns(sound: FloatArray) -> dict[str, float]:
        vector = extractor.utterance_vector(sound.astype(np.float32))
        return dict(zip(extractor.space.columns, vector.tolist(), strict=True)) if vector is not None else {}

    sound = voices.voice(F0_HZ)
    perfect, louder = columns(sound), columns(2 * sound)
    window = np.exp(-((1 / F0_HZ) ** 2) / (4 * 0.012**2))
    level_db = [voices.voice_level_db(F0_HZ, harmonic) for harmonic in (1, 2, 3)]
    bursts = columns(np.concatenate([voices.voice(F0_HZ, 0.5), np.zeros(RATE_HZ // 2)] * 4))
    rows = [
        ("F0semitoneFrom27.5Hz_sma3nz_amean", 12 * np.log2(F0_HZ / 27.5), "semitones", "12 log2(F0 / 27.5 Hz)"),
        ("jitterLocal_sma3nz_amean", 0.0, "", "relative change from period to period; a perfect voice has none"),
        ("shimmerLocaldB_sma3nz_amean", 0.0, "dB", "change of amplitude from period to period; none here"),
        ("HNRdBACF_sma3nz_amean", 10 * np.log10(window / (1 - window)), "dB", "what a 60 ms Gaussian window leaves"),
        ("logRelF0-H1-H2_sma3nz_amean", level_db[0] - level_db[1], "dB", "by its name: first over second harmonic"),
        ("logRelF0-H1-H2_sma3nz_amean", level_db[1] - level_db[2], "dB", "as openSMILE does: second over third"),
        ("equivalentSoundLevel_dBp", 10 * np.log10(np.mean(sound**2)), "dB", "power of the whole sound"),
    ]
    rows += [
        (f"F{number}frequency_sma3nz_amean", frequency_hz, "Hz", f"resonance {number} of the filter")
        for number, (frequency_hz, _) in enumerate(voices.OPEN_VOWEL[:3], start=1)
    ]
    checks = [Check("egemaps", name, perfect[name], float(truth), unit, why) for name, truth, unit, why in rows]
    ratio = louder["loudness_sma3_amean"] / perfect["loudness_sma3_amean"]
    name = "loudness_sma3_amean, doubled amplitude"
    checks.append(Check("egemaps", name, ratio, 4**0.33, "times", "intensity to the power 0.33"))
    name = "VoicedSegmentsPerSec"
    checks.append(Check("egemaps", name, bursts[name], 1.0, "1/s", "four bursts in four seconds"))
    name = "MeanVoicedSegmentLengthSec"
    checks.append(Check("egemaps", name, bursts[name], 0.5, "s", "of half a second each"))
    return checks


def covarep_like_checks() -> list[Check]:
    """Source columns of a vowel whose glottal flow is known, and level columns of bare pulses."""
    extractor = load_covarep_like()

    def columns(sound: FloatArray) -> dict[str, float]:
        _, values = extractor.frames(sound.astype(np.float32))
        return dict(zip(COLUMNS, np.nanmedian(values, axis=0).tolist(), strict=True))

    vowel, pulses = columns(voices.voice(F0_HZ)), columns(voices.pulse_train(F0_HZ))
    naq, qoq, h1h2_db = voices.glottal_truth(OPEN_QUOTIENT)
    rows = [
        (vowel, "F0", F0_HZ, "Hz", "of a vowel"),
        (vowel, "VUV", 1.0, "", "of a vowel"),
        (vowel, "NAQ", naq, "", "of the flow behind the vowel, from its samples"),
        (vowel, "QOQ", qoq, "", "of the flow behind the vowel, from its samples"),
        (vowel, "H1H2", h1h2_db, "dB", "of the flow behind the vowel, from its spectrum"),
        (pulses, "H1H2", 20 * np.log10(2), "dB", "of bare pulses: their flow falls by 6 dB an octave"),
        (pulses, "peakSlope", 0.0, "", "of bare pulses: all octave bands alike"),
        (pulses, "MDQ", 0.0, "", "of bare pulses: all bands peak at once"),
    ]
    return [
        Check("covarep-like-74", name, values[name], float(truth), unit, why) for values, name, truth, unit, why in rows
    ]


def f0_agreement(sound: FloatArray) -> dict[str, dict[str, float]]:
    """Deviation of our F0 from two other estimators', over the frames that both call voiced."""
    from afx_audio.extractors.egemaps import extract_egemaps_lld

    _, values = load_covarep_like().frames(sound)
    f0_hz = values[:, COLUMNS.index("F0")]
    yin_hz, aperiodicity = voices.yin(sound.astype(np.float64))
    contour = extract_egemaps_lld(sound.astype(np.float64), RATE_HZ)["egemaps_lld"][10]
    # Its 60 ms frames begin where ours do: their middle is two and a half frames later.
    egemaps_hz = np.full(len(f0_hz), np.nan)
    middle = np.sqrt(contour[:-1] * contour[1:])[: len(f0_hz) - 3]
    egemaps_hz[3 : 3 + len(middle)] = 27.5 * 2 ** (middle / 12)
    others = {"YIN": np.where(aperiodicity < 0.3, yin_hz, np.nan), "eGeMAPS (SHS)": egemaps_hz}
    result = {}
    for name, other_hz in others.items():
        both = np.isfinite(f0_hz) & np.isfinite(other_hz)
        deviation = np.abs(f0_hz[both] / other_hz[both] - 1)
        result[name] = {
            "frames": int(both.sum()),
            "share_of_our_voiced_frames": float(both.sum() / np.isfinite(f0_hz).sum()),
            "median_absolute_deviation": float(np.median(deviation)),
            "within_5_percent": float(np.mean(deviation < 0.05)),
        }
    return result


def show(result: dict[str, object], checks: list[Check], agreement: dict[str, dict[str, float]]) -> None:
    """Print what was measured as tables."""
    print(f"{result['sound']}, {result['seconds']:.1f} s, one thread\n")
    print(f"{'':22}{'RTF':>8}{'times scipy.signal.stft':>26}")
    for name, speed in dict(result["speed"]).items():  # type: ignore[call-overload]
        print(f"{name:22}{speed['real_time_factor']:8.4f}{speed['ratio']:26.1f}")
    if checks:
        print(f"\n{'column':58}{'measured':>10}{'expected':>10}  definition")
    for check in checks:
        name = f"{check.extractor} {check.column}"
        print(f"{name:58}{check.measured:10.3f}{check.expected:10.3f}  {check.unit} {check.definition}".rstrip())
    if agreement:
        print(f"\n{'F0 of covarep-like against':30}{'frames':>8}{'median |deviation|':>20}{'within 5 %':>12}")
    for name, row in agreement.items():
        shares = f"{row['median_absolute_deviation']:19.2%} {row['within_5_percent']:11.1%}"
        print(f"{name:30}{row['frames']:8d} {shares}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--voice", type=Path, help="a real voice, 16-bit 16 kHz mono; else a synthetic one")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the synthetic voice")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-checks", action="store_true", help="speed alone")
    arguments = parser.parse_args()
    sound = voices.read_wav(arguments.voice) if arguments.voice else talking(arguments.seconds)
    checks = [] if arguments.no_checks else [*egemaps_checks(), *covarep_like_checks()]
    agreement = {} if arguments.no_checks else f0_agreement(sound)
    result: dict[str, object] = {
        "sound": arguments.voice.name if arguments.voice else "synthetic voice",
        "seconds": len(sound) / RATE_HZ,
        "speed": speeds(sound, arguments.repeats),
        "checks": [asdict(check) for check in checks],
        "f0_agreement": agreement,
        "machine": machine_facts(),
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result, checks, agreement)


if __name__ == "__main__":
    main()
