"""Media made on the spot, of which everything is known."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS = Fraction(1, 1000)


def tone(rate_hz: int, length_s: float, bursts: Sequence[tuple[float, float]], hz: float = 440.0) -> np.ndarray:
    """(n,) silence with a tone of amplitude 0.5 where the bursts are."""
    times_s = np.arange(round(rate_hz * length_s)) / rate_hz
    loud = np.zeros(times_s.size, dtype=bool)
    for start_s, end_s in bursts:
        loud |= (times_s >= start_s) & (times_s < end_s)
    return np.where(loud, 0.5 * np.sin(2 * np.pi * hz * times_s), 0.0).astype(np.float32)


def write_wav(path: Path, channels: Sequence[np.ndarray], rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(len(channels))
        handle.setsampwidth(2)
        handle.setframerate(rate_hz)
        handle.writeframes(np.round(np.stack(channels, axis=1) * 32767).astype("<i2").tobytes())
    return path


def gray(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def write_media(
    path: Path,
    pictures: Sequence[tuple[float, np.ndarray]] = (),
    sound: Sequence[tuple[float, np.ndarray]] = (),
    *,
    rate_hz: int = 48_000,
    codecs: tuple[str, str] = ("libx264", "aac"),
    layout: str = "stereo",
    options: dict[str, str] | None = None,
) -> Path:
    """A file with pictures (time, (height, width, 3)) and runs of sound (time, (channel, n)) at exactly these times."""
    with av.open(str(path), "w", options=options or {}) as container:
        packets = []
        if pictures:
            video = container.add_stream(codecs[0], rate=30)
            video.height, video.width = pictures[0][1].shape[:2]
            video.pix_fmt = "yuvj420p" if codecs[0] == "mjpeg" else "yuv420p"
            video.codec_context.time_base = TICKS
            if codecs[0] == "libx264":
                video.options = {"crf": "10", "preset": "ultrafast", "g": "10"}
        if sound:
            audio = container.add_stream(codecs[1], rate=rate_hz, layout=layout)
        if pictures:
            for time_s, image in pictures:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(time_s / TICKS), TICKS
                packets += video.encode(frame)
            packets += video.encode(None)
        for time_s, samples in sound:
            size = audio.codec_context.frame_size or 1024
            for begin in range(0, samples.shape[1], size):
                part = samples[:, begin : begin + size].astype(np.float32)
                form = audio.codec_context.format.name
                if form == "fltp":
                    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=layout)
                else:
                    whole = np.round(part.T * 32767).astype(np.int16).reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole), format="s16", layout=layout)
                frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
                frame.pts = round(time_s * rate_hz) + begin
                packets += audio.encode(frame)
        if sound:
            packets += audio.encode(None)
        for packet in sorted(packets, key=lambda each: float(each.dts * each.time_base)):
            container.mux(packet)
    return path


def turn_in_header(path: Path, matrix: tuple[int, ...]) -> None:
    """Write a display matrix (2 x 2, units of 1) into the only track of an MP4."""
    content = bytearray(path.read_bytes())
    # type, version and flags, five times 4 bytes, 8 reserved, layer, group, volume, reserved
    place = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value * 65536 for value in matrix)
    for offset, value in zip((0, 4, 12, 16), (a, b, c, d), strict=True):
        content[place + offset : place + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
