"""Word error rate: the Levenshtein distance (1966) between sequences of words, per word of the reference text."""

from __future__ import annotations

from collections.abc import Sequence

from mien.printable import unescape_entities


def split_words(text: str) -> list[str]:
    """Replace HTML entities in a text by their characters, and return its words: the parts between whitespace.

    Punctuation is not removed from the words.
    """
    return unescape_entities(text).split()


def word_edits(hypothesis: Sequence[str], expected: Sequence[str]) -> int:
    """Compute the edit distance between two sequences of words.

    This is the smallest number of substitutions, deletions and insertions of words that turns `expected` into
    `hypothesis`.

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
    """Compute the word error rate over all texts together: the number of edits divided by the number of expected words.

    Args:
        hypothesis: Texts to judge, for example recognized speech, (utterance,).
        expected: Reference texts, (utterance,).

    Returns:
        Word error rate: at least 0, and possibly above 1. NaN if the reference texts have no words.
    """
    pairs = [(split_words(text), split_words(reference)) for text, reference in zip(hypothesis, expected, strict=True)]
    n_words = sum(len(reference) for _, reference in pairs)
    return sum(word_edits(words, reference) for words, reference in pairs) / n_words if n_words else float("nan")
