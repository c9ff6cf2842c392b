"""Videos or bare features in memory as the columns of one split, the form a predictor takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mien.errors import DataError
from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video
from mien.tables.split_columns import SplitColumns, WordsOfOne, join_words


def stack_videos(
    videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace], *, words: bool = False
) -> SplitColumns:
    """Columns of the given videos in their order (see `SplitColumns`); what is missing stays missing.

    Raises DataError with `words` when the modalities of an utterance do not have the same ones.
    """
    utterances = [utterance for video in videos for utterance in video.utterances]
    features, present = {}, {}
    for modality, space in spaces.items():
        here = np.array([modality in utterance.features for utterance in utterances], dtype=bool)
        matrix = np.zeros((len(utterances), space.n_features), dtype=np.float32)
        for row, utterance in zip(matrix, utterances, strict=True):
            if modality in utterance.features:
                row[:] = utterance.features[modality]
        features[modality], present[modality] = matrix, here
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
                modality: [_words_of(utterance, modality) for utterance in utterances]
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
            _require_none(partly, modality)
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


def _require_none(partly: BoolArray, modality: Modality) -> None:
    if partly.any():
        raise DataError(
            f"Expected finite {modality} features, but got NaN or infinity in utterance {int(partly.argmax())}; "
            "make the whole row NaN where the modality is missing"
        )


def _or_nan(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _words_of(utterance: Utterance, modality: Modality) -> WordsOfOne:
    rows = utterance.words.get(modality)
    if rows is None:
        return None
    return rows, utterance.word_present.get(modality, np.ones(len(rows), dtype=bool))
