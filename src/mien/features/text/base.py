"""What every text extractor offers, and how it describes spoken words one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, TimedWord


@dataclass(frozen=True)
class TextExtractor:
    """A loaded extractor. `space` names its utterance vectors."""

    space: FeatureSpace
    # texts -> vectors (utterance, feature) float32 and present (utterance,), False where it has nothing to say
    utterance_vectors: Callable[[Sequence[str]], tuple[FloatArray, BoolArray]]
    # one text -> (token, feature) float32 whose mean is the utterance vector; None if it has no words
    word_vectors: Callable[[str], FloatArray] | None = None
    # what spoken words are described by, see `describe_words`; None exactly where `word_vectors` is None
    word_space: FeatureSpace | None = None


def describe_words(
    word_vectors: Callable[[str], FloatArray], n_features: int, words: Sequence[TimedWord]
) -> tuple[FloatArray, BoolArray]:
    """One vector per spoken word: the mean of its tokens ("don't" has two), the marks around it left out.

    Returns vectors (word, feature) float32, zero rows where `present` (word,) is False: no token of it is known.
    """
    return token_means(word_vectors, n_features, [without_marks(word.text) for word in words])


def token_means(
    word_vectors: Callable[[str], FloatArray], n_features: int, texts: Sequence[str]
) -> tuple[FloatArray, BoolArray]:
    """Mean of the token vectors of each text: (text, feature) float32 and present (text,), False without tokens."""
    means = np.zeros((len(texts), n_features), dtype=np.float32)
    present = np.zeros(len(texts), dtype=np.bool_)
    for number, text in enumerate(texts):
        tokens = word_vectors(text)
        if len(tokens):
            means[number], present[number] = tokens.mean(axis=0), True
    return means, present


def without_marks(word: str) -> str:
    """A word without the punctuation around it, which nobody speaks: ``"(don't!)"`` -> ``"don't"``."""
    kept = [number for number, letter in enumerate(word) if letter.isalnum()]
    return word[kept[0] : kept[-1] + 1] if kept else ""
