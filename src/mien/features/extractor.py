"""What every text extractor offers the importer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mien.schema import BoolArray, FeatureSpace, FloatArray


@dataclass(frozen=True)
class TextExtractor:
    """A loaded extractor. `space` names its utterance vectors."""

    space: FeatureSpace
    # texts -> vectors (utterance, feature) float32 and present (utterance,), False where it has nothing to say
    utterance_vectors: Callable[[Sequence[str]], tuple[FloatArray, BoolArray]]
    # one text -> (word, feature) float32 whose mean is the utterance vector; None if it has no words
    word_vectors: Callable[[str], FloatArray] | None = None
