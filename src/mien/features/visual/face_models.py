"""The networks that read a face: find the faces of a picture, cut one out upright, find its landmarks.

- Faces: BlazeFace, short range; Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
  2019 (Apache-2.0). It looks at the whole picture in 128 x 128 pixels and finds faces that fill about a tenth of it or
  more: people who talk to a camera.
- Landmarks: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019;
  Grishchenko et al., "Attention Mesh", 2020 (Apache-2.0).

A network runs in ai-edge-litert on one thread: its sums then have one order.
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

# one input, with its batch axis -> the network's outputs in its own order
TfliteNet = Callable[[np.ndarray], list[FloatArray]]
INPUT_PX = 128
# The network answers for 2 anchors in each cell of a 16 x 16 grid and 6 in each of an 8 x 8 grid.
GRIDS = ((16, 2), (8, 6))
# One answer: box centre, box size, and six points, of which the first two are the person's right and left eye.
POINTS = 8
# In a picture less oblong than this the squares would show hardly more than the whole.
MIN_OBLONG = 1.2
# How much wider than the detector's box the cut-out is, as the networks were trained.
CROP_SCALE = 1.5
# The detail of a face is judged in this many pixels across the cut-out, whatever the video's resolution.
DETAIL_PX = 64


@dataclass(frozen=True)
class DetectionSettings:
    """What counts as a face."""

    # least confidence in [0, 1]
    min_score: float = 0.5
    # answers that overlap this much (intersection over union) mean one face
    same_face_overlap: float = 0.3
    # the same when looking closer, in squares of a picture that shows no face as a whole: the background there has
    # scored 0.5 to 0.71, real faces 0.8 and more; 1 never looks closer
    min_score_closer: float = 0.75


@dataclass(frozen=True)
class Faces:
    """The faces of one picture, the surest first, in its pixels."""

    # (face, 4) left, top, right, bottom; may reach beyond the picture
    boxes: FloatArray
    # (face, 2, 2): the person's right eye, left eye; x, y
    eyes: FloatArray
    # how sure the detector is, (face,) in [0, 1]
    scores: FloatArray


@dataclass(frozen=True)
class FaceCrop:
    """A face cut out of a picture, eyes level."""

    # (size, size, 3) uint8 RGB
    image: np.ndarray
    # (2, 2) and (2,): pixel of the picture = to_picture @ pixel of the cut-out + origin
    to_picture: FloatArray
    origin: FloatArray
    # pixels of the picture per pixel of the cut-out
    scale: float


def detect_faces(net: TfliteNet, image: np.ndarray, settings: DetectionSettings) -> Faces:
    """Find the faces of an image (height, width, 3) uint8 RGB."""
    places, scores = _search(net, image, settings.min_score, settings)
    if not len(scores) and settings.min_score_closer < 1:
        closer = [
            (corner, *_search(net, square, settings.min_score_closer, settings)) for corner, square in squares(image)
        ]
        if closer:
            places = np.concatenate([_moved(found, corner) for corner, found, _ in closer])
            places, scores = merge(places, np.concatenate([sure for *_, sure in closer]), settings.same_face_overlap)
    return Faces(boxes_of(places), places[:, 2:4], scores)


def crop_face(image: np.ndarray, box: FloatArray, eyes: FloatArray, size_px: int) -> FaceCrop:
    """Cut a square around the box (4,), turned so that the eyes (2, 2) are level, out of image (height, width, 3)."""
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
    """Landmarks and the probability that there is a face at all.

    Returns:
        Landmarks (landmark, 3) in pixels of the picture: x to the right, y down, z away from the camera, where z has
        the scale of x and its zero somewhere inside the head.
    """
    points, logit, *_ = net(crop.image.astype(np.float32)[None] / 255.0)
    landmarks = points.reshape(-1, 3).astype(np.float64)
    landmarks[:, :2] = landmarks[:, :2] @ crop.to_picture.T + crop.origin
    landmarks[:, 2] *= crop.scale
    presence = 1 / (1 + math.exp(-min(max(float(logit.ravel()[0]), -50.0), 50.0)))
    return landmarks, presence


def detail_of(crop: FaceCrop) -> tuple[float, float]:
    """Contrast and sharpness of a cut-out.

    Contrast is the standard deviation of its inner part in grey levels of 255. Sharpness is the variance of the
    Laplacian relative to the variance of the picture, both at DETAIL_PX: a sharp face has at least 0.2 in any
    resolution, a face blurred by 4 % of its width 0.05 to 0.1.
    """
    import cv2

    grey = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (DETAIL_PX, DETAIL_PX), interpolation=cv2.INTER_AREA)
    margin = DETAIL_PX * 3 // 16
    inner = grey[margin:-margin, margin:-margin].astype(np.float32)
    variance = float(inner.var())
    return math.sqrt(variance), float(cv2.Laplacian(inner, cv2.CV_32F).var()) / (variance + 1.0)


def load_tflite(content: bytes, what: str) -> TfliteNet:
    """The network as one call; not to be shared between threads.

    Raises MissingExtraError without ai-edge-litert, DamagedFileError if the bytes are no network.
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
    into = interpreter.get_input_details()[0]["index"]
    outputs = [details["index"] for details in interpreter.get_output_details()]

    def run(values: np.ndarray) -> list[FloatArray]:
        interpreter.set_tensor(into, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """LiteRT announces its delegate on file descriptor 2 and has no setting for it; a progress bar lives there."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error: nothing to keep quiet
        yield
        return
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(silence)
        os.close(kept)


def _search(
    net: TfliteNet, image: np.ndarray, min_score: float, settings: DetectionSettings
) -> tuple[FloatArray, FloatArray]:
    """Places (n, POINTS, 2) in pixels and scores (n,) of the faces in one look at an image."""
    import cv2

    height, width = image.shape[:2]
    # Fitted into a square with black bands; a coordinate is a pixel's number, as in the network's own pipeline.
    scale = INPUT_PX / max(height, width)
    shift = np.array([INPUT_PX - width * scale, INPUT_PX - height * scale]) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    square = cv2.warpAffine(image, matrix, (INPUT_PX, INPUT_PX), flags=cv2.INTER_LINEAR)
    answers, logits = net(square.astype(np.float32)[None] / 127.5 - 1.0)
    places, scores = decode(answers[0], logits[0, :, 0], min_score)
    places, scores = merge(places, scores, settings.same_face_overlap)
    return _moved(places * INPUT_PX, -shift) / scale, scores


def squares(image: np.ndarray) -> list[tuple[FloatArray, np.ndarray]]:
    """Overlapping squares along an oblong image with the corner (x, y) of each; none if it is nearly square."""
    height, width = image.shape[:2]
    side, length = min(height, width), max(height, width)
    if length < MIN_OBLONG * side:
        return []
    starts = np.linspace(0, length - side, 2 * math.ceil(length / side) - 1).round().astype(int)
    if width > height:
        return [(np.array([at, 0]), image[:, at : at + side]) for at in starts]
    return [(np.array([0, at]), image[at : at + side]) for at in starts]


def _moved(places: FloatArray, by: FloatArray) -> FloatArray:
    """All positions moved; row 1 is a size and stays."""
    moved = places + by
    moved[:, 1] = places[:, 1]
    return moved


@cache
def anchors() -> FloatArray:
    """Centres (896, 2) of the anchors in [0, 1]."""
    centres = []
    for cells, per_cell in GRIDS:
        middle = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middle, middle)
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(centres)


def decode(answers: FloatArray, logits: FloatArray, min_score: float) -> tuple[FloatArray, FloatArray]:
    """The answers that are sure enough.

    Args:
        answers: (896, 16), pixels of the square relative to the anchors; sizes are absolute.
        logits: (896,)
        min_score: least confidence.

    Returns:
        Places (n, POINTS, 2) in [0, 1] of the square, row 1 being the box's size; scores (n,).
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
    sure = np.flatnonzero(scores >= min_score)
    places = answers[sure].astype(np.float64).reshape(len(sure), POINTS, 2) / INPUT_PX
    is_position = np.arange(POINTS) != 1
    places[:, is_position] += anchors()[sure][:, None]
    return places, scores[sure]


def merge(places: FloatArray, scores: FloatArray, same_face_overlap: float) -> tuple[FloatArray, FloatArray]:
    """One place per face: the mean of the answers that overlap the surest, weighted by their scores."""
    boxes = boxes_of(places)
    left = np.argsort(-scores, kind="stable")
    merged, best = [], []
    while len(left):
        same = overlaps(boxes[left[:1]], boxes[left])[0] > same_face_overlap
        same[0] = True  # an empty box overlaps nothing, not even itself
        merged.append(np.average(places[left[same]], axis=0, weights=scores[left[same]]))
        best.append(scores[left[0]])
        left = left[~same]
    return np.array(merged).reshape(-1, POINTS, 2), np.array(best)


def boxes_of(places: FloatArray) -> FloatArray:
    """Left, top, right, bottom (n, 4) of places (n, POINTS, 2)."""
    centre, half = places[:, 0], places[:, 1] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def overlaps(ones: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 where both are empty."""
    first, second = ones[:, None], others[None]
    shared = areas(
        np.concatenate([np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])], -1)
    )
    union = areas(first) + areas(second) - shared
    result: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def areas(boxes: FloatArray) -> FloatArray:
    """Areas (n,) of boxes (n, 4) left, top, right, bottom; 0 where one is empty."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    result: FloatArray = sides[..., 0] * sides[..., 1]
    return result
