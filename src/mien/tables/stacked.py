"""Videos in memory as the columns of one split, the form a predictor takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mien.schema import EMOTIONS, FeatureSpace, Modality, Video
from mien.tables.dataset import SplitColumns


def stack_videos(videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace]) -> SplitColumns:
    """Columns of the given videos in their order (see `SplitColumns`); what is missing stays missing."""
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
        sentiment=np.array([np.nan if each.sentiment is None else each.sentiment for each in utterances]),
        emotions=np.array([unknown if each.emotions is None else each.emotions for each in utterances]).reshape(-1, 6),
        spaces=spaces,
    )
