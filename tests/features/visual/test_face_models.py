"""What the detector's answers mean, on answers made by hand; what it says about pictures without a face."""

from __future__ import annotations

import numpy as np
import pytest

from mien.features.visual.face_models import (
    POINTS,
    DetectionSettings,
    anchors,
    boxes_of,
    decode,
    detect_faces,
    merge,
    squares,
)

SURE, UNSURE = 3.0, -3.0


def answers(**at):
    """Answers (896, 16) and logits (896,) that are zero and unsure but for the given anchors."""
    values, logits = np.zeros((896, 16), dtype=np.float32), np.full(896, UNSURE, dtype=np.float32)
    for name, row in at.items():
        values[int(name[1:])], logits[int(name[1:])] = row, SURE
    return values, logits


def net_that_says(values, logits, seen=None):
    def net(pixels):
        if seen is not None:
            seen.append(pixels)
        return [values[None], logits[None, :, None]]

    return net


def place(x, y, side):
    found = np.zeros((POINTS, 2))
    found[:] = x, y
    found[1] = side
    return found


def test_anchors_are_two_in_each_cell_of_sixteen_and_six_in_each_of_eight():
    centres = anchors()
    assert centres.shape == (896, 2)
    np.testing.assert_allclose(centres[[0, 1, 2, 32]], np.array([[1, 1], [1, 1], [3, 1], [1, 3]]) / 32)
    np.testing.assert_allclose(centres[[512, 517, 518, 895]], np.array([[1, 1], [1, 1], [3, 1], [15, 15]]) / 16)


def test_an_answer_is_relative_to_its_anchor_but_its_size_is_not():
    # anchor 2 lies at pixel (12, 4) of 128; the face's middle is 8 right and 16 below, 32 wide, eyes above the middle
    row = [8, 16, 32, 32, 0, 10, 16, 10, *[8, 20] * 4]
    places, scores = decode(*answers(a2=row), min_score=0.5)
    np.testing.assert_allclose(places[0, :4] * 128, [[20, 20], [32, 32], [12, 14], [28, 14]])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-3)))
    np.testing.assert_allclose(boxes_of(places) * 128, [[4, 4, 36, 36]])


def test_only_sure_answers_count():
    places, scores = decode(*answers(), min_score=0.5)
    assert places.shape == (0, POINTS, 2)
    assert scores.shape == (0,)
    assert merge(places, scores, 0.3)[0].shape == (0, POINTS, 2)


def test_answers_that_overlap_are_one_face_by_weight():
    places = np.stack([place(10, 10, 8), place(50, 50, 8), place(12, 10, 8)])
    merged, scores = merge(places, np.array([0.9, 0.8, 0.6]), 0.3)
    np.testing.assert_allclose(merged[:, 0], [[(9 + 7.2) / 1.5, 10], [50, 50]])
    np.testing.assert_array_equal(scores, [0.9, 0.8])


def test_places_come_back_in_pixels_of_the_picture():
    # 256 x 128: scaled by 1/2, 32 rows of black above and below; pixel (12, 36) of the square is (24, 8) of the picture
    seen = []
    number = 2 * (4 * 16 + 1)  # row 4, column 1 of the fine grid: (12, 36)
    net = net_that_says(*answers(**{f"a{number}": [0, 0, 20, 20, *[-4, -4], *[4, -4], *[0, 0] * 4]}), seen)
    faces = detect_faces(net, np.full((128, 256, 3), 255, dtype=np.uint8), DetectionSettings())
    np.testing.assert_allclose(faces.boxes, [[4, -12, 44, 28]])
    np.testing.assert_allclose(faces.eyes, [[[16, 0], [32, 0]]])
    (pixels,) = seen
    assert pixels.shape == (1, 128, 128, 3)
    np.testing.assert_allclose(pixels[0, [10, 64, 120], 64, 0], [-1, 1, -1])


def test_a_picture_that_shows_nothing_is_looked_at_more_closely():
    seen = []
    quiet = net_that_says(*answers(), seen)
    assert len(detect_faces(quiet, np.zeros((90, 160, 3), np.uint8), DetectionSettings()).scores) == 0
    assert len(seen) == 1 + 3
    detect_faces(quiet, np.zeros((90, 160, 3), np.uint8), DetectionSettings(min_score_closer=1.0))
    assert len(seen) == 1 + 3 + 1


@pytest.mark.parametrize(
    ("height", "width", "starts"), [(90, 160, [0, 35, 70]), (160, 90, [0, 35, 70]), (100, 110, [])]
)
def test_squares_cover_the_picture(height, width, starts):
    image = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3)
    found = squares(image)
    assert [int(corner.max()) for corner, _ in found] == starts
    for (x, y), square in found:
        assert square.shape == (90, 90, 3)
        np.testing.assert_array_equal(square[0, 0], image[y, x])
