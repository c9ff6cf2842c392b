"""When each word of a known text was said: from the words recognised there, or by the length of the words."""

from __future__ import annotations

import difflib
import html
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from mien.schema import Clip, TimedWord

# How often a time was made up; the counts are words, the last two utterances.
BETWEEN_HEARD = "words of transcripts that recognition did not hear: spread between those it heard"
NONE_HEARD = "utterances in which no word of the transcript was recognised: words spread over them by their length"
NOTHING_HEARD_AT_ALL = "utterances whose words have no times: words spread over them by their length"

# A word is hardly said faster. Where recognition left less room, the words beside the gap give some of theirs.
SHORTEST_WORD_S = 0.05


def spoken_words(text: str) -> list[str]:
    """What stands between blanks and holds a letter or a digit; HTML entities are resolved."""
    return [word for word in html.unescape(text).split() if any(letter.isalnum() for letter in word)]


def spread_words(words: Sequence[str], start_s: float, end_s: float) -> tuple[TimedWord, ...]:
    """Words one after the other over a stretch of time, each as long as its share of the letters and digits."""
    sizes = [sum(letter.isalnum() for letter in word) for word in words]
    total = sum(sizes)
    bounds_s = [start_s + (end_s - start_s) * done / total for done in accumulate(sizes, initial=0)] if total else []
    return tuple(TimedWord(word, bounds_s[n], bounds_s[n + 1]) for n, word in enumerate(words))


def words_inside(heard: Iterable[TimedWord], start_s: float, end_s: float) -> tuple[TimedWord, ...]:
    """The words whose middle lies in [start_s, end_s), cut to it."""
    return tuple(
        TimedWord(word.text, max(word.start_s, start_s), min(word.end_s, end_s))
        for word in heard
        if start_s <= (word.start_s + word.end_s) / 2 < end_s
    )


def align_words(
    words: Sequence[str], heard: Sequence[TimedWord], start_s: float, end_s: float
) -> tuple[tuple[TimedWord, ...], int]:
    """Times for the words of a transcript from the words recognised in the same stretch [start_s, end_s].

    Words that agree (letter case and marks aside) take the recognised times. The others lie between their matched
    neighbours, or between these and the ends of the stretch, each as long as its share of the letters. Where there is
    less room than `SHORTEST_WORD_S` a word, the neighbours share theirs.

    Args:
        words: of the transcript, in their order
        heard: in time order, inside the stretch
        start_s: where the transcript begins
        end_s: where it ends

    Returns:
        One timed word per word, in time order, and how many have the times of a recognised word.
    """
    anchors: dict[int, TimedWord] = {}
    matcher = difflib.SequenceMatcher(None, [_bare(word) for word in words], [_bare(w.text) for w in heard], False)
    for block in matcher.get_matching_blocks():
        anchors |= {block.a + n: heard[block.b + n] for n in range(block.size)}
    while (crowded := _crowded(len(words), anchors, start_s, end_s)) is not None:
        for neighbour in crowded:
            anchors.pop(neighbour, None)
    timed: list[TimedWord] = []
    for first, last in _gaps(len(words), anchors):
        begin_s, stop_s = _room(first, last, anchors, start_s, end_s)
        timed.extend(spread_words(words[first:last], begin_s, stop_s))
        if last in anchors:
            timed.append(TimedWord(words[last], anchors[last].start_s, anchors[last].end_s))
    return tuple(timed), len(anchors)


def timed_words(
    clip: Clip, heard: Sequence[TimedWord] | None = None, notes: Counter[str] | None = None
) -> tuple[TimedWord, ...]:
    """The spoken words of a clip with their times; what had to be made up is counted in `notes`.

    Args:
        clip: its own words count if it has any, else those of its transcript
        heard: words recognised in the whole file, None if nothing was recognised
        notes: see the constants of this module
    """
    told: Counter[str] = notes if notes is not None else Counter()
    if clip.words:
        return tuple(word for word in clip.words if spoken_words(word.text))
    words = spoken_words(clip.transcript)
    if not words:
        return ()
    if heard is None:
        told[NOTHING_HEARD_AT_ALL] += 1
        return spread_words(words, clip.start_s, clip.end_s)
    inside = words_inside(heard, clip.start_s, clip.end_s)
    timed, n_matched = align_words(words, inside, clip.start_s, clip.end_s)
    if not n_matched:
        told[NONE_HEARD] += 1
    elif n_matched < len(words):
        told[BETWEEN_HEARD] += len(words) - n_matched
    return timed


def _bare(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _gaps(n_words: int, anchors: dict[int, TimedWord]) -> list[tuple[int, int]]:
    """Before every anchor and at the end: words [first, last) without an anchor, empty where two anchors meet."""
    stops = [*sorted(anchors), n_words]
    return [(begin + 1, stop) for begin, stop in zip([-1, *stops[:-1]], stops, strict=True)]


def _room(first: int, last: int, anchors: dict[int, TimedWord], start_s: float, end_s: float) -> tuple[float, float]:
    begin_s = anchors[first - 1].end_s if first - 1 in anchors else start_s
    stop_s = anchors[last].start_s if last in anchors else end_s
    return begin_s, max(begin_s, stop_s)


def _crowded(n_words: int, anchors: dict[int, TimedWord], start_s: float, end_s: float) -> tuple[int, int] | None:
    """The words before and after the first gap that is too short for its words, if one of them is an anchor."""
    for first, last in _gaps(n_words, anchors):
        begin_s, stop_s = _room(first, last, anchors, start_s, end_s)
        beside = (first - 1, last)
        too_short = stop_s - begin_s < (last - first) * SHORTEST_WORD_S
        if too_short and any(neighbour in anchors for neighbour in beside):
            return beside
    return None
