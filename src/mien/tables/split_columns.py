"""One split in memory as arrays, the form a predictor takes; with the words of its utterances where a model asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.schema import BoolArray, FeatureSpace, FloatArray, IntArray, Modality

# one utterance's words in one modality: (word, feature) and (word,), or None without words
WordsOfOne = tuple[FloatArray, BoolArray] | None


@dataclass(frozen=True, slots=True)
class WordColumns:
    """The words of all utterances one after another, the same words in every modality. W = words."""

    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (N + 1,): utterance n has the words offsets[n] : offsets[n + 1]
    features: dict[Modality, FloatArray]  # (W, feature) float32, zero rows where not present
    present: dict[Modality, BoolArray]  # (W,)


@dataclass(frozen=True, slots=True)
class SplitColumns:
    """One split as arrays, videos one after another, utterances in start order. N = utterances, V = videos."""

    video_ids: list[str]  # (V,)
    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (V + 1,): video v is the rows offsets[v] : offsets[v + 1]
    index: np.ndarray[Any, np.dtype[np.int64]]  # (N,)
    features: dict[Modality, FloatArray]  # (N, feature) float32, zero rows where not present
    present: dict[Modality, BoolArray]  # (N,)
    sentiment: FloatArray  # (N,) float64, NaN where missing
    emotions: FloatArray  # (N, 6) float64, NaN rows where missing
    # what the features are, so that a predictor can refuse others; empty for columns made by hand
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)
    # only where a model of words asked for them
    words: WordColumns | None = None
    # (N,), empty where nothing was written down; None for columns made by hand
    transcripts: list[str] | None = None
    # (N,) float64, NaN where unknown; None for columns made by hand
    start_s: FloatArray | None = None
    end_s: FloatArray | None = None

    @property
    def n_utterances(self) -> int:
        """N."""
        return len(self.index)

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Utterances of each video, (V,)."""
        return np.diff(self.offsets)

    def without(self, modality: Modality) -> SplitColumns:
        """The same utterances as if none of them, and no word, had the modality; without text no transcripts either."""
        words, transcripts = self.words, self.transcripts
        if words is not None and modality in words.present:
            nothing = np.zeros_like(words.present[modality])
            words = dataclasses.replace(words, present=words.present | {modality: nothing})
        if transcripts is not None and modality is Modality.TEXT:
            transcripts = [""] * len(transcripts)
        nothing = np.zeros(self.n_utterances, dtype=bool)
        present = self.present | {modality: nothing}
        return dataclasses.replace(self, present=present, words=words, transcripts=transcripts)


def join_words(
    by_modality: Mapping[Modality, Sequence[WordsOfOne]], spaces: Mapping[Modality, FeatureSpace]
) -> WordColumns:
    """The words of utterances (a sequence per modality, one entry an utterance) as one `WordColumns`.

    Raises DataError when the modalities of an utterance do not have the same words: systems that fuse word by word need
    aligned ones.
    """
    counts = _common_counts(by_modality)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    features, present = {}, {}
    for modality, utterances in by_modality.items():
        matrix = np.zeros((int(offsets[-1]), spaces[modality].n_features), dtype=np.float32)
        here = np.zeros(int(offsets[-1]), dtype=bool)
        for number, words in enumerate(utterances):
            if words is not None:
                place = slice(offsets[number], offsets[number + 1])
                matrix[place], here[place] = words[0] * words[1][:, None], words[1]
        features[modality], present[modality] = matrix, here
    return WordColumns(offsets, features, present)


def _common_counts(by_modality: Mapping[Modality, Sequence[WordsOfOne]]) -> IntArray:
    counts: IntArray = np.zeros(max((len(each) for each in by_modality.values()), default=0), dtype=np.int64)
    for modality, utterances in by_modality.items():
        mine = np.array([0 if words is None else len(words[1]) for words in utterances], dtype=np.int64)
        differing = np.flatnonzero((counts > 0) & (mine > 0) & (counts != mine))
        if len(differing):
            at = differing[0]
            raise DataError(
                f"Expected the same words in every modality, but got {mine[at]} {modality} rows and {counts[at]} of "
                "another modality in one utterance; import word-aligned data: mien import csd, or mult and mmsa with "
                "aligned files"
            )
        counts = np.maximum(counts, mine)
    return counts
