"""The progress of an analysis: stages, shares, and the time left."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.video.progress import MEASURED_SHARE, ProgressMeter, RecordingProgress, Stage, duration_text

LISTEN, WATCH = (Stage.LISTENING, ""), (Stage.WATCHING, "face")


@pytest.fixture
def shown():
    return []


@pytest.fixture
def meter(shown):
    meter = ProgressMeter(shown.append, [Path("a.mp4"), Path("b.mp4")])
    for name in ("a.mp4", "b.mp4"):
        meter.expect(Path(name), [LISTEN, WATCH])
    meter.show(Path("a.mp4"))
    return meter


def test_the_line_names_the_recording_and_its_stages(meter, shown):
    meter.measure(Path("a.mp4"), LISTEN, 0.4)
    meter.measure(Path("a.mp4"), WATCH, 1.0)
    assert str(shown[-1]) == "a.mp4 (1 of 2): listening 40 %, watching 100 %"
    assert shown[-1].share == pytest.approx(MEASURED_SHARE * 0.7 / 2)


def test_prediction_may_run_while_faces_are_still_measured(meter, shown):
    meter.measure(Path("a.mp4"), LISTEN, 1.0)
    meter.show(Path("a.mp4"), Stage.PREDICTING)
    assert list(shown[-1].stages) == [Stage.WATCHING, Stage.PREDICTING]
    meter.measure(Path("a.mp4"), WATCH, 1.0)
    assert list(shown[-1].stages) == [Stage.PREDICTING]


def test_a_measured_recording_that_waits_for_the_model_says_so(meter, shown):
    meter.measure(Path("a.mp4"), LISTEN, 1.0)
    meter.measure(Path("a.mp4"), WATCH, 1.0)
    assert str(shown[-1]) == "a.mp4 (1 of 2): listening 100 %, watching 100 %, loading the models"


def test_the_next_recording_is_counted_before_it_is_shown(meter, shown):
    n_shown = len(shown)
    meter.measure(Path("b.mp4"), WATCH, 1.0)
    assert len(shown) == n_shown
    meter.show(Path("a.mp4"), Stage.DONE)
    assert shown[-1].share == pytest.approx((1 + MEASURED_SHARE / 2) / 2)


def test_a_share_never_falls_and_never_exceeds_one(meter, shown):
    for share in (0.5, 0.2, 7.0):
        meter.measure(Path("a.mp4"), LISTEN, share)
    assert [progress.stages[Stage.LISTENING] for progress in shown] == [0.0, 0.5, 1.0]


def test_the_time_left_is_said_once_it_can_be_estimated(meter, shown, monkeypatch):
    assert shown[0].left_s is None
    monkeypatch.setattr("mien.video.progress.LEAST_ELAPSED_S", 0.0)
    monkeypatch.setattr("mien.video.progress.LEAST_LEFT_S", 0.0)
    meter.measure(Path("a.mp4"), LISTEN, 0.5)
    assert shown[-1].left_s > 0
    assert str(RecordingProgress("a.mp4", {Stage.WRITING: None}, left_s=61.0)) == "a.mp4: writing; about 60 s left"
    assert [duration_text(seconds) for seconds in (1, 89, 91, 4830)] == ["5 s", "90 s", "2 min", "1 h 20 min"]
