"""Utterances are sentences or breath groups; hand-made words with known pauses."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.media.segmentation import SegmentationSettings, fixed_clips, sentence_ends, utterances
from mien.schema import TimedWord


def timed(
    text: str, pauses: dict[int, float] | None = None, word_s: float = 0.4, gap_s: float = 0.1
) -> list[TimedWord]:
    """Words of one length; `pauses` is the silence after a word where it is not `gap_s`."""
    words, now_s = [], 1.0
    for number, word in enumerate(text.split()):
        words.append(TimedWord(word, now_s, now_s + word_s))
        now_s += word_s + (pauses or {}).get(number, gap_s)
    return words


AS_SAID = SegmentationSettings(min_length_s=0.0)


def texts(words, settings=AS_SAID):
    return [clip.transcript for clip in utterances(words, sentence_ends(words), 1000.0, settings)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("I like it. You do not. Why?", ["I like it.", "You do not.", "Why?"]),
        ("My name is Dr. Erma Sims. Hello!", ["My name is Dr. Erma Sims.", "Hello!"]),
        ("It grew by 3.5 percent. Good.", ["It grew by 3.5 percent.", "Good."]),
        ("Mary J. Smith of the U.S. Senate spoke.", ["Mary J. Smith of the U.S. Senate spoke."]),
        ("See No. 5 on p. 12 of it.", ["See No. 5 on p. 12 of it."]),
        ("No. I did not.", ["No.", "I did not."]),
        ("Apples, pears, etc. were sold. Cheap.", ["Apples, pears, etc. were sold.", "Cheap."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("a valuable spot. this is new", ["a valuable spot.", "this is new"]),
        ("well... maybe not", ["well... maybe not"]),
        ("well... Maybe not", ["well...", "Maybe not"]),
        ("no marks at all", ["no marks at all"]),
        ("你好。 再见！ 是吗？", ["你好。", "再见！", "是吗？"]),
        ("", []),
    ],
)
def test_where_sentences_end(text, sentences):
    assert texts(timed(text)) == sentences


def test_an_abbreviation_ends_a_sentence_after_a_breath_and_before_a_capital():
    assert texts(timed("We left at 5 p.m. They stayed.", {4: 0.6})) == ["We left at 5 p.m.", "They stayed."]
    assert texts(timed("We left at 5 p.m. with them.", {4: 0.6})) == ["We left at 5 p.m. with them."]


def test_a_long_pause_ends_an_utterance_and_a_short_one_does_not():
    words = timed("so I went and then I came back", {2: 1.6, 5: 1.2})
    assert texts(words) == ["so I went", "and then I came back"]


def test_margins_never_reach_beyond_half_of_a_pause_or_the_file():
    words = [TimedWord("One.", 0.1, 2.0), TimedWord("Two.", 2.2, 4.0), TimedWord("Three.", 6.0, 8.0)]
    clips = utterances(words, [True] * 3, 8.1)
    assert [(clip.start_s, clip.end_s) for clip in clips] == [
        (0.0, pytest.approx(2.1)),
        (pytest.approx(2.1), pytest.approx(4.3)),
        (pytest.approx(5.7), pytest.approx(8.1)),
    ]
    assert [clip.words for clip in clips] == [(word,) for word in words]


def test_what_is_too_short_joins_its_nearer_neighbour():
    words = timed("That was a long sentence. Yes. And this is another one.", {4: 0.5, 5: 0.2})
    settings = SegmentationSettings(min_length_s=1.5)
    assert texts(words, settings) == ["That was a long sentence.", "Yes. And this is another one."]


def test_what_is_too_short_stays_alone_between_long_pauses():
    words = timed("That was a long sentence. Yes. And this is another one.", {4: 2.0, 5: 2.0})
    assert len(texts(words, SegmentationSettings(min_length_s=1.5))) == 3


def test_a_sentence_is_cut_only_beyond_the_maximum_and_at_its_best_pause():
    text = "one two three four, five six seven eight nine ten"
    words = timed(text, {3: 0.3, 6: 0.5}, gap_s=0.0)
    # 4.8 s in all
    assert texts(words, SegmentationSettings(min_length_s=0.5, max_length_s=5.0)) == [text]
    # the clause mark makes 0.3 s worth more than 0.5 s
    assert texts(words, SegmentationSettings(min_length_s=0.5, max_length_s=4.0)) == [
        "one two three four,",
        "five six seven eight nine ten",
    ]


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="min_length_s"):
        SegmentationSettings(min_length_s=5.0, max_length_s=6.0)


@pytest.mark.parametrize(
    ("duration_s", "ends"),
    [(12.0, [5.0, 12.0]), (13.0, [5.0, 10.0, 13.0]), (2.0, [2.0]), (10.0, [5.0, 10.0]), (0.0, [])],
)
def test_fixed_clips_fill_the_file(duration_s, ends):
    clips = fixed_clips(duration_s, 5.0)
    assert [clip.end_s for clip in clips] == ends
    assert [clip.start_s for clip in clips] == [0.0, *ends][: len(ends)]


WORD = st.tuples(st.sampled_from(["yes", "No.", "Dr.", "and,", "why?"]), st.floats(0, 2), st.floats(0, 3))


@given(st.lists(WORD, max_size=60), st.floats(1.0, 20.0), st.floats(0.0, 0.5))
def test_every_word_is_in_one_clip_and_clips_do_not_overlap(drawn, max_length_s, share):
    words, now_s = [], 0.0
    for text, length_s, pause_s in drawn:
        words.append(TimedWord(text, now_s, now_s + length_s))
        now_s += length_s + pause_s
    settings = SegmentationSettings(max_length_s=max_length_s, min_length_s=max_length_s * share)
    clips = utterances(words, sentence_ends(words), now_s, settings)
    assert [word for clip in clips for word in clip.words] == words
    assert [clip.index for clip in clips] == list(range(len(clips)))
    for clip in clips:
        assert 0 <= clip.start_s <= clip.words[0].start_s
        assert clip.words[-1].end_s <= clip.end_s <= now_s
        length_s = clip.words[-1].end_s - clip.words[0].start_s
        assert length_s <= max_length_s + 1e-6 or len(clip.words) == 1
    for one, two in pairwise(clips):
        assert one.end_s <= two.start_s + 1e-6
