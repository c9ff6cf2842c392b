"""Who is the main face of a video, frame by frame; and where a video cuts to another picture.

The rule. Every face in sight has a track: the face that overlaps it most in the next frame continues it. A track's
weight is the running mean of its face's area over the last seconds, so that it grows with size and with time in sight.
The main face is the heaviest track; it stays the main face until another is clearly heavier (`takeover`) or it has
been away for `away_s`. While it is away nothing is reported: a stranger in the background never fills in. At a cut all
tracks end, and the largest face of the new picture is the main one. Faces are never recognised: who somebody is plays
no part.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mien.schema import FloatArray

# Side of the grey picture in which two frames are compared.
THUMBNAIL_PX = 32


@dataclass(frozen=True)
class TrackSettings:
    """When a face is the same face and the main face."""

    # least overlap (intersection over union) of a face's boxes in two frames; 0.1 is a move by 4/5 of its width
    min_overlap: float = 0.1
    # over how long the mean of a face's area runs
    memory_s: float = 2.0
    # how much heavier another face must be to become the main one
    takeover: float = 1.5
    # after how long out of sight a face is forgotten
    away_s: float = 0.5
    # mean difference of two frames, in grey levels of 255, from which on there was a cut between them
    cut_difference: float = 30.0


@dataclass
class _Track:
    box: FloatArray
    weight: float
    seen_s: float


class MainFace:
    """Follows the faces of one video and says which one is the main face."""

    def __init__(self, settings: TrackSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._tracks: list[_Track] = []
        self._main: _Track | None = None
        self._time_s = -math.inf
        self._thumbnail: FloatArray | None = None

    def choose(self, time_s: float, boxes: FloatArray, thumbnail: FloatArray) -> int | None:
        """Row of the main face in `boxes`, or None.

        Args:
            time_s: time of the frame; where it runs backwards, everything starts anew.
            boxes: (face, 4) left, top, right, bottom.
            thumbnail: (THUMBNAIL_PX, THUMBNAIL_PX) grey levels of the frame.
        """
        if self._is_cut(thumbnail):
            self.counts["cuts"] += 1
            self._forget()
        if time_s < self._time_s:
            self._forget()
        self._thumbnail = thumbnail
        rows = self._follow(time_s, boxes)
        self._time_s = time_s
        self._elect()
        self.counts["frames with several faces"] += len(boxes) > 1
        return next((row for row, track in rows.items() if track is self._main), None)

    def _is_cut(self, thumbnail: FloatArray) -> bool:
        if self._thumbnail is None:
            return False
        return float(np.abs(thumbnail - self._thumbnail).mean()) > self._settings.cut_difference

    def _forget(self) -> None:
        self._tracks, self._main, self._time_s = [], None, -math.inf

    def _follow(self, time_s: float, boxes: FloatArray) -> dict[int, _Track]:
        """Continue, begin and end tracks; returns the track of every row of `boxes`."""
        settings = self._settings
        kept = 0.0 if not self._tracks else math.exp((self._time_s - time_s) / settings.memory_s)
        rows: dict[int, _Track] = {}
        if self._tracks and len(boxes):
            shares = overlaps(np.stack([track.box for track in self._tracks]), boxes)
            while shares.max() >= settings.min_overlap:
                at, row = (int(place) for place in np.unravel_index(shares.argmax(), shares.shape))
                rows[row] = self._tracks[at]
                shares[at], shares[:, row] = -1.0, -1.0
        for track in self._tracks:
            track.weight *= kept
        # With nobody in sight before, the first weights are the areas themselves: the largest face is the main one.
        for row, (box, size) in enumerate(zip(boxes, areas(boxes), strict=True)):
            track = rows.setdefault(row, _Track(box, 0.0, time_s))
            track.box, track.seen_s = box, time_s
            track.weight += (1 - kept) * float(size)
        known = [track for track in self._tracks if time_s - track.seen_s <= settings.away_s]
        begun = [track for track in rows.values() if not any(track is old for old in known)]
        self._tracks = known + begun
        return rows

    def _elect(self) -> None:
        main = self._main
        if not any(track is main for track in self._tracks):
            main = None
        heaviest = max(self._tracks, key=lambda track: track.weight, default=None)
        if main is None or (heaviest is not None and heaviest.weight > self._settings.takeover * main.weight):
            if self._main is not None and heaviest is not None:
                self.counts["changes of the main face"] += 1
            main = heaviest
        self._main = main


def areas(boxes: FloatArray) -> FloatArray:
    """Areas (n,) of boxes (n, 4) left, top, right, bottom; 0 where one is empty."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    result: FloatArray = sides[..., 0] * sides[..., 1]
    return result


def overlaps(ones: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 where both are empty."""
    first, second = ones[:, None], others[None]
    shared = areas(
        np.concatenate([np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])], -1)
    )
    union = areas(first) + areas(second) - shared
    result: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
