"""What a frame costs the visual extractors, against one bare inference of their own landmark network in the same run.

    python benchmarks/visual_features.py VIDEO [--bundle face_landmarker.task] [--json] [--frames 60] [--repeats 3]

The processor time of every frame is taken several times and the least kept (noise only ever adds); the figure is the
mean over frames with a face. `ratio_to_landmark_net` is that over the mean of the bare inference, `ratio_to_resize`
over scaling the same frame to 256 x 256 and making it grey with OpenCV. Absolute milliseconds are this machine's;
`realtime_factor` is seconds of work per second of video at the extractor's own rate, decoding not included. The 8K
figure is the first frame enlarged to 7680 x 4320.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from machine import machine_facts

from mien.features.visual.base import VisualExtractor, face, face_blendshapes
from mien.features.visual.face_models import TfliteNet, load_tflite
from mien.pretrained import find_model_files


def read_frames(path: Path, n: int) -> list[tuple[float, np.ndarray]]:
    """`n` frames spread over the first minute: time and (height, width, 3) RGB."""
    with av.open(str(path)) as container:
        frames = []
        for frame in container.decode(video=0):
            if frame.time is None or frame.time > 60:
                break
            if frame.time >= len(frames) * 0.2 and len(frames) < n:
                frames.append((frame.time, frame.to_ndarray(format="rgb24")))
    return frames


def least_s(repeats: int, measure: Callable[[], Any]) -> float:
    """Least processor time of several calls, over all threads: other processes do not count."""
    durations = []
    for _ in range(repeats):
        started_s = time.process_time()
        measure()
        durations.append(time.process_time() - started_s)
    return min(durations)


def measure(
    extractor: VisualExtractor,
    landmark_net: TfliteNet,
    crop_px: int,
    frames: list[tuple[float, np.ndarray]],
    repeats: int,
) -> dict[str, Any]:
    """Milliseconds and ratios of one extractor."""
    watcher = extractor.start()
    with_face, without, bare, resize = [], [], [], []
    pixels = np.zeros((1, crop_px, crop_px, 3), dtype=np.float32)
    for time_s, image in frames:
        seen = watcher.see(time_s, image)
        duration_s = least_s(repeats, lambda at=time_s, shown=image: watcher.see(at, shown))
        (with_face if seen else without).append(duration_s)
        bare.append(least_s(repeats, lambda: landmark_net(pixels)))
        resize.append(
            least_s(repeats, lambda shown=image: cv2.cvtColor(cv2.resize(shown, (256, 256)), cv2.COLOR_RGB2GRAY))
        )
    huge = cv2.resize(frames[0][1], (7680, 4320))
    face_s = float(np.mean(with_face)) if with_face else float("nan")
    return {
        "frames_with_face": len(with_face),
        "frames_without": len(without),
        "face_frame_ms": face_s * 1e3 if with_face else None,
        "no_face_frame_ms": float(np.mean(without)) * 1e3 if without else None,
        "landmark_net_ms": float(np.mean(bare)) * 1e3,
        "resize_ms": float(np.mean(resize)) * 1e3,
        "ratio_to_landmark_net": face_s / float(np.mean(bare)) if with_face else None,
        "ratio_to_resize": face_s / float(np.mean(resize)) if with_face else None,
        "frame_8k_ms": least_s(repeats, lambda: extractor.start().see(0.0, huge)) * 1e3,
        "rate_hz": extractor.rate_hz,
        "realtime_factor": face_s * extractor.rate_hz if with_face else None,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--bundle", type=Path, help="measure face-blendshapes too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    frames = read_frames(arguments.video, arguments.frames)
    landmarker = find_model_files(face.FACE_MESH) / face.LANDMARKER
    nets = {"face": (face.load_face(), load_tflite(landmarker.read_bytes(), face.LANDMARKER), face.CROP_PX)}
    if arguments.bundle:
        members = face_blendshapes.read_members(face_blendshapes.find_bundle(arguments.bundle))
        net = load_tflite(members[1], face_blendshapes.MEMBERS[1])
        extractor = face_blendshapes.load_face_blendshapes(arguments.bundle)
        nets["face-blendshapes"] = (extractor, net, face_blendshapes.CROP_PX)
    result: dict[str, Any] = {
        name: measure(extractor, net, crop_px, frames, arguments.repeats)
        for name, (extractor, net, crop_px) in nets.items()
    }
    result |= {"picture": list(frames[0][1].shape[:2]), "machine": machine_facts()}
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name in nets:
        facts = result[name]
        if not facts["frames_with_face"]:
            print(f"{name}: no face in {facts['frames_without']} frames, {facts['no_face_frame_ms']:.1f} ms each")
            continue
        print(f"{name}: {facts['face_frame_ms']:.1f} ms a frame with a face, {facts['frames_with_face']} frames")
        print(f"  ratio to its landmark network alone  {facts['ratio_to_landmark_net']:.2f}")
        print(f"  ratio to resize and grey             {facts['ratio_to_resize']:.0f}")
        print(f"  real-time factor at {facts['rate_hz']:g} Hz            {facts['realtime_factor']:.3f}")


if __name__ == "__main__":
    main()
