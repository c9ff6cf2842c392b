"""One video, frame after frame: find the faces, pick the main one, cut it out, and let an extractor describe it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features.face_detection import DetectionSettings, detect_faces
from mien.features.face_landmarks import crop_face, detail_of, find_landmarks
from mien.features.face_runtime import TfliteNet
from mien.features.face_tracking import THUMBNAIL_PX, MainFace, TrackSettings
from mien.features.visual import FaceObservation
from mien.schema import FloatArray

# landmarks (landmark, 3) in pixels and the upright cut-out (size, size, 3) uint8 RGB -> (feature,)
Describe = Callable[[FloatArray, np.ndarray], FloatArray]


@dataclass(frozen=True)
class WatchSettings:
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

    def to_recipe(self) -> dict[str, Any]:
        """All of them, for a feature space's recipe."""
        return asdict(self)


@dataclass(frozen=True)
class FaceNets:
    """What a watcher needs: two networks, the side of the cut-out the second one wants, and who describes the face."""

    detector: TfliteNet
    landmarks: TfliteNet
    crop_px: int
    describe: Describe


class MainFaceWatcher:
    """The FaceWatcher of all extractors here."""

    def __init__(self, nets: FaceNets, settings: WatchSettings) -> None:
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
