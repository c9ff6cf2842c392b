"""The arrays that predictors take as input: those of a split, of several videos, or of one video's features only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, IntArray, Level, Modality, Utterance, Video

# word vectors of one utterance in one modality (word, feature), and a mask (word,) of the words that have the modality;
# None if the utterance has no words
WordsOfOne = tuple[FloatArray, BoolArray] | None


@dataclass(frozen=True, slots=True)
class WordColumns:
    """Word vectors of all utterances, concatenated. Every modality has the same words; W is their total number."""

    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (N + 1,): utterance n has words offsets[n] : offsets[n + 1]
    features: dict[Modality, FloatArray]  # (W, feature) float32, zero rows where not present
    present: dict[Modality, BoolArray]  # (W,)


@dataclass(frozen=True, slots=True)
class SplitColumns:
    """One split as arrays: the videos one after the other, and the utterances of each video by start time.

    N is the number of utterances, and V the number of videos.
    """

    video_ids: list[str]  # (V,)
    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (V + 1,): video v has rows offsets[v] : offsets[v + 1]
    index: np.ndarray[Any, np.dtype[np.int64]]  # (N,)
    features: dict[Modality, FloatArray]  # (N, feature) float32, zero rows where not present
    present: dict[Modality, BoolArray]  # (N,)
    sentiment: FloatArray  # (N,) float64, NaN where missing
    emotions: FloatArray  # (N, 6) float64, NaN rows where missing
    # A predictor compares these spaces with those it was trained on. Empty if only features were given.
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)
    # None unless words were requested
    words: WordColumns | None = None
    # (N,), an empty text where there is no transcript; None if only features were given
    transcripts: list[str] | None = None
    # (N,) seconds, float64, NaN where unknown; None if only features were given
    start_s: FloatArray | None = None
    end_s: FloatArray | None = None
    # (N,), None where unknown; None if the Dataset has no speakers or only features were given
    speakers: list[str | None] | None = None

    @property
    def n_utterances(self) -> int:
        """Number of utterances, N."""
        return len(self.index)

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of utterances of each video, (V,)."""
        return np.diff(self.offsets)

    def without(self, modality: Modality) -> SplitColumns:
        """Return the same utterances with one modality marked as missing. For text, transcripts are emptied as well."""
        words, transcripts = self.words, self.transcripts
        if words is not None and modality in words.present:
            absent = np.zeros_like(words.present[modality])
            words = dataclasses.replace(words, present=words.present | {modality: absent})
        if transcripts is not None and modality is Modality.TEXT:
            transcripts = [""] * len(transcripts)
        absent = np.zeros(self.n_utterances, dtype=bool)
        present = self.present | {modality: absent}
        return dataclasses.replace(self, present=present, words=words, transcripts=transcripts)


def join_words(
    by_modality: Mapping[Modality, Sequence[WordsOfOne]], spaces: Mapping[Modality, FeatureSpace]
) -> WordColumns:
    """Concatenate the word vectors of several utterances, in each modality.

    Args:
        by_modality: Modality -> word vectors of each utterance. All modalities list the utterances in the same order.
        spaces: Feature space of every modality.

    Returns:
        The words of all utterances.

    Raises:
        DataError: Two modalities have different numbers of words in an utterance. Systems that fuse modalities word by
            word need the same words in all of them.
    """
    offsets = np.cumsum([0, *_common_counts(by_modality)], dtype=np.int64)
    features, present = {}, {}
    for modality, utterances in by_modality.items():
        features[modality], present[modality] = lay_out(utterances, offsets, spaces[modality].n_features)
    return WordColumns(offsets, features, present)


def lay_out(utterances: Sequence[WordsOfOne], offsets: IntArray, n_features: int) -> tuple[FloatArray, BoolArray]:
    """Concatenate the word vectors of several utterances in one modality.

    Args:
        utterances: Word vectors of each utterance.
        offsets: Row of the first word of each utterance in the concatenated matrix, and at the end the total number of
            words, (utterance + 1,).
        n_features: Number of features of a word vector.

    Returns:
        ``(matrix, present)``. The matrix (word, feature) holds the vectors as float32. The mask `present` (word,) is
        True where the word has the modality; the vectors of the other words are zero.
    """
    matrix = np.zeros((int(offsets[-1]), n_features), dtype=np.float32)
    present = np.zeros(len(matrix), dtype=bool)
    for words, start, stop in zip(utterances, offsets[:-1], offsets[1:], strict=True):
        if words is not None:
            present[start:stop] = words[1]
            matrix[start:stop] = np.where(words[1][:, None], words[0], 0)
    return matrix, present


def _common_counts(by_modality: Mapping[Modality, Sequence[WordsOfOne]]) -> IntArray:
    """Return the number of words of each utterance, (utterance,).

    A modality that has no words in an utterance is ignored for this utterance.

    Raises:
        DataError: Two modalities have different numbers of words in an utterance.
    """
    counts: IntArray = np.zeros(max((len(each) for each in by_modality.values()), default=0), dtype=np.int64)
    for modality, utterances in by_modality.items():
        own = np.array([0 if words is None else len(words[1]) for words in utterances], dtype=np.int64)
        differing = np.flatnonzero((counts > 0) & (own > 0) & (counts != own))
        if len(differing):
            row = differing[0]
            raise DataError(
                f"Expected the same words in every modality, but got {own[row]} {modality} rows and {counts[row]} of "
                "another modality in one utterance; import word-aligned data: mien import csd, or mult and mmsa with "
                "aligned files"
            )
        counts = np.maximum(counts, own)
    return counts


def stack_videos(
    videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace], *, words: bool = False
) -> SplitColumns:
    """Convert videos to arrays.

    Args:
        videos: Videos, in the order of the result.
        spaces: Feature spaces of the modalities.
        words: Whether to include the word vectors, for the modalities that have them.

    Returns:
        The videos as arrays; missing features and labels stay missing.

    Raises:
        DataError: `words` is True, and two modalities have different numbers of words in an utterance.
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
        sentiment=_float_array([each.sentiment for each in utterances]),
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
        speakers=[each.speaker for each in utterances] if any(each.speaker for each in utterances) else None,
        start_s=_float_array([each.start_s for each in utterances]),
        end_s=_float_array([each.end_s for each in utterances]),
    )


def stack_features(features: Mapping[str, FloatArray], spaces: Mapping[Modality, FeatureSpace]) -> SplitColumns:
    """Convert the features of one video to arrays, without labels, times or a video id.

    Args:
        features: Modality -> features (utterance, feature). A row of NaN means that the utterance lacks the modality.
        spaces: Feature spaces of the system. A modality that `features` lacks is missing in every utterance.

    Returns:
        The video as arrays. The field `spaces` is empty.

    Raises:
        DataError: A modality is unknown, or has the wrong number of features or utterances. Or a row has NaN or
            infinite values, but is not entirely NaN.
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
        mask: BoolArray = np.logical_and.reduce(np.isfinite(matrix), axis=1)
        if not mask.all():  # this test is fast, and the slower checks below are rarely needed
            partial = np.logical_not(mask | np.isnan(matrix).all(axis=1))
            if partial.any():
                raise DataError(
                    f"Expected finite {modality} features, but got NaN or infinity in utterance {partial.argmax()}; "
                    "make the whole row NaN where the modality is missing"
                )
            matrix = np.where(mask[:, None], matrix, np.float32(0))
        matrices[modality], present[modality] = matrix, mask
    return SplitColumns(
        video_ids=[""],
        offsets=np.array([0, n], dtype=np.int64),
        index=np.arange(n, dtype=np.int64),
        features=matrices,
        present=present,
        sentiment=np.full(n, np.nan),
        emotions=np.full((n, len(EMOTIONS)), np.nan),
    )


def _float_array(values: Sequence[float | None]) -> FloatArray:
    """Convert numbers to a float64 array (value,), with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def vectors_of(utterances: Sequence[Utterance], space: FeatureSpace) -> tuple[FloatArray, BoolArray]:
    """Stack the feature vectors of utterances in one modality.

    Args:
        utterances: Utterances, in the order of the rows.
        space: Feature space of the modality.

    Returns:
        ``(matrix, present)``. The matrix (utterance, feature) holds the vectors as float32. The mask `present`
        (utterance,) is True where the utterance has the modality; the vectors of the other utterances are zero.
    """
    present = np.array([space.modality in utterance.features for utterance in utterances], dtype=bool)
    matrix = np.zeros((len(utterances), space.n_features), dtype=np.float32)
    for row, utterance in zip(matrix, utterances, strict=True):
        if space.modality in utterance.features:
            row[:] = utterance.features[space.modality]
    return matrix, present


def words_of_utterance(utterance: Utterance, modality: Modality) -> WordsOfOne:
    """Return the word vectors of one utterance in one modality.

    Args:
        utterance: Utterance to read.
        modality: Modality of the vectors.

    Returns:
        None if the utterance has no words in the modality, else ``(vectors, present)``. The vectors have the shape
        (word, feature). The mask `present` (word,) is True where the word has the modality. If the utterance stores no
        mask, it is True for all words.
    """
    rows = utterance.words.get(modality)
    if rows is None:
        return None
    return rows, utterance.word_present.get(modality, np.ones(len(rows), dtype=bool))
