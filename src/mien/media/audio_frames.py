"""Frames of audio: decoding, single channels, and resampling to one channel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.media.container import SKIPPED_PACKETS, decoded
from mien.schema import FloatArray

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

Samples = NDArray[np.float32]
# PyAV reads beyond the list of planes of a frame if it has this many or more.
UNREADABLE_PLANES = 8
# type of samples -> full scale
_FULL_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0}


def decoded_audio(
    container: InputContainer, stream: Stream, notes: Counter[str], channel: int | None = None
) -> Iterator[Any]:
    """Decode all audio frames of a stream, and skip damaged packets and frames in formats that cannot be converted.

    Frames with many planes are mixed to stereo, because PyAV reads beyond the end of their list of planes.

    Args:
        container: Open container.
        stream: Audio stream of the container.
        notes: Counter of messages about damaged data. It is updated in place.
        channel: Index of the only channel to keep; None keeps all.

    Yields:
        PyAV frames with at least one sample, in the order in which the decoder returns them.
    """
    from av.audio.resampler import AudioResampler
    from av.error import FFmpegError

    mixers: dict[tuple[str, str, int], AudioResampler] = {}
    for frame in decoded(container, stream, notes):
        if not frame.sample_rate or not frame.samples:
            continue
        if channel is not None and channel < frame.layout.nb_channels:
            try:
                yield one_channel(frame, channel)
            except FFmpegError:
                notes[SKIPPED_PACKETS] += 1
            continue
        if not frame.format.is_planar or frame.layout.nb_channels < UNREADABLE_PLANES:
            yield frame
            continue
        audio_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if audio_format not in mixers:
            mixers[audio_format] = AudioResampler("fltp", "stereo", frame.sample_rate)
        try:
            yield from mixers[audio_format].resample(frame)
        except FFmpegError:
            notes[SKIPPED_PACKETS] += 1


def frame_channels(frame: Any) -> FloatArray:
    """Return the samples of a decoded frame as (channel, sample), with 1 as full scale."""
    n_channels = frame.layout.nb_channels
    if frame.format.is_planar and n_channels >= UNREADABLE_PLANES:
        from av.audio.resampler import AudioResampler

        packed = AudioResampler(frame.format.packed.name, frame.layout.name, frame.sample_rate).resample(frame)
        values = np.concatenate([each.to_ndarray().reshape(-1, n_channels) for each in packed]).T
    else:
        values = frame.to_ndarray()
        values = values if frame.format.is_planar else values.reshape(-1, n_channels).T
    scale = _FULL_SCALE.get(values.dtype.str[1:], 1.0)
    offset = 128.0 if values.dtype == np.uint8 else 0.0
    samples: FloatArray = np.nan_to_num((values.astype(np.float32) - offset) / scale, posinf=0.0, neginf=0.0)
    return samples


def one_channel(frame: Any, channel: int) -> Any:
    """Return one channel of a decoded frame.

    Args:
        frame: PyAV frame.
        channel: Index of the channel.

    Returns:
        PyAV frame with one channel and the same time.
    """
    from av.audio.frame import AudioFrame

    samples = frame_channels(frame)[channel : channel + 1]
    mono = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
    mono.sample_rate, mono.pts, mono.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mono


def audio_format_of(frame: Any) -> tuple[str, str, int]:
    """Return the sample format, the channel layout and the sample rate of an audio frame."""
    return frame.format.name, frame.layout.name, frame.sample_rate


class SegmentResampler:
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
