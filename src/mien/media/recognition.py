"""Speech recognition with word times by faster-whisper, in successive windows of the audio.

The audio is streamed. A window is at most as long as the input of the model. It should start where a sentence starts,
because recognition that starts inside a sentence omits the punctuation that separates utterances. The words after the
last complete sentence of a window are therefore dropped, and recognised again in the next window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError, MissingExtraError, UsageError
from mien.media.channels import without_other_voice
from mien.media.decode import AudioChunk, audio_chunks
from mien.media.languages import UNDETERMINED, LanguageIdentifier, language_name
from mien.media.passages import PassageRecognizer
from mien.media.segmentation import sentence_ends
from mien.media.speech_models import MULTILINGUAL, find_speech_model, has_speech_model
from mien.media.voice_activity import SpeechDetector, Window
from mien.media.window_recognition import NO_SPACES, WindowRecognizer
from mien.schema import TimedWord

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

NO_SPEECH = "files in which nobody speaks"

# A window is cut after the last sentence that ends in its last two thirds, else at the longest pause of its last half.
EARLIEST_SENTENCE_CUT = 1 / 3
EARLIEST_PAUSE_CUT = 1 / 2


@dataclass(frozen=True)
class SpeechSettings:
    """Settings of speech detection and recognition."""

    # name of a model in `SPEECH_MODELS`, or the path of a folder with a CTranslate2 Whisper model
    speech_model: str = "tiny.en"
    # whether model files without a recorded sha256 are opened: all but those of tiny.en and base
    trust_model: bool = False
    # Language code like "en" for the whole file. If it is empty, the language is identified: of the file, and of its
    # parts where words are doubtful. A model of one language needs a multilingual one beside it for this.
    language: str = ""
    # number of the sound track, from 1; None: the one that `mien.media.sound.choose_sound` takes
    audio_track: int | None = None
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
class Passage:
    """Speech in one language, between two times of a file.

    Attributes:
        start_s: Start in seconds.
        end_s: End in seconds.
        language: Language code like "en"; `mien.media.languages.UNDETERMINED` if the words were not understood.
        n_words: Number of its words.
    """

    start_s: float
    end_s: float
    language: str
    n_words: int


@dataclass(frozen=True)
class Speech:
    """Recognised speech of a file.

    Attributes:
        words: The words with their times, in time order and without overlaps.
        sentence_ends: For each word, whether a sentence ends with it.
        language: Code like "en" of the language that was spoken longest; empty if the file has no speech.
        duration_s: Duration of the audio in seconds.
        passages: Parts of the file in one language, in time order. Together they contain all words.
        why_undetermined: Why the passages of undetermined language have no words; empty if there are none.
    """

    words: tuple[TimedWord, ...]
    sentence_ends: tuple[bool, ...]
    language: str
    duration_s: float
    passages: tuple[Passage, ...] = ()
    why_undetermined: str = ""

    @property
    def separator(self) -> str:
        """Text between two words of a transcript: a space, or an empty text in languages written without spaces."""
        return separator_in(self.language)


def separator_in(language: str) -> str:
    """Return the text between two words of a language: a space, or an empty text if it is written without spaces."""
    return "" if language in NO_SPACES else " "


@dataclass(frozen=True)
class Recognizer:
    """A loaded recognition model with its settings. Load it once for several files, because loading it is slow."""

    settings: SpeechSettings
    model: WhisperModel
    # Multilingual model, by which languages are identified and other languages are recognised. It is `model` itself if
    # that is multilingual, and None if there is none on this machine or the settings give the language.
    multilingual: WhisperModel | None = None

    @property
    def language(self) -> str:
        """Language of the settings, or the only language of the model; empty if the model knows several."""
        supported = self.model.supported_languages
        return self.settings.language or (str(supported[0]) if len(supported) == 1 else "")

    def in_language(self, language: str, notes: Counter[str]) -> WindowRecognizer:
        """Return a recogniser of one language.

        Args:
            language: Code of a language that one of the models knows.
            notes: Counter of messages about problems, updated in place.

        Returns:
            The recogniser.
        """
        model = self.model if language in self.model.supported_languages else self.multilingual
        assert model is not None, "only a multilingual model identifies other languages"
        return WindowRecognizer(model, language, self.settings.beam_size, notes)


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
    model = _load_whisper(folder, settings)
    if settings.language and settings.language not in model.supported_languages:
        others = f", or --speech-model {MULTILINGUAL}" if len(model.supported_languages) == 1 else ""
        raise UsageError(
            f"Expected a language of the speech model {settings.speech_model} "
            f"({', '.join(model.supported_languages[:8])}{', ...' if len(model.supported_languages) > 8 else ''}), "
            f"but got {settings.language!r}; choose another model or language{others}"
        )
    if settings.language:
        return Recognizer(settings, model)
    if len(model.supported_languages) > 1:
        return Recognizer(settings, model, model)
    if not has_speech_model(MULTILINGUAL):
        return Recognizer(settings, model)
    return Recognizer(settings, model, _load_whisper(find_speech_model(MULTILINGUAL), settings))


def _load_whisper(folder: Path, settings: SpeechSettings) -> WhisperModel:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingExtraError("faster-whisper", "media") from error
    try:
        return WhisperModel(
            str(folder), device="cpu", compute_type=settings.compute_type, cpu_threads=settings.recognition_threads
        )
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"Expected a CTranslate2 Whisper model in {folder} that runs with {settings.compute_type}, but got: "
            f"{error}; give another model, or compute_type=default"
        ) from None


def recognize(
    path: Path,
    recognizer: Recognizer,
    *,
    notes: Counter[str] | None = None,
    on_progress: Callable[[float], None] | None = None,
    channel: int | None = None,
) -> Speech:
    """Recognise the speech of a whole file. The required memory does not depend on the duration of the file.

    Args:
        path: Media file.
        recognizer: Loaded model with its settings.
        notes: Counter of messages about problems, updated in place. If it is None, nothing is counted.
        on_progress: Function that is called after each window with the number of seconds processed so far.
        channel: Index of the channel, of two, whose own speech is recognised; None recognises the sound that
            `mien.media.sound.choose_sound` chooses.

    Returns:
        The recognised words with their times, the language, and the duration of the audio.

    Raises:
        DataError: The file is not a media file.
        MissingExtraError: PyAV or faster-whisper is not installed.
    """
    counts: Counter[str] = notes if notes is not None else Counter()
    settings = recognizer.settings
    if channel is None:
        chunks = audio_chunks(path, notes=counts, track=settings.audio_track)
    else:
        chunks = _own_chunks(path, channel, counts, settings.audio_track)
    detector = SpeechDetector(chunks, settings.speech_threshold, settings.min_silence_s)
    identifier = None if recognizer.multilingual is None else LanguageIdentifier(recognizer.multilingual)
    passage_recognizer = PassageRecognizer(
        partial(recognizer.in_language, notes=counts), recognizer.language, identifier, fixed=bool(settings.language)
    )
    words: list[TimedWord] = []
    passages: list[Passage] = []
    position_s = 0.0
    while (window := detector.next_window(position_s)) is not None:
        for part in passage_recognizer.recognize(window, detector.segments(window), detector.samples):
            finished, position_s = _split_off_unfinished(part.words, part.window)
            words.extend(finished)
            end_s = min(position_s, part.window.speech_end_s)
            passages.append(Passage(part.window.start_s, end_s, part.language, len(finished)))
        if on_progress is not None:
            on_progress(position_s)
    in_order = _in_time_order(words, detector.end_s)
    undetermined = sum(each.language == UNDETERMINED for each in passages)
    why = _why_undetermined(recognizer) if undetermined else ""
    if undetermined:
        counts[why] += undetermined
    elif not in_order:
        counts[NO_SPEECH] += 1
        passages = []
    language = main_language(passages)
    return Speech(in_order, sentence_ends(in_order), language, detector.end_s, tuple(passages), why)


def _own_chunks(path: Path, channel: int, notes: Counter[str], track: int | None) -> Iterator[AudioChunk]:
    """Read one channel of two, without the voice of the other one, which is heard in it through crosstalk."""
    # Damaged data is in both channels, and counted once.
    own = audio_chunks(path, notes=notes if channel == 0 else None, track=track, channel=channel)
    other = audio_chunks(path, track=track, channel=1 - channel)
    for one, two in zip(own, other, strict=True):
        yield AudioChunk(one.start_s, without_other_voice(one.samples, two.samples))


def main_language(passages: Sequence[Passage]) -> str:
    """Return the language that was spoken longest; empty if there are no passages."""
    seconds: dict[str, float] = {}
    for passage in passages:
        if passage.n_words or passage.language == UNDETERMINED:
            seconds[passage.language] = seconds.get(passage.language, 0.0) + passage.end_s - passage.start_s
    return max(seconds, key=lambda code: seconds[code], default="")


def _why_undetermined(recognizer: Recognizer) -> str:
    """Return why speech has no words, and what the user can do."""
    expected = language_name(recognizer.language or "en")
    if recognizer.multilingual is not None:
        return f"this does not sound like {expected}, and its language is not clear; give it with --language CODE"
    return (
        f"this does not sound like {expected}, and the speech model {recognizer.settings.speech_model} knows only "
        f"{expected}; pip install 'mien[languages]', or give --speech-model {MULTILINGUAL}"
    )


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
