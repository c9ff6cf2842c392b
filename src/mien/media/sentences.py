"""Where a sentence ends, read from recognised words and the pauses between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from mien.schema import TimedWord

# Followed by a name or a number: not even a capital letter after it makes an end of it.
TITLES = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "rev", "gen", "sen", "rep", "gov", "lt", "col", "sgt", "capt", "st", "mt"}
    | {"vs", "e.g", "i.e", "fig", "vol"}
)
# an end, unless a number follows
BEFORE_NUMBERS = frozenset({"no", "p", "pp", "ch", "sec", "art"})
# an end only where the speaker paused and went on with a capital letter
ABBREVIATIONS = frozenset({"etc", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "est", "approx"})
# what counts as a pause there
BREATH_S = 0.25
_CLOSING = "\"'”’»)]"
_OPENING = "\"'“‘«([¿¡"
_FULL_STOPS = ".。．"
_CALLS = "?!？！…"
# one letter or letters with dots between them: J. or U.S. or a.m.
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+")


def ends_sentence(word: TimedWord, following: TimedWord | None) -> bool:
    """Whether a sentence ends with `word`; `following` is the next word, None if there is none.

    A full stop inside a number ("3.5") or after an abbreviation ends nothing. Elsewhere the mark is believed, even
    before a small letter: recognition can fall into small letters for half a minute.
    """
    bare = word.text.rstrip(_CLOSING)
    if not bare or bare[-1] not in _FULL_STOPS + _CALLS:
        return False
    if following is None:
        return True
    first = following.text.lstrip(_OPENING)[:1]
    stem = bare.lower().strip(".")
    if bare[-1] == "." and (stem in TITLES or (stem in BEFORE_NUMBERS and first.isdigit())):
        return False
    paused = following.start_s - word.end_s >= BREATH_S
    if bare.endswith(("..", "…")):
        return paused or not first.islower()
    if bare[-1] == "." and (stem in ABBREVIATIONS or _INITIALS.fullmatch(bare)):
        # "at 5 p.m. We left" ends, "Mary J. Smith" does not; a pause tells them apart where capitals cannot
        return paused and not first.islower()
    return True


def sentence_ends(words: Sequence[TimedWord]) -> tuple[bool, ...]:
    """(word,) whether a sentence ends with each word; the last word ends one only if it says so."""
    return tuple(ends_sentence(word, after) for word, after in zip_longest(words, words[1:]))
