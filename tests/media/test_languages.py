"""Codes and names of languages, and the decision about the language of a piece of speech."""

from __future__ import annotations

import pytest

from mien.errors import UsageError
from mien.media.languages import (
    EXPECTED_LANGUAGE,
    LANGUAGE_NAMES,
    MIN_PIECE_S,
    NAMED_LANGUAGE,
    UNDETERMINED,
    SpeechPiece,
    decide_language,
    language_name,
    opening,
    parse_language,
    speech_pieces,
)


def test_every_language_of_whisper_has_a_name():
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert set(LANGUAGE_NAMES) == set(tokenizer._LANGUAGE_CODES)
    assert [language_name(code) for code in ("fr", "ht", "yue", "xx")] == [
        "French",
        "Haitian Creole",
        "Cantonese",
        "xx",
    ]


@pytest.mark.parametrize(("given", "code"), [("fr", "fr"), ("EN", "en"), ("en-GB", "en"), (" pt_BR ", "pt")])
def test_codes_are_accepted_in_their_usual_spellings(given, code):
    assert parse_language(given) == code


@pytest.mark.parametrize(("given", "hint"), [("French", "did you mean fr"), ("xx", "give a code"), ("", "give a code")])
def test_what_is_no_code_is_refused_with_a_hint(given, hint):
    with pytest.raises(UsageError, match=f"Expected the code of a language, but got '{given}'; {hint}"):
        parse_language(given)


@pytest.mark.parametrize(
    ("probabilities", "before", "language"),
    [
        ({"en": 0.9, "fr": 0.1}, "", "en"),
        ({"en": EXPECTED_LANGUAGE, "fr": 0.7}, "", "en"),
        ({"en": 0.01, "fr": NAMED_LANGUAGE}, "", "fr"),
        ({"en": 0.01, "fr": 0.6}, "", UNDETERMINED),
        ({"en": 0.01, "cs": 0.6, "pl": 0.2}, "pl", "pl"),
        ({"en": 0.01, "cs": 0.6, "pl": 0.01}, "pl", UNDETERMINED),
        ({"en": 0.01, "la": 0.95}, "", UNDETERMINED),  # what the model answers for unclear speech
        ({"fr": 1.0}, "", "fr"),
    ],
)
def test_a_language_is_named_only_if_it_is_probable(probabilities, before, language):
    assert decide_language(probabilities, "en", before) == language


def test_short_segments_join_their_neighbours():
    segments = [(0.0, 0.4), (1.0, 3.0), (3.5, 4.0), (5.0, 8.0)]
    pieces = speech_pieces(segments)
    assert pieces == [SpeechPiece(0.0, 4.0), SpeechPiece(5.0, 8.0)]
    assert all(piece.length_s >= MIN_PIECE_S for piece in pieces)
    assert speech_pieces([(1.0, 1.2)]) == [SpeechPiece(1.0, 1.2)]
    assert opening(pieces) == SpeechPiece(0.0, 4.0)
    assert opening([SpeechPiece(0.0, 1.0), SpeechPiece(2.0, 3.0), SpeechPiece(4.0, 9.0)]) == SpeechPiece(0.0, 9.0)
