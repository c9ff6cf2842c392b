"""The interface of text extractors, and feature vectors of single spoken words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord


@dataclass(frozen=True)
class TextExtractor:
    """A loaded text extractor: functions that compute vectors from texts, and the feature spaces of the vectors.

    Attributes:
        space: Feature space of the utterance vectors.
        utterance_vectors: Function that takes the transcripts of utterances. It returns their vectors (utterance,
            feature) float32 and a mask (utterance,), which is False where a transcript has no vector.
        word_vectors: Function that takes one text and returns the vectors of its tokens (token, feature) float32. Their
            mean is the utterance vector. None if the extractor has only utterance vectors.
        word_space: Feature space of the vectors of spoken words, see `describe_words`. None if `word_vectors` is None.
    """

    space: FeatureSpace
    utterance_vectors: Callable[[Sequence[str]], tuple[FloatArray, BoolArray]]
    word_vectors: Callable[[str], FloatArray] | None = None
    word_space: FeatureSpace | None = None


def describe_words(
    word_vectors: Callable[[str], FloatArray], n_features: int, words: Sequence[TimedWord]
) -> tuple[FloatArray, BoolArray]:
    """Compute one vector per spoken word: the mean of the vectors of its tokens.

    Punctuation around a word is removed first. A word can have several tokens: "don't" has two.

    Args:
        word_vectors: Function that takes a text and returns its token vectors (token, feature), see `TextExtractor`.
        n_features: Number of features of a token vector.
        words: Spoken words of an utterance.

    Returns:
        Vectors (word, feature) float32, and a mask (word,). The mask is False, and the vector is zero, where no token
        of the word is known.
    """
    return token_means(word_vectors, n_features, [without_marks(word.text) for word in words])


def token_means(
    word_vectors: Callable[[str], FloatArray], n_features: int, texts: Sequence[str]
) -> tuple[FloatArray, BoolArray]:
    """Compute the mean of the token vectors of each text.

    Args:
        word_vectors: Function that takes a text and returns its token vectors (token, feature), see `TextExtractor`.
        n_features: Number of features of a token vector.
        texts: Texts to compute a mean for.

    Returns:
        Means (text, feature) float32, and a mask (text,). The mask is False, and the mean is zero, where no token of
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
    """Remove the unspoken punctuation around a word: ``"(don't!)"`` becomes ``"don't"``."""
    spoken = [position for position, character in enumerate(word) if character.isalnum()]
    return word[spoken[0] : spoken[-1] + 1] if spoken else ""
