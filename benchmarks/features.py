"""What the acoustic and visual extractors cost, against a simple computation on the same sound or frame.

    python benchmarks/features.py [--seconds 30] [--video VIDEO] [--frames 60] [--repeats 3] [--json]

One thread, processor time. Acoustic: beside scipy.signal.stft (25 ms Hann windows every 10 ms) of the same sound.
Visual: the mean over the frames with a face, beside scaling the same frame to 256 x 256 and making it grey with OpenCV.
The ratios mean something on any machine, the real-time factor (seconds of work per second of sound, or of video at the
extractor's own rate, decoding not included) on this one. Whether the values are right is tested:
tests/features compares them with the published definitions.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import harness
import numpy as np
from scipy.signal import sawtooth, stft

from mien.features.extractors import load_acoustic_extractor, load_visual_extractor

RATE_HZ = 16_000


def buzz(seconds: float) -> np.ndarray:
    """A made-up voice (sample,) float32 whose pitch glides from 90 to 250 Hz."""
    pitch_hz = np.linspace(90, 250, int(seconds * RATE_HZ))
    return 0.3 * sawtooth(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ).astype(np.float32)


def acoustic(sound: np.ndarray, repeats: int) -> list[dict[str, Any]]:
    """Every extractor beside the transform."""
    names = ("covarep-like-74", "egemaps")
    ways = {name: partial(load_acoustic_extractor(name).utterance_vector, sound) for name in names}
    ways["scipy.signal.stft"] = partial(stft, sound, RATE_HZ, nperseg=400, noverlap=240, nfft=512)
    for extract in ways.values():
        extract()  # warm up
    timed = harness.in_turns({name: partial(harness.process_s, each) for name, each in ways.items()}, repeats)
    least = {name: min(seconds) for name, seconds in timed.items()}
    rest = {"reference": "scipy.signal.stft", "reference ms": 1e3 * least.pop("scipy.signal.stft")}
    factor = RATE_HZ / len(sound)
    return [{"extractor": name, "ms": 1e3 * s, "real-time factor": s * factor} | rest for name, s in least.items()]


def visual(video: Path, n_frames: int, repeats: int) -> list[dict[str, Any]]:
    """The extractor of faces beside OpenCV, in milliseconds of a frame with a face."""
    import av
    import cv2

    extractor = load_visual_extractor("face")
    watcher = extractor.start()
    spent: list[list[float]] = []
    with av.open(str(video)) as tape:
        for number, frame in enumerate(tape.decode(video=0)):
            image = frame.to_ndarray(format="rgb24")
            if number % 6 or not watcher.see(frame.time, image):
                continue
            ways = (
                partial(watcher.see, frame.time, image),
                lambda image=image: cv2.cvtColor(cv2.resize(image, (256, 256)), cv2.COLOR_RGB2GRAY),
            )
            spent.append([min(harness.process_s(way) for _ in range(repeats)) for way in ways])
            if len(spent) == n_frames:
                break
    face_s, resize_s = np.mean(spent, axis=0).tolist()
    row = {"extractor": "face", "ms": 1e3 * face_s, "real-time factor": face_s * extractor.rate_hz}
    return [row | {"reference": "resize and grey", "reference ms": 1e3 * resize_s}]


def measure(seconds: float = 30.0, video: Path = harness.SAMPLE, frames: int = 60, repeats: int = 3) -> harness.Report:
    """Both kinds."""
    rows = acoustic(buzz(seconds), repeats) + visual(video, frames, repeats)
    ratios = {f"ratio of {row['extractor']} to {row['reference']}": row["ms"] / row["reference ms"] for row in rows}
    facts = {"seconds of sound": seconds, "video": video.name, "frames": frames}
    return harness.Report(facts, {"least processor time": rows}, ratios)


if __name__ == "__main__":
    harness.main(measure)
