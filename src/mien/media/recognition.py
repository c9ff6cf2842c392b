"""Speech recognition with word times by faster-whisper, in successive windows of the audio.

The audio is streamed. A window is at most as long as the input of the model. It should start where a sentence starts,
because recognition that starts inside a sentence omits the punctuation that separates utterances. The words after the
last complete sentence of a window are therefore dropped, and recognised again in the next window.
"""

from __future__ import annotations

import copy
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, MissingExtraError, UsageError
from mien.media.decode import audio_chunks
from mien.media.segmentation import sentence_ends
from mien.media.speech_models import find_speech_model
from mien.media.voice_activity import SpeechDetector, Window
from mien.schema import TimedWord

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

NO_SPEECH = "files in which nobody speaks"
WENT_IN_CIRCLES = "windows recognised a second time because the first went in circles"
STILL_IN_CIRCLES = "passages dropped because recognition went in circles"
WITHOUT_SENTENCES = "windows recognised a second time because the first had no punctuation"

# A window is cut after the last sentence that ends in its last two thirds, else at the longest pause of its last half.
EARLIEST_SENTENCE_CUT = 1 / 3
EARLIEST_PAUSE_CUT = 1 / 2
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
class SpeechSettings:
    """Settings of speech detection and recognition."""

    # name of a model in `SPEECH_MODELS`, or the path of a folder with a CTranslate2 Whisper model
    speech_model: str = "tiny.en"
    # whether model files without a recorded sha256 are opened: all but those of tiny.en
    trust_model: bool = False
    # language code like "en"; if empty, the only language of the model or the one detected in the first window
    language: str = ""
    # number of hypotheses in the beam search
    beam_size: int = 5
    # number format of the network, by its name in CTranslate2
    compute_type: str = "int8"
    # 1 suits a small model and leaves the other cores to other work; 0 selects the default of the library
    recognition_threads: int = 1
    # probability of speech at which a speech segment starts
    speech_threshold: float = 0.5
    # duration of a silence that ends a speech segment
    min_silence_s: float = 0.3


@dataclass(frozen=True)
class Speech:
    """Recognised speech of a file.

    Attributes:
        words: The words with their times, in time order and without overlaps.
        sentence_ends: For each word, whether a sentence ends with it.
        language: Language code like "en"; empty if the file has no speech.
        duration_s: Duration of the audio in seconds.
    """

    words: tuple[TimedWord, ...]
    sentence_ends: tuple[bool, ...]
    language: str
    duration_s: float

    @property
    def separator(self) -> str:
        """Text between two words of a transcript: a space, or an empty text in languages written without spaces."""
        return "" if self.language in NO_SPACES else " "


@dataclass(frozen=True)
class Recognizer:
    """A loaded recognition model with its settings. Load it once for several files, because loading it is slow."""

    settings: SpeechSettings
    model: WhisperModel


def load_recognizer(settings: SpeechSettings = SpeechSettings()) -> Recognizer:
    """Load the recognition model that the settings name.

    Raises:
        MissingExtraError: faster-whisper is not installed.
        MissingWeightsError: The model's files are missing.
        UnknownNameError: No model has the name in the settings.
        UsageError: The settings do not trust the model, or the model does not support their language.
        DataError: The model is damaged, or cannot run with the number format in the settings.
    """
    folder = find_speech_model(settings.speech_model, trust_model=settings.trust_model)
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingExtraError("faster-whisper", "media") from error
    try:
        model = WhisperModel(
            str(folder), device="cpu", compute_type=settings.compute_type, cpu_threads=settings.recognition_threads
        )
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"Expected a CTranslate2 Whisper model in {folder} that runs with {settings.compute_type}, but got: "
            f"{error}; give another model, or compute_type=default"
        ) from None
    if settings.language and settings.language not in model.supported_languages:
        raise UsageError(
            f"Expected a language of the speech model {settings.speech_model} "
            f"({', '.join(model.supported_languages[:8])}{', ...' if len(model.supported_languages) > 8 else ''}), "
            f"but got {settings.language!r}; choose another model or language"
        )
    return Recognizer(settings, model)


def recognize(
    path: Path,
    recognizer: Recognizer,
    *,
    notes: Counter[str] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Speech:
    """Recognise the speech of a whole file. The required memory does not depend on the duration of the file.

    Args:
        path: Media file.
        recognizer: Loaded model with its settings.
        notes: Counter of messages about problems, updated in place. If it is None, nothing is counted.
        on_progress: Function that is called after each window with the number of seconds processed so far.

    Returns:
        The recognised words with their times, the language, and the duration of the audio.

    Raises:
        DataError: The file is not a media file.
        MissingExtraError: PyAV or faster-whisper is not installed.
    """
    counts: Counter[str] = notes if notes is not None else Counter()
    settings = recognizer.settings
    detector = SpeechDetector(audio_chunks(path, notes=counts), settings.speech_threshold, settings.min_silence_s)
    window_recognizer = _WindowRecognizer(recognizer.model, settings, settings.language, counts)
    words: list[TimedWord] = []
    position_s = 0.0
    while (window := detector.next_window(position_s)) is not None:
        recognized = window_recognizer.words(detector.samples(window.start_s, window.stop_s), window)
        finished, position_s = _split_off_unfinished(recognized, window)
        words.extend(finished)
        if on_progress is not None:
            on_progress(position_s)
    in_order = _in_time_order(words, detector.end_s)
    if not in_order:
        counts[NO_SPEECH] += 1
    return Speech(in_order, sentence_ends(in_order), window_recognizer.language if in_order else "", detector.end_s)


def _split_off_unfinished(words: list[TimedWord], window: Window) -> tuple[list[TimedWord], float]:
    """Return the finished words of a window, and the time in seconds from which to continue recognition.

    If speech continues after the window, the words after the last complete sentence are unfinished, because this window
    may contain only a part of their sentence. If no sentence ends after the first third of the window, the words after
    the longest pause in the second half are unfinished. If there is none either, all words are finished.
    """
    if not window.goes_on or len(words) < 2:
        return words, window.stop_s
    ends = sentence_ends(words)
    length_s = window.stop_s - window.start_s
    # The last word is excluded, because whether it ends a sentence depends on the next word.
    places = [number for number in range(len(words) - 1) if ends[number]]
    places = [n for n in places if words[n].end_s - window.start_s > length_s * EARLIEST_SENTENCE_CUT][-1:]
    if not places:
        late = [
            number
            for number in range(len(words) - 1)
            if words[number].end_s - window.start_s > length_s * EARLIEST_PAUSE_CUT
        ]
        places = sorted(late, key=lambda number: words[number + 1].start_s - words[number].end_s)[-1:]
    if not places:
        return words, window.stop_s
    finished = words[: places[0] + 1]
    return finished, (finished[-1].end_s + words[places[0] + 1].start_s) / 2


class _RestTooShortError(Exception):
    """The rest of the speech in a window is too short to recognise. `_encode` raises this to end the recognition."""


class _WindowRecognizer:
    """Recognises the words in the windows of one file. If `language` is empty, the first window determines it."""

    def __init__(self, model: WhisperModel, settings: SpeechSettings, language: str, notes: Counter[str]) -> None:
        # The copy shares the networks with `model`, but `_encode` replaces its method `encode`.
        self._model = copy.copy(model)
        self._encode_features = model.encode
        self._model.encode = self._encode
        self._settings = settings
        self.language = language
        self._notes = notes
        # seconds of speech after the last word of the present attempt; None before its first word
        self._rest_s: float | None = None
        self._min_rest_s = MIN_REST_S
        # Encoder input and output for the start of the window, for a second attempt. Encoding takes half of the time.
        self._encoded_features: NDArray[np.float32] | None = None
        self._encoding: Any = None

    def words(self, samples: NDArray[np.float32], window: Window) -> list[TimedWord]:
        """Recognise a window. If the result is repetitive or unpunctuated, recognise it again with other options.

        Args:
            samples: Mono audio of the window (sample,) at `AUDIO_RATE_HZ`.
            window: Times of the window in the file.

        Returns:
            The words with their times since the start of the file.
        """
        words, n_repetitive = self._attempt(samples, window)
        if n_repetitive:
            self._notes[WENT_IN_CIRCLES] += 1
            words, n_repetitive = self._attempt(samples, window, no_repeat_ngram_size=3)
            if n_repetitive:
                self._notes[STILL_IN_CIRCLES] += n_repetitive
        prompt = PUNCTUATED.get(self.language)
        if prompt and _longest_sentence(words) > MAX_WORDS_WITHOUT_END:
            self._notes[WITHOUT_SENTENCES] += 1
            retry, n_repetitive = self._attempt(samples, window, initial_prompt=prompt)
            same_length = abs(len(retry) - len(words)) <= MAX_CHANGE_OF_LENGTH * len(words)
            if not n_repetitive and same_length and _longest_sentence(retry) < _longest_sentence(words):
                words = retry
        return words

    def _attempt(self, samples: NDArray[np.float32], window: Window, **options: Any) -> tuple[list[TimedWord], int]:
        """Recognise a window once. Return its words, and the number of repetitive passages that were dropped."""
        self._rest_s = None
        self._min_rest_s = MIN_REST_HEARD_AGAIN_S if window.goes_on else MIN_REST_S
        # Only temperature 0 is used. The usual retries at higher temperatures are random and would differ between runs.
        segments, info = self._model.transcribe(
            samples,
            language=self.language or None,
            beam_size=self._settings.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=MAX_TOKENS,
            **options,
        )
        self.language = info.language
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
                if pieces:
                    self._rest_s = window.speech_end_s - pieces[-1].end_s
                if pieces and segment.compression_ratio > MAX_COMPRESSION:
                    n_repetitive += 1
                    continue
                words.extend(_merge_pieces(pieces, spaces=self.language not in NO_SPACES))
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


def _merge_pieces(pieces: Sequence[TimedWord], *, spaces: bool) -> Iterator[TimedWord]:
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


def _in_time_order(words: Sequence[TimedWord], end_s: float) -> tuple[TimedWord, ...]:
    """Clamp the times of the words, and return the words with the new times.

    No word then starts before the previous one ends, and none ends after `end_s`, the end of the audio in seconds.
    """
    result: list[TimedWord] = []
    last_s = 0.0
    for word in words:
        start_s = min(max(word.start_s, last_s), end_s)
        last_s = min(max(word.end_s, start_s), end_s)
        result.append(TimedWord(word.text, start_s, last_s))
    return tuple(result)
