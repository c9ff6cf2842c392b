"""One video, frame after frame: find the faces, pick the main one, cut it out, and let an extractor describe it.

Every face in sight has a track: the face that overlaps it most in the next frame continues it. A track's weight is the
running mean of its face's area over the last seconds, so that it grows with size and with time in sight. The main face
is the heaviest track; it stays the main face until another is clearly heavier (`takeover`) or it has been away for
`away_s`. While it is away nothing is reported: a stranger in the background never fills in. At a cut all tracks end,
and the largest face of the new picture is the main one. Faces are never recognised: who somebody is plays no part.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from mien.errors import DataError
from mien.features.visual.base import FaceObservation, VisualExtractor, visual_spaces
from mien.features.visual.face_models import (
    DetectionSettings,
    TfliteNet,
    areas,
    crop_face,
    detail_of,
    detect_faces,
    find_landmarks,
    overlaps,
)
from mien.schema import FloatArray

# frames a second that the extractors look at
RATE_HZ = 5.0
# Side of the grey picture in which two frames are compared.
THUMBNAIL_PX = 32
# landmarks (landmark, 3) in pixels and the upright cut-out (size, size, 3) uint8 RGB -> (feature,)
Describe = Callable[[FloatArray, np.ndarray], FloatArray]


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


@dataclass(frozen=True)
class ObserverSettings:
    """Which faces are usable."""

    # larger pictures are scaled down to this before anything else
    max_side_px: int = 960
    # smaller faces have too few pixels for an expression
    min_face_px: float = 40.0
    # the landmark network's own probability that it sees a face
    min_presence: float = 0.5
    # standard deviation in grey levels of 255 (a fade to black has less), and detail, see `detail_of`
    min_contrast: float = 8.0
    min_sharpness: float = 0.1
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    track: TrackSettings = field(default_factory=TrackSettings)


@dataclass(frozen=True)
class FaceNets:
    """What a watcher needs: two networks, the side of the cut-out the second one wants, and who describes the face."""

    detector: TfliteNet
    landmarks: TfliteNet
    crop_px: int
    describe: Describe


def face_extractor(
    name: str,
    columns: Sequence[str],
    weights_sha256: Mapping[str, str],
    new_nets: Callable[[], FaceNets],
) -> VisualExtractor:
    """An extractor that describes the main face of every frame.

    Args:
        name: of the extractor.
        columns: of the numbers that describe the face of one frame.
        weights_sha256: of all network files, for the recipe.
        new_nets: gives networks of its own to every video that is watched.
    """
    settings = ObserverSettings()
    recipe = {
        "extractor": name,
        "rate_hz": RATE_HZ,
        "watch": asdict(settings),
        "weights_sha256": dict(weights_sha256),
    }
    space, word_space = visual_spaces(name, columns, recipe)
    new_nets()  # what cannot run says so now, not in the middle of a video
    return VisualExtractor(space, word_space, RATE_HZ, lambda: MainFaceObserver(new_nets(), settings))


class MainFaceObserver:
    """The FaceObserver of all extractors here."""

    def __init__(self, nets: FaceNets, settings: ObserverSettings) -> None:
        self._nets = nets
        self._settings = settings
        self._main_face = MainFace(settings.track)
        self._outcomes: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Frames by outcome, plus what the tracking counted."""
        return dict(self._outcomes + self._main_face.counts)

    def see(self, time_s: float, image: np.ndarray) -> FaceObservation | None:
        """Describe the main face of the next frame, (height, width, 3) uint8 RGB. Raises DataError on another array."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(
                f"Expected a frame (height, width, 3) of uint8 RGB, but got {image.shape} {image.dtype}; convert it"
            )
        observation, outcome = self._look(time_s, image)
        self._outcomes[outcome] += 1
        return observation

    def _look(self, time_s: float, image: np.ndarray) -> tuple[FaceObservation | None, str]:
        settings = self._settings
        image, scale = shrunk(image, settings.max_side_px)
        faces = detect_faces(self._nets.detector, image, settings.detection)
        row = self._main_face.choose(time_s, faces.boxes, thumbnail(image))
        if row is None:
            return None, "main face away" if len(faces.boxes) else "no face"
        box = faces.boxes[row]
        if max(box[2] - box[0], box[3] - box[1]) < settings.min_face_px:
            return None, "too small"
        crop = crop_face(image, box, faces.eyes[row], self._nets.crop_px)
        contrast, sharpness = detail_of(crop)
        if contrast < settings.min_contrast:
            return None, "too little contrast"
        if sharpness < settings.min_sharpness:
            return None, "blurred"
        landmarks, presence = find_landmarks(self._nets.landmarks, crop)
        if presence < settings.min_presence:
            return None, "no landmarks"
        vector = self._nets.describe(landmarks, crop.image)
        left, top, right, bottom = (float(value) * scale for value in box)
        return FaceObservation(vector, (left, top, right, bottom), float(faces.scores[row])), "face"


def shrunk(image: np.ndarray, max_side_px: int) -> tuple[np.ndarray, float]:
    """The image, at most `max_side_px` on its longer side, and how many of its pixels one of the result's spans."""
    import cv2

    height, width = image.shape[:2]
    scale = max(height, width) / max_side_px
    if scale <= 1:
        return image, 1.0
    size = (max(round(width / scale), 1), max(round(height / scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def thumbnail(image: np.ndarray) -> FloatArray:
    """Grey levels (THUMBNAIL_PX, THUMBNAIL_PX) of an image."""
    import cv2

    small = cv2.resize(image, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    grey: FloatArray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


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
