"""Face geometry on a face made by hand: known numbers, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.features.visual.face_geometry import (
    FOREHEAD_LEAN_RAD,
    GEOMETRY_COLUMNS,
    face_geometry,
    head_angles,
    head_axes,
)

ANGLES = ("head_yaw_rad", "head_pitch_rad", "head_roll_rad")

# A face that looks into the camera, in x to the person's left, y up, z outwards; outer eye corners 10 apart.
FACE = {
    33: (-5, 0, 0),
    263: (5, 0, 0),
    133: (-2, 0, 0),
    362: (2, 0, 0),
    159: (-3.5, 0.6, 0),
    145: (-3.5, -0.3, 0),
    386: (3.5, 0.9, 0),
    374: (3.5, -0.3, 0),
    107: (-1, 2, 0),
    336: (1, 2.5, 0),
    105: (-3, 3, 0),
    334: (3, 3, 0),
    70: (-5, 2, 0),
    300: (5, 2, 0),
    129: (-1.5, -4, 0),
    358: (1.5, -4, 0),
    61: (-2, -6, -1),
    291: (3, -5, -0.5),
    127: (-7, 0, -5),
    356: (7, 0, -5),
    234: (-7, -2, -5),
    454: (7, -2, -5),
    10: (0, 7, 2 - 11 * math.tan(FOREHEAD_LEAN_RAD)),
    2: (0, -4, 2),
    152: (0.5, -10, 2),
    0: (0, -5, 3),
    13: (0, -5.5, 2),
    14: (0, -6.5, 2),
    17: (0, -8, 3),
}


def landmarks(points=FACE, turn=None, scale=1.0, shift=(0, 0, 0)):
    """A mesh in pixels (x right, y down, z away) with the given points, turned, scaled and moved."""
    mesh = np.zeros((468, 3))
    for number, point in points.items():
        mesh[number] = point
    if turn is not None:
        mesh = mesh @ turn.T
    return mesh * np.array([1, -1, -1]) * scale + np.array(shift)


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    cos, sin = math.cos, math.sin
    nod = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    shake = np.array([[cos(yaw), 0, sin(yaw)], [0, 1, 0], [-sin(yaw), 0, cos(yaw)]])
    tilt = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    return tilt @ shake @ nod


def by_name(mesh):
    return dict(zip(GEOMETRY_COLUMNS, face_geometry(mesh).tolist(), strict=True))


def test_there_are_31_columns_with_different_names():
    assert len(set(GEOMETRY_COLUMNS)) == len(GEOMETRY_COLUMNS) == 31
    assert face_geometry(landmarks()).shape == (31,)


def test_numbers_of_the_face_made_by_hand():
    expected = {
        "eye_open_right": 0.9 / 3,
        "eye_open_left": 1.2 / 3,
        "lower_lid_height_right": -0.03,
        "brow_inner_height_right": 0.2,
        "brow_inner_height_left": 0.25,
        "brow_middle_height_left": 0.3,
        "brow_outer_height_right": 0.2,
        "brow_gap": math.hypot(2, 0.5) / 10,
        "nose_wing_height_left": -0.4,
        "nose_width": 0.3,
        "mouth_width": math.sqrt(25 + 1 + 0.25) / 10,
        "mouth_open_outer": 0.3,
        "mouth_open_inner": 0.1,
        "upper_lip_height": math.hypot(1, 1) / 10,
        "upper_lip_thickness": math.hypot(0.5, 1) / 10,
        "lower_lip_thickness": math.hypot(1.5, 1) / 10,
        "mouth_corner_height_right": 0.0,
        "mouth_corner_height_left": 0.1,
        "mouth_corner_depth_right": 0.3,
        "mouth_corner_depth_left": 0.25,
        "mouth_shift": 0.05,
        "mouth_protrusion": 0.1,
        "jaw_drop": math.hypot(0.5, 6) / 10,
        "jaw_shift": 0.05,
        "head_yaw_rad": 0.0,
        "head_pitch_rad": 0.0,
        "head_roll_rad": 0.0,
    }
    found = by_name(landmarks())
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("turn", "scale", "shift"),
    [
        (turned(), 37.5, (0, 0, 0)),
        (turned(), 1, (320, -180, 44)),
        (turned(roll=0.7), 1, (0, 0, 0)),
        (turned(roll=-2.5), 12, (100, 50, 0)),
        (turned(yaw=0.6, pitch=-0.4, roll=0.3), 8, (5, 6, 7)),
    ],
)
def test_shape_does_not_depend_on_place_size_or_pose(turn, scale, shift):
    still, moved = by_name(landmarks()), by_name(landmarks(turn=turn, scale=scale, shift=shift))
    for name in set(GEOMETRY_COLUMNS) - set(ANGLES):
        assert moved[name] == pytest.approx(still[name], abs=1e-6), name


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0.5, 0, 0), (0, 0.3, 0), (0, 0, -0.8), (-0.4, 0.2, 0.6)])
def test_the_angles_are_those_the_head_was_turned_by(yaw, pitch, roll):
    axes = head_axes(landmarks(turn=turned(yaw, pitch, roll), scale=20))
    assert head_angles(axes) == pytest.approx((yaw, pitch, roll))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


def test_turning_the_picture_changes_roll_alone():
    before = by_name(landmarks(turn=turned(0.3, -0.2, 0.1)))
    after = by_name(landmarks(turn=turned(roll=0.5) @ turned(0.3, -0.2, 0.1)))
    assert after["head_roll_rad"] == pytest.approx(before["head_roll_rad"] + 0.5, abs=1e-6)
    assert after["head_yaw_rad"] == pytest.approx(before["head_yaw_rad"], abs=1e-6)
    assert after["head_pitch_rad"] == pytest.approx(before["head_pitch_rad"], abs=1e-6)


def test_what_the_signs_mean():
    smile = FACE | {61: (-2.5, -5, -2), 291: (3.5, -4, -1.5)}
    still, smiling = by_name(landmarks()), by_name(landmarks(smile))
    for name in ("mouth_width", "mouth_corner_height_left", "mouth_corner_depth_right"):
        assert smiling[name] > still[name]
    closed = by_name(landmarks(FACE | {159: FACE[145]}))
    assert closed["eye_open_right"] == 0
    assert closed["eye_open_left"] == pytest.approx(still["eye_open_left"])
    # The person looks to their left: the nose base moves to the right of the picture.
    nose_x = landmarks(turn=turned(yaw=0.5))[2, 0]
    assert nose_x > 0
    assert by_name(landmarks(turn=turned(pitch=0.3)))["head_pitch_rad"] > 0  # nose down in the picture
    assert landmarks(turn=turned(pitch=0.3))[2, 1] > landmarks()[2, 1]
