"""The heat-maps show the weights, the modality attended to decides the half, and both names stand beside it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.benchmark.figures.examples import by_gid

from mien.benchmark.figures.paper import attention_maps
from mien.benchmark.view import VideoAttention

UTTERANCES = (0, 2, 3, 7)


def weights(seed, n_context=4):
    drawn = np.random.default_rng(seed).random((len(UTTERANCES), n_context))
    return drawn / drawn.sum(axis=1, keepdims=True)


def attention(maps, **facts):
    return VideoAttention("talk", UTTERANCES, maps, "cim", 3, "talks", "test", **facts)


def images(figure):
    return [axes.images[0] for axes in figure.axes if axes.images and axes.get_ylabel()]


def test_left_is_the_attention_to_the_first_modality():
    to_visual, to_text = weights(0), weights(1)
    figure = attention_maps(attention({"text->visual": to_visual, "visual->text": to_text}))
    (image,) = images(figure)
    np.testing.assert_array_equal(image.get_array(), np.hstack([to_text, to_visual]))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "attended to: text\nasked by: visual",
        "attended to: visual\nasked by: text",
    ]
    assert axes.get_xlabel() == "attended utterance j of text | visual"
    assert axes.get_ylabel() == "judged utterance i of\nvisual | text"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(index) for index in UTTERANCES] * 2
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [str(index) for index in UTTERANCES]
    (line,) = by_gid(axes, "separator")
    assert list(line.get_xdata()) == [3.5, 3.5]
    assert line.get_linestyle() == "-"


def test_three_modalities_give_three_pairs_on_one_scale():
    names = ("text", "acoustic", "visual")
    maps = {f"{a}->{b}": weights(at) for at, (a, b) in enumerate((a, b) for a in names for b in names if a != b)}
    figure = attention_maps(attention(maps))
    shown = images(figure)
    assert len(shown) == 3
    assert {image.get_clim() for image in shown} == {
        (min(each.min() for each in maps.values()), max(each.max() for each in maps.values()))
    }


def test_one_modality_is_a_single_square_without_a_line():
    alone = weights(0)
    figure = attention_maps(attention({"text->text": alone}))
    (image,) = images(figure)
    np.testing.assert_array_equal(image.get_array(), alone)
    assert not by_gid(figure.axes[0], "separator")


def test_padding_that_takes_attention_is_shown_and_marked():
    maps = {"text->visual": weights(0, 6), "visual->text": weights(1, 6)}
    figure = attention_maps(attention(maps))
    (image,) = images(figure)
    assert image.get_array().shape == (4, 12)
    assert [line.get_xdata()[0] for line in by_gid(figure.axes[0], "padding")] == [3.5, 9.5]
    assert any("padding" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("chosen_by", ["", "chosen by rule: of median length"])
def test_the_title_says_which_video_and_how_it_was_chosen(chosen_by):
    figure = attention_maps(attention({"text->text": weights(0)}, chosen_by=chosen_by))
    title = " ".join(figure.texts[0].get_text().split())
    assert "cim, seed 3 talks, test split, video talk" in title
    assert ("rule" in title) == bool(chosen_by)
