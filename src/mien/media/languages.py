"""Languages of speech: their names, and their identification by a multilingual Whisper model.

The limits below were chosen on the voices of training and validation speakers: 40 English clips (RAVDESS), 30 Polish
(nEMO), 30 German (EmoDB), of 1 to 7 s, and one synthetic voice (espeak-ng) in each of 17 languages. docs/raw-video.md
has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError
from mien.media.decode import AUDIO_RATE_HZ

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

# code of a language that could not be determined (ISO 639-2)
UNDETERMINED = "und"
# Speech is in the expected language if this language has at least this probability. Of the English clips, the lowest
# probability of English was 0.68; of the others, the highest was 0.12.
EXPECTED_LANGUAGE = 0.25
# Another language is named if it has at least this probability. All clips above it were
# named correctly.
NAMED_LANGUAGE = 0.7
# An unclear piece of speech gets another language of the same recording, or the expected one if its words were
# understood, if that language has at least this probability.
POSSIBLE_LANGUAGE = 0.1
# The model answers with one of these for speech that is unclear to it, so that they are never named. Latin had 0.62 to
# 0.93 for a Polish clip and the synthetic Czech, Greek and Romanian voices; the others were second in English clips.
NEVER_NAMED = frozenset({"cy", "haw", "jw", "la", "nn"})
# Identification uses at most this much of a piece of speech, because it costs time.
MAX_IDENTIFIED_S = 6.0
# Speech that is not in the expected language is named by a longer stretch of it.
MAX_NAMED_S = 15.0
# A shorter piece of speech is not identified by itself.
MIN_PIECE_S = 1.0
# duration of speech at the start of a file that is identified in any case
OPENING_S = 3.0

_NAMES = """
af:Afrikaans am:Amharic ar:Arabic as:Assamese az:Azerbaijani ba:Bashkir be:Belarusian bg:Bulgarian bn:Bengali
bo:Tibetan br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish de:German el:Greek en:English es:Spanish
et:Estonian eu:Basque fa:Persian fi:Finnish fo:Faroese fr:French gl:Galician gu:Gujarati ha:Hausa haw:Hawaiian
he:Hebrew hi:Hindi hr:Croatian ht:Haitian_Creole hu:Hungarian hy:Armenian id:Indonesian is:Icelandic it:Italian
ja:Japanese jw:Javanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean la:Latin lb:Luxembourgish ln:Lingala
lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mi:Maori mk:Macedonian ml:Malayalam mn:Mongolian mr:Marathi ms:Malay
mt:Maltese my:Burmese ne:Nepali nl:Dutch nn:Nynorsk no:Norwegian oc:Occitan pa:Punjabi pl:Polish ps:Pashto
pt:Portuguese ro:Romanian ru:Russian sa:Sanskrit sd:Sindhi si:Sinhala sk:Slovak sl:Slovenian sn:Shona so:Somali
sq:Albanian sr:Serbian su:Sundanese sv:Swedish sw:Swahili ta:Tamil te:Telugu tg:Tajik th:Thai tk:Turkmen
tl:Tagalog tr:Turkish tt:Tatar uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese yi:Yiddish yo:Yoruba yue:Cantonese
zh:Chinese
"""
# English names of the languages of Whisper, by the codes that it uses (ISO 639-1 where there is one)
LANGUAGE_NAMES = {code: name.replace("_", " ") for code, name in (pair.split(":") for pair in _NAMES.split())}


def language_name(code: str) -> str:
    """Return the English name of a language, such as "French" for "fr"; the code itself if it has no name here."""
    if code == UNDETERMINED:
        return "a language that could not be determined"
    return LANGUAGE_NAMES.get(code, code)


def parse_language(code: str) -> str:
    """Return a language code in lower case, without the region of a code like "en-GB".

    Raises:
        UsageError: This is not the code of a language in `LANGUAGE_NAMES`.
    """
    short = code.strip().lower().replace("_", "-").partition("-")[0]
    if short not in LANGUAGE_NAMES:
        by_name = {name.lower(): known for known, name in LANGUAGE_NAMES.items()}
        hint = f"did you mean {by_name[short]}?" if short in by_name else "give a code like en, fr or pl"
        raise UsageError(f"Expected the code of a language, but got {code!r}; {hint}")
    return short


@dataclass(frozen=True)
class SpeechPiece:
    """Speech between two silences: its start and end in seconds."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Duration in seconds."""
        return self.end_s - self.start_s


def speech_pieces(segments: Sequence[tuple[float, float]]) -> list[SpeechPiece]:
    """Join speech segments that are too short to be identified with the segment before or, for the first, after it.

    Args:
        segments: Start and end of each speech segment in seconds, in time order.

    Returns:
        The pieces in time order. All but a single piece have at least the length `MIN_PIECE_S`.
    """
    pieces: list[SpeechPiece] = []
    for start_s, end_s in segments:
        if pieces and min(pieces[-1].length_s, end_s - start_s) < MIN_PIECE_S:
            pieces[-1] = SpeechPiece(pieces[-1].start_s, end_s)
        else:
            pieces.append(SpeechPiece(start_s, end_s))
    return pieces


def opening(pieces: Sequence[SpeechPiece]) -> SpeechPiece:
    """Return the start of the speech: as many pieces as are needed for `OPENING_S` seconds, at least one."""
    end_s, length_s = pieces[0].end_s, 0.0
    for piece in pieces:
        end_s, length_s = piece.end_s, length_s + piece.length_s
        if length_s >= OPENING_S:
            break
    return SpeechPiece(pieces[0].start_s, end_s)


@dataclass(frozen=True)
class LanguageIdentifier:
    """Identifies the language of speech with the encoder of a multilingual Whisper model."""

    model: WhisperModel

    def probabilities(self, samples: NDArray[np.float32], max_s: float = MAX_IDENTIFIED_S) -> dict[str, float]:
        """Return the probability of each language the model knows.

        Args:
            samples: Mono audio (sample,) at `AUDIO_RATE_HZ`. It is encoded without padding to 30 s, so that the time
                this takes is proportional to the duration.
            max_s: The audio after this number of seconds is not used.

        Returns:
            Language code -> probability.
        """
        part = samples[: round(max_s * AUDIO_RATE_HZ)]
        extractor = self.model.feature_extractor
        features = extractor(part)[..., : max(1, part.size // extractor.hop_length)]
        (languages,) = self.model.model.detect_language(self.model.encode(features))
        return {token.strip("<|>"): float(probability) for token, probability in languages}


def decide_language(probabilities: Mapping[str, float], expected: str, heard_before: str = "") -> str:
    """Decide on the language of a piece of speech.

    Args:
        probabilities: Language code -> probability.
        expected: Main language of the recording.
        heard_before: Other language that was heard before in the same recording; empty if there is none.

    Returns:
        The code of the language; `UNDETERMINED` if it is not the expected one, but no other one is probable enough.
    """
    if probabilities.get(expected, 0.0) >= EXPECTED_LANGUAGE:
        return expected
    top = max(probabilities, key=lambda code: probabilities[code])
    if probabilities[top] >= NAMED_LANGUAGE and top not in NEVER_NAMED:
        return top
    return heard_before if probabilities.get(heard_before, 0.0) >= POSSIBLE_LANGUAGE else UNDETERMINED
