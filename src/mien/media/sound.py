"""Which sound of a recording is heard: the track with speech, and which of its channels, mixed or by themselves.

The choice is made once per file from a few short stretches, so that recognition, features and measurements agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import UsageError
from mien.media.audio_frames import frame_channels
from mien.media.channels import RATE_HZ, speaking_channels, speech_hops
from mien.media.container import (
    audio_stream,
    audio_streams,
    header_duration_s,
    open_media,
    seek_or_stay,
)
from mien.schema import FloatArray

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# A choice is made from this many stretches of this length, spread over the file.
N_STRETCHES = 4
STRETCH_S = 6.0
# The mix of all channels is not used if it is quieter than the loudest channel by this factor (12 dB).
CANCELLED = 0.25
# Another track is taken if the first one has at most this share of speech, and the other one at least three times it.
LITTLE_SPEECH = 0.1
MUCH_MORE = 3.0
# Two channels are compared in more stretches, because each of two persons must be heard in them.
N_COMPARED = 8
# beginnings of the messages about a choice
TRACK_HEARD = "sound track "
CHANNELS_CANCEL = "the channels cancel each other"
POSITIONS_UNKNOWN = "positions of the channels are not known"
ONE_SPEAKS = "only channel "


@dataclass(frozen=True)
class SoundTrack:
    """Description of a sound track. `number` counts from 1, in the order of the file."""

    number: int
    codec: str
    layout: str
    language: str = ""
    title: str = ""
    is_default: bool = False

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.language, self.title, self.codec, self.layout]))


@dataclass(frozen=True)
class SoundChoice:
    """The sound that is heard.

    Attributes:
        track: Index among the sound tracks of the file.
        channel: Index of the channel that is heard alone; None: all channels are mixed.
        is_conversation: Whether the track has two channels with different speech, see `mien.media.channels`.
        notes: Messages that tell what was chosen; empty if there was no choice.
    """

    track: int = 0
    channel: int | None = None
    is_conversation: bool = False
    notes: tuple[str, ...] = ()


def sound_tracks(container: InputContainer) -> list[SoundTrack]:
    """List the sound tracks of an open container."""
    return [_description(number, stream) for number, stream in enumerate(audio_streams(container), start=1)]


def choose_sound(path: Path, track: int | None = None) -> SoundChoice:
    """Choose the sound track and the channel of a recording.

    The first track is taken, as players do, unless hardly anybody speaks in it and far more in another one.

    Args:
        path: Media file.
        track: Number of the track that the user wants, from 1; None chooses.

    Returns:
        The choice, the same for every call while the file is unchanged.

    Raises:
        UsageError: The file has no track of this number.
        DataError: The file is not a media file.
        MissingExtraError: PyAV is not installed.
    """
    status = path.stat() if path.is_file() else None
    return _choose_sound(path, track, status and (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=64)
def _choose_sound(path: Path, track: int | None, _version: tuple[int, int] | None) -> SoundChoice:
    with open_media(path) as container:
        tracks = sound_tracks(container)
    if track is not None and not 1 <= track <= len(tracks):
        listed = "; ".join(f"{each.number}: {each}" for each in tracks) or "no sound track"
        raise UsageError(f"Expected --audio-track to be one of {path.name}, but got {track}; it has {listed}")
    if not tracks:
        return SoundChoice()
    if len(tracks) == 1:
        return _with_speakers(path, _with_channel(path, SoundChoice()))
    choices = [SoundChoice(number) for number in range(len(tracks))]
    if track is not None:
        chosen, why = _with_channel(path, choices[track - 1]), "--audio-track"
    else:
        choices = [_with_channel(path, choice) for choice in choices]
        shares = [_speech_share(path, choice) for choice in choices]
        first = next((number for number, each in enumerate(tracks) if each.is_default), 0)
        best = max(range(len(shares)), key=lambda number: (shares[number], number == first))
        is_better = shares[first] <= LITTLE_SPEECH and shares[best] >= max(MUCH_MORE * shares[first], LITTLE_SPEECH)
        chosen, why = (choices[best], "most speech") if is_better else (choices[first], "the one that players take")
    chosen = _with_speakers(path, chosen)
    taken = tracks[chosen.track]
    note = f"{TRACK_HEARD}{taken.number} of {len(tracks)} is heard ({taken}; {why}); for another one: --audio-track"
    return replace(chosen, notes=(note, *chosen.notes))


def _description(number: int, stream: AudioStream) -> SoundTrack:
    from av.stream import Disposition

    context = stream.codec_context
    layout = context.layout.name if context.layout else ""
    if layout in ("1 channels", "2 channels"):
        layout = "mono" if layout.startswith("1") else "stereo"
    return SoundTrack(
        number,
        context.name,
        layout,
        stream.metadata.get("language", "").replace("und", ""),
        stream.metadata.get("title", ""),
        bool(stream.disposition & Disposition.default),
    )


def _with_channel(path: Path, choice: SoundChoice) -> SoundChoice:
    """Return the choice with one channel if the channels cancel each other, or have no known positions."""
    stretches = [channels for channels, _ in _stretches(path, choice.track) if channels.size]
    if not stretches or len({len(channels) for channels in stretches}) != 1 or len(stretches[0]) == 1:
        return choice
    channels = np.concatenate(stretches, axis=1)
    with open_media(path) as container:
        stream = audio_stream(container, choice.track)
        layout = stream.codec_context.layout.name if stream and stream.codec_context.layout else ""
    loudness = np.sqrt((channels.astype(np.float64) ** 2).mean(axis=1))
    mix = np.sqrt((channels.mean(axis=0, dtype=np.float64) ** 2).mean())
    # FFmpeg mixes channels whose positions it knows, such as 5.1, so that all are heard
    is_mixed_well = len(channels) > 2 and not layout.endswith("channels")
    if mix >= CANCELLED * loudness.max() or is_mixed_well:
        return choice
    loudest = int(loudness.argmax())
    why = CHANNELS_CANCEL if len(channels) == 2 else POSITIONS_UNKNOWN
    note = f"{why}: channel {loudest + 1} of {len(channels)} is heard, the loudest"
    return replace(choice, channel=loudest, notes=(note,))


def _with_speakers(path: Path, choice: SoundChoice) -> SoundChoice:
    """Return the choice after a comparison of two channels: of one with speech, or of both as a conversation."""
    if choice.channel is not None:
        return choice
    stretches = []
    for channels, rate_hz in _stretches(path, choice.track, N_COMPARED):
        if len(channels) != 2:
            return choice
        stretches.append(np.stack([_resampled(channel, rate_hz) for channel in channels]))
    try:
        speaking = speaking_channels(stretches) if stretches else ()
    except ImportError:  # speech cannot be detected
        return choice
    if len(speaking) == 2:
        return replace(choice, is_conversation=True)
    if not speaking:
        return choice
    note = f"{ONE_SPEAKS}{speaking[0] + 1} of 2 holds speech: it is heard without the sound of the other one"
    return replace(choice, channel=speaking[0], notes=(note,))


def _speech_share(path: Path, choice: SoundChoice) -> float:
    """Return the share of the stretches of a track in which somebody speaks; 0 if speech cannot be detected."""
    shares = []
    for channels, rate_hz in _stretches(path, choice.track):
        mono = channels[choice.channel] if choice.channel is not None else channels.mean(axis=0)
        samples = _resampled(mono, rate_hz)
        try:
            shares += [float(speech_hops(samples).mean())] if samples.size else []
        except ImportError:
            return 0.0
    return float(np.mean(shares)) if shares else 0.0


def _resampled(samples: FloatArray, rate_hz: int) -> FloatArray:
    """Return mono samples at `RATE_HZ`, linearly interpolated, which suffices to tell speech."""
    n = round(samples.size * RATE_HZ / rate_hz)
    places = np.arange(n) * rate_hz / RATE_HZ
    result: FloatArray = np.interp(places, np.arange(samples.size), samples).astype(np.float32)
    return result


def _stretches(path: Path, track: int, n_stretches: int = N_STRETCHES) -> Iterator[tuple[FloatArray, int]]:
    """Yield the samples (channel, sample) and the rate in Hz of short stretches of a track, spread over the file.

    A file that is hardly longer than the stretches is one stretch.
    """
    with open_media(path) as container:
        stream = audio_stream(container, track)
        if stream is None:
            return
        duration_s = header_duration_s(container)
        long_enough = duration_s > 2 * n_stretches * STRETCH_S
        starts_s = list(duration_s * np.linspace(0.05, 0.95, n_stretches)) if long_enough else [0.0]
        length_s = STRETCH_S if long_enough else 2 * n_stretches * STRETCH_S
        for start_s in starts_s:
            has_index = long_enough and seek_or_stay(container, start_s)
            frames = _frames_of(container, stream, length_s)
            if frames:
                n_channels = frames[0].layout.nb_channels
                alike = [frame for frame in frames if frame.layout.nb_channels == n_channels]
                yield np.concatenate([frame_channels(frame) for frame in alike], axis=1), frames[0].sample_rate
            if not has_index:  # further stretches would only go on from here
                return


def _frames_of(container: InputContainer, stream: AudioStream, length_s: float) -> Sequence[Any]:
    """Decode the next frames of a stream; damaged packets are skipped."""
    from av.error import FFmpegError

    frames: list[Any] = []
    decoded_s = 0.0
    packets = container.demux(stream)
    while decoded_s < length_s:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError, OSError):
            break
        try:
            new = [frame for frame in packet.decode() if frame.sample_rate and frame.samples]
        except FFmpegError:
            continue
        frames += new
        decoded_s += sum(frame.samples / frame.sample_rate for frame in new)
    return frames
