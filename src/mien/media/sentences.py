"""Where a sentence ends, read from recognised words and the pauses between them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mien.schema import TimedWord

# Followed by a name or a number: not even a capital letter after it makes an end of it.
TITLES = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "rev", "gen", "sen", "rep", "gov", "lt", "col", "sgt", "capt", "st", "mt"}
    | {"vs", "e.g", "i.e", "fig", "vol"}
)
# an end, unless a number follows
BEFORE_NUMBERS = frozenset({"no", "p", "pp", "ch", "sec", "art"})
# Between recognised words, a mark before a lower-case word is an end only if the speaker paused this long.
BREATH_S = 0.25
_CLOSING = "\"'”’»)]"
_OPENING = "\"'“‘«([¿¡"
_FULL_STOPS = ".。．"
_CALLS = "?!？！…"
# one letter or letters with dots between them: J. or U.S. or a.m.
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+")


def ends_sentence(word: TimedWord, following: TimedWord | None) -> bool:
    """Whether a sentence ends with `word`; `following` is the next word, None if there is none.

    A full stop inside a number ("3.5") or after an abbreviation ends nothing, nor does a mark before a lower-case word
    that follows without a pause.
    """
    bare = word.text.rstrip(_CLOSING)
    if not bare or bare[-1] not in _FULL_STOPS + _CALLS:
        return False
    if following is None:
        return True
    pause_s = following.start_s - word.end_s
    first = following.text.lstrip(_OPENING)[:1]
    if first.islower() and pause_s < BREATH_S:
        return False
    if bare[-1] in _CALLS or bare.endswith(".."):
        return True
    stem = bare.lower().strip(".")
    if stem in TITLES or (first.isdigit() and stem in BEFORE_NUMBERS):
        return False
    # "at 5 p.m. We left" ends, "Mary J. Smith" does not; a pause tells them apart where capitals cannot
    return not _INITIALS.fullmatch(bare) or pause_s >= BREATH_S


def sentence_ends(words: Sequence[TimedWord]) -> tuple[bool, ...]:
    """(word,) whether a sentence ends with each word; the last word ends one only if it says so."""
    following = [*words[1:], None]
    return tuple(ends_sentence(word, after) for word, after in zip(words, following, strict=True))
