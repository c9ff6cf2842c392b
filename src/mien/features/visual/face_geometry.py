"""31 geometric features of a face, computed from its landmarks.

All landmarks are first transformed to coordinates of the face: x to the person's left, y up, z out of the face. The
origin is the midpoint of the outer eye corners, and their distance is the unit of length. The position, size and
rotation of the face therefore affect only the three angles. The x axis is the mean of three directions from right to
left: between the outer eye corners, between the temples, and between the sides of the cheeks. The y axis runs from
below the nose to the top of the forehead, corrected for the backward lean of this line on an average face. Left and
right are always the person's left and right.

Features, in units of the distance between the outer eye corners unless stated otherwise:

- ``eye_open``: distance between the lids of an eye, divided by the width of the eye
- ``lower_lid_height``: height of the lower lid above the corners of its eye
- ``brow_inner_height``, ``brow_middle_height``, ``brow_outer_height``: height of three points of a brow above the
  corners of the eye on its side
- ``brow_gap``: distance between the inner ends of the brows
- ``nose_wing_height``: height of a nose wing above the origin (negative)
- ``nose_width``: distance between the nose wings
- ``mouth_width``: distance between the corners of the mouth
- ``mouth_open_outer``, ``mouth_open_inner``: distance between the outer and between the inner edges of the lips
- ``upper_lip_height``: distance from the nose base to the outer edge of the upper lip
- ``upper_lip_thickness``, ``lower_lip_thickness``: distance between the outer and the inner edge of a lip
- ``mouth_corner_height``, ``mouth_corner_depth``: distance of a corner of the mouth above and behind the middle of the
  lips
- ``mouth_shift``, ``jaw_shift``: offset of the mouth and of the chin from the middle of the face, positive to the left
- ``mouth_protrusion``: distance of the lips in front of the nose base
- ``jaw_drop``: distance from the nose base to the chin
- ``head_yaw_rad``, ``head_pitch_rad``, ``head_roll_rad``: angles of the head in radians, approximated without a camera
  model. Yaw is positive to the person's left, pitch is positive downwards, and roll is positive towards the person's
  right shoulder.
"""

from __future__ import annotations

import math

import numpy as np

from mien.schema import FloatArray

# Indices of landmarks of the face mesh. A pair contains the landmarks on the person's right and left.
EYE_OUTER, EYE_INNER = (33, 263), (133, 362)
UPPER_LID, LOWER_LID = (159, 386), (145, 374)
BROW_INNER, BROW_MIDDLE, BROW_OUTER = (107, 336), (105, 334), (70, 300)
NOSE_WING, MOUTH_CORNER = (129, 358), (61, 291)
TEMPLE, CHEEK_SIDE = (127, 356), (234, 454)
FOREHEAD, NOSE_BASE, CHIN = 10, 2, 152
UPPER_LIP_OUTER, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_OUTER = 0, 13, 14, 17
# Angle by which the line from NOSE_BASE to FOREHEAD leans backwards on the average face of the face mesh.
FOREHEAD_LEAN_RAD = math.radians(8.66)

SIDES = ("right", "left")
GEOMETRY_COLUMNS = (
    *(f"eye_open_{side}" for side in SIDES),
    *(f"lower_lid_height_{side}" for side in SIDES),
    *(f"brow_{part}_height_{side}" for part in ("inner", "middle", "outer") for side in SIDES),
    "brow_gap",
    *(f"nose_wing_height_{side}" for side in SIDES),
    "nose_width",
    "mouth_width",
    "mouth_open_outer",
    "mouth_open_inner",
    "upper_lip_height",
    "upper_lip_thickness",
    "lower_lip_thickness",
    *(f"mouth_corner_height_{side}" for side in SIDES),
    *(f"mouth_corner_depth_{side}" for side in SIDES),
    "mouth_shift",
    "mouth_protrusion",
    "jaw_drop",
    "jaw_shift",
    "head_yaw_rad",
    "head_pitch_rad",
    "head_roll_rad",
)


def head_axes(landmarks: FloatArray) -> FloatArray:
    """Compute the rotation matrix (3, 3) of the head from the landmarks of a face (landmark, 3).

    Its columns are the axes of the head: to the person's left, up, and out of the face. Its rows are the coordinates of
    these axes in the picture: x to the right, y up, and z towards the camera.
    """
    points = landmarks * np.array([1.0, -1.0, -1.0])
    across = sum(_unit_vector(points[left] - points[right]) for right, left in (EYE_OUTER, TEMPLE, CHEEK_SIDE))
    leftward = _unit_vector(np.asarray(across))
    along = points[FOREHEAD] - points[NOSE_BASE]
    forehead_axis = _unit_vector(along - (along @ leftward) * leftward)
    outward = np.cross(leftward, forehead_axis)
    up = math.cos(FOREHEAD_LEAN_RAD) * forehead_axis + math.sin(FOREHEAD_LEAN_RAD) * outward
    return np.stack([leftward, up, np.cross(leftward, up)], axis=1)


def head_angles(axes: FloatArray) -> tuple[float, float, float]:
    """Compute the angles of the head from its rotation matrix (3, 3), see `head_axes`.

    Returns:
        Yaw, pitch and roll in radians. The head is rotated first by the pitch, then by the yaw, then by the roll.
    """
    yaw = math.asin(min(max(-axes[2, 0], -1.0), 1.0))
    return yaw, math.atan2(axes[2, 1], axes[2, 2]), math.atan2(axes[1, 0], axes[0, 0])


def face_geometry(landmarks: FloatArray) -> FloatArray:
    """Compute the geometric features of a face, (31,) float32, in the order of `GEOMETRY_COLUMNS`.

    Args:
        landmarks: Landmarks of the face (landmark, 3) in pixels: x to the right, y down, z away from the camera.
    """
    axes = head_axes(landmarks)
    points = landmarks * np.array([1.0, -1.0, -1.0])
    corners = points[list(EYE_OUTER)]
    points = (points - corners.mean(axis=0)) @ axes / np.linalg.norm(corners[1] - corners[0])

    def gap(one: int, other: int) -> float:
        return float(np.linalg.norm(points[one] - points[other]))

    eye_lines = [(points[EYE_OUTER[side], 1] + points[EYE_INNER[side], 1]) / 2 for side in (0, 1)]
    lips = (points[UPPER_LIP_INNER] + points[LOWER_LIP_INNER]) / 2
    return np.array(
        [
            *(gap(UPPER_LID[s], LOWER_LID[s]) / gap(EYE_OUTER[s], EYE_INNER[s]) for s in (0, 1)),
            *(
                points[pair[side], 1] - eye_lines[side]
                for pair in (LOWER_LID, BROW_INNER, BROW_MIDDLE, BROW_OUTER)
                for side in (0, 1)
            ),
            gap(*BROW_INNER),
            *(points[at, 1] for at in NOSE_WING),
            gap(*NOSE_WING),
            gap(*MOUTH_CORNER),
            gap(UPPER_LIP_OUTER, LOWER_LIP_OUTER),
            gap(UPPER_LIP_INNER, LOWER_LIP_INNER),
            gap(NOSE_BASE, UPPER_LIP_OUTER),
            gap(UPPER_LIP_OUTER, UPPER_LIP_INNER),
            gap(LOWER_LIP_INNER, LOWER_LIP_OUTER),
            *(points[at, 1] - lips[1] for at in MOUTH_CORNER),
            *(lips[2] - points[at, 2] for at in MOUTH_CORNER),
            points[list(MOUTH_CORNER), 0].mean(),
            (points[UPPER_LIP_OUTER, 2] + points[LOWER_LIP_OUTER, 2]) / 2 - points[NOSE_BASE, 2],
            gap(NOSE_BASE, CHIN),
            points[CHIN, 0],
            *head_angles(axes),
        ],
        dtype=np.float32,
    )


def _unit_vector(vector: FloatArray) -> FloatArray:
    """Scale a vector to the length 1."""
    result: FloatArray = vector / np.linalg.norm(vector)
    return result
