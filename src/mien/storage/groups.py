"""Videos in groups that fit in memory: a group becomes a table, and a group of rows in the file."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mien.errors import DataError
from mien.schema import EMOTION_RANGE, SENTIMENT_RANGE, SPLITS, FeatureSpace, FloatArray, Modality, Video
from mien.storage import columns

# a group is closed as soon as it reaches one of these
ROWS_PER_GROUP = 2048
BYTES_PER_GROUP = 16 << 20


def row_groups(videos: Iterable[Video]) -> Iterator[list[Video]]:
    """Consecutive videos, as many as make a group; those without an utterance are left out.

    Where a group ends depends on nothing but its videos.
    """
    group: list[Video] = []
    n_rows = n_bytes = 0
    for video in videos:
        if not video.utterances:
            continue
        group.append(video)
        n_rows += len(video.utterances)
        n_bytes += _bytes_of(video)
        if n_rows >= ROWS_PER_GROUP or n_bytes >= BYTES_PER_GROUP:
            yield group
            group, n_rows, n_bytes = [], 0, 0
    if group:
        yield group


def to_table(videos: Sequence[Video], spaces: Mapping[Modality, FeatureSpace]) -> pa.Table:
    """The rows of the given videos. Raises DataError when one breaks the schema or two have one id."""
    require_once(video.id for video in videos)
    for video in videos:
        validate_video(video, spaces)
    return columns.to_table(videos, spaces)


def require_once(ids: Iterable[str], seen: set[str] | None = None) -> None:
    """Raise DataError for an id that comes twice, or that has been `seen`, which takes all of them in."""
    seen = set() if seen is None else seen
    for video_id in ids:
        if video_id in seen:
            raise DataError(f"Expected every video once, but got {video_id!r} twice; merge its rows before importing")
        seen.add(video_id)


def runs(ids: Sequence[str]) -> list[tuple[str, int, int]]:
    """``(id, start, stop)`` of every stretch of equal ids."""
    starts = [row for row in range(len(ids)) if row == 0 or ids[row] != ids[row - 1]]
    return [(ids[start], start, stop) for start, stop in itertools.pairwise([*starts, len(ids)])]


def _bytes_of(video: Video) -> int:
    return sum(
        rows.nbytes
        for utterance in video.utterances
        for vectors in (utterance.features, utterance.words)
        for rows in vectors.values()
    )


def validate_video(video: Video, spaces: Mapping[Modality, FeatureSpace]) -> None:
    """Raise DataError, naming the video and the utterance, when a video breaks the schema."""
    if video.split is not None and video.split not in SPLITS:
        raise DataError(
            f"Expected the split of video {video.id!r} to be one of {', '.join(SPLITS)}, but got {video.split!r}; "
            f"rename it with --rename-split {video.split}=valid (or =none to leave it out)"
        )
    indices = Counter(utterance.index for utterance in video.utterances)
    if indices and indices.most_common(1)[0][1] > 1:
        raise DataError(
            f"Expected unique utterance numbers in video {video.id!r}, but got {indices.most_common(1)[0][0]} twice"
        )
    for utterance in video.utterances:
        where = f"utterance {utterance.index} of video {video.id!r}"
        for modality, vector in utterance.features.items():
            _validate_features(vector[None], spaces, modality, where)
        for modality, rows in utterance.words.items():
            _validate_features(rows, spaces, modality, where)
        if utterance.sentiment is not None:
            _validate_range(np.array(utterance.sentiment), SENTIMENT_RANGE, f"sentiment of {where}")
        if utterance.emotions is not None:
            _validate_range(utterance.emotions, EMOTION_RANGE, f"emotions of {where}")


def _validate_features(
    rows: FloatArray, spaces: Mapping[Modality, FeatureSpace], modality: Modality, where: str
) -> None:
    if modality not in spaces:
        raise DataError(f"Expected {where} to have only {', '.join(spaces)} features, but got {modality} features too")
    if rows.shape[1] != spaces[modality].n_features:
        raise DataError(
            f"Expected {spaces[modality].n_features} {modality} features in {where}, but got {rows.shape[1]}; "
            "all rows of a modality must come from one extractor"
        )
    if not np.isfinite(rows).all():
        raise DataError(
            f"Expected finite {modality} features in {where}, but got NaN or infinity; "
            "leave the modality out of that utterance to mark it missing"
        )


def _validate_range(values: FloatArray, bounds: tuple[float, float], what: str) -> None:
    low, high = bounds
    if not ((values >= low) & (values <= high)).all():
        raise DataError(f"Expected {what} in [{low:g}, {high:g}], but got {values.tolist()}")
