"""Open a media file with PyAV, say what is in it, and hand over its decoded frames whatever state it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# What is counted while decoding, so that a caller can tell what a damaged file lost.
SKIPPED_PACKETS = "damaged packets skipped"
READING_STOPPED = "reading stopped before the end of a damaged file"
AUDIO_GAPS = "gaps in the audio filled with silence"
AUDIO_SECONDS_MISSING = "seconds of audio missing at the end, compared with the file's header"
VIDEO_SECONDS_MISSING = "seconds of video missing at the end, compared with the file's header"

# FFmpeg also opens pictures, and text as a moving terminal picture
NOT_MEDIA = ("image2", "tty", "svg_pipe")
# Enough to pass what players skip too (cut pictures at the start), too few to read a whole file of nothing
PACKETS_TO_FIRST_FRAME = 500
# a stamp this far behind the file's end is wrong: the frame follows the one before it
STAMP_SLACK_S = 10.0
FALLBACK_FPS = Fraction(25)
# FFmpeg counts a container's times in millionths of a second
CONTAINER_TICKS_PER_S = 1_000_000


@dataclass(frozen=True)
class MediaFacts:
    """What a media file holds. Times count from the container's own start, as players show them."""

    # longest of header, streams and (where none of them tells) packets; 0 if nothing does
    duration_s: float
    has_audio: bool
    has_video: bool


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading. Raises DataError if it is none, MissingExtraError without PyAV."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "media") from error
    if not path.is_file():
        raise DataError(f"Expected a video or audio file at {path}, but got no file there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected a video or audio file, but got {path} with zero bytes; copy or download it again")
    try:
        # "file:" keeps FFmpeg from reading a protocol into a name ("pipe:0"), the list from leaving this machine
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except PermissionError:
        raise DataError(f"Expected {path} to be readable, but got no permission; change its permissions") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"Expected a video or audio file, but got {path} ({_reason(path, error)})") from None
    with container:
        name = container.format.name
        if name in NOT_MEDIA or name.endswith("_pipe") or not (container.streams.video or container.streams.audio):
            raise DataError(
                f"Expected a video or audio file, but got {path} without moving picture or sound ({name}); "
                "give a file that a video player plays"
            )
        yield container


def probe(path: Path) -> MediaFacts:
    """What is in a media file. A stream counts only if something of it can be decoded.

    Raises DataError if the file is no media file or nothing of it can be decoded; MissingExtraError without PyAV.
    """
    # Opened once for each: formats that cannot go back to their start lose it to the first reader.
    with open_media(path) as container:
        has_audio = _decodes(container, audio_stream(container))
        known_s = _header_duration_s(container)
    with open_media(path) as container:
        has_video = _decodes(container, video_stream(container))
    if not has_audio and not has_video:
        raise DataError(
            f"Expected a video or audio file, but got {path}, of which nothing can be decoded; "
            "it is damaged or its codec is unknown: export it again, for example as H.264 and AAC"
        )
    return MediaFacts(known_s or _scanned_duration_s(path), has_audio, has_video)


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The sound a player would play, or None."""
    stream = container.streams.best("audio")
    return stream if stream is not None and stream.codec_context is not None else None  # type: ignore[return-value]


def video_stream(container: InputContainer) -> VideoStream | None:
    """The picture a player would show, or None; the cover of a song is no video."""
    from av.stream import Disposition

    moving = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return next((stream for stream in moving if stream is best), moving[0] if moving else None)


def decoded(container: InputContainer, stream: Stream, notes: Counter[str]) -> Iterator[Any]:
    """Every frame of a stream that can be decoded; what cannot is counted in `notes` and stepped over."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (FFmpegError, OSError):
            notes[READING_STOPPED] += 1
            break
        try:
            frames = packet.decode()
        except FFmpegError:
            notes[SKIPPED_PACKETS] += 1
            continue
        yield from frames
    try:
        yield from stream.codec_context.decode(None)  # type: ignore[attr-defined]
    except FFmpegError:
        return


class Timestamps:
    """Seconds since the container's start for the frames of one stream, also where stamps are absent or absurd."""

    def __init__(self, container: InputContainer, stream: Stream) -> None:
        self._zero_s = zero_s(container)
        known_s = _header_duration_s(container)
        self._latest_s = known_s + STAMP_SLACK_S if known_s else float("inf")
        self._time_base = stream.time_base

    def time_s(self, frame: Any, expected_s: float) -> float:
        """When a frame is presented; `expected_s` if its stamp cannot be believed."""
        time_base = frame.time_base or self._time_base
        if frame.pts is None or not time_base:
            return expected_s
        time_s = float(frame.pts * time_base) - self._zero_s
        return time_s if time_s <= self._latest_s else expected_s


def zero_s(container: InputContainer) -> float:
    """The stamp that players call zero."""
    return (container.start_time or 0) / CONTAINER_TICKS_PER_S


def stream_end_s(container: InputContainer, stream: Stream) -> float | None:
    """Where the file's header says that a stream ends, or None."""
    if stream.duration is None or not stream.time_base:
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero_s(container)


def frame_step_s(stream: VideoStream) -> float:
    """How long a frame is shown where nothing says so."""
    return float(1 / (stream.average_rate or stream.guessed_rate or FALLBACK_FPS))


def shown_size(frame: Any) -> tuple[int, int]:
    """Width and height of a frame as a player shows it: square pixels, turned upright."""
    aspect = frame.sample_aspect_ratio if hasattr(frame, "sample_aspect_ratio") else None
    width, height = frame.width, frame.height
    if aspect and Fraction(1, 4) < aspect < 4:
        width = max(1, round(width * aspect))
    return (height, width) if frame.rotation % 180 == 90 else (width, height)


def _decodes(container: InputContainer, stream: Stream | None) -> bool:
    """Whether there is a frame among the first packets of a stream."""
    if stream is None:
        return False
    from av.error import FFmpegError

    packets = container.demux(stream)
    for _ in range(PACKETS_TO_FIRST_FRAME):
        try:
            if next(packets).decode():
                return True
        except StopIteration:
            return False
        except FFmpegError:
            continue
    return False


def _header_duration_s(container: InputContainer) -> float:
    durations = [stream_end_s(container, stream) or 0.0 for stream in container.streams]
    return max([*durations, (container.duration or 0) / CONTAINER_TICKS_PER_S])


def _scanned_duration_s(path: Path) -> float:
    """The end of the last packet: recordings made by browsers carry no duration."""
    from av.error import FFmpegError

    end_s = 0.0
    with open_media(path) as container, suppress(FFmpegError):  # what was read counts
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                stop = float((packet.pts + (packet.duration or 0)) * packet.time_base) - zero_s(container)
                end_s = max(end_s, stop)
    return end_s


def _reason(path: Path, error: Exception) -> str:
    with open(path, "rb") as handle:
        start = handle.read(12)
    if start[4:8] == b"ftyp":
        return "an MP4 whose index, the moov box at its end, is missing: it was cut; copy or download it again"
    text = str(error).split("; last error")[0].split(": 'file:")[0].strip()
    return f"{text or type(error).__name__}: no media file, or damaged; give a file that a video player plays"
