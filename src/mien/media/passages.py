"""Recognition of windows whose parts can be in different languages: each part is recognised in its own language.

A model that knows only English turns other languages into fluent but invented English sentences. The language is
therefore identified by a multilingual model at the start of the speech and where the words are doubtful. Without such
a model, a window of doubtful words counts as not understood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mien.media.languages import (
    MAX_IDENTIFIED_S,
    MAX_NAMED_S,
    POSSIBLE_LANGUAGE,
    UNDETERMINED,
    LanguageIdentifier,
    SpeechPiece,
    decide_language,
    opening,
    speech_pieces,
)
from mien.media.voice_activity import Window
from mien.media.window_recognition import Heard, WindowRecognizer
from mien.schema import TimedWord

# Words with a lower mean log probability are doubtful, so that the language is identified. Words of English clips by
# tiny.en had -0.01 to -0.26, with one exception of -0.88 that was misheard. The same words repeated again and again are
# doubtful too. Polish and German clips had -0.22 to -1.63, and all above -0.58 repeated themselves.
DOUBTFUL = -0.3
# Words with at least this mean log probability count as the main language where the identifier names none, or another
# one for a part of at most `SHORT_PART_S` seconds. Half an English sentence had a probability of Finnish of 0.62.
CERTAIN = -0.2
SHORT_PART_S = 5.0
# Without identification, and where the identifier names no language but finds the main one possible, words with a lower
# mean log probability count as not understood.
NOT_UNDERSTOOD = -0.55
# Speech without any word is identified from this length on, because music and noise can also sound like speech.
WORDLESS_S = 1.0
# Fewer pieces of text are too few for a decision without identification.
MIN_PIECES_OF_TEXT = 3

Audio = Callable[[float, float], NDArray[np.float32]]  # mono audio between two times in seconds


@dataclass(frozen=True)
class WindowPassage:
    """A part of a window in one language, with its recognised words.

    Attributes:
        window: Times of the part. `goes_on` can be true only in the last part of a window.
        language: Language code; `UNDETERMINED` if nothing was understood.
        words: The words, empty if nothing was understood.
    """

    window: Window
    language: str
    words: list[TimedWord]


class PassageRecognizer:
    """Recognises the windows of one file, each part in its language.

    Args:
        recognizers: Function that returns a recogniser of a language.
        language: Main language; empty if the start of the speech determines it, which needs an identifier.
        identifier: Identifies languages. If it is None, doubtful words count as not understood.
        fixed: Whether the user gave the language, so that it is neither identified nor doubted.
    """

    def __init__(
        self,
        recognizers: Callable[[str], WindowRecognizer],
        language: str,
        identifier: LanguageIdentifier | None,
        *,
        fixed: bool,
    ) -> None:
        self._new_recognizer = recognizers
        self._recognizers: dict[str, WindowRecognizer] = {}
        self._main = language
        self._identifier = identifier
        self._fixed = fixed
        self._is_first = True
        # whether the last window had speech in another language
        self._other_heard = False
        # language other than the main one -> seconds of speech in it so far
        self._named_s: dict[str, float] = {}

    def recognize(self, window: Window, segments: Sequence[tuple[float, float]], audio: Audio) -> list[WindowPassage]:
        """Recognise the words of a window.

        Args:
            window: Times of the window.
            segments: Start and end in seconds of each speech segment in the window, at least one.
            audio: Function that returns the audio between two times in the window.

        Returns:
            The parts in time order. They cover the window from its start to its end.
        """
        if self._fixed or self._identifier is None:
            return [self._without_identification(window, audio)]
        probabilities = _Identified(self._identifier, audio)
        pieces = speech_pieces(segments)
        if self._is_first:
            self._is_first = False
            start = probabilities.of(opening(pieces))
            self._main = self._main or max(start, key=lambda code: start[code])
            self._other_heard = decide_language(start, self._main) != self._main
        if not self._other_heard:
            heard = self._heard(window, self._main, audio)
            doubtful = [piece for piece in pieces if _is_doubtful(heard, piece)]
            if all(decide_language(probabilities.of(piece), self._main) == self._main for piece in doubtful):
                return [WindowPassage(window, self._main, heard.words)]
        parts = _parts(window, pieces, self._languages(pieces, probabilities))
        passages = [self._recognize_part(part, language, audio, probabilities) for part, language in parts]
        self._other_heard = any(passage.language != self._main for passage in passages)
        return passages

    def _recognize_part(self, window: Window, language: str, audio: Audio, probabilities: _Identified) -> WindowPassage:
        is_short = window.speech_end_s - window.start_s < SHORT_PART_S
        if language == self._main or not (is_short or language == UNDETERMINED):
            return WindowPassage(window, language, self._heard(window, language, audio).words)
        # Part of a sentence can be misidentified and be understood nevertheless.
        heard = self._heard(window, self._main, audio)
        if not heard.went_in_circles and heard.confidence(window.start_s, window.stop_s) >= CERTAIN:
            return WindowPassage(window, self._main, heard.words)
        if language == UNDETERMINED:
            whole = SpeechPiece(window.start_s, window.speech_end_s)
            if probabilities.of(whole).get(self._main, 0.0) >= POSSIBLE_LANGUAGE:
                return self._unless_not_understood(window, heard)
            return WindowPassage(window, UNDETERMINED, [])
        return WindowPassage(window, language, self._heard(window, language, audio).words)

    def _without_identification(self, window: Window, audio: Audio) -> WindowPassage:
        heard = self._heard(window, self._main, audio)
        return (
            WindowPassage(window, self._main, heard.words)
            if self._fixed
            else self._unless_not_understood(window, heard)
        )

    def _unless_not_understood(self, window: Window, heard: Heard) -> WindowPassage:
        """Return words as those of the main language, or nothing if they seem invented."""
        if is_not_understood(heard):
            return WindowPassage(window, UNDETERMINED, [])
        return WindowPassage(window, self._main, heard.words)

    def _heard(self, window: Window, language: str, audio: Audio) -> Heard:
        if language not in self._recognizers:
            self._recognizers[language] = self._new_recognizer(language)
        return self._recognizers[language].recognize(audio(window.start_s, window.stop_s), window)

    def _languages(self, pieces: Sequence[SpeechPiece], probabilities: _Identified) -> list[str]:
        """Return the language of each piece.

        Adjacent pieces that are not in the main language are named together, because longer speech is easier to name.
        If they are unclear even so, they get the other language that was heard most so far.
        """
        is_main = [decide_language(probabilities.of(piece), self._main) == self._main for piece in pieces]
        languages: list[str] = []
        for main, group in groupby(zip(is_main, pieces, strict=True), key=lambda pair: pair[0]):
            run = [piece for _, piece in group]
            languages += [self._main if main else self._name(run, probabilities)] * len(run)
        return languages

    def _name(self, run: Sequence[SpeechPiece], probabilities: _Identified) -> str:
        whole = SpeechPiece(run[0].start_s, run[-1].end_s)
        most = max(self._named_s, key=lambda code: self._named_s[code], default="")
        language = decide_language(probabilities.of(whole, MAX_NAMED_S), self._main, most)
        if language not in (self._main, UNDETERMINED):
            self._named_s[language] = self._named_s.get(language, 0.0) + whole.length_s
        return language


class _Identified:
    """Probabilities of the languages of pieces of speech, each computed once."""

    def __init__(self, identifier: LanguageIdentifier, audio: Audio) -> None:
        self._identifier = identifier
        self._audio = audio
        self._known: dict[tuple[SpeechPiece, float], dict[str, float]] = {}

    def of(self, piece: SpeechPiece, max_s: float = MAX_IDENTIFIED_S) -> dict[str, float]:
        if (piece, max_s) not in self._known:
            samples = self._audio(piece.start_s, min(piece.end_s, piece.start_s + max_s))
            self._known[piece, max_s] = self._identifier.probabilities(samples, max_s)
        return self._known[piece, max_s]


def is_not_understood(heard: Heard) -> bool:
    """Return whether the words of a window are so improbable, or repeat so much, that they seem invented."""
    confidence = heard.confidence(-math.inf, math.inf)
    if len(heard.pieces) < MIN_PIECES_OF_TEXT or not heard.words:
        return heard.went_in_circles and not heard.words
    return confidence < NOT_UNDERSTOOD or (heard.went_in_circles and confidence < DOUBTFUL)


def _is_doubtful(heard: Heard, piece: SpeechPiece) -> bool:
    """Return whether the language of a piece of speech is to be identified, see `DOUBTFUL`."""
    confidence = heard.confidence(piece.start_s, piece.end_s)
    if confidence == -math.inf:
        return piece.length_s >= WORDLESS_S
    return heard.went_in_circles or confidence < DOUBTFUL


def _parts(window: Window, pieces: Sequence[SpeechPiece], languages: Sequence[str]) -> list[tuple[Window, str]]:
    """Divide a window between pieces of different languages, in the middle of the silence between them."""
    runs = [
        (language, [piece for piece, _ in run])
        for language, run in groupby(zip(pieces, languages, strict=True), key=lambda pair: pair[1])
    ]
    parts: list[tuple[Window, str]] = []
    start_s = window.start_s
    for number, (language, run) in enumerate(runs):
        if number + 1 == len(runs):
            part = replace(window, start_s=start_s)
        else:
            stop_s = (run[-1].end_s + runs[number + 1][1][0].start_s) / 2
            part = Window(start_s, stop_s, run[-1].end_s, goes_on=False)
        parts.append((part, language))
        start_s = part.stop_s
    return parts
