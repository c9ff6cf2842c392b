"""The interface of text extractors, and feature vectors of single spoken words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord


@dataclass(frozen=True)
class TextExtractor:
    """A loaded text extractor."""

    # feature space of the utterance vectors
    space: FeatureSpace
    # texts -> vectors (utterance, feature) float32 and present (utterance,), False where a text has no vector
    utterance_vectors: Callable[[Sequence[str]], tuple[FloatArray, BoolArray]]
    # one text -> token vectors (token, feature) float32, whose mean is the utterance vector; None: utterance level only
    word_vectors: Callable[[str], FloatArray] | None = None
    # feature space of spoken words, see `describe_words`; None if and only if `word_vectors` is None
    word_space: FeatureSpace | None = None


def describe_words(
    word_vectors: Callable[[str], FloatArray], n_features: int, words: Sequence[TimedWord]
) -> tuple[FloatArray, BoolArray]:
    """Compute one vector per spoken word: the mean over its tokens ("don't" has two), without surrounding punctuation.

    Args:
        word_vectors: Maps a text to its token vectors (token, feature), see `TextExtractor`.
        n_features: Number of features of a token vector.
        words: Spoken words of an utterance.

    Returns:
        Vectors (word, feature) float32, and present (word,); a row is zero where `present` is False because no token
        of the word is known.
    """
    return token_means(word_vectors, n_features, [without_marks(word.text) for word in words])


def token_means(
    word_vectors: Callable[[str], FloatArray], n_features: int, texts: Sequence[str]
) -> tuple[FloatArray, BoolArray]:
    """Average the token vectors of each text.

    Args:
        word_vectors: Maps a text to its token vectors (token, feature), see `TextExtractor`.
        n_features: Number of features of a token vector.
        texts: Texts to describe.

    Returns:
        Means (text, feature) float32, and present (text,); a row is zero where `present` is False because no token of
        the text is known.
    """
    means = np.zeros((len(texts), n_features), dtype=np.float32)
    present = np.zeros(len(texts), dtype=np.bool_)
    for number, text in enumerate(texts):
        tokens = word_vectors(text)
        if len(tokens):
            means[number], present[number] = tokens.mean(axis=0), True
    return means, present


def without_marks(word: str) -> str:
    """Remove the punctuation around a word, which is not spoken: ``"(don't!)"`` -> ``"don't"``."""
    spoken = [position for position, character in enumerate(word) if character.isalnum()]
    return word[spoken[0] : spoken[-1] + 1] if spoken else ""
