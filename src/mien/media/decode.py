"""Sound and pictures of a file at their presentation times, streamed: memory does not grow with the file's length."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.media.container import (
    AUDIO_GAPS,
    AUDIO_SECONDS_MISSING,
    CONTAINER_TICKS_PER_S,
    VIDEO_SECONDS_MISSING,
    Timestamps,
    audio_stream,
    decoded,
    frame_step_s,
    open_media,
    shown_size,
    stream_end_s,
    video_stream,
    zero_s,
)

if TYPE_CHECKING:
    from av.container import InputContainer

AUDIO_RATE_HZ = 16_000
CHUNK_S = 10.0
MAX_SIDE_PX = 640
# Timestamps of some formats are rounded to milliseconds; only a longer step than this is a gap or an overlap.
STAMP_JITTER_S = 0.04
# Decoders need a few frames before their output is right; a seek lands this much earlier.
SEEK_LEAD_S = 0.5
# an end that is earlier than the header says by more than this was lost
END_SLACK_S = 1.0
# Every decoding thread holds several frames, so there are few, and frames this large are decoded on one.
DECODING_THREADS = 2
LARGE_FRAME_PX = 4096 * 2304
TIME_EPSILON_S = 1e-6

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AudioChunk:
    """A stretch of sound: sample k is heard at ``start_s + k / rate_hz``."""

    start_s: float
    # (n,) mono, full scale is 1
    samples: Samples


@dataclass(frozen=True)
class Frame:
    """What is on the screen at one time."""

    time_s: float
    # (height, width, 3) RGB, upright, square pixels; the same array again while the picture stands still
    image: NDArray[np.uint8]


def audio_chunks(
    path: Path, rate_hz: int = AUDIO_RATE_HZ, *, chunk_s: float = CHUNK_S, notes: Counter[str] | None = None
) -> Iterator[AudioChunk]:
    """The sound of a file from time 0 on, in chunks of `chunk_s` seconds without hole or overlap.

    All channels become one. Silence stands before a late start and in gaps, so that sample k of the whole stream is
    heard at ``k / rate_hz``. A file without sound gives no chunk. What a damaged file lost is counted in `notes`.

    Raises DataError if the file is no media file, MissingExtraError without PyAV.
    """
    _require_positive(rate_hz, "rate_hz")
    size = max(1, round(chunk_s * rate_hz))
    lost = notes if notes is not None else Counter()
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            return
        begun = 0
        block = np.zeros(size, dtype=np.float32)
        end = 0
        for position, samples in _runs(container, rate_hz, lost):
            end = position + samples.size
            while end > begun:
                inside = samples[max(0, begun - position) : begun + size - position]
                offset = max(0, position - begun)
                if offset < size:
                    block[offset : offset + inside.size] = inside
                if end < begun + size:
                    break
                yield AudioChunk(begun / rate_hz, block)
                begun, block = begun + size, np.zeros(size, dtype=np.float32)
        if end > begun:
            yield AudioChunk(begun / rate_hz, block[: end - begun])
        _count_missing(lost, AUDIO_SECONDS_MISSING, stream_end_s(container, stream), end / rate_hz)


def read_audio(path: Path, start_s: float, end_s: float, rate_hz: int = AUDIO_RATE_HZ) -> Samples:
    """One stretch of a file's sound by seeking: (n,) with n = ``round((end_s - start_s) * rate_hz)``.

    Silence stands where the file has no sound. Raises DataError if the file is no media file, MissingExtraError
    without PyAV, UsageError if the stretch is not one.
    """
    _require_positive(rate_hz, "rate_hz")
    if not 0 <= start_s <= end_s < math.inf:
        raise UsageError(f"Expected 0 <= start_s <= end_s, but got {start_s} and {end_s}; give a stretch of the file")
    first = round(start_s * rate_hz)
    result = np.zeros(round((end_s - start_s) * rate_hz), dtype=np.float32)
    with open_media(path) as container:
        if audio_stream(container) is None:
            return result
        _seek(container, start_s - SEEK_LEAD_S)
        for position, samples in _runs(container, rate_hz, Counter()):
            if position >= first + result.size:
                break
            inside = samples[max(0, first - position) : max(0, first + result.size - position)]
            offset = max(0, position - first)
            result[offset : offset + inside.size] = inside
    return result


def frames(
    path: Path, rate_hz: float = 10.0, *, max_side_px: int = MAX_SIDE_PX, notes: Counter[str] | None = None
) -> Iterator[Frame]:
    """What is on the screen at the times ``k / rate_hz``, from the first picture to the end of the last.

    Pictures are turned upright, have square pixels and no side longer than `max_side_px`; between two pictures the
    earlier one stands. A file without video gives no frame. What was lost of a damaged file is counted in `notes`.

    Raises DataError if the file is no media file, MissingExtraError without PyAV.
    """
    _require_positive(rate_hz, "rate_hz")
    _require_positive(max_side_px, "max_side_px")
    lost = notes if notes is not None else Counter()
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            return
        large = stream.codec_context.width * stream.codec_context.height > LARGE_FRAME_PX
        stream.thread_type = "SLICE" if large else "AUTO"
        stream.codec_context.thread_count = 1 if large else DECODING_THREADS
        stamps, step_s = Timestamps(container, stream), frame_step_s(stream)
        number, end_s = 0, 0.0
        shown: Callable[[], NDArray[np.uint8]] | None = None
        for frame in decoded(container, stream, lost):
            time_s = stamps.time_s(frame, end_s)
            if shown is None:
                number = max(0, math.ceil((time_s - TIME_EPSILON_S) * rate_hz))
            else:
                while number / rate_hz < time_s - TIME_EPSILON_S:
                    yield Frame(number / rate_hz, shown())
                    number += 1
            # An image is made only if somebody looks at it: most frames of a video are not sampled.
            shown = cache(partial(_upright, frame, max_side_px))
            end_s = max(end_s, time_s + (float(frame.duration * frame.time_base) if frame.duration else step_s))
        while shown is not None and number / rate_hz < end_s - TIME_EPSILON_S:
            yield Frame(number / rate_hz, shown())
            number += 1
        _count_missing(lost, VIDEO_SECONDS_MISSING, stream_end_s(container, stream), end_s)


def _upright(frame: Any, max_side_px: int) -> NDArray[np.uint8]:
    """(height, width, 3) RGB, scaled before it is turned, so that a large frame never stands in memory as RGB."""
    turned = frame.rotation % 180 == 90
    width, height = shown_size(frame)[::-1] if turned else shown_size(frame)
    scale = min(1.0, max_side_px / max(width, height))
    size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
    image = frame.reformat(**size, format="rgb24", interpolation="AREA" if scale < 1 else "BILINEAR").to_ndarray()
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _runs(container: InputContainer, rate_hz: int, notes: Counter[str]) -> Iterator[tuple[int, Samples]]:
    """``(position, samples)`` from where the container stands: runs at `rate_hz` in time order, never overlapping.

    A run continues the resampler's state; a step in the stamps or another format begins a new run.
    """
    stream = audio_stream(container)
    if stream is None:
        return
    stamps = Timestamps(container, stream)
    run: _Run | None = None
    done = 0
    for frame in decoded(container, stream, notes):
        if not frame.sample_rate or not frame.samples:
            continue
        expected_s = run.end_s if run is not None else done / rate_hz
        time_s = stamps.time_s(frame, expected_s)
        if run is None or run.form != _form(frame) or abs(time_s - expected_s) > STAMP_JITTER_S:
            if run is not None:
                yield from run.finish()
                done = run.position
                notes[AUDIO_GAPS] += time_s - expected_s > STAMP_JITTER_S
            run = _Run(_form(frame), time_s, done, rate_hz)
            yield from run.lead(frame)
        yield from run.add(frame)
    if run is not None:
        yield from run.finish()
    if not notes[AUDIO_GAPS]:
        del notes[AUDIO_GAPS]


def _form(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Run:
    """Frames of one format that follow each other, resampled to one rate and mixed to one channel.

    A run begins at a sample that both rates share (time 0 is one): so a stretch has the same samples whether one seeks
    to it or comes to it from the start.
    """

    def __init__(self, form: tuple[str, str, int], start_s: float, done: int, rate_hz: int) -> None:
        from av.audio.layout import AudioLayout
        from av.audio.resampler import AudioResampler

        self.form = form
        rate_in_hz = form[2]
        first_in = round(start_s * rate_in_hz)
        # silent samples to begin with, from the shared sample to the first frame
        self._n_lead = first_in % (rate_in_hz // math.gcd(rate_in_hz, rate_hz))
        self._start_s = (first_in - self._n_lead) / rate_in_hz
        self._n_in = 0
        first = round(self._start_s * rate_hz)
        # what was heard already, or lies before time 0, is not heard again
        self._drop = max(0, done - first)
        # end of what was given away
        self.position = max(first, done)
        # More than two channels go through FFmpeg's usual mix to two, where the voices are; two are averaged here,
        # because FFmpeg's own mix to one is louder for some sample formats than for others.
        n_channels = AudioLayout(form[1]).nb_channels
        self._resampler = AudioResampler("fltp", "stereo" if n_channels > 2 else form[1], rate_hz)

    @property
    def end_s(self) -> float:
        """When the next frame is expected."""
        return self._start_s + self._n_in / self.form[2]

    def lead(self, frame: Any) -> Iterator[tuple[int, Samples]]:
        """Silence in the form of `frame` up to where it begins."""
        if not self._n_lead:
            return
        from av.audio.frame import AudioFrame

        like = frame.to_ndarray()
        n_values = self._n_lead * like.shape[1] // frame.samples
        middle = 128 if like.dtype == np.uint8 else 0
        silent = np.full((like.shape[0], n_values), middle, dtype=like.dtype)
        silence = AudioFrame.from_ndarray(silent, format=self.form[0], layout=self.form[1])
        silence.sample_rate = self.form[2]
        yield from self.add(silence)

    def add(self, frame: Any) -> Iterator[tuple[int, Samples]]:
        self._n_in += frame.samples
        # The run knows its times; stamps with jitter would only disturb the resampler.
        frame.pts = None
        return self._given(self._resampler.resample(frame))

    def finish(self) -> Iterator[tuple[int, Samples]]:
        return self._given(self._resampler.resample(None))

    def _given(self, resampled: Iterable[Any]) -> Iterator[tuple[int, Samples]]:
        for frame in resampled:
            samples: Samples = frame.to_ndarray().mean(axis=0, dtype=np.float32)
            dropped = min(self._drop, samples.size)
            self._drop -= dropped
            samples = samples[dropped:]
            if samples.size:
                # A float decoder can give what is no number; one such sample would spoil every feature.
                yield self.position, np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
                self.position += samples.size


def _seek(container: InputContainer, time_s: float) -> None:
    from av.error import FFmpegError

    try:
        container.seek(round((max(0.0, time_s) + zero_s(container)) * CONTAINER_TICKS_PER_S))
    except FFmpegError:
        return  # without an index everything before the stretch is decoded and dropped


def _count_missing(notes: Counter[str], what: str, header_end_s: float | None, end_s: float) -> None:
    if header_end_s is not None and header_end_s - end_s > END_SLACK_S:
        notes[what] += math.ceil(header_end_s - end_s)


def _require_positive(value: float, name: str) -> None:
    if not 0 < value < math.inf:
        raise UsageError(f"Expected {name} to be above 0, but got {value}; give a positive number")
