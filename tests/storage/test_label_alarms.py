"""Alarms about the scale of labels: which labels raise which one, and that sound labels raise none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from mien.labels import EMOTION_SPACE, SENTIMENT_SPACE, LabelKind, LabelSpace
from mien.schema import SentimentValues
from mien.storage import label_alarms
from mien.storage.label_alarms import LEAST_LABELS, Alarm, ScaleCheck, store_alarms

STARS = LabelSpace("sentiment", LabelKind.SCORE, low=1.0, high=5.0, neutral=3.0)
TOPIC = LabelSpace("topic", LabelKind.CLASSES, ("art", "war"))
EFFORT = LabelSpace("effort", LabelKind.ORDINAL, ("low", "high"), 0.0, 1.0, (0.5,))
TABLE: dict[str, Any] = {"source": "table", "mapping": {"sentiment": "stars"}}


def alarms(
    values: Iterable[float],
    space: LabelSpace = SENTIMENT_SPACE,
    meaning: SentimentValues = SentimentValues.INTENSITY,
    n_clamped: int = 0,
) -> list[Alarm]:
    """The alarms about labels that are added in two pieces, with a missing label between them."""
    check = ScaleCheck([space, EMOTION_SPACE] if space.name == "sentiment" else [space], meaning)
    labels = np.array([*values], dtype=np.float64)[:, None]
    for part in (labels[:4], np.array([[np.nan]]), labels[4:]):
        check.add({space.name: part})
    return check.alarms(n_clamped)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([0, 1] * 6, label_alarms.SCALE_ZERO_ONE),
        ([1] * 12, label_alarms.SCALE_ONE_CLASS),
        ([0] * 12, label_alarms.SCALE_ONE_CLASS),
        ([1, 2, 3] * 5, label_alarms.SCALE_NO_NEGATIVE),
        ([0, 0.5, 3] * 5, label_alarms.SCALE_NO_NEGATIVE),
        ([-1, -2] * 6, label_alarms.SCALE_ONE_CLASS),
        ([-0.8, 0, 0.4, 1] * 4, label_alarms.SCALE_WITHIN_ONE),
        ([-1, 1] * 8, label_alarms.SCALE_WITHIN_ONE),
        ([-1, 0, 1] * 8, label_alarms.SCALE_WITHIN_ONE),
    ],
)
def test_scores_on_another_scale_raise_one_alarm(values: list[float], rule: str) -> None:
    found = alarms(values)
    assert [(alarm.rule, alarm.space, alarm.n_labels) for alarm in found] == [(rule, "sentiment", len(values))]
    assert rule in label_alarms.ALARMS


def test_alarms_are_counted_and_stored_only_where_there_are_any() -> None:
    for values, n in (([0.0, 1.0] * 6, 1), ([-3.0, 2.5] * 6, 0)):
        check, notes, origin = ScaleCheck([SENTIMENT_SPACE]), Counter[str](), dict(TABLE)
        check.add({"sentiment": np.array(values)[:, None]})
        store_alarms(check, 0, notes, origin)
        assert notes == ({label_alarms.SCALE_ZERO_ONE: 12} if n else {})
        assert len(origin.get("alarms", ())) == n


@pytest.mark.parametrize(
    "values",
    [
        [-3, 0, 1.5, 2] * 4,
        [0, 1] * (LEAST_LABELS // 2 - 1),  # too few to tell
        [],
    ],
)
def test_sound_or_few_scores_raise_none(values: list[float]) -> None:
    assert alarms(values) == []


def test_scores_that_stand_for_classes_are_only_asked_for_two_of_them() -> None:
    for meaning in (SentimentValues.HAS0_CLASS, SentimentValues.SIGNED_CLASS):
        assert alarms([-1, 1] * 6, meaning=meaning) == []
        assert [alarm.rule for alarm in alarms([1] * 12, meaning=meaning)] == [label_alarms.SCALE_ONE_CLASS]


def test_a_range_of_the_user_has_its_own_neutral_value() -> None:
    assert alarms([1, 2, 3, 4, 5] * 3, STARS) == []
    assert [alarm.rule for alarm in alarms([3, 4, 5] * 4, STARS)] == [label_alarms.SCALE_NO_NEGATIVE]
    share = LabelSpace("share", LabelKind.SCORE, low=0.0, high=1.0, neutral=0.5)
    assert alarms([0, 1] * 6, share) == []
    assert alarms([0.25, 1] * 6, LabelSpace("arousal", LabelKind.SCORE, low=0.0, high=5.0)) == []


def test_one_class_or_level_alone_is_said() -> None:
    for space in (TOPIC, EFFORT):
        assert alarms([0, 1] * 6, space) == []
        assert [alarm.rule for alarm in alarms([1] * 12, space)] == [label_alarms.SCALE_ONE_CLASS]


def test_emotions_of_which_none_is_ever_present_are_said() -> None:
    for present, n_alarms in ((0.0, 1), (0.5, 0)):
        check = ScaleCheck([EMOTION_SPACE])
        check.add({"emotion": np.full((12, 6), present)})
        check.add({"emotion": np.full((1, 6), np.nan)})
        assert [alarm.rule for alarm in check.alarms()] == [label_alarms.SCALE_ONE_CLASS] * n_alarms
    (clamped,) = check.alarms(20)
    assert (clamped.rule, clamped.space) == (label_alarms.SCALE_CLAMPED, "emotion")
    assert clamped.text(TABLE).endswith("--label emotion=LABEL=COLUMN,LABEL=COLUMN,...:multilabel:0..HIGH")


def test_many_clamped_labels_are_said_and_few_are_not() -> None:
    values = [-3, 1, 2, 3] * 50
    assert alarms(values, n_clamped=2) == []
    (alarm,) = alarms(values, n_clamped=3)
    assert (alarm.rule, alarm.n_labels) == (label_alarms.SCALE_CLAMPED, 3)
    assert alarm.found.startswith("3 of 200 label values lay outside")


def test_an_alarm_says_what_was_found_what_is_assumed_and_a_remedy_of_the_reader() -> None:
    (alarm,) = alarms([0, 1] * 6)
    text = alarm.text(TABLE)
    assert text.startswith("sentiment: all 12 scores are 0 or 1; they are taken as scores from -3 to 3")
    assert text.endswith("--label sentiment=stars:classes:0,1 reads them as two classes")
    assert alarm.text({"source": "arrays"}).endswith("--map sentiment_class=sentiment reads them as two classes")
    assert "mien import arrays --map sentiment_class=NAME" in alarm.text({"source": "npz"})
    (stars,) = alarms([1, 2, 3] * 5)
    assert "--label sentiment=stars:score:LOW..NEUTRAL..HIGH" in stars.text(TABLE)
    mmsa = {"source": "mmsa", "mapping": {"sentiment": "regression_labels"}}
    assert "--label sentiment=regression_labels:score:LOW..NEUTRAL..HIGH" in stars.text(mmsa)
    # one key holds the sentiment and the emotions
    both = {"source": "mult", "mapping": {"sentiment": "labels", "emotions": "labels"}}
    assert "subtract the neutral value in the file" in stars.text(both)
    (sims,) = alarms([-0.8, 0.4] * 6)
    assert sims.text(TABLE).endswith(":score:-1..0..1 reads them as scores from -1 to 1")
    assert "multiply them by 3" in sims.text({"source": "csd", "mapping": "damaged"})
    assert sims.text({"source": "planted"}).endswith("only the scores of two classes have a meaning")
    (single,) = alarms([-1, -2] * 6)
    assert single.text({}).endswith("check that these are the labels you mean")


def test_clamped_labels_are_those_of_the_label_space_that_has_them() -> None:
    rng = np.random.default_rng(3)
    for scale, space in ((1, "sentiment"), (100, "emotion")):
        check = ScaleCheck([SENTIMENT_SPACE, EMOTION_SPACE])
        emotions = np.clip(rng.uniform(0, 3, (40, 6)) * (rng.uniform(size=(40, 6)) < 0.2) * scale, 0, 3)
        sentiment = np.clip(rng.uniform(-3, 3, (40, 1)) * (5 if space == "sentiment" else 1), -3, 3)
        check.add({"sentiment": sentiment, "emotion": emotions})
        (alarm,) = check.alarms(30)
        assert (alarm.rule, alarm.space) == (label_alarms.SCALE_CLAMPED, space)
