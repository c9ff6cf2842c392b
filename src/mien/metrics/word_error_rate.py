"""Word error rate: the Levenshtein distance (1966) between sequences of words, per word of the reference text."""

from __future__ import annotations

import html
from collections.abc import Sequence


def split_words(text: str) -> list[str]:
    """Split a text at whitespace, after replacing HTML entities by their characters; punctuation is kept."""
    return html.unescape(text).split()


def word_edits(hypothesis: Sequence[str], expected: Sequence[str]) -> int:
    """Compute the fewest substitutions, deletions and insertions of words that turn `expected` into `hypothesis`.

    Args:
        hypothesis: Words to judge, for example recognized speech.
        expected: Words of the reference text.

    Returns:
        Number of edits.
    """
    distances = list(range(len(hypothesis) + 1))
    for n_expected, expected_word in enumerate(expected, start=1):
        diagonal, distances[0] = distances[0], n_expected
        for column, hypothesis_word in enumerate(hypothesis, start=1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (expected_word != hypothesis_word)),
            )
    return distances[-1]


def word_error_rate(hypothesis: Sequence[str], expected: Sequence[str]) -> float:
    """Compute the word error rate over all texts together.

    Args:
        hypothesis: Texts to judge (utterance,), for example recognized speech.
        expected: Reference texts (utterance,).

    Returns:
        Number of edits per expected word: at least 0, and possibly above 1. NaN if no expected text has a word.
    """
    pairs = [(split_words(text), split_words(reference)) for text, reference in zip(hypothesis, expected, strict=True)]
    n_words = sum(len(reference) for _, reference in pairs)
    return sum(word_edits(words, reference) for words, reference in pairs) / n_words if n_words else float("nan")
