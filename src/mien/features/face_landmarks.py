"""Points of a face: cut it out upright, let a face mesh network find its landmarks, and carry them back.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019; Grishchenko et al.,
"Attention Mesh", 2020 (Apache-2.0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mien.features.face_runtime import TfliteNet
from mien.schema import FloatArray

# How much wider than the detector's box the cut-out is, as the networks were trained.
CROP_SCALE = 1.5
# The detail of a face is judged in this many pixels across the cut-out, whatever the video's resolution.
DETAIL_PX = 64


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
