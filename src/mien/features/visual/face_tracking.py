"""Processes the frames of one video: detects faces, selects the main face, crops it and computes its features.

Every visible face has a track, which continues with the face that overlaps it most in the next frame. The weight of a
track is the running mean of the area of its face over the last seconds. The weight grows with the size of the face and
with the time for which the face is visible. The face of the track with the greatest weight becomes the main face. This
face remains the main face until another track has a clearly greater weight (`takeover`), or until it has not been
visible for `away_s`. While the main face is not visible, no features are computed, so that no face in the background
replaces the main face. At a cut, all tracks end, and the largest face of the new picture becomes the main face. Persons
are not identified.
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

# number of frames per second that the extractors use
RATE_HZ = 5.0
# width and height of the grey thumbnails that are compared to find cuts
THUMBNAIL_PX = 32
# A function that computes the features of a face (feature,). It takes the landmarks (landmark, 3) in pixels and an
# upright crop of the face (size, size, 3) uint8 RGB.
Describe = Callable[[FloatArray, np.ndarray], FloatArray]


@dataclass(frozen=True)
class TrackSettings:
    """Settings for tracking faces over frames and for choosing the main face."""

    # least overlap (intersection over union) of a face in two frames; 0.1 allows a shift by 4/5 of its width
    min_overlap: float = 0.1
    # time constant, in seconds, of the running mean of the area of a face
    memory_s: float = 2.0
    # Another track replaces that of the main face if its weight is greater by more than this factor.
    takeover: float = 1.5
    # A track ends when its face has not been visible for more than this number of seconds.
    away_s: float = 0.5
    # Two successive frames have a cut between them if their mean difference, in grey levels from 0 to 255, is greater.
    cut_difference: float = 30.0


@dataclass(frozen=True)
class ObserverSettings:
    """Settings of a `MainFaceObserver`: maximum size of pictures, limits for usable faces, detection and tracking."""

    # Pictures with a longer side are first scaled down to this length.
    max_side_px: int = 960
    # least width or height of a usable face; smaller faces show too little of the expression
    min_face_px: float = 40.0
    # least probability, from the landmark network, that the crop shows a face
    min_presence: float = 0.5
    # least contrast, which excludes fades to black, and least sharpness; see `detail_of`
    min_contrast: float = 8.0
    min_sharpness: float = 0.1
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    track: TrackSettings = field(default_factory=TrackSettings)


@dataclass(frozen=True)
class FaceNets:
    """The networks that detect faces and find landmarks, and the function that computes the features of a face.

    Attributes:
        detector: Network that detects faces.
        landmarks: Network that finds the landmarks of a face in a crop.
        crop_px: Width and height in pixels of the crop that the network `landmarks` expects.
        describe: Function that computes the features of a face from its landmarks and its crop.
    """

    detector: TfliteNet
    landmarks: TfliteNet
    crop_px: int
    describe: Describe


def face_extractor(
    name: str, columns: Sequence[str], weights_sha256: Mapping[str, str], new_nets: Callable[[], FaceNets]
) -> VisualExtractor:
    """Make a visual extractor, which computes features of the main face of each frame.

    Args:
        name: Name of the extractor.
        columns: Names of the features of a frame.
        weights_sha256: File name of a network -> SHA-256; stored in the description (`recipe`) of the feature spaces.
        new_nets: Function that loads the networks. It is called once now, to raise errors early, and then once for each
            video, because threads must not share networks.
    """
    settings = ObserverSettings()
    recipe = {"extractor": name, "rate_hz": RATE_HZ, "watch": asdict(settings), "weights_sha256": dict(weights_sha256)}
    space, word_space = visual_spaces(name, columns, recipe)
    new_nets()  # raises errors now instead of in the middle of a video
    return VisualExtractor(space, word_space, RATE_HZ, lambda: MainFaceObserver(new_nets(), settings))


class MainFaceObserver:
    """Computes feature vectors of the main face in the frames of one video.

    All visual extractors use this implementation of `FaceObserver`.
    """

    def __init__(self, nets: FaceNets, settings: ObserverSettings) -> None:
        self._nets = nets
        self._settings = settings
        self._main_face = MainFace(settings.track)
        self._outcome_counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each event occurred in the frames so far, by the name of the event.

        Most events are results of the search for the main face, such as "face", "no face" or "blurred"; each frame has
        one of these. The other events are frames with several faces, cuts between shots, and changes of the main face.
        """
        return dict(self._outcome_counts + self._main_face.counts)

    def see(self, time_s: float, image: np.ndarray) -> FaceObservation | None:
        """Process the next frame of the video, and compute the feature vector of its main face.

        Args:
            time_s: Time of the frame in seconds.
            image: Pixels (height, width, 3) uint8 RGB.

        Returns:
            The main face with its vector; None if the frame shows no usable main face.

        Raises:
            DataError: The image has another shape or type.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(
                f"Expected a frame (height, width, 3) of uint8 RGB, but got {image.shape} {image.dtype}; convert it"
            )
        observation, outcome = self._describe_frame(time_s, image)
        self._outcome_counts[outcome] += 1
        return observation

    def _describe_frame(self, time_s: float, image: np.ndarray) -> tuple[FaceObservation | None, str]:
        """Find the main face of a frame, and compute its feature vector.

        Returns:
            The face with its vector, or None if there is no usable main face; and the name under which the frame is
            counted, such as "face" or "blurred".
        """
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
    """Scale an image down to a maximum size. An image that does not exceed this size remains unchanged.

    Args:
        image: Pixels (height, width, 3) uint8 RGB.
        max_side_px: Maximum length of the longer side.

    Returns:
        The image, and the factor by which it was scaled down (1 if it is unchanged).
    """
    import cv2

    height, width = image.shape[:2]
    scale = max(height, width) / max_side_px
    if scale <= 1:
        return image, 1.0
    size = (max(round(width / scale), 1), max(round(height / scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def thumbnail(image: np.ndarray) -> FloatArray:
    """Reduce an RGB image to a small picture of grey levels (THUMBNAIL_PX, THUMBNAIL_PX)."""
    import cv2

    small = cv2.resize(image, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    grey: FloatArray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


@dataclass
class _FaceTrack:
    """A face that is tracked over several frames.

    Attributes:
        box: Last position of the face: left, top, right, bottom.
        weight: Running mean of the area of the face; the main face is selected by it.
        seen_s: Time in seconds of the last frame that shows the face.
    """

    box: FloatArray
    weight: float
    seen_s: float


class MainFace:
    """Tracks the faces of one video and selects the main face of each frame."""

    def __init__(self, settings: TrackSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._tracks: list[_FaceTrack] = []
        self._main: _FaceTrack | None = None
        self._time_s = -math.inf
        self._thumbnail: FloatArray | None = None

    def choose(self, time_s: float, boxes: FloatArray, thumbnail: FloatArray) -> int | None:
        """Update the tracks with the faces of the next frame, and select its main face.

        Args:
            time_s: Time of the frame in seconds. If it is before the time of the previous frame, all tracks end.
            boxes: Boxes of the faces in the frame (face, 4): left, top, right, bottom.
            thumbnail: Grey levels of the frame (THUMBNAIL_PX, THUMBNAIL_PX), see the function `thumbnail`.

        Returns:
            Index of the main face in `boxes`; None if the main face is not visible.
        """
        if self._is_cut(thumbnail):
            self.counts["cuts"] += 1
            self._end_tracks()
        if time_s < self._time_s:
            self._end_tracks()
        self._thumbnail = thumbnail
        track_of_row = self._update_tracks(time_s, boxes)
        self._time_s = time_s
        self._select_main()
        self.counts["frames with several faces"] += len(boxes) > 1
        return next((row for row, track in track_of_row.items() if track is self._main), None)

    def _is_cut(self, thumbnail: FloatArray) -> bool:
        """Return whether there is a cut between the previous frame and the frame with this thumbnail.

        There is a cut if the two thumbnails differ by more than `cut_difference` on average.
        """
        if self._thumbnail is None:
            return False
        return float(np.abs(thumbnail - self._thumbnail).mean()) > self._settings.cut_difference

    def _end_tracks(self) -> None:
        """End all tracks, so that no face of the next frame continues a track."""
        self._tracks, self._main, self._time_s = [], None, -math.inf

    def _update_tracks(self, time_s: float, boxes: FloatArray) -> dict[int, _FaceTrack]:
        """Update all tracks with the faces of a frame.

        A track continues with the face that overlaps it most. A face that overlaps no track starts a new track. A track
        ends if its face has not been visible for more than `away_s`.

        Args:
            time_s: Time of the frame in seconds.
            boxes: Boxes of the faces in the frame (face, 4).

        Returns:
            Index of a face in `boxes` -> its track.
        """
        settings = self._settings
        decay = 0.0 if not self._tracks else math.exp((self._time_s - time_s) / settings.memory_s)
        track_of_row: dict[int, _FaceTrack] = {}
        if self._tracks and len(boxes):
            ious = overlaps(np.stack([track.box for track in self._tracks]), boxes)
            while ious.max() >= settings.min_overlap:
                number, row = (int(index) for index in np.unravel_index(ious.argmax(), ious.shape))
                track_of_row[row] = self._tracks[number]
                ious[number], ious[:, row] = -1.0, -1.0
        for track in self._tracks:
            track.weight *= decay
        # Without earlier tracks, `decay` is 0 and the weights are the areas. The largest face becomes the main face.
        for row, (box, size) in enumerate(zip(boxes, areas(boxes), strict=True)):
            track = track_of_row.setdefault(row, _FaceTrack(box, 0.0, time_s))
            track.box, track.seen_s = box, time_s
            track.weight += (1 - decay) * float(size)
        known = [track for track in self._tracks if time_s - track.seen_s <= settings.away_s]
        started = [track for track in track_of_row.values() if not any(track is old for old in known)]
        self._tracks = known + started
        return track_of_row

    def _select_main(self) -> None:
        """Select the track of the main face by weight.

        The selected track stays selected until it ends or another track has a clearly greater weight. Then the track
        with the greatest weight is selected. A change from one main face to another is counted.
        """
        main = self._main
        if not any(track is main for track in self._tracks):
            main = None
        heaviest = max(self._tracks, key=lambda track: track.weight, default=None)
        if main is None or (heaviest is not None and heaviest.weight > self._settings.takeover * main.weight):
            if self._main is not None and heaviest is not None:
                self.counts["changes of the main face"] += 1
            main = heaviest
        self._main = main
