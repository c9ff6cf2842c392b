"""Voice activity: where somebody speaks, by Silero inside faster-whisper, while the sound streams by.

`SpeechDetector` holds a short piece of the sound and cuts it into the windows in which speech is recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingExtraError
from mien.media.decode import AUDIO_RATE_HZ, AudioChunk

# the network looks at 32 ms at a time
HOP = 512
HOP_S = HOP / AUDIO_RATE_HZ
# It carries a state through the sound; this much of the past brings a fresh state to the same answers.
WARM_UP_HOPS = 32
# speech goes on until the probability falls this much below the threshold that began it
HYSTERESIS = 0.15
# Whisper hears 30 s at once; a little less leaves room for the silence around the speech.
WINDOW_S = 29.0
# Silence longer than this ends a window: Whisper invents words for it.
MAX_SILENCE_S = 2.0
# silence kept around the speech of a window
MARGIN_S = 0.4


@dataclass(frozen=True)
class Window:
    """A piece of sound to recognise."""

    start_s: float
    stop_s: float
    # end of the last stretch of speech inside
    speech_end_s: float
    # somebody speaks on after it without a long silence
    goes_on: bool


class SpeechDetector:
    """The sound around one moment, and where in it somebody speaks. Holds what was not forgotten, no more."""

    def __init__(self, chunks: Iterator[AudioChunk], threshold: float, min_silence_s: float) -> None:
        try:
            from faster_whisper.vad import get_vad_model
        except ImportError as error:
            raise MissingExtraError("faster-whisper", "media") from error
        self._network = get_vad_model()
        self._chunks = chunks
        self._threshold = threshold
        self._min_silence_hops = max(1, round(min_silence_s / HOP_S))
        # first hop that is held
        self._first_hop = 0
        self._samples: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        # (hop,) probability of speech for the whole hops of `_samples`
        self._speech: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._ended = False
        # end of the sound heard so far
        self.end_s = 0.0

    def next_window(self, position_s: float) -> Window | None:
        """The next window that begins at or after `position_s`, None if nobody speaks any more."""
        while True:
            self._forget_before(position_s)
            self._listen_to(position_s + WINDOW_S + MAX_SILENCE_S + 1)
            stretches = self._stretches(position_s)
            if not stretches:
                if self._ended:
                    return None
                position_s = self.end_s - MARGIN_S
                continue
            start_s = max(position_s, stretches[0][0] - MARGIN_S)
            if start_s - position_s < 1 or self._ended:
                break
            position_s = start_s  # hear the whole window first
        limit_s = start_s + WINDOW_S
        end_s = min(stretches[0][1], limit_s)
        next_s: float | None = None
        for begin_s, stop_s in stretches[1:]:
            next_s = begin_s
            if begin_s - end_s > MAX_SILENCE_S or begin_s >= limit_s:
                break
            end_s, next_s = min(stop_s, limit_s), None
        goes_on = end_s >= limit_s or (next_s is not None and next_s - end_s <= MAX_SILENCE_S)
        stop = min(end_s + MARGIN_S, limit_s, next_s if next_s is not None else limit_s)
        return Window(start_s, stop, end_s, goes_on)

    def samples(self, start_s: float, end_s: float) -> NDArray[np.float32]:
        """(n,) the sound between two times, as far as it is held."""
        offset = self._first_hop * HOP
        return self._samples[max(0, round(start_s * AUDIO_RATE_HZ) - offset) : round(end_s * AUDIO_RATE_HZ) - offset]

    def _listen_to(self, time_s: float) -> None:
        """Hear at least up to `time_s`, or to the end."""
        while not self._ended and self.end_s < time_s:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                self._samples = np.pad(self._samples, (0, -self._samples.size % HOP))
            else:
                self._samples = np.concatenate([self._samples, chunk.samples])
                self.end_s = chunk.start_s + chunk.samples.size / AUDIO_RATE_HZ
            self._judge()

    def _forget_before(self, time_s: float) -> None:
        """Drop what lies before `time_s`, but keep what the next judgement needs."""
        n_hops = min(max(0, int(time_s / HOP_S) - WARM_UP_HOPS - self._first_hop), self._speech.size)
        self._first_hop += n_hops
        # copies, so that the old arrays are free
        self._samples = self._samples[n_hops * HOP :].copy()
        self._speech = self._speech[n_hops:].copy()

    def _stretches(self, after_s: float) -> list[tuple[float, float]]:
        """``(start_s, end_s)`` of speech after a time: a stretch ends where silence is long enough."""
        result: list[tuple[float, float]] = []
        begun: int | None = None
        last = 0
        for hop in range(max(0, int(after_s / HOP_S) - self._first_hop), self._speech.size):
            if self._speech[hop] >= self._threshold - (HYSTERESIS if begun is not None else 0.0):
                begun, last = hop if begun is None else begun, hop
            elif begun is not None and hop - last >= self._min_silence_hops:
                result.append(self._times(begun, last))
                begun = None
        if begun is not None:
            result.append(self._times(begun, last))
        return result

    def _times(self, first: int, last: int) -> tuple[float, float]:
        return (self._first_hop + first) * HOP_S, (self._first_hop + last + 1) * HOP_S

    def _judge(self) -> None:
        known = self._speech.size
        n_new = self._samples.size // HOP - known
        if n_new > 0:
            begin = max(0, known - WARM_UP_HOPS)
            judged = self._network(self._samples[begin * HOP : (known + n_new) * HOP]).ravel()
            self._speech = np.concatenate([self._speech, judged[known - begin :]])
