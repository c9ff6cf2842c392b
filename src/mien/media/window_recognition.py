"""Recognition of the words in one window of audio by a Whisper model, with a second attempt where the first fails."""

from __future__ import annotations

import copy
import math
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.media.segmentation import sentence_ends
from mien.media.voice_activity import Window
from mien.schema import TimedWord

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

WENT_IN_CIRCLES = "windows recognised a second time because the first went in circles"
STILL_IN_CIRCLES = "passages dropped because recognition went in circles"
WITHOUT_SENTENCES = "windows recognised a second time because the first had no punctuation"

# A text with a higher zlib compression ratio is repetitive. Whisper uses the same limit.
MAX_COMPRESSION = 2.4
# Maximum number of tokens of a window, as in Whisper. It ends recognition that repeats the same words endlessly.
MAX_TOKENS = 224
# A window counts as unpunctuated if it has a longer sequence of words without the end of a sentence.
MAX_WORDS_WITHOUT_END = 45
# Prompts for recognising an unpunctuated window again, because Whisper continues in the style of its prompt.
PUNCTUATED = {"en": "Well, let me explain. It was good, and I liked it. What do you think?"}
# If Whisper stops before the end of the speech in a window, the rest is recognised separately. This is done only if the
# rest is at least this long, because Whisper invents sentences for shorter audio. The second limit is for windows after
# which speech continues, because the next window then includes the rest.
MIN_REST_S = 0.3
MIN_REST_HEARD_AGAIN_S = 1.0
# A second attempt is discarded if its number of words differs from that of the first by a larger share.
MAX_CHANGE_OF_LENGTH = 0.25
# languages written without spaces between words
NO_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


@dataclass(frozen=True)
class Heard:
    """Recognised words of a window, and how sure the model is of them.

    Attributes:
        words: Words with times in the file.
        pieces: Middle in seconds and natural logarithm of the probability of each piece of text. Most pieces are words.
        went_in_circles: Whether the first attempt repeated the same words again and again.
    """

    words: list[TimedWord]
    pieces: tuple[tuple[float, float], ...] = ()
    went_in_circles: bool = False

    def confidence(self, start_s: float, stop_s: float) -> float:
        """Return the mean log probability of the pieces between two times in seconds; -inf if there are none."""
        inside = [value for middle_s, value in self.pieces if start_s <= middle_s < stop_s]
        return sum(inside) / len(inside) if inside else -math.inf


class _RestTooShortError(Exception):
    """The rest of the speech in a window is too short to recognise. `_encode` raises this to end the recognition."""


class WindowRecognizer:
    """Recognises the words of one language in the windows of one file.

    Args:
        model: Whisper model that supports the language.
        language: Language code like "en".
        beam_size: Number of hypotheses in the beam search.
        notes: Counter of messages about problems, updated in place.
    """

    def __init__(self, model: WhisperModel, language: str, beam_size: int, notes: Counter[str]) -> None:
        # The copy shares the networks with `model`, but `_encode` replaces its method `encode`.
        self._model = copy.copy(model)
        self._encode_features = model.encode
        self._model.encode = self._encode
        self._beam_size = beam_size
        self._language = language
        self._notes = notes
        # seconds of speech after the last word of the present attempt; None before its first word
        self._rest_s: float | None = None
        self._min_rest_s = MIN_REST_S
        # Encoder input and output for the start of the window, for a second attempt. Encoding takes half of the time.
        self._encoded_features: NDArray[np.float32] | None = None
        self._encoding: Any = None
        # middle in seconds and log probability of each piece of text of the last attempt
        self._pieces: list[tuple[float, float]] = []

    def recognize(self, samples: NDArray[np.float32], window: Window) -> Heard:
        """Recognise a window. If the result is repetitive or unpunctuated, recognise it again with other options.

        Args:
            samples: Mono audio of the window (sample,) at `AUDIO_RATE_HZ`.
            window: Times of the window in the file.

        Returns:
            The words with their times since the start of the file, and how sure the model is of them.
        """
        words, n_repetitive = self._attempt(samples, window)
        went_in_circles = n_repetitive > 0
        if went_in_circles:
            self._notes[WENT_IN_CIRCLES] += 1
            words, n_repetitive = self._attempt(samples, window, no_repeat_ngram_size=3)
            if n_repetitive:
                self._notes[STILL_IN_CIRCLES] += n_repetitive
        pieces = tuple(self._pieces)
        prompt = PUNCTUATED.get(self._language)
        if prompt and _longest_sentence(words) > MAX_WORDS_WITHOUT_END:
            self._notes[WITHOUT_SENTENCES] += 1
            retry, n_repetitive = self._attempt(samples, window, initial_prompt=prompt)
            same_length = abs(len(retry) - len(words)) <= MAX_CHANGE_OF_LENGTH * len(words)
            if not n_repetitive and same_length and _longest_sentence(retry) < _longest_sentence(words):
                words = retry
        return Heard(words, pieces, went_in_circles)

    def _attempt(self, samples: NDArray[np.float32], window: Window, **options: Any) -> tuple[list[TimedWord], int]:
        """Recognise a window once. Return its words, and the number of repetitive passages that were dropped."""
        self._rest_s = None
        self._pieces = []
        self._min_rest_s = MIN_REST_HEARD_AGAIN_S if window.goes_on else MIN_REST_S
        # Only temperature 0 is used. The usual retries at higher temperatures are random and would differ between runs.
        segments, _ = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=self._beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=MAX_TOKENS,
            **options,
        )
        words: list[TimedWord] = []
        n_repetitive = 0
        with suppress(_RestTooShortError):
            for segment in segments:
                # Words that start after the end of the speech are invented.
                pieces = [
                    TimedWord(piece.word, window.start_s + float(piece.start), window.start_s + float(piece.end))
                    for piece in segment.words or ()
                    if window.start_s + piece.start < window.speech_end_s
                ]
                self._pieces += [
                    (window.start_s + float(piece.start + piece.end) / 2, math.log(max(piece.probability, 1e-6)))
                    for piece in segment.words or ()
                ]
                if pieces:
                    self._rest_s = window.speech_end_s - pieces[-1].end_s
                if pieces and segment.compression_ratio > MAX_COMPRESSION:
                    n_repetitive += 1
                    continue
                words.extend(merge_pieces(pieces, spaces=self._language not in NO_SPACES))
        return words, n_repetitive

    def _encode(self, features: NDArray[np.float32]) -> Any:
        """Encode audio features with the network. faster-whisper calls this method instead of the model's `encode`.

        The output for the start of a window is kept, so that a second attempt at the window does not compute it again.
        Raises `_RestTooShortError` if too little speech is left after the words that were recognised in the window.
        """
        if self._rest_s is not None:
            if self._rest_s < self._min_rest_s:
                raise _RestTooShortError
            return self._encode_features(features)
        if self._encoded_features is None or not np.array_equal(features, self._encoded_features):
            self._encoded_features, self._encoding = features, self._encode_features(features)
        return self._encoding


def merge_pieces(pieces: Sequence[TimedWord], *, spaces: bool) -> Iterator[TimedWord]:
    """Merge recognised pieces of text into words.

    A piece of only punctuation joins the word before it. If `spaces` is True, so does a piece without a leading space.
    """
    word: TimedWord | None = None
    for piece in pieces:
        text = piece.text.strip()
        if not text:
            continue
        marks = all(letter in string.punctuation or not letter.isalnum() for letter in text)
        if word is not None and (marks or (spaces and not piece.text.startswith(" "))):
            word = replace(word, text=word.text + text, end_s=piece.end_s)
            continue
        if word is not None:
            yield word
        word = None if marks else replace(piece, text=text)
    if word is not None:
        yield word


def _longest_sentence(words: Sequence[TimedWord]) -> int:
    """Return the number of words of the longest sentence. An unfinished last sentence counts as a sentence."""
    longest = run = 0
    for end in sentence_ends(words):
        run += 1
        longest = max(longest, run)
        run = 0 if end else run
    return longest
