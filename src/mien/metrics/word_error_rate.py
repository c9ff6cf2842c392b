"""Word error rate: how many words must be changed to come from one text to another (Levenshtein, 1966, over words)."""

from __future__ import annotations

import html
from collections.abc import Sequence


def split_words(text: str) -> list[str]:
    """What stands between blanks, HTML's escapes resolved; punctuation stays with its word."""
    return html.unescape(text).split()


def word_edits(said: Sequence[str], expected: Sequence[str]) -> int:
    """The fewest substitutions, deletions and insertions of words that turn `expected` into `said`."""
    row = list(range(len(said) + 1))
    for number, word in enumerate(expected, start=1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(said, start=1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
    return row[-1]


def word_error_rate(said: Sequence[str], expected: Sequence[str]) -> float:
    """Edits of all texts together, per word of the expected ones; NaN where those have no word.

    Args:
        said: (utterance,) texts.
        expected: (utterance,) what they should be.
    """
    pairs = [(split_words(one), split_words(other)) for one, other in zip(said, expected, strict=True)]
    n_words = sum(len(other) for _, other in pairs)
    return sum(word_edits(one, other) for one, other in pairs) / n_words if n_words else float("nan")
