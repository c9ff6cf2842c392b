"""31 geometric features of a face, computed from its landmarks.

All landmarks are first transformed to the coordinates of the face: x to the person's left, y up, z out of the face. The
origin is the midpoint of the outer eye corners, whose distance is the unit. Position, size and rotation of the face
therefore affect only the three angles. The x axis is the mean direction between the outer eye corners, the temples and
the sides of the cheeks. The y axis runs from below the nose to the top of the forehead, corrected for the backward lean
of this line on an average face. Left and right are the person's.

Columns, in units of the eye distance unless stated otherwise:

- ``eye_open``: lid gap divided by the width of that eye; ``lower_lid_height`` above the line through that eye's corners
- ``brow_inner_height``, ``brow_middle_height``, ``brow_outer_height`` above the same line; ``brow_gap`` between the
  brows
- ``nose_wing_height`` above the middle of the eyes (negative); ``nose_width``
- ``mouth_width``; ``mouth_open_outer``, ``mouth_open_inner``: gap between the outer and between the inner lip lines
- ``upper_lip_height``: nose to upper lip; ``upper_lip_thickness``, ``lower_lip_thickness``
- ``mouth_corner_height`` and ``mouth_corner_depth``: corners above and behind the middle of the lips
- ``mouth_shift``, ``jaw_shift``: mouth and chin to the left of the middle; ``mouth_protrusion``: lips in front of the
  nose base
- ``jaw_drop``: nose base to chin
- ``head_yaw_rad`` positive to the person's left, ``head_pitch_rad`` positive downwards, ``head_roll_rad`` positive
  towards the person's right shoulder; approximations without a camera model
"""

from __future__ import annotations

import math

import numpy as np

from mien.schema import FloatArray

# Landmark numbers of the face mesh; pairs are (right, left).
EYE_OUTER, EYE_INNER = (33, 263), (133, 362)
UPPER_LID, LOWER_LID = (159, 386), (145, 374)
BROW_INNER, BROW_MIDDLE, BROW_OUTER = (107, 336), (105, 334), (70, 300)
NOSE_WING, MOUTH_CORNER = (129, 358), (61, 291)
TEMPLE, CHEEK_SIDE = (127, 356), (234, 454)
FOREHEAD, NOSE_BASE, CHIN = 10, 2, 152
UPPER_LIP_OUTER, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_OUTER = 0, 13, 14, 17
# Angle by which the line from NOSE_BASE to FOREHEAD leans back on the average face of the face mesh.
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
    """Compute the rotation (3, 3) of the head: columns left, up, outward; rows x right, y up, z to the camera."""
    points = landmarks * np.array([1.0, -1.0, -1.0])
    across = sum(_unit_vector(points[left] - points[right]) for right, left in (EYE_OUTER, TEMPLE, CHEEK_SIDE))
    leftward = _unit_vector(np.asarray(across))
    along = points[FOREHEAD] - points[NOSE_BASE]
    forehead_axis = _unit_vector(along - (along @ leftward) * leftward)
    outward = np.cross(leftward, forehead_axis)
    up = math.cos(FOREHEAD_LEAN_RAD) * forehead_axis + math.sin(FOREHEAD_LEAN_RAD) * outward
    return np.stack([leftward, up, np.cross(leftward, up)], axis=1)


def head_angles(axes: FloatArray) -> tuple[float, float, float]:
    """Compute yaw, pitch and roll in radians; pitch is applied first, then yaw, then roll in the picture."""
    yaw = math.asin(min(max(-axes[2, 0], -1.0), 1.0))
    return yaw, math.atan2(axes[2, 1], axes[2, 2]), math.atan2(axes[1, 0], axes[0, 0])


def face_geometry(landmarks: FloatArray) -> FloatArray:
    """Compute the features (31,) float32 of landmarks (landmark, 3) of a face, in the order of GEOMETRY_COLUMNS."""
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
    """Scale a vector to length 1."""
    result: FloatArray = vector / np.linalg.norm(vector)
    return result
