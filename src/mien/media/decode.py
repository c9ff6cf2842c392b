"""Streaming of the audio and video of a media file. The required memory does not depend on the duration of the file."""

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
    decoded_audio,
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
# Some formats round timestamps to milliseconds. Only a larger deviation of a timestamp is a gap or an overlap.
STAMP_JITTER_S = 0.04
# Reading starts this much before the requested time, because the first frames after a seek can be decoded wrongly.
SEEK_LEAD_S = 0.5
# A stream is incomplete if it ends by more than this before the end that its header declares.
END_SLACK_S = 1.0
# Each decoding thread buffers several frames. A small number of threads limits the memory. Frames with more pixels than
# the second constant are decoded on one thread.
DECODING_THREADS = 2
LARGE_FRAME_PX = 4096 * 2304
TIME_EPSILON_S = 1e-6

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AudioChunk:
    """A chunk of mono audio. `start_s` is the time of its first sample in the file, in seconds."""

    start_s: float
    # (sample,), with 1 as full scale
    samples: Samples


@dataclass(frozen=True)
class Frame:
    """The picture that a video shows at the time `time_s`."""

    time_s: float
    # (height, width, 3) RGB, upright, with square pixels. Successive frames that show the same picture share one array.
    image: NDArray[np.uint8]


def audio_chunks(
    path: Path, rate_hz: int = AUDIO_RATE_HZ, *, chunk_s: float = CHUNK_S, notes: Counter[str] | None = None
) -> Iterator[AudioChunk]:
    """Read the audio of a file from time 0 in consecutive chunks.

    All channels are mixed to one channel. Gaps in the audio, and the time before audio that starts late, are filled
    with silence. Therefore, the sample with index k of the whole stream always has the time ``k / rate_hz``.

    Args:
        path: Media file.
        rate_hz: Sample rate of the chunks.
        chunk_s: Duration of a chunk in seconds; the last chunk can be shorter.
        notes: Counter of messages about damaged or missing data. It is updated in place. If it is None, nothing is
            counted.

    Yields:
        Chunks in time order without gaps or overlaps. Nothing is yielded for a file without audio.

    Raises:
        DataError: The file is not a media file.
        MissingExtraError: PyAV is not installed.
        UsageError: `rate_hz` is not a positive number.
    """
    _require_positive_number(rate_hz, "rate_hz")
    size = max(1, round(chunk_s * rate_hz))
    counts = notes if notes is not None else Counter()
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            return
        chunk_start = 0
        block = np.zeros(size, dtype=np.float32)
        end = 0
        for position, samples in _audio_segments(container, rate_hz, counts):
            end = position + samples.size
            while end > chunk_start:
                overlap = samples[max(0, chunk_start - position) : chunk_start + size - position]
                offset = max(0, position - chunk_start)
                if offset < size:
                    block[offset : offset + overlap.size] = overlap
                if end < chunk_start + size:
                    break
                yield AudioChunk(chunk_start / rate_hz, block)
                chunk_start, block = chunk_start + size, np.zeros(size, dtype=np.float32)
        if end > chunk_start:
            yield AudioChunk(chunk_start / rate_hz, block[: end - chunk_start])
        _count_missing_seconds(counts, AUDIO_SECONDS_MISSING, stream_end_s(container, stream), end / rate_hz)


def read_audio(path: Path, start_s: float, end_s: float, rate_hz: int = AUDIO_RATE_HZ) -> Samples:
    """Read an interval of the audio of a file. If the file has an index, the audio before the interval is skipped.

    Args:
        path: Media file.
        start_s: Start of the interval in seconds.
        end_s: End of the interval in seconds.
        rate_hz: Sample rate of the result.

    Returns:
        Mono samples (sample,), whose number is ``round((end_s - start_s) * rate_hz)``. They are silent where the file
        has no audio.

    Raises:
        DataError: The file is not a media file.
        MissingExtraError: PyAV is not installed.
        UsageError: The interval is invalid or `rate_hz` is not a positive number.
    """
    _require_positive_number(rate_hz, "rate_hz")
    if not 0 <= start_s <= end_s < math.inf:
        raise UsageError(f"Expected 0 <= start_s <= end_s, but got {start_s} and {end_s}; give a stretch of the file")
    first = round(start_s * rate_hz)
    result = np.zeros(round((end_s - start_s) * rate_hz), dtype=np.float32)
    with open_media(path) as container:
        if audio_stream(container) is None:
            return result
        _seek_or_stay(container, start_s - SEEK_LEAD_S)
        for position, samples in _audio_segments(container, rate_hz, Counter()):
            if position >= first + result.size:
                break
            overlap = samples[max(0, first - position) : max(0, first + result.size - position)]
            offset = max(0, position - first)
            result[offset : offset + overlap.size] = overlap
    return result


def frames(
    path: Path, rate_hz: float = 10.0, *, max_side_px: int = MAX_SIDE_PX, notes: Counter[str] | None = None
) -> Iterator[Frame]:
    """Sample the video of a file at regular times, from its first picture to the end of the last picture.

    The times are multiples of ``1 / rate_hz`` seconds. Each frame is the picture that the video shows at its time,
    upright and with square pixels.

    Args:
        path: Media file.
        rate_hz: Number of frames per second to yield.
        max_side_px: Maximum width and height of a frame; larger pictures are scaled down.
        notes: Counter of messages about damaged or missing data. It is updated in place. If it is None, nothing is
            counted.

    Yields:
        Frames in time order. Nothing is yielded for a file without video.

    Raises:
        DataError: The file is not a media file.
        MissingExtraError: PyAV is not installed.
        UsageError: `rate_hz` or `max_side_px` is not a positive number.
    """
    _require_positive_number(rate_hz, "rate_hz")
    _require_positive_number(max_side_px, "max_side_px")
    counts = notes if notes is not None else Counter()
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
        for frame in decoded(container, stream, counts):
            time_s = stamps.time_s(frame, end_s)
            if shown is None:
                number = max(0, math.ceil((time_s - TIME_EPSILON_S) * rate_hz))
            else:
                while number / rate_hz < time_s - TIME_EPSILON_S:
                    yield Frame(number / rate_hz, shown())
                    number += 1
            # Convert a frame to an image only when it is sampled; most frames are not.
            shown = cache(partial(_upright_image, frame, max_side_px))
            end_s = max(end_s, time_s + (float(frame.duration * frame.time_base) if frame.duration else step_s))
        while shown is not None and number / rate_hz < end_s - TIME_EPSILON_S:
            yield Frame(number / rate_hz, shown())
            number += 1
        _count_missing_seconds(counts, VIDEO_SECONDS_MISSING, stream_end_s(container, stream), end_s)


def _upright_image(frame: Any, max_side_px: int) -> NDArray[np.uint8]:
    """Convert a decoded frame to an upright RGB image (height, width, 3) with square pixels.

    The frame is scaled down to `max_side_px` before the conversion to RGB, so that no RGB image of full size is needed.
    """
    turned = frame.rotation % 180 == 90
    width, height = shown_size(frame)[::-1] if turned else shown_size(frame)
    scale = min(1.0, max_side_px / max(width, height))
    size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
    image = frame.reformat(**size, format="rgb24", interpolation="AREA" if scale < 1 else "BILINEAR").to_ndarray()
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _audio_segments(container: InputContainer, rate_hz: int, notes: Counter[str]) -> Iterator[tuple[int, Samples]]:
    """Decode and resample the audio from the present position of a container to its end.

    Where the timestamps jump or the format changes, a new segment starts.

    Args:
        container: Open container.
        rate_hz: Sample rate of the result.
        notes: Counter that is updated with the numbers of gaps and of damaged packets.

    Yields:
        Successive pieces of the audio: the index of the first sample, counted from time 0, and the mono samples
        (sample,). The pieces are in time order and do not overlap. Nothing is yielded for a gap.
    """
    stream = audio_stream(container)
    if stream is None:
        return
    stamps = Timestamps(container, stream)
    segment: _SegmentResampler | None = None
    n_covered = 0
    for frame in decoded_audio(container, stream, notes):
        expected_s = segment.end_s if segment is not None else n_covered / rate_hz
        time_s = stamps.time_s(frame, expected_s)
        if segment is None or segment.audio_format != _audio_format(frame) or abs(time_s - expected_s) > STAMP_JITTER_S:
            if segment is not None:
                yield from segment.finish()
                n_covered = segment.position
                notes[AUDIO_GAPS] += time_s - expected_s > STAMP_JITTER_S
            segment = _SegmentResampler(_audio_format(frame), time_s, n_covered, rate_hz)
            yield from segment.lead_in(frame)
        yield from segment.add(frame)
    if segment is not None:
        yield from segment.finish()
    if not notes[AUDIO_GAPS]:
        del notes[AUDIO_GAPS]


def _audio_format(frame: Any) -> tuple[str, str, int]:
    """Return the sample format, the channel layout and the sample rate of an audio frame."""
    return frame.format.name, frame.layout.name, frame.sample_rate


class _SegmentResampler:
    """Resamples consecutive audio frames of one format, and mixes them to one channel.

    The start of resampling is moved back to a time at which an input sample and an output sample coincide. Silence
    fills the time up to the first frame. Samples therefore have the same times whether the file is decoded from its
    start or after a seek.

    Args:
        audio_format: Sample format, channel layout and sample rate of the frames.
        start_s: Time of the first frame in seconds.
        n_covered: Number of samples, at `rate_hz`, from time 0 to the end of the audio already yielded. Only later
            samples are yielded.
        rate_hz: Sample rate of the result.
    """

    def __init__(self, audio_format: tuple[str, str, int], start_s: float, n_covered: int, rate_hz: int) -> None:
        from av.audio.layout import AudioLayout
        from av.audio.resampler import AudioResampler

        self.audio_format = audio_format
        rate_in_hz = audio_format[2]
        first_in = round(start_s * rate_in_hz)
        # number of input samples of silence between the start of resampling and the first frame
        self._n_lead_in = first_in % (rate_in_hz // math.gcd(rate_in_hz, rate_hz))
        self._start_s = (first_in - self._n_lead_in) / rate_in_hz
        self._n_in = 0
        first = round(self._start_s * rate_hz)
        # number of resampled samples to discard, because they are before time 0 or were already yielded
        self._n_to_discard = max(0, n_covered - first)
        # end of the yielded samples, as a number of samples from time 0
        self.position = max(first, n_covered)
        # FFmpeg mixes more than two channels to stereo, which includes the voices. `_mono` then averages the two
        # channels, because the level of FFmpeg's mix to mono depends on the sample format.
        n_channels = AudioLayout(audio_format[1]).nb_channels
        self._resampler = AudioResampler("fltp", "stereo" if n_channels > 2 else audio_format[1], rate_hz)

    @property
    def end_s(self) -> float:
        """Time in seconds at which the next frame should start: the end of the frames added so far."""
        return self._start_s + self._n_in / self.audio_format[2]

    def lead_in(self, frame: Any) -> Iterator[tuple[int, Samples]]:
        """Resample the silence that fills the time from the start of resampling to the first frame.

        Args:
            frame: The first frame. The silence gets the same format.

        Yields:
            Index of the first yielded sample, counted from time 0, and the resampled mono samples (sample,).
        """
        if not self._n_lead_in:
            return
        from av.audio.frame import AudioFrame

        values = frame.to_ndarray()
        n_values = self._n_lead_in * values.shape[1] // frame.samples
        zero = 128 if values.dtype == np.uint8 else 0
        silent = np.full((values.shape[0], n_values), zero, dtype=values.dtype)
        silence = AudioFrame.from_ndarray(silent, format=self.audio_format[0], layout=self.audio_format[1])
        silence.sample_rate = self.audio_format[2]
        yield from self.add(silence)

    def add(self, frame: Any) -> Iterator[tuple[int, Samples]]:
        """Resample the next frame.

        Yields:
            Index of the first yielded sample, counted from time 0, and the resampled mono samples (sample,).
        """
        self._n_in += frame.samples
        # Positions are computed from the number of samples. Timestamps with jitter would disturb the resampler.
        frame.pts = None
        return self._mono(self._resampler.resample(frame))

    def finish(self) -> Iterator[tuple[int, Samples]]:
        """Yield the samples that the resampler still buffers, in the same form as `add`."""
        return self._mono(self._resampler.resample(None))

    def _mono(self, resampled: Iterable[Any]) -> Iterator[tuple[int, Samples]]:
        """Mix resampled frames to mono, and remove the samples before time 0 and those that were already yielded.

        Yields:
            Index of the first yielded sample, counted from time 0, and mono samples (sample,).
        """
        for frame in resampled:
            samples: Samples = frame.to_ndarray().mean(axis=0, dtype=np.float32)
            dropped = min(self._n_to_discard, samples.size)
            self._n_to_discard -= dropped
            samples = samples[dropped:]
            if samples.size:
                # A decoder can output NaN or infinity; one such sample would make all features invalid.
                yield self.position, np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
                self.position += samples.size


def _seek_or_stay(container: InputContainer, time_s: float) -> None:
    """Seek to a time in seconds. If the file has no index, the position of the container remains unchanged."""
    from av.error import FFmpegError

    try:
        container.seek(round((max(0.0, time_s) + zero_s(container)) * CONTAINER_TICKS_PER_S))
    except FFmpegError:
        return  # without an index, the audio before the interval is decoded and discarded


def _count_missing_seconds(notes: Counter[str], what: str, header_end_s: float | None, end_s: float) -> None:
    """Add the number of seconds that are missing at the end of a stream to the count of the message `what` in `notes`.

    They are the seconds from the end of the decoded data to the end that the header declares, rounded up. If there are
    at most `END_SLACK_S` of them, nothing is added.
    """
    if header_end_s is not None and header_end_s - end_s > END_SLACK_S:
        notes[what] += math.ceil(header_end_s - end_s)


def _require_positive_number(value: float, name: str) -> None:
    """Raise UsageError unless the parameter with the name `name` is a positive finite number."""
    if not 0 < value < math.inf:
        raise UsageError(f"Expected {name} to be above 0, but got {value}; give a positive number")
