"""When words of a known text were said, by hand-computed cases."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.media.word_times import (
    BETWEEN_HEARD,
    NONE_HEARD,
    NOTHING_HEARD_AT_ALL,
    align_words,
    spoken_words,
    spread_words,
    timed_words,
    words_inside,
)
from mien.schema import Clip, TimedWord


def spans(words):
    return [(word.text, pytest.approx(word.start_s, abs=1e-9), pytest.approx(word.end_s, abs=1e-9)) for word in words]


def heard(*triples):
    return tuple(TimedWord(*triple) for triple in triples)


def test_marks_alone_are_no_words_and_entities_are_resolved():
    assert spoken_words("Well , I don&#39;t -- (3.5%) &amp; \n“no!”") == ["Well", "I", "don't", "(3.5%)", "“no!”"]
    assert spoken_words(" ... ?! ") == []


def test_words_spread_by_their_letters():
    # 2 + 3 + 5 letters over 5 s; the marks take no time
    assert spans(spread_words(["it", "was,", "fine's!"], 1.0, 6.0)) == [
        ("it", 1.0, 2.0),
        ("was,", 2.0, 3.5),
        ("fine's!", 3.5, 6.0),
    ]


def test_no_words_have_no_times():
    assert spread_words([], 1.0, 2.0) == ()
    assert align_words([], heard(("a", 1.0, 2.0)), 0.0, 3.0) == ((), 0)


def test_the_words_of_a_stretch_are_those_whose_middle_it_holds():
    words = heard(("a", 0.0, 1.0), ("b", 0.8, 1.4), ("c", 1.5, 2.5), ("d", 1.75, 2.5))
    # middles 0.5, 1.1, 2.0, 2.125; the end is not part of the stretch
    assert spans(words_inside(words, 1.0, 2.0)) == [("b", 1.0, 1.4)]
    assert spans(words_inside(words, 1.0, 2.125)) == [("b", 1.0, 1.4), ("c", 1.5, 2.125)]


def test_equal_words_take_the_recognised_times_whatever_their_case_and_marks():
    recognised = heard(("So,", 10.0, 10.2), ("don't", 10.5, 10.9), ("go.", 11.0, 11.3))
    timed, n_matched = align_words(["so", "don’t", "Go!"], recognised, 9.5, 12.0)
    assert spans(timed) == [("so", 10.0, 10.2), ("don’t", 10.5, 10.9), ("Go!", 11.0, 11.3)]
    assert n_matched == 3


def test_words_not_heard_lie_between_their_neighbours():
    recognised = heard(("one", 1.0, 1.4), ("tree", 1.6, 2.0), ("for", 2.2, 2.6), ("five", 3.0, 3.5))
    timed, n_matched = align_words(["one", "three", "four", "five"], recognised, 0.5, 4.0)
    # 5 and 4 letters from 1.4 to 3.0
    middle_s = 1.4 + 1.6 * 5 / 9
    assert spans(timed) == [
        ("one", 1.0, 1.4),
        ("three", 1.4, middle_s),
        ("four", middle_s, 3.0),
        ("five", 3.0, 3.5),
    ]
    assert n_matched == 2


def test_words_before_the_first_and_after_the_last_match_reach_to_the_ends():
    timed, n_matched = align_words(["ab", "cd", "good", "efg"], heard(("good", 3.0, 3.5)), 1.0, 4.5)
    assert spans(timed) == [("ab", 1.0, 2.0), ("cd", 2.0, 3.0), ("good", 3.0, 3.5), ("efg", 3.5, 4.5)]
    assert n_matched == 1


def test_a_word_that_recognition_left_no_room_for_shares_the_time_of_its_neighbours():
    # "really" was said, but recognition heard the words beside it without a gap
    recognised = heard(("I", 1.0, 1.1), ("like", 1.1, 1.7), ("it", 1.7, 2.2), ("here", 2.4, 2.8))
    timed, n_matched = align_words(["I", "like", "really", "it", "here"], recognised, 0.0, 3.0)
    # like + really + it: 12 letters from 1.1 to 2.4, the start of the next match
    step_s = 1.3 / 12
    assert spans(timed) == [
        ("I", 1.0, 1.1),
        ("like", 1.1, 1.1 + 4 * step_s),
        ("really", 1.1 + 4 * step_s, 1.1 + 10 * step_s),
        ("it", 1.1 + 10 * step_s, 2.4),
        ("here", 2.4, 2.8),
    ]
    assert n_matched == 2


def test_a_stretch_too_short_for_its_words_still_has_them_all():
    timed, n_matched = align_words(["a", "b", "c"], heard(("b", 1.0, 1.01)), 1.0, 1.03)
    assert spans(timed) == [("a", 1.0, 1.01), ("b", 1.01, 1.02), ("c", 1.02, 1.03)]
    assert n_matched == 0


def test_the_longest_common_piece_wins_over_an_early_single_word():
    recognised = heard(("the", 0.0, 0.2), ("end", 0.2, 0.5), ("of", 0.5, 0.6), ("the", 0.6, 0.8), ("day", 0.8, 1.2))
    timed, n_matched = align_words(["of", "the", "day"], recognised, 0.0, 1.5)
    assert spans(timed) == [("of", 0.5, 0.6), ("the", 0.6, 0.8), ("day", 0.8, 1.2)]
    assert n_matched == 3


def test_what_is_made_up_is_counted():
    clip = Clip(0, 1.0, 5.0, "Ab cd ef.")
    notes: Counter[str] = Counter()
    assert spans(timed_words(clip, None, notes)) == [
        ("Ab", 1.0, 1.0 + 4 / 3),
        ("cd", 1.0 + 4 / 3, 1.0 + 8 / 3),
        ("ef.", 1.0 + 8 / 3, 5.0),
    ]
    assert notes == {NOTHING_HEARD_AT_ALL: 1}
    notes.clear()
    assert timed_words(clip, (), notes) == timed_words(clip)
    assert notes == {NONE_HEARD: 1}
    notes.clear()
    timed_words(clip, heard(("cd", 2.0, 3.0), ("xy", 8.0, 9.0)), notes)
    assert notes == {BETWEEN_HEARD: 2}
    notes.clear()
    timed_words(clip, heard(("ab", 1.5, 2.0), ("cd", 2.0, 3.0), ("ef", 3.0, 4.0)), notes)
    assert notes == {}


def test_a_clip_that_has_its_words_keeps_their_times():
    own = heard(("Yes", 1.0, 1.5), ("—", 1.5, 1.6), ("no.", 1.6, 2.0))
    notes: Counter[str] = Counter()
    assert timed_words(Clip(0, 1.0, 2.0, "Yes — no.", own), None, notes) == (own[0], own[2])
    assert timed_words(Clip(0, 1.0, 2.0, ""), heard(("word", 1.0, 1.5)), notes) == ()
    assert notes == {}


@given(
    words=st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=11),
    said=st.lists(st.sampled_from(["a", "bb", "ccc", "eeeee"]), max_size=11),
    steps=st.lists(st.floats(0.0, 0.7), min_size=24, max_size=24),
)
def test_every_word_has_its_time_in_order_and_inside(words, said, steps):
    bounds_s = [2.0 + sum(steps[:number]) for number in range(24)]
    recognised = [TimedWord(word, bounds_s[2 * n], bounds_s[2 * n + 1]) for n, word in enumerate(said)]
    end_s = bounds_s[-1] + 0.1
    timed, n_matched = align_words(words, recognised, 2.0, end_s)
    assert [word.text for word in timed] == words
    assert 0 <= n_matched <= len(words)
    for one, two in pairwise(timed):
        assert one.start_s <= one.end_s <= two.start_s + 1e-9
    assert all(2.0 - 1e-9 <= word.start_s <= word.end_s <= end_s + 1e-9 for word in timed)
