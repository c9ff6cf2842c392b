"""The arrays that predictors take as input: those of a split, of several videos, or of one video's features only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.labels import EMOTION_SPACE, PAPER_SPACES, SENTIMENT_SPACE, LabelSpace, labels_or_missing
from mien.schema import BoolArray, FeatureSpace, FloatArray, IntArray, Level, Modality, Utterance, Video

# word vectors of one utterance in one modality (word, feature), and a mask (word,) of the words that have the modality;
# None if the utterance has no words
WordsOfOne = tuple[FloatArray, BoolArray] | None


@dataclass(frozen=True, slots=True)
class WordColumns:
    """Word vectors of all utterances, concatenated.

    Every modality has the same words. N is the number of utterances, and W the number of all words.

    Attributes:
        offsets: (N + 1,). The words of utterance n are the rows from offsets[n] to offsets[n + 1] - 1.
        features: Word vectors (W, feature) float32 of each modality. The vector of a word without the modality is zero.
        present: Mask (W,) of each modality, True where the word has the modality.
    """

    offsets: np.ndarray[Any, np.dtype[np.int64]]
    features: dict[Modality, FloatArray]
    present: dict[Modality, BoolArray]


@dataclass(frozen=True, slots=True)
class SplitColumns:
    """One split as arrays: the videos one after the other, and the utterances of each video by start time.

    N is the number of utterances, and V the number of videos.

    Attributes:
        video_ids: Ids of the videos (V,).
        offsets: (V + 1,). The utterances of video v are the rows from offsets[v] to offsets[v + 1] - 1.
        index: Index of each utterance in its video, (N,).
        features: Vectors (N, feature) float32 of each modality. The vector is zero where `present` is False.
        present: Mask (N,) of each modality, True where the utterance has the modality.
        labels: Gold labels (N, column) float64 of each label space, by its name. The row of an utterance without them
            is NaN. Empty if only features were given.
        label_spaces: Label spaces of the Dataset.
        spaces: Feature space of each modality. A predictor compares them with those it was trained on. Empty if only
            features were given.
        words: Word vectors; None unless they were requested.
        transcripts: Transcripts (N,), an empty text where there is none. None if only features were given.
        start_s: Start of each utterance (N,) in seconds, float64, NaN where unknown. None if only features were given.
        end_s: End of each utterance, in the same form as `start_s`.
        speakers: Name of the speaker of each utterance (N,), None where unknown. None if the Dataset has no speakers or
            only features were given.
    """

    video_ids: list[str]
    offsets: np.ndarray[Any, np.dtype[np.int64]]
    index: np.ndarray[Any, np.dtype[np.int64]]
    features: dict[Modality, FloatArray]
    present: dict[Modality, BoolArray]
    labels: Mapping[str, FloatArray]
    label_spaces: Sequence[LabelSpace] = PAPER_SPACES
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)
    words: WordColumns | None = None
    transcripts: list[str] | None = None
    start_s: FloatArray | None = None
    end_s: FloatArray | None = None
    speakers: list[str | None] | None = None

    @property
    def n_utterances(self) -> int:
        """Number of utterances, N."""
        return len(self.index)

    @property
    def sentiment(self) -> FloatArray:
        """Labels (N,) of the label space `sentiment`, scores in CMU-MOSEI; NaN where missing."""
        return labels_or_missing(self.labels, SENTIMENT_SPACE, len(self.index))[:, 0]

    @property
    def emotions(self) -> FloatArray:
        """Labels (N, column) of the label space `emotion`, six intensities in CMU-MOSEI; rows of NaN where missing."""
        return labels_or_missing(self.labels, EMOTION_SPACE, len(self.index))

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
    videos: Sequence[Video],
    spaces: Mapping[Modality, FeatureSpace],
    label_spaces: Sequence[LabelSpace] = PAPER_SPACES,
    *,
    words: bool = False,
) -> SplitColumns:
    """Convert videos to arrays.

    Args:
        videos: Videos, in the order of the result.
        spaces: Feature spaces of the modalities.
        label_spaces: Label spaces of the labels.
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
    return SplitColumns(
        video_ids=[video.id for video in videos],
        offsets=np.cumsum([0, *(len(video.utterances) for video in videos)], dtype=np.int64),
        index=np.array([utterance.index for utterance in utterances], dtype=np.int64),
        features=features,
        present=present,
        labels={each.name: stack_labels(utterances, each) for each in label_spaces},
        label_spaces=label_spaces,
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
        labels={},
    )


def _float_array(values: Sequence[float | None]) -> FloatArray:
    """Convert numbers to a float64 array (value,), with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def stack_labels(utterances: Sequence[Utterance], space: LabelSpace) -> FloatArray:
    """Return the labels of utterances in one label space, (utterance, column), with rows of NaN where missing."""
    labels = np.full((len(utterances), space.n_columns), np.nan)
    for row, utterance in zip(labels, utterances, strict=True):
        row[:] = utterance.labels.get(space.name, np.nan)
    return labels


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
