"""A whole video seen by one visual extractor, a frame at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.features.visual.base import FaceObservation, VisualExtractor, frame_matrix
from mien.media.decode import frames
from mien.schema import FloatArray

# Observations are put into one array this often, so that hours of film do not stand in memory as single objects.
BLOCK_FRAMES = 512


@dataclass(frozen=True)
class Seen:
    """What an extractor saw in the sampled frames of a video."""

    # (frame,) rising
    times_s: FloatArray
    # (frame, feature) float32, NaN without a face
    vectors: FloatArray


def watch(path: Path, extractor: VisualExtractor, check: Callable[[], None] | None = None) -> Seen:
    """Look at every frame that the extractor asks for; `check` is called before each and may stop it by raising.

    Raises DataError if the file is no media file. A file without pictures gives nothing.
    """
    watcher = extractor.start()
    n_features = extractor.word_space.n_features
    times_s: list[float] = []
    blocks: list[FloatArray] = []
    waiting: list[FaceObservation | None] = []
    for frame in frames(path, extractor.rate_hz):
        if check is not None:
            check()
        times_s.append(frame.time_s)
        waiting.append(watcher.see(frame.time_s, frame.image))
        if len(waiting) == BLOCK_FRAMES:
            blocks.append(frame_matrix(waiting, n_features))
            waiting = []
    blocks.append(frame_matrix(waiting, n_features))
    return Seen(np.array(times_s), np.concatenate(blocks))
