"""Where the faces of a picture are: BlazeFace, short range.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019 (Apache-2.0). It looks at
the whole picture in 128 x 128 pixels and finds faces that fill about a tenth of it or more: people who talk to a
camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from mien.features.face_runtime import TfliteNet
from mien.features.face_tracking import overlaps
from mien.schema import FloatArray

INPUT_PX = 128
# The network answers for 2 anchors in each cell of a 16 x 16 grid and 6 in each of an 8 x 8 grid.
GRIDS = ((16, 2), (8, 6))
# One answer: box centre, box size, and six points, of which the first two are the person's right and left eye.
POINTS = 8
# In a picture less oblong than this the squares would show hardly more than the whole.
MIN_OBLONG = 1.2


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
