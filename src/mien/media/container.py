"""Access to media files with PyAV: opening, probing and decoding, including damaged files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Messages about data that was lost while a damaged file was decoded. Each is counted.
SKIPPED_PACKETS = "damaged packets skipped"
READING_STOPPED = "reading stopped before the end of a damaged file"
AUDIO_GAPS = "gaps in the audio filled with silence"
CLOCK_RESTARTS = "places where the clock of the file starts again: what follows is put after what is before"
AUDIO_SECONDS_MISSING = "seconds of audio missing at the end, compared with the file's header"
VIDEO_SECONDS_MISSING = "seconds of video missing at the end, compared with the file's header"

# Formats that FFmpeg opens as video although they are not: still images, and text, which it shows as a terminal.
NOT_MEDIA = ("image2", "tty", "svg_pipe")
# Number of packets to try before a stream counts as undecodable. The first packets can contain incomplete pictures,
# which players skip too. The limit avoids reading an undecodable file to its end.
PACKETS_TO_FIRST_FRAME = 500
# frame rate of a stream that does not declare one
FALLBACK_FPS = Fraction(25)
# Formats without a header that states the duration. FFmpeg estimates it from the bit rate of the first packets.
NO_DURATION = frozenset(
    {"aac", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "loas", "latm", "amr", "amrnb", "amrwb"}
)
# A file of MPEG audio states its number of frames in the first one, under one of these names, or nowhere.
MPEG_AUDIO_HEADERS = (b"Xing", b"Info", b"VBRI")
MPEG_AUDIO_HEAD_BYTES = 1 << 16
# formats whose clock may go back inside a file: transport and program streams, and others that may simply be joined
JOINABLE = frozenset({"mpegts", "mpeg", "flv", "ogg", "aac", "asf"})
# The clock has started again if it goes back by more than this. Frames that overlap a little are no restart.
RESTART_S = 1.0
# FFmpeg gives the times of a container in microseconds.
CONTAINER_TICKS_PER_S = 1_000_000


@dataclass(frozen=True)
class MediaFacts:
    """Duration of a media file, and whether it has audio and video.

    Attributes:
        duration_s: Duration in seconds, measured from the start time of the container. It is the longest duration in
            the headers of the file and its streams. If the headers have none, it is the end of the last packet, or 0.
        has_audio: Whether the file has audio that can be decoded.
        has_video: Whether the file has video that can be decoded.
    """

    duration_s: float
    has_audio: bool
    has_video: bool


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading, as a context manager that closes the file at the end.

    Raises:
        DataError: The file is missing or unreadable, or it is not a media file.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "media") from error
    if not path.is_file():
        raise DataError(f"Expected a video or audio file at {path}, but got no file there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected a video or audio file, but got {path} with zero bytes; copy or download it again")
    try:
        # The prefix "file:" prevents FFmpeg from interpreting a file name like "pipe:0" as a protocol. The whitelist
        # prevents network access.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except PermissionError:
        raise DataError(f"Expected {path} to be readable, but got no permission; change its permissions") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"Expected a video or audio file, but got {path} ({_opening_failure(path, error)})") from None
    with container:
        name = container.format.name
        if name in NOT_MEDIA or name.endswith("_pipe") or not (container.streams.video or container.streams.audio):
            raise DataError(
                f"Expected a video or audio file, but got {path} without moving picture or sound ({name}); "
                "give a file that a video player plays"
            )
        yield container


def probe(path: Path) -> MediaFacts:
    """Return the duration of a media file and whether it has audio and video that can be decoded.

    Raises:
        DataError: The file is not a media file, or neither its audio nor its video can be decoded.
        MissingExtraError: PyAV is not installed.
    """
    # The file is opened once per stream, because some formats cannot seek back to the start after the first read.
    with open_media(path) as container:
        has_audio = _is_decodable(container, audio_stream(container))
        header_s = header_duration_s(container)
    with open_media(path) as container:
        has_video = _is_decodable(container, video_stream(container))
    if not has_audio and not has_video:
        raise DataError(
            f"Expected a video or audio file, but got {path}, of which nothing can be decoded; "
            "it is damaged or its codec is unknown: export it again, for example as H.264 and AAC"
        )
    return MediaFacts(header_s or _scanned_duration_s(path), has_audio, has_video)


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """Return the audio streams that can be decoded, in the order of the file."""
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def audio_stream(container: InputContainer, track: int = 0) -> AudioStream | None:
    """Return one of the audio streams.

    Args:
        container: Open container.
        track: Index in `audio_streams`.

    Returns:
        The stream, or None if the file has no such stream.
    """
    streams = audio_streams(container)
    return streams[track] if track < len(streams) else None


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream that a player selects, or None if the file has no video stream.

    Cover art does not count as video.
    """
    from av.stream import Disposition

    moving = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return next((stream for stream in moving if stream is best), moving[0] if moving else None)


def decoded(container: InputContainer, stream: Stream, notes: Counter[str]) -> Iterator[Any]:
    """Decode all frames of a stream, and skip damaged packets.

    Args:
        container: Open container.
        stream: Audio or video stream of the container.
        notes: Counter of messages about damaged data. It is updated in place. It counts the skipped packets, and
            whether reading stopped before the end of the file.

    Yields:
        PyAV frames in the order in which the decoder returns them.
    """
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


def clock_joins_s(container: InputContainer) -> tuple[float, ...]:
    """Find where the clock of a file goes back by more than `RESTART_S`, as in streams that were joined.

    Returns:
        For each place, what is to be added to the times after it, in seconds, so that they follow those before it in
        all streams. Empty for formats whose clock cannot go back.
    """
    path = Path(container.name.removeprefix("file:"))
    if not set(container.format.name.split(",")) & JOINABLE or not path.is_file():
        return ()
    status = path.stat()
    return _clock_joins_s(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _clock_joins_s(path: Path, _size: int, _mtime_ns: int) -> tuple[float, ...]:
    from av.error import FFmpegError

    # by stream, for each of its parts between two restarts: start and end in seconds
    parts: dict[int, list[list[float]]] = {}
    with open_media(path) as container, suppress(FFmpegError):
        start_s = zero_s(container)
        for packet in container.demux():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.time_base:
                continue
            time_s = float(stamp * packet.time_base) - start_s
            end_s = time_s + float((packet.duration or 0) * packet.time_base)
            known = parts.setdefault(packet.stream.index, [[time_s, end_s]])
            if known[-1][1] - time_s > RESTART_S:
                known.append([time_s, end_s])
            known[-1] = [min(known[-1][0], time_s), max(known[-1][1], end_s)]
    joins_s: list[float] = []
    for number in range(1, max(map(len, parts.values()), default=0)):
        before = [each[number - 1][1] for each in parts.values() if len(each) >= number]
        after = [each[number][0] for each in parts.values() if len(each) > number]
        joins_s.append((joins_s[-1] if joins_s else 0.0) + max(before) - min(after))
    return tuple(joins_s)


def zero_s(container: InputContainer) -> float:
    """Return the time in seconds at which a container starts on its own clock. Players show this time as zero."""
    return (container.start_time or 0) / CONTAINER_TICKS_PER_S


def seek_or_stay(container: InputContainer, time_s: float) -> bool:
    """Seek to a time since the container's start.

    Args:
        container: Open container.
        time_s: Time in seconds; a negative one is the start.

    Returns:
        Whether the file has an index. If it has none, the position of the container remains unchanged.
    """
    from av.error import FFmpegError

    try:
        container.seek(round((max(0.0, time_s) + zero_s(container)) * CONTAINER_TICKS_PER_S))
    except FFmpegError:
        return False
    return True


def stream_end_s(container: InputContainer, stream: Stream) -> float | None:
    """Return the end of a stream according to the file's header.

    Args:
        container: Open container.
        stream: Stream of the container.

    Returns:
        Seconds since the container's start, or None if the header has no duration for the stream.
    """
    if stream.duration is None or not stream.time_base or _is_estimated(container) or clock_joins_s(container):
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero_s(container)


def frame_step_s(stream: VideoStream) -> float:
    """Return the time in seconds between two successive frames of a stream.

    The time is computed from the stream's frame rate. If the stream declares no rate, `FALLBACK_FPS` is used.
    """
    return float(1 / (stream.average_rate or stream.guessed_rate or FALLBACK_FPS))


def shown_size(frame: Any) -> tuple[int, int]:
    """Return the width and height of a frame as players show it: upright and with square pixels."""
    aspect = frame.sample_aspect_ratio if hasattr(frame, "sample_aspect_ratio") else None
    width, height = frame.width, frame.height
    if aspect and Fraction(1, 4) < aspect < 4:
        width = max(1, round(width * aspect))
    return (height, width) if frame.rotation % 180 == 90 else (width, height)


def _is_decodable(container: InputContainer, stream: Stream | None) -> bool:
    """Return whether a frame can be decoded from the first packets of a stream. Return False if the stream is None."""
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


def header_duration_s(container: InputContainer) -> float:
    """Return the longest duration, in seconds, in the headers of a container and its streams; 0 if they have none.

    A duration that FFmpeg only estimates from the bit rate does not count.
    """
    if _is_estimated(container) or clock_joins_s(container):
        return 0.0
    durations = [stream_end_s(container, stream) or 0.0 for stream in container.streams]
    return max([*durations, (container.duration or 0) / CONTAINER_TICKS_PER_S])


def _is_estimated(container: InputContainer) -> bool:
    """Return whether FFmpeg estimates the duration of a container."""
    names = set(container.format.name.split(","))
    if names & NO_DURATION:
        return True
    if not names & {"mp3", "mp2"}:
        return False
    with open(container.name.removeprefix("file:"), "rb") as handle:
        head = handle.read(MPEG_AUDIO_HEAD_BYTES)
    return not any(name in head for name in MPEG_AUDIO_HEADERS)


def _scanned_duration_s(path: Path) -> float:
    """Read all packets of a file, and return the end of the last one in seconds since the container's start.

    This end is used as the duration of files whose headers have no duration, such as recordings by browsers.
    """
    from av.error import FFmpegError

    end_s, join_s = 0.0, 0.0
    before_s: dict[int, float] = {}
    with open_media(path) as container, suppress(FFmpegError):  # the packets before damaged data are used
        joins_s = clock_joins_s(container)
        restarts: Counter[int] = Counter()
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                packet_end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - zero_s(container)
                stream = packet.stream.index
                if before_s.get(stream, 0.0) - packet_end_s > RESTART_S and restarts[stream] < len(joins_s):
                    restarts[stream] += 1
                before_s[stream] = packet_end_s
                join_s = joins_s[restarts[stream] - 1] if restarts[stream] else 0.0
                end_s = max(end_s, packet_end_s + join_s)
    return end_s


def _opening_failure(path: Path, error: Exception) -> str:
    """Return the message that says why FFmpeg cannot open a file, and what the user can do."""
    with open(path, "rb") as handle:
        start = handle.read(12)
    if start[4:8] == b"ftyp":
        return "an MP4 whose index, the moov box at its end, is missing: it was cut; copy or download it again"
    text = str(error).split("; last error")[0].split(": 'file:")[0].strip()
    return f"{text or type(error).__name__}: no media file, or damaged; give a file that a video player plays"
