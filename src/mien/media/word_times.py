"""Times of the words of a transcript: aligned with recognised words, or estimated from the lengths of the words."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from mien.printable import unescape_entities
from mien.schema import Clip, TimedWord

# Messages about estimated times. The first message counts words, the others count utterances.
BETWEEN_HEARD = "words of transcripts that recognition did not hear: spread between those it heard"
NONE_HEARD = "utterances in which no word of the transcript was recognised: words spread over them by their length"
NOTHING_HEARD_AT_ALL = "utterances whose words have no times: words spread over them by their length"

# Shortest plausible duration of a word. If the words between two matched words have less time than this, the matched
# words lose their recognised times, and the time of all these words is estimated.
SHORTEST_WORD_S = 0.05


def spoken_words(text: str) -> list[str]:
    """Return the words of a text, split at white space. Tokens without letters and digits are left out.

    HTML entities are decoded first.
    """
    return [word for word in unescape_entities(text).split() if any(letter.isalnum() for letter in word)]


def spread_words(words: Sequence[str], start_s: float, end_s: float) -> tuple[TimedWord, ...]:
    """Distribute words over a time interval in proportion to their numbers of letters and digits.

    Args:
        words: Words in spoken order. Each contains a letter or a digit.
        start_s: Start of the interval in seconds.
        end_s: End of the interval in seconds.

    Returns:
        The words with their times, without gaps. The first starts at `start_s`, and the last ends at `end_s`.
    """
    sizes = [sum(letter.isalnum() for letter in word) for word in words]
    total = sum(sizes)
    bounds_s = (
        [start_s + (end_s - start_s) * n_before / total for n_before in accumulate(sizes, initial=0)] if total else []
    )
    return tuple(TimedWord(word, bounds_s[n], bounds_s[n + 1]) for n, word in enumerate(words))


def words_inside(heard: Iterable[TimedWord], start_s: float, end_s: float) -> tuple[TimedWord, ...]:
    """Select the words whose midpoint in time lies in [start_s, end_s), and limit their times to this interval.

    Args:
        heard: Recognised words.
        start_s: Start of the interval in seconds, included.
        end_s: End of the interval in seconds, excluded.

    Returns:
        The selected words in their original order, with times inside the interval.
    """
    return tuple(
        TimedWord(word.text, max(word.start_s, start_s), min(word.end_s, end_s))
        for word in heard
        if start_s <= (word.start_s + word.end_s) / 2 < end_s
    )


def align_words(
    words: Sequence[str], heard: Sequence[TimedWord], start_s: float, end_s: float
) -> tuple[tuple[TimedWord, ...], int]:
    """Compute the times of the words of a transcript from the words recognised in the same interval.

    A word of the transcript that matches a recognised word, ignoring case and punctuation, gets the times of this
    recognised word. Unmatched words between two matched words share the time between these, in proportion to their
    numbers of letters and digits. Unmatched words before the first matched word share the time since the start of the
    interval, and those after the last matched word share the time to its end. If there is less than `SHORTEST_WORD_S`
    per unmatched word, the matched words next to the unmatched words are treated as unmatched, too.

    Args:
        words: Words of the transcript, in spoken order.
        heard: Recognised words in time order, inside the interval.
        start_s: Start of the interval in seconds.
        end_s: End of the interval in seconds.

    Returns:
        The words of the transcript with their times, in time order, and the number of words with recognised times.
    """
    # recognised words by the index of the matching word of the transcript
    anchors: dict[int, TimedWord] = {}
    matcher = difflib.SequenceMatcher(
        None, [_normalised(word) for word in words], [_normalised(w.text) for w in heard], False
    )
    for block in matcher.get_matching_blocks():
        anchors |= {block.a + n: heard[block.b + n] for n in range(block.size)}
    while (neighbours := _beside_short_gap(len(words), anchors, start_s, end_s)) is not None:
        for neighbour in neighbours:
            anchors.pop(neighbour, None)
    timed: list[TimedWord] = []
    for first, last in _unmatched_ranges(len(words), anchors):
        begin_s, stop_s = _gap_times(first, last, anchors, start_s, end_s)
        timed.extend(spread_words(words[first:last], begin_s, stop_s))
        if last in anchors:
            timed.append(TimedWord(words[last], anchors[last].start_s, anchors[last].end_s))
    return tuple(timed), len(anchors)


def timed_words(
    clip: Clip, heard: Sequence[TimedWord] | None = None, notes: Counter[str] | None = None
) -> tuple[TimedWord, ...]:
    """Return the spoken words of a clip with their times.

    Args:
        clip: An utterance. If it has timed words, these are returned. Otherwise, the times of the words of its
            transcript are computed.
        heard: Words recognised in the whole file, in time order. If it is None, recognition did not run, and the times
            are estimated.
        notes: Counter of messages about estimated times (see the constants of this module). It is updated in place. If
            it is None, nothing is counted.

    Returns:
        The words with their times, in time order; empty if the clip has no spoken words.
    """
    counts: Counter[str] = notes if notes is not None else Counter()
    if clip.words:
        return tuple(word for word in clip.words if spoken_words(word.text))
    words = spoken_words(clip.transcript)
    if not words:
        return ()
    if heard is None:
        counts[NOTHING_HEARD_AT_ALL] += 1
        return spread_words(words, clip.start_s, clip.end_s)
    recognized = words_inside(heard, clip.start_s, clip.end_s)
    timed, n_matched = align_words(words, recognized, clip.start_s, clip.end_s)
    if not n_matched:
        counts[NONE_HEARD] += 1
    elif n_matched < len(words):
        counts[BETWEEN_HEARD] += len(words) - n_matched
    return timed


def _normalised(word: str) -> str:
    """Reduce a word to its letters and digits in lower case, for matching."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _unmatched_ranges(n_words: int, anchors: dict[int, TimedWord]) -> list[tuple[int, int]]:
    """Return the ranges [first, last) of words without recognised times.

    Args:
        n_words: Number of words of the transcript.
        anchors: Index of each matched word in the transcript -> the recognised word that matches it.

    Returns:
        One range before each matched word, and one range after the last matched word. A range can be empty.
    """
    stops = [*sorted(anchors), n_words]
    return [(begin + 1, stop) for begin, stop in zip([-1, *stops[:-1]], stops, strict=True)]


def _gap_times(
    first: int, last: int, anchors: dict[int, TimedWord], start_s: float, end_s: float
) -> tuple[float, float]:
    """Return the start and end, in seconds, of the gap that the unmatched words [first, last) can fill.

    Args:
        first: Index of the first unmatched word in the transcript.
        last: Index after the last unmatched word.
        anchors: Index of each matched word in the transcript -> the recognised word that matches it.
        start_s: Start of the transcript in seconds, for a gap without a matched word before it.
        end_s: End of the transcript in seconds, for a gap without a matched word after it.
    """
    begin_s = anchors[first - 1].end_s if first - 1 in anchors else start_s
    stop_s = anchors[last].start_s if last in anchors else end_s
    return begin_s, max(begin_s, stop_s)


def _beside_short_gap(
    n_words: int, anchors: dict[int, TimedWord], start_s: float, end_s: float
) -> tuple[int, int] | None:
    """Find the first gap in time that is too short for the unmatched words in it.

    Return the index of the word before this gap and the index of the word after it. Before a gap at the start of the
    transcript, the index is -1. After a gap at the end, it is `n_words`. Return None if no
    gap is too short, or if the transcript has no matched word.

    Args:
        n_words: Number of words of the transcript.
        anchors: Index of each matched word in the transcript -> the recognised word that matches it.
        start_s: Start of the transcript in seconds.
        end_s: End of the transcript in seconds.
    """
    for first, last in _unmatched_ranges(n_words, anchors):
        begin_s, stop_s = _gap_times(first, last, anchors, start_s, end_s)
        neighbours = (first - 1, last)
        too_short = stop_s - begin_s < (last - first) * SHORTEST_WORD_S
        if too_short and any(neighbour in anchors for neighbour in neighbours):
            return neighbours
    return None
