"""Bars and marks stand where the numbers are, and what must be said stands beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.benchmark.figures.examples import NAN, TRIVIAL, benchmark, by_gid, system

from mien.benchmark.draw import FIGURES
from mien.benchmark.figures import systems
from mien.benchmark.figures.paper import joint_vs_single, prediction_counts
from mien.benchmark.view import BenchmarkView, OmittedFigure
from mien.reports.style import FORMATS, percent_format, write_figure
from mien.schema import EMOTIONS

BOTH = {"sentiment": 0.7, "emotion": 0.6}


@pytest.fixture
def families():
    """Two input sets, each joint and for one or both tasks alone, not in the paper's order."""
    two = ("text", "acoustic")
    return benchmark(
        system("cim two joint", two, clean={"sentiment": 0.71, "emotion": 0.61}),
        system("cim two sentiment", two, clean={"sentiment": 0.69}),
        system("cim one joint", clean={"sentiment": 0.66, "emotion": 0.56}),
        system("cim one sentiment", clean={"sentiment": 0.67}),
        system("cim one emotion", clean={"emotion": 0.45}),
    )


def tops(bars):
    return [bar.get_y() + bar.get_height() for bar in bars]


def bars_of(axes, label):
    (container,) = [each for each in axes.containers if each.get_label() == label and hasattr(each, "patches")]
    return container.patches


def test_joint_and_single_bars_go_from_the_constant_predictor_to_the_means(families):
    figure = joint_vs_single(families)
    accuracy, _, weighted_accuracy, _ = figure.axes
    assert accuracy.get_title("left") == "sentiment accuracy (has0)"
    # the paper's order of input sets: T before T+A
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["T", "T+A"]
    assert tops(bars_of(accuracy, "joint")) == pytest.approx([0.66, 0.71])
    assert tops(bars_of(accuracy, "single task")) == pytest.approx([0.67, 0.69])
    assert {bar.get_y() for bar in bars_of(accuracy, "joint")} == {TRIVIAL}
    # T+A was not trained for emotion alone: no bar there; below the constant predictor the bar hangs
    assert tops(bars_of(weighted_accuracy, "single task")) == pytest.approx([0.45, NAN], nan_ok=True)
    (line,) = by_gid(accuracy, "trivial")
    assert list(line.get_ydata()) == [TRIVIAL, TRIVIAL]
    assert accuracy.yaxis.get_major_formatter()(0.655) == "65.5%"


def test_a_title_says_data_split_protocol_and_seeds(families):
    for name, protocols in (("figure2-joint-vs-single", "clean"), ("seed-spread", "clean"), ("per-emotion", "clean")):
        entry = FIGURES[name]
        (title,) = [t for t in entry.draw(families).texts if t.get_gid() == "title"]
        told = title.get_text().replace("\n", " ")
        assert f"talks, test split, protocol {protocols}, 2 seeds" in told


def test_unequal_numbers_of_seeds_are_told():
    unequal = benchmark(system("cim", clean=BOTH, seeds=5), system("tfn", clean=BOTH, seeds=3))
    assert unequal.heading().endswith("3 to 5 seeds")


def test_systems_that_differ_in_more_than_tasks_are_no_family():
    other = system("tfn sentiment", clean={"sentiment": 0.6})
    left_out = joint_vs_single(benchmark(system("cim joint", clean=BOTH), other))
    assert isinstance(left_out, OmittedFigure)
    assert "one of them alone" in left_out.reason


def test_emotion_bars_equal_the_means_and_the_reference_stands_out():
    several = [system(name, clean=BOTH | {"emotion": 0.5 + at / 50}) for at, name in enumerate(["cim", "tfn", "mfn"])]
    sentiment_alone = system("svm", clean={"sentiment": 0.8})
    figure = systems.per_emotion(benchmark(*several, sentiment_alone, reference="tfn"))
    assert [axes.get_title() for axes in figure.axes] == [*EMOTIONS, *EMOTIONS]
    labels = figure.axes[0].get_yticklabels()
    assert [tick.get_text() for tick in labels] == ["cim", "tfn", "mfn"]  # not the one without emotions
    assert [tick.get_fontweight() for tick in labels] == ["normal", "bold", "normal"]
    for at, axes in enumerate(figure.axes):
        ends = [bar.get_x() + bar.get_width() for bar in axes.patches if bar.get_x() != 0]
        expected = [0.5 + row / 50 + at % 6 / 100 + 0.1 * (at >= 6) for row in range(3)]
        assert ends == pytest.approx(expected)
    assert len({bar.get_facecolor() for bar in figure.axes[0].containers[-1]}) == 2


def test_released_is_hollow_and_labelled_as_an_upper_bound():
    low, high = {"sentiment": 0.6, "emotion": 0.55}, {"sentiment": 0.75, "emotion": 0.65}
    axes = systems.protocol_gap(benchmark(system("cim", clean=BOTH, fixed=low, released=high))).axes[0]
    marks = {name: by_gid(axes, name)[0] for name in ("clean", "fixed", "released")}
    assert "upper bound: chosen on the scored split" in marks["released"].get_label()
    assert len(marks["released"].get_facecolor()) == 0
    assert len(marks["clean"].get_facecolor()) == 1
    assert {name: mark.get_offsets()[0][0] for name, mark in marks.items()} == pytest.approx(
        {"clean": 0.7, "fixed": 0.6, "released": 0.75}
    )


def test_a_system_without_released_keeps_its_row():
    with_all, without = system("cim", clean=BOTH, released=BOTH), system("svm", clean=BOTH)
    axes = systems.protocol_gap(benchmark(with_all, without)).axes[0]
    assert by_gid(axes, "released")[0].get_offsets()[:, 0].filled(NAN).tolist() == pytest.approx(
        [0.7, NAN], nan_ok=True
    )
    assert by_gid(axes, "clean")[0].get_offsets()[:, 0].tolist() == pytest.approx([0.7, 0.7])


def test_every_seed_has_its_dot_and_the_interval_its_line():
    axes = systems.seed_spread(benchmark(system("cim", clean=BOTH, seeds=5))).axes[0]
    (dots,) = by_gid(axes, "row 0")
    offsets = dots.get_offsets()
    assert offsets[:, 0].tolist() == pytest.approx([0.7] * 5)
    assert len(set(offsets[:, 1].tolist())) == 5  # equal seeds do not hide each other
    (line,) = by_gid(axes, "interval 0")
    assert list(line.get_xdata()) == pytest.approx([0.66, 0.73])


def test_counts_are_those_of_the_reference_and_its_single_task_version(families):
    first, second = prediction_counts(BenchmarkView("talks", "test", "cim one joint", families.systems)).axes
    assert [bar.get_height() for bar in bars_of(first, "gold")] == [10, 20, 30, 40, 50, 60, 70]
    # the score of each emotion is a hundredth higher than that of the one before: see the examples
    joint = [round(100 * (0.56 + at / 100)) + at for at in range(6)] + [56 + 6]
    assert [bar.get_height() for bar in bars_of(first, "joint")] == joint
    single = [round(50 * (0.45 + at / 100)) + at for at in range(6)] + [round(50 * 0.45) + 6]
    assert [bar.get_height() for bar in bars_of(second, "single task")] == single
    assert str(joint[0]) in [text.get_text() for text in first.texts]


def test_without_a_partner_the_reference_is_counted_alone():
    figure = prediction_counts(benchmark(system("cim", clean=BOTH), system("tfn", clean=BOTH)))
    for axes in figure.axes:
        assert [bars.get_label() for bars in axes.containers if hasattr(bars, "patches")] == ["gold", "joint"]


def test_what_does_not_apply_is_left_out_with_its_reason():
    sentiment_alone = benchmark(system("cim", clean={"sentiment": 0.7}), system("tfn", clean={"sentiment": 0.6}))
    reasons = {
        name: found.reason
        for name, entry in FIGURES.items()
        if isinstance(found := entry.draw(sentiment_alone), OmittedFigure)
    }
    assert set(reasons) == set(FIGURES) - {"seed-spread"}
    assert "clean alone" in reasons["protocol-gap"]
    assert "emotion" in reasons["per-emotion"]
    assert len(systems.seed_spread(sentiment_alone).axes) == 2


def test_seventeen_systems_with_long_names_do_not_overlap():
    names = [f"a system with quite a long name number {number}" for number in range(17)]
    figure = systems.seed_spread(benchmark(*(system(name, clean=BOTH) for name in names)))
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))
    page = figure.bbox
    for artist in (*figure.texts, *(axes.title for axes in figure.axes), *figure.axes[0].get_yticklabels()):
        box = artist.get_window_extent()
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
    (title,) = [text for text in figure.texts if text.get_gid() == "title"]
    assert title.get_window_extent().y0 >= figure.axes[0].title.get_window_extent().y1


def test_the_legend_stands_between_title_and_panels(families):
    figure = joint_vs_single(families)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    (title,) = [text for text in figure.texts if text.get_gid() == "title"]
    box = legend.get_window_extent()
    assert box.y1 <= title.get_window_extent().y0
    assert box.y0 >= figure.axes[0].get_tightbbox().y1


def test_the_same_numbers_give_the_same_bytes_and_fonts_inside(families, tmp_path):
    for name in ("a", "b"):
        write_figure(tmp_path / name, "figure", joint_vs_single(families))
    for ending in FORMATS:
        assert (tmp_path / f"a/figure.{ending}").read_bytes() == (tmp_path / f"b/figure.{ending}").read_bytes()
    pdf = (tmp_path / "a/figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf
    svg = (tmp_path / "a/figure.svg").read_text()
    assert "<text" not in svg  # glyphs are outlines
    assert "<dc:date>" not in svg


def test_a_users_own_settings_change_nothing_and_come_back(families, tmp_path):
    import matplotlib as mpl

    write_figure(tmp_path / "a", "figure", joint_vs_single(families))
    with mpl.rc_context({"font.size": 23, "axes.grid": True}):
        write_figure(tmp_path / "b", "figure", joint_vs_single(families))
        assert mpl.rcParams["font.size"] == 23
    assert (tmp_path / "a/figure.png").read_bytes() == (tmp_path / "b/figure.png").read_bytes()


@pytest.mark.parametrize(("value", "text"), [(0.6, "60%"), (0.655, "65.5%"), (1, "100%"), (0.0025, "0.25%")])
def test_per_cent_has_the_decimals_it_needs(value, text):
    assert percent_format()(value) == text


def test_null_and_missing_numbers_are_nan():
    one = system("cim", clean=BOTH)
    assert np.isnan(one.mean("clean", "sentiment.accuracy_non0"))
    assert np.isnan(one.mean("fixed", "sentiment.accuracy_has0"))
    assert np.isnan(one.mean("clean", "emotion.no.such.path"))
    assert one.seeds("fixed") == ()
