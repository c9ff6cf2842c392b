"""Networks that detect the faces in a picture and find the landmarks of a face, and the cropping of faces.

- Detection: BlazeFace, short range; Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
  GPUs", 2019 (Apache-2.0). It scales the picture to 128 x 128 pixels, and detects faces that cover at least about a
  tenth of it. This suits people who talk to a camera.
- Landmarks: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019;
  Grishchenko et al., "Attention Mesh", 2020 (Apache-2.0).

A network runs in ai-edge-litert on one thread, so that it always adds numbers in the same order.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from mien.errors import DamagedFileError, MissingExtraError
from mien.schema import FloatArray

# A loaded network: takes its input, with a batch axis, and returns its outputs in the order of the network.
TfliteNet = Callable[[np.ndarray], list[FloatArray]]
INPUT_PX = 128
# number of cells per side and of anchors per cell, for the two grids of anchors for which the detector has outputs
GRIDS = ((16, 2), (8, 6))
# Number of rows of a detection: the centre of its box, the size of its box, and six points of the face. The first two
# points are the person's right eye and left eye.
POINTS = 8
# Least ratio of the sides of a picture that is also searched in squares. For a lower ratio, the squares would be hardly
# smaller than the picture.
MIN_OBLONG = 1.2
# Side of the crop divided by the longer side of the detector's box, as in the training of the landmark networks.
CROP_SCALE = 1.5
# Side in pixels to which a crop is scaled to measure contrast and sharpness, independent of the video's resolution.
DETAIL_PX = 64


@dataclass(frozen=True)
class DetectionSettings:
    """Thresholds of the face detection.

    Attributes:
        min_score: Least confidence of a detection in [0, 1].
        same_face_overlap: Two detections whose overlap (intersection over union) is greater are of the same face.
        min_score_closer: Least confidence of a detection in square parts of the picture. These are searched if the
            entire picture shows no face. In such parts, the background had scores of 0.5 to 0.71, and real faces had
            0.8 or more. If the value is 1, the parts are never searched.
    """

    min_score: float = 0.5
    same_face_overlap: float = 0.3
    min_score_closer: float = 0.75


@dataclass(frozen=True)
class Faces:
    """Boxes, eyes and scores of the faces in one picture, by descending score. Positions are in picture pixels."""

    # Boxes (face, 4): left, top, right, bottom. They can extend beyond the picture.
    boxes: FloatArray
    # (face, 2, 2): the person's right eye and left eye, each with x and y
    eyes: FloatArray
    # confidence of the detector, (face,) in [0, 1]
    scores: FloatArray


@dataclass(frozen=True)
class FaceCrop:
    """A square part of a picture with a face, rotated so that the eyes are level.

    A position p in the crop is the position ``to_picture @ p + origin`` in the picture.

    Attributes:
        image: Pixels (size, size, 3) uint8 RGB.
        to_picture: Matrix (2, 2) of the transformation to the picture.
        origin: Vector (2,) of the transformation to the picture.
        scale: Side of a pixel of the crop, in pixels of the picture.
    """

    image: np.ndarray
    to_picture: FloatArray
    origin: FloatArray
    scale: float


def detect_faces(net: TfliteNet, image: np.ndarray, settings: DetectionSettings) -> Faces:
    """Detect the faces in an image.

    If no face is found in the entire image, square parts of it are searched, see `DetectionSettings`.

    Args:
        net: Detector network, see `load_tflite`.
        image: Pixels (height, width, 3) uint8 RGB.
        settings: Thresholds of the detection.
    """
    places, scores = _detect_once(net, image, settings.min_score, settings)
    if not len(scores) and settings.min_score_closer < 1:
        by_square = [
            (corner, *_detect_once(net, square, settings.min_score_closer, settings))
            for corner, square in squares(image)
        ]
        if by_square:
            places = np.concatenate([_shifted(detections, corner) for corner, detections, _ in by_square])
            places, scores = merge(
                places, np.concatenate([square_scores for *_, square_scores in by_square]), settings.same_face_overlap
            )
    return Faces(boxes_of(places), places[:, 2:4], scores)


def crop_face(image: np.ndarray, box: FloatArray, eyes: FloatArray, size_px: int) -> FaceCrop:
    """Crop a square around a face and rotate it so that the eyes are level.

    Args:
        image: Pixels (height, width, 3) uint8 RGB.
        box: Left, top, right, bottom of the face (4,) in pixels.
        eyes: The person's right eye and left eye (2, 2), each with x and y in pixels.
        size_px: Side of the crop in pixels.

    Returns:
        The crop and its transformation to the picture. Where the crop extends beyond the picture, the pixels of the
        border of the picture are repeated.
    """
    import cv2

    across = eyes[1] - eyes[0]
    angle = math.atan2(across[1], across[0])
    side = CROP_SCALE * max(box[2] - box[0], box[3] - box[1])
    scale = side / size_px
    to_picture = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = (box[:2] + box[2:]) / 2
    origin = centre - to_picture @ np.array([size_px / 2, size_px / 2])
    matrix = np.concatenate([to_picture, origin[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, matrix, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return FaceCrop(crop, to_picture, origin, scale)


def find_landmarks(net: TfliteNet, crop: FaceCrop) -> tuple[FloatArray, float]:
    """Find the landmarks of a face, and compute the probability that a crop shows a face.

    Args:
        net: Landmark network, see `load_tflite`.
        crop: Crop of the face.

    Returns:
        The landmarks (landmark, 3) in pixels of the picture, and the probability in [0, 1]. The coordinates of a
        landmark are x to the right, y down, and z away from the camera. z has the same scale as x, and its origin is
        inside the head.
    """
    points, logit, *_ = net(crop.image.astype(np.float32)[None] / 255.0)
    landmarks = points.reshape(-1, 3).astype(np.float64)
    landmarks[:, :2] = landmarks[:, :2] @ crop.to_picture.T + crop.origin
    landmarks[:, 2] *= crop.scale
    presence = 1 / (1 + math.exp(-min(max(float(logit.ravel()[0]), -50.0), 50.0)))
    return landmarks, presence


def detail_of(crop: FaceCrop) -> tuple[float, float]:
    """Compute the contrast and the sharpness of the inner part of a crop.

    The crop is first scaled to `DETAIL_PX`. Contrast is the standard deviation of the grey levels, which range from 0
    to 255. Sharpness is the variance of the Laplacian divided by the variance of the grey levels. A sharp face has a
    sharpness of at least 0.2 at any resolution, and a face blurred by 4 % of its width has 0.05 to 0.1.
    """
    import cv2

    grey = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (DETAIL_PX, DETAIL_PX), interpolation=cv2.INTER_AREA)
    margin = DETAIL_PX * 3 // 16
    inner = grey[margin:-margin, margin:-margin].astype(np.float32)
    variance = float(inner.var())
    return math.sqrt(variance), float(cv2.Laplacian(inner, cv2.CV_32F).var()) / (variance + 1.0)


def load_tflite(content: bytes, what: str) -> TfliteNet:
    """Load a TensorFlow Lite network as a function. Threads must not share this function.

    Args:
        content: Content of the network's file.
        what: Name of the file, for the error message.

    Returns:
        Function that takes the input of the network, with a batch axis first, and returns its outputs in the order of
        the network.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
        DamagedFileError: The content is not a TensorFlow Lite network.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", "media") from error
    try:
        with _quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DamagedFileError(
            f"Expected {what} to be a TensorFlow Lite network, but got {error}; get the file again"
        ) from error
    input_index = interpreter.get_input_details()[0]["index"]
    outputs = [details["index"] for details in interpreter.get_output_details()]

    def run(values: np.ndarray) -> list[FloatArray]:
        interpreter.set_tensor(input_index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Context manager that discards what is written to standard error.

    LiteRT writes log messages to standard error, which would break a progress bar. It has no setting to prevent this.
    """
    sys.stderr.flush()
    try:
        saved_stderr = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        yield
    finally:
        os.dup2(saved_stderr, 2)
        os.close(null_device)
        os.close(saved_stderr)


def _detect_once(
    net: TfliteNet, image: np.ndarray, min_score: float, settings: DetectionSettings
) -> tuple[FloatArray, FloatArray]:
    """Detect faces in an image by running the detector once.

    Args:
        net: Detector network, see `load_tflite`.
        image: Pixels (height, width, 3) uint8 RGB.
        min_score: Least score of a detection in [0, 1].
        settings: Settings, of which only the threshold for the overlap of detections of the same face is used.

    Returns:
        Detections (face, POINTS, 2) in pixels of the image, see `decode`, and their scores (face,).
    """
    import cv2

    height, width = image.shape[:2]
    # Fit the image into a square with black bands. Coordinates are pixel numbers, as in the original pipeline.
    scale = INPUT_PX / max(height, width)
    shift = np.array([INPUT_PX - width * scale, INPUT_PX - height * scale]) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    square = cv2.warpAffine(image, matrix, (INPUT_PX, INPUT_PX), flags=cv2.INTER_LINEAR)
    answers, logits = net(square.astype(np.float32)[None] / 127.5 - 1.0)
    places, scores = decode(answers[0], logits[0, :, 0], min_score)
    places, scores = merge(places, scores, settings.same_face_overlap)
    return _shifted(places * INPUT_PX, -shift) / scale, scores


def squares(image: np.ndarray) -> list[tuple[FloatArray, np.ndarray]]:
    """Cut an oblong image into overlapping squares.

    Returns:
        One pair per square: the position (x, y) of its upper left corner, and its pixels. The list is empty if the
        image is nearly square.
    """
    height, width = image.shape[:2]
    side, length = min(height, width), max(height, width)
    if length < MIN_OBLONG * side:
        return []
    starts = np.linspace(0, length - side, 2 * math.ceil(length / side) - 1).round().astype(int)
    if width > height:
        return [(np.array([start, 0]), image[:, start : start + side]) for start in starts]
    return [(np.array([0, start]), image[start : start + side]) for start in starts]


def _shifted(detections: FloatArray, offset: FloatArray) -> FloatArray:
    """Add `offset` (2,) to all positions of detections (n, POINTS, 2), and return the shifted detections.

    Row 1 of a detection is not a position but the size of the box; it is not changed.
    """
    shifted = detections + offset
    shifted[:, 1] = detections[:, 1]
    return shifted


@cache
def anchors() -> FloatArray:
    """Return the centres of the detector's anchors (896, 2): x and y in [0, 1].

    The detector has a fixed grid of reference points (anchors), and gives the positions of a face relative to an
    anchor.
    """
    centres = []
    for cells, per_cell in GRIDS:
        middle = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middle, middle)
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(centres)


def decode(answers: FloatArray, logits: FloatArray, min_score: float) -> tuple[FloatArray, FloatArray]:
    """Convert the outputs of the detector to detections, and select those with at least a given score.

    Args:
        answers: Boxes and points of the face for each anchor (896, 16), in pixels of the square input. Positions are
            relative to the anchor.
        logits: Logits of the scores (896,).
        min_score: Least score in [0, 1].

    Returns:
        The n selected detections (n, POINTS, 2) and their scores (n,). The rows of a detection are the centre of its
        box, the size of its box, and six points of the face. The unit of length is the side of the square input.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
    selected = np.flatnonzero(scores >= min_score)
    places = answers[selected].astype(np.float64).reshape(len(selected), POINTS, 2) / INPUT_PX
    is_position = np.arange(POINTS) != 1
    places[:, is_position] += anchors()[selected][:, None]
    return places, scores[selected]


def merge(places: FloatArray, scores: FloatArray, same_face_overlap: float) -> tuple[FloatArray, FloatArray]:
    """Merge overlapping detections, so that each face has one detection.

    The detection with the highest score and all detections that overlap it are replaced by their mean, weighted by
    score. This is repeated with the remaining detections.

    Args:
        places: Detections (n, POINTS, 2), see `decode`.
        scores: Scores of the detections (n,).
        same_face_overlap: Detections overlap if the intersection over union of their boxes is above this number.

    Returns:
        Merged detections (face, POINTS, 2) in descending order of score, and the highest score of each face (face,).
    """
    boxes = boxes_of(places)
    remaining = np.argsort(-scores, kind="stable")
    merged, best = [], []
    while len(remaining):
        same = overlaps(boxes[remaining[:1]], boxes[remaining])[0] > same_face_overlap
        same[0] = True  # an empty box overlaps nothing, not even itself
        merged.append(np.average(places[remaining[same]], axis=0, weights=scores[remaining[same]]))
        best.append(scores[remaining[0]])
        remaining = remaining[~same]
    return np.array(merged).reshape(-1, POINTS, 2), np.array(best)


def boxes_of(places: FloatArray) -> FloatArray:
    """Compute the boxes (n, 4): left, top, right, bottom, of detections (n, POINTS, 2).

    The first two rows of a detection are the centre and the size of its box, see `decode`.
    """
    centre, half = places[:, 0], places[:, 1] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def overlaps(ones: FloatArray, others: FloatArray) -> FloatArray:
    """Compute the intersection over union of each box in `ones` with each box in `others`.

    Args:
        ones: Boxes (n, 4): left, top, right, bottom.
        others: Boxes (m, 4): left, top, right, bottom.

    Returns:
        Intersection over union (n, m) in [0, 1]; 0 where both boxes are empty.
    """
    first, second = ones[:, None], others[None]
    shared = areas(
        np.concatenate([np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])], -1)
    )
    union = areas(first) + areas(second) - shared
    result: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def areas(boxes: FloatArray) -> FloatArray:
    """Compute the areas (n,) of boxes (n, 4): left, top, right, bottom. The area of an empty box is 0."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    result: FloatArray = sides[..., 0] * sides[..., 1]
    return result
