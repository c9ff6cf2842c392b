"""Who the main face is, on boxes that move as told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mien.features.visual.face_tracking import THUMBNAIL_PX, MainFace, TrackSettings, areas, overlaps

GREY = np.full((THUMBNAIL_PX, THUMBNAIL_PX), 128.0)
STEP_S = 0.2


def box(x, y, side):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def follow(frames, main=None, thumbnail=GREY, start=0):
    """Chosen rows for frames of boxes, 0.2 s apart."""
    main = main or MainFace(TrackSettings())
    rows = [
        main.choose((start + number) * STEP_S, np.array(boxes, dtype=float).reshape(-1, 4), thumbnail)
        for number, boxes in enumerate(frames)
    ]
    return rows, main


def test_overlap_by_hand():
    one = np.array([[0.0, 0, 2, 2]])
    others = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [1, 1, 1, 1]])
    np.testing.assert_allclose(overlaps(one, others), [[1 / 7, 1, 0, 0]])
    np.testing.assert_array_equal(areas(np.array([[0.0, 0, 2, 3], [2, 2, 1, 1]])), [6, 0])
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_nobody():
    rows, main = follow([[], [], []])
    assert rows == [None, None, None]
    assert +main.counts == {}


def test_of_two_the_larger_is_the_main_one_in_whatever_order_they_come():
    small, large = box(100, 100, 60), box(400, 100, 90)
    assert follow([[small, large], [large, small], [small, large]])[0] == [1, 0, 1]


def test_it_is_followed_while_it_moves_past_a_smaller_one():
    frames = [[box(100 + 40 * step, 100, 90), box(300, 240, 60)] for step in range(10)]
    rows, main = follow(frames)
    assert rows == [0] * 10
    assert main.counts["frames with several faces"] == 10


def test_somebody_passing_in_front_for_a_second_does_not_take_over():
    me, other = box(100, 100, 80), box(400, 100, 120)
    rows, main = follow([[me]] * 5 + [[other, me]] * 5 + [[me]] * 5)
    assert rows == [0] * 5 + [1] * 5 + [0] * 5
    assert main.counts["changes of the main face"] == 0


def test_somebody_larger_who_stays_takes_over_once():
    me, other = box(100, 100, 80), box(400, 100, 120)
    rows, main = follow([[me]] * 5 + [[me, other]] * 40)
    # area ratio 2.25: the newcomer's running mean reaches 1.5 times the other's after 2 s * ln(1 / (1 - 1.5 / 2.25))
    change = 5 + int(np.ceil(2.0 * np.log(3) / STEP_S)) - 1
    assert rows == [0] * change + [1] * (45 - change)
    assert main.counts["changes of the main face"] == 1


def test_two_of_about_one_size_do_not_alternate():
    sizes = itertools.cycle([(80, 85), (85, 80)])
    rows, _ = follow([[box(100, 100, a), box(300, 100, b)] for a, b in itertools.islice(sizes, 40)])
    assert set(rows) == {1}


def test_a_stranger_does_not_fill_in_for_a_moment_but_after_a_while():
    me, stranger = box(100, 100, 90), box(400, 300, 50)
    rows, _ = follow([[me, stranger]] * 5 + [[stranger]] * 2 + [[me, stranger]] * 2 + [[stranger]] * 5)
    assert rows[:9] == [0] * 5 + [None, None] + [0, 0]
    # away for more than 0.5 s at the third frame
    assert rows[9:] == [None, None, 0, 0, 0]


def test_a_cut_starts_anew_with_the_largest():
    me, other = box(100, 100, 90), box(400, 100, 60)
    _, main = follow([[me]] * 20)
    after, _ = follow([[box(300, 200, 50), other]], main, GREY + 100, start=20)
    assert after == [1]
    assert main.counts["cuts"] == 1


def test_a_small_change_of_light_is_no_cut():
    main = MainFace(TrackSettings())
    for number, light in enumerate([0, 20, 40, 20]):
        main.choose(number * STEP_S, np.array([box(100, 100, 90)]), GREY + light)
    assert main.counts["cuts"] == 0


def test_time_running_backwards_starts_anew():
    me, other = box(100, 100, 90), box(400, 100, 95)
    _, main = follow([[me]] * 20)
    assert follow([[me, other]], main, start=0)[0] == [1]


@pytest.mark.parametrize("step_s", [0.04, 0.2, 1.0])
def test_one_face_is_seen_at_any_rate(step_s):
    main = MainFace(TrackSettings())
    rows = [main.choose(number * step_s, np.array([box(100, 100, 90)]), GREY) for number in range(10)]
    assert rows == [0] * 10
