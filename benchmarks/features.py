"""Cost of the acoustic and visual extractors, compared with a simple computation on the same sound or frame.

    python benchmarks/features.py [--seconds 30] [--video VIDEO] [--frames 60] [--repeats 3] [--json]

Processor time of one thread. Acoustic extractors are compared with scipy.signal.stft (25 ms Hann windows every 10 ms)
of the same sound; the visual extractor, by the mean over frames with a face, with scaling the same frame to 256 x 256
and converting it to grey with OpenCV. Ratios can be compared between machines. The real-time factor (seconds of work
per second of sound, or of video at the extractor's frame rate, without decoding) holds for this machine. The values
themselves are compared with the published definitions in tests/features.
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
    """Synthesise a voice (sample,) in float32 whose pitch glides from 90 to 250 Hz."""
    pitch_hz = np.linspace(90, 250, int(seconds * RATE_HZ))
    return 0.3 * sawtooth(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ).astype(np.float32)


def acoustic(sound: np.ndarray, repeats: int) -> list[dict[str, Any]]:
    """Measure every acoustic extractor and the transform.

    Args:
        sound: Samples (sample,) at `RATE_HZ`.
        repeats: Number of turns.

    Returns:
        One row per extractor.
    """
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
    """Measure the face extractor and OpenCV, per frame with a face.

    Args:
        video: Video file.
        n_frames: Number of frames with a face.
        repeats: Calls per frame, of which the fastest counts.

    Returns:
        One row.
    """
    import av
    import cv2

    extractor = load_visual_extractor("face")
    tracker = extractor.start()
    durations_s: list[list[float]] = []
    with av.open(str(video)) as tape:
        for number, frame in enumerate(tape.decode(video=0)):
            image = frame.to_ndarray(format="rgb24")
            if number % 6 or not tracker.see(frame.time, image):
                continue
            ways = (
                partial(tracker.see, frame.time, image),
                lambda image=image: cv2.cvtColor(cv2.resize(image, (256, 256)), cv2.COLOR_RGB2GRAY),
            )
            durations_s.append([min(harness.process_s(way) for _ in range(repeats)) for way in ways])
            if len(durations_s) == n_frames:
                break
    face_s, resize_s = np.mean(durations_s, axis=0).tolist()
    row = {"extractor": "face", "ms": 1e3 * face_s, "real-time factor": face_s * extractor.rate_hz}
    return [row | {"reference": "resize and grey", "reference ms": 1e3 * resize_s}]


def measure(seconds: float = 30.0, video: Path = harness.SAMPLE, frames: int = 60, repeats: int = 3) -> harness.Report:
    """Measure acoustic and visual extractors.

    Args:
        seconds: Length of the synthetic voice.
        video: Video file with a face.
        frames: Number of frames with a face.
        repeats: Number of turns.

    Returns:
        Times and their ratios.
    """
    rows = acoustic(buzz(seconds), repeats) + visual(video, frames, repeats)
    ratios = {f"ratio of {row['extractor']} to {row['reference']}": row["ms"] / row["reference ms"] for row in rows}
    facts = {"seconds of sound": seconds, "video": video.name, "frames": frames}
    return harness.Report(facts, {"least processor time": rows}, ratios)


if __name__ == "__main__":
    harness.main(measure)
