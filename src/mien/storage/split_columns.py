"""One split, some videos or bare features in memory as arrays, the form a predictor takes; words where a model asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, IntArray, Level, Modality, Utterance, Video

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
    offsets = np.cumsum([0, *_common_counts(by_modality)], dtype=np.int64)
    features, present = {}, {}
    for modality, utterances in by_modality.items():
        features[modality], present[modality] = lay_out(utterances, offsets, spaces[modality].n_features)
    return WordColumns(offsets, features, present)


def lay_out(utterances: Sequence[WordsOfOne], offsets: IntArray, n_features: int) -> tuple[FloatArray, BoolArray]:
    """The words of utterances one after another, ``(matrix, present)``; `offsets` as in `WordColumns`."""
    matrix = np.zeros((int(offsets[-1]), n_features), dtype=np.float32)
    present = np.zeros(len(matrix), dtype=bool)
    for words, start, stop in zip(utterances, offsets[:-1], offsets[1:], strict=True):
        if words is not None:
            present[start:stop] = words[1]
            matrix[start:stop] = np.where(words[1][:, None], words[0], 0)
    return matrix, present


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


def stack_videos(
    videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace], *, words: bool = False
) -> SplitColumns:
    """Columns of the given videos in their order (see `SplitColumns`); what is missing stays missing.

    Raises DataError with `words` when the modalities of an utterance do not have the same ones.
    """
    utterances = [utterance for video in videos for utterance in video.utterances]
    features, present = {}, {}
    for modality, space in spaces.items():
        features[modality], present[modality] = vectors_of(utterances, space)
    unknown = np.full(len(EMOTIONS), np.nan)
    return SplitColumns(
        video_ids=[video.id for video in videos],
        offsets=np.cumsum([0, *(len(video.utterances) for video in videos)], dtype=np.int64),
        index=np.array([utterance.index for utterance in utterances], dtype=np.int64),
        features=features,
        present=present,
        sentiment=_or_nan([each.sentiment for each in utterances]),
        emotions=np.array([unknown if each.emotions is None else each.emotions for each in utterances]).reshape(-1, 6),
        spaces=spaces,
        words=join_words(
            {
                modality: [words_of_utterance(utterance, modality) for utterance in utterances]
                for modality, space in spaces.items()
                if space.level is Level.WORD
            },
            spaces,
        )
        if words
        else None,
        transcripts=[each.transcript for each in utterances],
        start_s=_or_nan([each.start_s for each in utterances]),
        end_s=_or_nan([each.end_s for each in utterances]),
    )


def stack_features(features: Mapping[str, FloatArray], spaces: Mapping[Modality, FeatureSpace]) -> SplitColumns:
    """Columns of one unnamed video from its features, (utterance, feature) by modality.

    A row of NaN alone is an utterance that lacks the modality, and so is every utterance where a modality of `spaces`
    is not given. Raises DataError on other modalities, widths or numbers of utterances, and on rows that are in part
    not finite.
    """
    unknown = [name for name in features if name not in spaces]
    if unknown or not features:
        raise DataError(
            f"Expected features of {', '.join(spaces)}, but got {', '.join(unknown) or 'none'}; "
            "give those that the model was trained on"
        )
    n = len(next(iter(features.values())))
    matrices, present = {}, {}
    for modality, space in spaces.items():
        rows = features.get(modality)
        matrix = np.full((n, space.n_features), np.nan, np.float32) if rows is None else np.asarray(rows, np.float32)
        if not n or matrix.shape != (n, space.n_features):
            raise DataError(
                f"Expected {modality} features of shape ({n or 'utterances'}, {space.n_features}), but got "
                f"{matrix.shape}; every modality has one row per utterance, of NaN where it is missing"
            )
        here: BoolArray = np.logical_and.reduce(np.isfinite(matrix), axis=1)
        if not here.all():  # seldom, and what follows takes longer than looking
            partly = np.logical_not(here | np.isnan(matrix).all(axis=1))
            if partly.any():
                raise DataError(
                    f"Expected finite {modality} features, but got NaN or infinity in utterance {partly.argmax()}; "
                    "make the whole row NaN where the modality is missing"
                )
            matrix = np.where(here[:, None], matrix, np.float32(0))
        matrices[modality], present[modality] = matrix, here
    return SplitColumns(
        video_ids=[""],
        offsets=np.array([0, n], dtype=np.int64),
        index=np.arange(n, dtype=np.int64),
        features=matrices,
        present=present,
        sentiment=np.full(n, np.nan),
        emotions=np.full((n, len(EMOTIONS)), np.nan),
    )


def _or_nan(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def vectors_of(utterances: Sequence[Utterance], space: FeatureSpace) -> tuple[FloatArray, BoolArray]:
    """The utterances' vectors, ``(matrix, present)``: (utterance, feature) with zero rows where missing."""
    present = np.array([space.modality in utterance.features for utterance in utterances], dtype=bool)
    matrix = np.zeros((len(utterances), space.n_features), dtype=np.float32)
    for row, utterance in zip(matrix, utterances, strict=True):
        if space.modality in utterance.features:
            row[:] = utterance.features[space.modality]
    return matrix, present


def words_of_utterance(utterance: Utterance, modality: Modality) -> WordsOfOne:
    """An utterance's words in one modality; all are present where nothing else is said."""
    rows = utterance.words.get(modality)
    if rows is None:
        return None
    return rows, utterance.word_present.get(modality, np.ones(len(rows), dtype=bool))
