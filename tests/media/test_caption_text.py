"""Speakers, sounds and lyrics in captions, told apart from what is said."""

from __future__ import annotations

from collections import Counter

import pytest

from mien.media.caption_text import (
    NOT_SPEECH,
    SOUND_IN_SPEECH,
    SUNG,
    SpokenPart,
    plain_lines,
    recurring_names,
    spoken_parts,
)

NONE: frozenset[str] = frozenset()


def parts(*lines, names=NONE):
    return spoken_parts(plain_lines(lines), names, Counter())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[MUSIC PLAYING]", NOT_SPEECH),
        ("(sighs)", NOT_SPEECH),
        ("(THUNDER IN THE FAR DISTANCE)", NOT_SPEECH),
        ("（笑い）", NOT_SPEECH),
        ("【拍手】", NOT_SPEECH),
        ("*laughs*", NOT_SPEECH),
        ("- [door slams]", NOT_SPEECH),
        ("♪", SUNG),
        ("♪ la la la ♪", SUNG),
        ("♪ a line that goes on", SUNG),
        ("# Happy days are here again #", SUNG),
        ("(sighs) ♪ la la ♪", SUNG),
    ],
)
def test_nobody_says_sounds_and_songs(text, reason):
    (part,) = parts(text)
    assert part.not_judged == reason
    assert part.text == text.removeprefix("- ")


@pytest.mark.parametrize(
    "text",
    [
        "I paid #1 and #2 today.",
        "2 * 3 * 4 is 24",
        "I was there (and I liked it very much).",
        "At 5:30 we left",
        "see http://x.y",
    ],
)
def test_words_with_such_signs_are_speech(text):
    assert parts(text) == [SpokenPart(text)]


def test_sounds_inside_speech_are_removed_and_counted():
    notes: Counter[str] = Counter()
    assert spoken_parts(["(sighs) I am [coughs] fine."], NONE, notes) == [SpokenPart("I am fine.")]
    assert notes == {SOUND_IN_SPEECH: 2}


@pytest.mark.parametrize(
    ("line", "speaker", "text"),
    [
        ("JOHN: Hello.", "JOHN", "Hello."),
        ("DR. O'NEIL (V.O.): Hello.", "DR. O'NEIL", "Hello."),
        (">> MARY: Hello.", "MARY", "Hello."),
        ("[Ann]: Hello.", "Ann", "Hello."),
        ("ÉMILE： Bonjour.", "ÉMILE", "Bonjour."),
        ("Tom: Hello.", "Tom", "Hello."),
        ("Note: this is new.", None, "Note: this is new."),
        ("Here is what I think: no.", None, "Here is what I think: no."),
        ("I: me.", None, "I: me."),
    ],
)
def test_names_before_a_colon(line, speaker, text):
    assert parts(line, names=frozenset({"Tom"})) == [SpokenPart(text, speaker)]


def test_a_name_in_mixed_case_must_recur():
    assert recurring_names([["Tom: hi"], ["Listen: no"], ["- Tom: bye"], ["we met Tom: yes"]]) == {"Tom"}


def test_dashes_and_arrows_begin_another_speaker():
    assert parts("- I hate you!", "- I love you.") == [SpokenPart("I hate you!"), SpokenPart("I love you.")]
    assert parts("- I hate you! - I love you.") == [SpokenPart("I hate you!"), SpokenPart("I love you.")]
    assert parts(">> One.", ">> Two", "lines.") == [SpokenPart("One."), SpokenPart("Two lines.")]
    assert parts("- I said - slowly - no.") == [SpokenPart("I said - slowly - no.")]


def test_breaks_and_positions_of_substation_alpha_are_no_words():
    assert plain_lines([r"{\an8}one\Ntwo\hthree", "<c.yellow>four</c> &lt;3"]) == ["one", "two three", "four <3"]
