"""Division of recognised words into utterances: sentences, or parts of sentences between long pauses.

The default lengths come from the 18,135 labelled utterances of the train and valid splits of CMU-MOSEI. Of these, 98 %
are one punctuated sentence. Their median duration is 6.5 s; 1 % are shorter than 1.7 s, and 1 % are longer than 24 s.
`sentence_ends` finds the ends of sentences from the recognised words and the pauses between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mien.schema import Clip, TimedWord

# A clause ends at one of these marks. When a long utterance is divided, the bonus is added to the pause after a clause.
CLAUSE_MARKS = (",", ";", ":", "，", "、", "；", "：", "—")
CLAUSE_BONUS_S = 0.3
# Abbreviations that precede a name or a number. They never end a sentence, even before a capital letter.
TITLES = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "rev", "gen", "sen", "rep", "gov", "lt", "col", "sgt", "capt", "st", "mt"}
    | {"vs", "e.g", "i.e", "fig", "vol"}
)
# Words that, with a full stop, end a sentence unless a number follows.
BEFORE_NUMBERS = frozenset({"no", "p", "pp", "ch", "sec", "art"})
# Abbreviations that end a sentence only if a pause follows, and the next word does not start with a lower-case letter.
ABBREVIATIONS = frozenset({"etc", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "est", "approx"})
# shortest pause after an abbreviation that ends a sentence
BREATH_S = 0.25
_CLOSING = "\"'”’»)]"
_OPENING = "\"'“‘«([¿¡"
_FULL_STOPS = ".。．"
_OTHER_END_MARKS = "?!？！…"
# single letters that are each followed by a full stop: J. or U.S. or a.m.
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+")


@dataclass(frozen=True)
class SegmentationSettings:
    """Settings for the division of words into utterances."""

    # A pause of at least this length ends an utterance even inside a sentence.
    pause_s: float = 1.5
    # A longer utterance is divided at its longest pause.
    max_length_s: float = 24.0
    # A shorter utterance is merged with the one before or after it: the one at the shorter pause.
    min_length_s: float = 1.5
    # Silence added before and after the words, at most half of the pause, because recognised times are imprecise.
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
    """Divide words into utterances at sentence ends and long pauses.

    Args:
        words: Words in time order, without overlaps.
        ends: For each word, whether a sentence ends with it, (word,).
        duration_s: Duration of the file in seconds; no clip ends later.
        settings: Pause that ends an utterance, and limits of the duration of an utterance.
        separator: Text between two words of a transcript.

    Returns:
        The utterances as clips in time order. Each word is in exactly one clip.
    """
    groups: list[list[TimedWord]] = []
    group_words: list[TimedWord] = []
    for number, word in enumerate(words):
        group_words.append(word)
        last = number + 1 == len(words)
        if last or ends[number] or words[number + 1].start_s - word.end_s >= settings.pause_s:
            groups.append(group_words)
            group_words = []
    groups = [part for group in _merge_short_groups(groups, settings) for part in _divide_long_group(group, settings)]
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
    """Divide a video without speech into clips of equal length.

    Args:
        duration_s: Duration of the video in seconds.
        length_s: Length of a clip in seconds, above 0.

    Returns:
        Clips without words, in time order. Each clip lasts `length_s`, except the last one, which lasts 0.5 to 1.5
        times `length_s`. A video shorter than half of `length_s` is one clip. A video of duration 0 has no clips.
    """
    n_clips = max(1, round(duration_s / length_s)) if duration_s > 0 else 0
    return [
        Clip(index, index * length_s, (index + 1) * length_s if index + 1 < n_clips else duration_s)
        for index in range(n_clips)
    ]


def sentence_ends(words: Sequence[TimedWord]) -> tuple[bool, ...]:
    """Return for each word whether a sentence ends with it, (word,).

    The last word ends a sentence only if a mark such as a full stop or a question mark follows it.
    """
    return tuple(ends_sentence(word, after) for word, after in zip_longest(words, words[1:]))


def ends_sentence(word: TimedWord, following: TimedWord | None) -> bool:
    """Return whether a sentence ends with a word.

    A full stop inside a number ("3.5") or after an abbreviation does not end a sentence. Any other full stop, question
    mark or exclamation mark does, even if the next word starts with a lower-case letter: speech recognition sometimes
    omits capital letters for half a minute.

    Args:
        word: Word with its punctuation and times.
        following: Next word; None if `word` is the last one.
    """
    unquoted = word.text.rstrip(_CLOSING)
    if not unquoted or unquoted[-1] not in _FULL_STOPS + _OTHER_END_MARKS:
        return False
    if following is None:
        return True
    first = following.text.lstrip(_OPENING)[:1]
    stem = unquoted.lower().strip(".")
    if unquoted[-1] == "." and (stem in TITLES or (stem in BEFORE_NUMBERS and first.isdigit())):
        return False
    paused = following.start_s - word.end_s >= BREATH_S
    if unquoted.endswith(("..", "…")):
        return paused or not first.islower()
    if unquoted[-1] == "." and (stem in ABBREVIATIONS or _INITIALS.fullmatch(unquoted)):
        # "p.m." ends a sentence in "at 5 p.m. We left", but "J." does not in "Mary J. Smith". A capital letter follows
        # in both cases, so that only the pause distinguishes them.
        return paused and not first.islower()
    return True


def _merge_short_groups(groups: list[list[TimedWord]], settings: SegmentationSettings) -> list[list[TimedWord]]:
    """Merge each group of words that is too short with the group before or after it, and return the groups.

    Of the two neighbours, the one with the shorter pause between it and the short group is taken. Groups are not merged
    if the pause between them is at least `pause_s`, or if the merged group would be longer than `max_length_s`.
    """
    result = list(groups)
    number = 0
    while number < len(result):
        group = result[number]
        choices = []
        if _group_length_s(group) < settings.min_length_s:
            for first in (number - 1, number):
                if first >= 0 and first + 1 < len(result):
                    pause_s = result[first + 1][0].start_s - result[first][-1].end_s
                    merged_s = result[first + 1][-1].end_s - result[first][0].start_s
                    if pause_s < settings.pause_s and merged_s <= settings.max_length_s:
                        choices.append((pause_s, first))
        if choices:
            first = min(choices)[1]
            result[first : first + 2] = [result[first] + result[first + 1]]
            number = first
        else:
            number += 1
    return result


def _divide_long_group(group: list[TimedWord], settings: SegmentationSettings) -> list[list[TimedWord]]:
    """Divide a group of words at its longest pauses until no part is longer than `max_length_s`; return the parts.

    Each part has at least the length `min_length_s` if that is possible. A group that is short enough stays undivided.
    """
    finished: list[list[TimedWord]] = []
    waiting = [group]
    while waiting:
        part = waiting.pop()
        if _group_length_s(part) <= settings.max_length_s or len(part) < 2:
            finished.append(part)
            continue
        places = range(1, len(part))
        long_enough = [
            place
            for place in places
            if min(_group_length_s(part[:place]), _group_length_s(part[place:])) >= settings.min_length_s
        ]
        place = max(long_enough or places, key=lambda place: _cut_score_s(part, place))
        waiting.extend([part[place:], part[:place]])
    return finished


def _group_length_s(group: Sequence[TimedWord]) -> float:
    """Return the time in seconds from the start of the first word of a group to the end of its last word."""
    return group[-1].end_s - group[0].start_s


def _cut_score_s(part: Sequence[TimedWord], place: int) -> float:
    """Return the score of dividing a group of words before the word with the index `place`; a higher score is better.

    The score is the pause before this word in seconds. If a clause ends before the pause, `CLAUSE_BONUS_S` is added.
    """
    bonus_s = CLAUSE_BONUS_S if part[place - 1].text.endswith(CLAUSE_MARKS) else 0.0
    return part[place].start_s - part[place - 1].end_s + bonus_s
