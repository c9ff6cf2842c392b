"""Words -> utterances: a sentence or a breath group, never a piece of a sentence unless it grows too long.

The lengths come from the 18,135 labelled utterances of CMU-MOSEI's train and valid folds: 98 % of them are one
punctuated sentence, the middle one lasts 6.5 s, 1 % are shorter than 1.7 s and 1 % longer than 24 s. Where a sentence
ends is read from the recognised words and the pauses between them (`sentence_ends`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mien.schema import Clip, TimedWord

# A cut after one of these is worth this much more pause: a clause ends there.
CLAUSE_MARKS = (",", ";", ":", "，", "、", "；", "：", "—")
CLAUSE_BONUS_S = 0.3
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


@dataclass(frozen=True)
class SegmentationSettings:
    """Where utterances end."""

    # silence between two words that ends an utterance whether or not the sentence does
    pause_s: float = 1.5
    # a longer utterance is cut at its longest pause
    max_length_s: float = 24.0
    # a shorter utterance joins the neighbour with the shorter pause between
    min_length_s: float = 1.5
    # silence kept on either side, never more than half of the pause: recognised words begin and end a little off
    margin_s: float = 0.3

    def __post_init__(self) -> None:
        if not (self.pause_s > 0 and self.margin_s >= 0 and 0 <= 2 * self.min_length_s <= self.max_length_s):
            raise ValueError(
                "Expected pause_s > 0, margin_s >= 0 and min_length_s to be at most half of max_length_s, but got "
                f"{self.pause_s}, {self.margin_s}, {self.min_length_s} and {self.max_length_s}"
            )


def utterances(
    words: Sequence[TimedWord],
    ends: Sequence[bool],
    duration_s: float,
    settings: SegmentationSettings = SegmentationSettings(),
    *,
    separator: str = " ",
) -> list[Clip]:
    """Clips in time order that hold every word once.

    Args:
        words: in time order, not overlapping
        ends: (word,) whether a sentence ends with the word
        duration_s: no clip ends later
        settings: where utterances end
        separator: what stands between two words of a transcript
    """
    groups: list[list[TimedWord]] = []
    begun: list[TimedWord] = []
    for number, word in enumerate(words):
        begun.append(word)
        last = number + 1 == len(words)
        if last or ends[number] or words[number + 1].start_s - word.end_s >= settings.pause_s:
            groups.append(begun)
            begun = []
    groups = [part for group in _joined(groups, settings) for part in _parts(group, settings)]
    clips = []
    for index, group in enumerate(groups):
        before_s = (groups[index - 1][-1].end_s + group[0].start_s) / 2 if index else 0.0
        after_s = (group[-1].end_s + groups[index + 1][0].start_s) / 2 if index + 1 < len(groups) else duration_s
        clips.append(
            Clip(
                index=index,
                start_s=max(group[0].start_s - settings.margin_s, before_s, 0.0),
                end_s=min(group[-1].end_s + settings.margin_s, after_s, duration_s),
                transcript=separator.join(word.text for word in group),
                words=tuple(group),
            )
        )
    return clips


def fixed_clips(duration_s: float, length_s: float) -> list[Clip]:
    """Clips of one length without words, for a video in which nobody speaks; the last one is 0.5 to 1.5 as long."""
    n_clips = max(1, round(duration_s / length_s)) if duration_s > 0 else 0
    return [
        Clip(index, index * length_s, (index + 1) * length_s if index + 1 < n_clips else duration_s)
        for index in range(n_clips)
    ]


def sentence_ends(words: Sequence[TimedWord]) -> tuple[bool, ...]:
    """(word,) whether a sentence ends with each word; the last word ends one only if it says so."""
    return tuple(ends_sentence(word, after) for word, after in zip_longest(words, words[1:]))


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


def _joined(groups: list[list[TimedWord]], settings: SegmentationSettings) -> list[list[TimedWord]]:
    """Give what is too short to its nearer neighbour, unless a long pause or the maximum length stands between."""
    result = list(groups)
    number = 0
    while number < len(result):
        group = result[number]
        choices = []
        if _length_s(group) < settings.min_length_s:
            for first in (number - 1, number):
                if first >= 0 and first + 1 < len(result):
                    pause_s = result[first + 1][0].start_s - result[first][-1].end_s
                    whole_s = result[first + 1][-1].end_s - result[first][0].start_s
                    if pause_s < settings.pause_s and whole_s <= settings.max_length_s:
                        choices.append((pause_s, first))
        if choices:
            first = min(choices)[1]
            result[first : first + 2] = [result[first] + result[first + 1]]
            number = first
        else:
            number += 1
    return result


def _parts(group: list[TimedWord], settings: SegmentationSettings) -> list[list[TimedWord]]:
    """Cut what is too long at its best pauses, the longest first; no part is too short if that can be had."""
    done: list[list[TimedWord]] = []
    waiting = [group]
    while waiting:
        part = waiting.pop()
        if _length_s(part) <= settings.max_length_s or len(part) < 2:
            done.append(part)
            continue
        places = range(1, len(part))
        roomy = [
            place for place in places if min(_length_s(part[:place]), _length_s(part[place:])) >= settings.min_length_s
        ]
        place = max(roomy or places, key=lambda place: _worth_s(part, place))
        waiting.extend([part[place:], part[:place]])
    return done


def _length_s(group: Sequence[TimedWord]) -> float:
    return group[-1].end_s - group[0].start_s


def _worth_s(part: Sequence[TimedWord], place: int) -> float:
    """How good it is to cut before a word: the pause, and a bonus where a clause ends."""
    bonus_s = CLAUSE_BONUS_S if part[place - 1].text.endswith(CLAUSE_MARKS) else 0.0
    return part[place].start_s - part[place - 1].end_s + bonus_s
