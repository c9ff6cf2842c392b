"""Streaming of the audio and video of a media file. The required memory does not depend on the duration of the file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.media.audio_frames import SegmentResampler, audio_format_of, decoded_audio
from mien.media.container import (
    AUDIO_GAPS,
    AUDIO_SECONDS_MISSING,
    CLOCK_RESTARTS,
    RESTART_S,
    VIDEO_SECONDS_MISSING,
    audio_stream,
    clock_joins_s,
    decoded,
    frame_step_s,
    header_duration_s,
    open_media,
    seek_or_stay,
    shown_size,
    stream_end_s,
    video_stream,
    zero_s,
)
from mien.media.sound import SoundChoice, choose_sound

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

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
# A picture is shown for at most this long after its end, if none follows. Later times have no picture.
LONGEST_FREEZE_S = 10.0

# A timestamp that exceeds the duration of the file by more than this is wrong; the end of the previous frame is used.
STAMP_SLACK_S = 10.0

Samples = NDArray[np.float32]


class Timestamps:
    """Computes the presentation times of the frames of one stream, in seconds since the container's start.

    Where the timestamp of a frame is missing or implausible, an estimate that the caller passes is used. If the clock
    of the file goes back by more than `RESTART_S`, as in files that were joined, the frames after it follow the ones
    before it.

    Args:
        container: Open container.
        stream: Audio or video stream of the container.
    """

    def __init__(self, container: InputContainer, stream: Stream) -> None:
        self._zero_s = zero_s(container)
        header_s = header_duration_s(container)
        self._latest_s = header_s + STAMP_SLACK_S if header_s else float("inf")
        self._time_base = stream.time_base
        self._joins_s = clock_joins_s(container)
        self._before_s: float | None = None
        # what is added to the time of a frame since the clock went back
        self._offset_s = 0.0
        self.n_restarts = 0

    def time_s(self, frame: Any, expected_s: float) -> float:
        """Return the presentation time of a frame.

        Args:
            frame: PyAV frame of the stream.
            expected_s: Estimated time in seconds, which is used if the timestamp of the frame is missing or far beyond
                the end of the file.

        Returns:
            Seconds since the container's start.
        """
        time_base = frame.time_base or self._time_base
        if frame.pts is None or not time_base:
            return expected_s
        time_s = float(frame.pts * time_base) - self._zero_s
        if self._before_s is not None and self._before_s - time_s > RESTART_S:
            known = self.n_restarts < len(self._joins_s)
            self._offset_s = self._joins_s[self.n_restarts] if known else expected_s - time_s
            self.n_restarts += 1
        self._before_s = time_s
        time_s += self._offset_s
        return time_s if self.n_restarts or time_s <= self._latest_s else expected_s


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
    path: Path,
    rate_hz: int = AUDIO_RATE_HZ,
    *,
    chunk_s: float = CHUNK_S,
    notes: Counter[str] | None = None,
    track: int | None = None,
    channel: int | None = None,
) -> Iterator[AudioChunk]:
    """Read the audio of a file from time 0 in consecutive chunks.

    All channels are mixed to one channel, unless `channel` is given or `mien.media.sound` chooses one. Gaps in the
    audio, and the time before audio that starts late, are filled with silence. Therefore, the sample with index k of
    the whole stream always has the time ``k / rate_hz``.

    Args:
        path: Media file.
        rate_hz: Sample rate of the chunks.
        chunk_s: Duration of a chunk in seconds; the last chunk can be shorter.
        notes: Counter of messages about damaged or missing data. It is updated in place. If it is None, nothing is
            counted.
        track: Number of the sound track, from 1; None chooses it, see `mien.media.sound.choose_sound`.
        channel: Index of the only channel to read; None reads what `choose_sound` chooses.

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
    sound = _sound_of(path, track, channel)
    with open_media(path) as container:
        stream = audio_stream(container, sound.track)
        if stream is None:
            return
        counts.update(sound.notes)
        chunk_start = 0
        block = np.zeros(size, dtype=np.float32)
        end = 0
        for position, samples in _audio_segments(container, sound, rate_hz, counts):
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


def read_audio(
    path: Path,
    start_s: float,
    end_s: float,
    rate_hz: int = AUDIO_RATE_HZ,
    *,
    track: int | None = None,
    channel: int | None = None,
) -> Samples:
    """Read an interval of the audio of a file. If the file has an index, the audio before the interval is skipped.

    Args:
        path: Media file.
        start_s: Start of the interval in seconds.
        end_s: End of the interval in seconds.
        rate_hz: Sample rate of the result.
        track: Number of the sound track, from 1; None chooses it, see `mien.media.sound.choose_sound`.
        channel: Index of the only channel to read; None reads what `choose_sound` chooses.

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
    sound = _sound_of(path, track, channel)
    with open_media(path) as container:
        if audio_stream(container, sound.track) is None:
            return result
        if not clock_joins_s(container):  # else the same time occurs several times
            # without an index, the audio before the interval is decoded and discarded
            seek_or_stay(container, start_s - SEEK_LEAD_S)
        for position, samples in _audio_segments(container, sound, rate_hz, Counter()):
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
            if shown is not None and time_s - end_s > LONGEST_FREEZE_S:
                # the clock jumps: the last picture is not shown all the time
                while number / rate_hz < end_s + LONGEST_FREEZE_S:
                    yield Frame(number / rate_hz, shown())
                    number += 1
                shown = None
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


def _sound_of(path: Path, track: int | None, channel: int | None) -> SoundChoice:
    """Return the chosen sound of a file, with another channel if one is given."""
    sound = choose_sound(path, track)
    return sound if channel is None else replace(sound, channel=channel)


def _audio_segments(
    container: InputContainer, sound: SoundChoice, rate_hz: int, notes: Counter[str]
) -> Iterator[tuple[int, Samples]]:
    """Decode and resample the audio from the present position of a container to its end.

    Where the timestamps jump or the format changes, a new segment starts.

    Args:
        container: Open container.
        sound: The track, and the channel if only one is heard.
        rate_hz: Sample rate of the result.
        notes: Counter that is updated with the numbers of gaps, restarts of the clock and damaged packets.

    Yields:
        Successive pieces of the audio: the index of the first sample, counted from time 0, and the mono samples
        (sample,). The pieces are in time order and do not overlap. Nothing is yielded for a gap.
    """
    stream = audio_stream(container, sound.track)
    if stream is None:
        return
    stamps = Timestamps(container, stream)
    segment: SegmentResampler | None = None
    n_covered = 0
    for frame in decoded_audio(container, stream, notes, sound.channel):
        expected_s = segment.end_s if segment is not None else n_covered / rate_hz
        time_s = stamps.time_s(frame, expected_s)
        audio_format = audio_format_of(frame)
        if segment is None or segment.audio_format != audio_format or abs(time_s - expected_s) > STAMP_JITTER_S:
            if segment is not None:
                yield from segment.finish()
                n_covered = segment.position
                notes[AUDIO_GAPS] += time_s - expected_s > STAMP_JITTER_S
            segment = SegmentResampler(audio_format, time_s, n_covered, rate_hz)
            yield from segment.lead_in(frame)
        yield from segment.add(frame)
    if segment is not None:
        yield from segment.finish()
    notes[CLOCK_RESTARTS] += stamps.n_restarts
    for rule in (AUDIO_GAPS, CLOCK_RESTARTS):
        if not notes[rule]:
            del notes[rule]


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
