"""Detection of speech in streamed audio, with the Silero network that faster-whisper includes.

`SpeechDetector` divides the audio into windows for speech recognition. It buffers only a short part of the audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingExtraError
from mien.media.decode import AUDIO_RATE_HZ, AudioChunk

# Number of samples per hop. The network computes one speech probability per hop, which lasts 32 ms.
HOP = 512
HOP_S = HOP / AUDIO_RATE_HZ
# The network is recurrent. After this number of hops, its probabilities no longer depend on its initial state.
WARM_UP_HOPS = 32
# Speech starts when the probability reaches the threshold. It continues while the probability is below the threshold by
# at most this much.
HYSTERESIS = 0.15
# Maximum length of a window. Whisper processes 30 s at once; a shorter window leaves time for surrounding silence.
WINDOW_S = 29.0
# A longer silence ends a window, because Whisper invents words in silence.
MAX_SILENCE_S = 2.0
# silence that a window includes before and after the speech
MARGIN_S = 0.4


@dataclass(frozen=True)
class Window:
    """An interval of the audio that is passed to speech recognition in one call.

    Attributes:
        start_s: Start of the window in seconds.
        stop_s: End of the window in seconds.
        speech_end_s: End of the last speech segment in the window, in seconds.
        goes_on: Whether speech continues after the window, without a silence longer than `MAX_SILENCE_S`.
    """

    start_s: float
    stop_s: float
    speech_end_s: float
    goes_on: bool


class SpeechDetector:
    """Detects speech in streamed audio, and divides the audio into windows for speech recognition.

    Only the audio around the current position is in memory.

    Args:
        chunks: Consecutive chunks of mono audio at `AUDIO_RATE_HZ`.
        threshold: Probability at which speech starts, in [0, 1].
        min_silence_s: Duration in seconds of a silence that ends a speech segment.

    Raises:
        MissingExtraError: faster-whisper is not installed.
    """

    def __init__(self, chunks: Iterator[AudioChunk], threshold: float, min_silence_s: float) -> None:
        try:
            from faster_whisper.vad import get_vad_model
        except ImportError as error:
            raise MissingExtraError("faster-whisper", "media") from error
        self._network = get_vad_model()
        self._chunks = chunks
        self._threshold = threshold
        self._min_silence_hops = max(1, round(min_silence_s / HOP_S))
        # index of the first hop in the buffer, counted from the start of the audio
        self._first_hop = 0
        self._samples: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        # (hop,) speech probability of each complete hop in `_samples`
        self._speech: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._ended = False
        # end of the audio read so far
        self.end_s = 0.0

    def next_window(self, position_s: float) -> Window | None:
        """Return the next window that starts at or after the time `position_s`.

        The audio is read and buffered as far as necessary; audio before `position_s` is discarded. The result is None
        if no speech is left.
        """
        while True:
            self._discard_before(position_s)
            self._read_until(position_s + WINDOW_S + MAX_SILENCE_S + 1)
            segments = self._speech_segments(position_s)
            if not segments:
                if self._ended:
                    return None
                position_s = self.end_s - MARGIN_S
                continue
            start_s = max(position_s, segments[0][0] - MARGIN_S)
            if start_s - position_s < 1 or self._ended:
                break
            position_s = start_s  # read the audio of the whole window before choosing its end
        limit_s = start_s + WINDOW_S
        end_s = min(segments[0][1], limit_s)
        next_s: float | None = None
        for begin_s, stop_s in segments[1:]:
            next_s = begin_s
            if begin_s - end_s > MAX_SILENCE_S or begin_s >= limit_s:
                break
            end_s, next_s = min(stop_s, limit_s), None
        goes_on = end_s >= limit_s or (next_s is not None and next_s - end_s <= MAX_SILENCE_S)
        stop = min(end_s + MARGIN_S, limit_s, next_s if next_s is not None else limit_s)
        return Window(start_s, stop, end_s, goes_on)

    def segments(self, window: Window) -> list[tuple[float, float]]:
        """Return the start and end in seconds of each speech segment in a window that `next_window` just returned."""
        inside = [
            (max(begin_s, window.start_s), min(stop_s, window.speech_end_s))
            for begin_s, stop_s in self._speech_segments(window.start_s)
        ]
        return [(begin_s, stop_s) for begin_s, stop_s in inside if begin_s < stop_s]

    def samples(self, start_s: float, end_s: float) -> NDArray[np.float32]:
        """Return the buffered audio between two times.

        Args:
            start_s: Start in seconds.
            end_s: End in seconds.

        Returns:
            Samples (sample,). They are fewer than requested if the interval exceeds the buffer.
        """
        offset = self._first_hop * HOP
        return self._samples[max(0, round(start_s * AUDIO_RATE_HZ) - offset) : round(end_s * AUDIO_RATE_HZ) - offset]

    def _read_until(self, time_s: float) -> None:
        """Read audio until the buffer reaches `time_s` or the audio ends, and compute its speech probabilities."""
        while not self._ended and self.end_s < time_s:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                self._samples = np.pad(self._samples, (0, -self._samples.size % HOP))
            else:
                self._samples = np.concatenate([self._samples, chunk.samples])
                self.end_s = chunk.start_s + chunk.samples.size / AUDIO_RATE_HZ
            self._update_speech()

    def _discard_before(self, time_s: float) -> None:
        """Remove the audio before `time_s` from the buffer.

        A few hops (of 32 ms) before `time_s` are kept, because the recurrent network must process them first.
        """
        n_hops = min(max(0, int(time_s / HOP_S) - WARM_UP_HOPS - self._first_hop), self._speech.size)
        self._first_hop += n_hops
        # Copies release the memory of the old arrays.
        self._samples = self._samples[n_hops * HOP :].copy()
        self._speech = self._speech[n_hops:].copy()

    def _speech_segments(self, after_s: float) -> list[tuple[float, float]]:
        """Return the start and end, in seconds, of each speech segment in the buffer after the time `after_s`.

        A silence of `min_silence_s` ends a segment.
        """
        result: list[tuple[float, float]] = []
        first: int | None = None
        last = 0
        for hop in range(max(0, int(after_s / HOP_S) - self._first_hop), self._speech.size):
            if self._speech[hop] >= self._threshold - (HYSTERESIS if first is not None else 0.0):
                first, last = hop if first is None else first, hop
            elif first is not None and hop - last >= self._min_silence_hops:
                result.append(self._hop_times(first, last))
                first = None
        if first is not None:
            result.append(self._hop_times(first, last))
        return result

    def _hop_times(self, first: int, last: int) -> tuple[float, float]:
        """Return the start of the hop `first` and the end of the hop `last`, in seconds since the start of the audio.

        A hop is a piece of audio of 32 ms with one speech probability. `first` and `last` are indices in the buffer.
        """
        return (self._first_hop + first) * HOP_S, (self._first_hop + last + 1) * HOP_S

    def _update_speech(self) -> None:
        """Compute the speech probabilities of those complete hops in the buffer that have no probability yet."""
        n_known = self._speech.size
        n_new = self._samples.size // HOP - n_known
        if n_new > 0:
            begin = max(0, n_known - WARM_UP_HOPS)
            probabilities = self._network(self._samples[begin * HOP : (n_known + n_new) * HOP]).ravel()
            self._speech = np.concatenate([self._speech, probabilities[n_known - begin :]])
