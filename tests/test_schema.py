"""Label rules, order of utterances, and identity of feature spaces."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.schema import (
    EMOTION_OUTPUTS,
    EMOTIONS,
    FeatureSpace,
    Level,
    Modality,
    SentimentRule,
    Utterance,
    emotion_multihot7,
    in_start_order,
    sentiment_classes,
)

SPACE = FeatureSpace(
    Modality.TEXT, "glove-6b-50d", 3, columns=("a", "b", "c"), recipe={"tokenizer": 1, "pooling": "mean"}
)


@pytest.mark.parametrize(
    "change",
    [
        {"modality": Modality.VISUAL},
        {"name": "glove-6b-100d"},
        {"n_features": 5, "columns": ()},
        {"columns": ("a", "c", "b")},
        {"recipe": {"tokenizer": 2, "pooling": "mean"}},
        {"recipe": {"tokenizer": 1}},
    ],
    ids="-".join,
)
def test_every_fact_changes_the_fingerprint(change):
    assert replace(SPACE, **change).fingerprint != SPACE.fingerprint


def test_the_level_and_the_order_of_the_recipe_do_not_change_the_fingerprint():
    assert replace(SPACE, level=Level.WORD).fingerprint == SPACE.fingerprint
    assert replace(SPACE, recipe={"pooling": "mean", "tokenizer": 1}).fingerprint == SPACE.fingerprint
    assert len(SPACE.fingerprint) == 16


def test_a_space_goes_through_json_and_its_fingerprint_is_not_trusted():
    facts = json.loads(json.dumps(SPACE.to_json()))
    assert FeatureSpace.from_json(facts) == SPACE
    assert FeatureSpace.from_json(facts | {"fingerprint": "0" * 16}).fingerprint == SPACE.fingerprint
    assert FeatureSpace.from_json(facts | {"level": "word"}).level is Level.WORD
    assert str(SPACE) == f"text glove-6b-50d (3 features, {SPACE.fingerprint})"


@pytest.mark.parametrize(
    ("rule", "positive", "scored"),
    [
        (SentimentRule.HAS0, [0, 1, 1, 0, 0], [1, 1, 1, 0, 1]),
        (SentimentRule.NON0, [0, 0, 1, 0, 0], [1, 0, 1, 0, 1]),
        (SentimentRule.GT0, [0, 0, 1, 0, 0], [1, 1, 1, 0, 1]),
    ],
)
def test_sentiment_rules(rule, positive, scored):
    found = sentiment_classes(np.array([-3.0, 0.0, 1 / 3, np.nan, -0.1]), rule)
    assert found[0].tolist() == [bool(each) for each in positive]
    assert found[1].tolist() == [bool(each) for each in scored]


def test_has0_is_the_rule_unless_another_is_named():
    assert sentiment_classes(np.array([0.0]))[0].tolist() == [True]


@given(st.lists(st.floats(-3, 3) | st.just(float("nan"))))
def test_a_positive_utterance_is_always_scored_and_missing_never(scores):
    scores = np.array(scores, dtype=float)
    for rule in SentimentRule:
        positive, scored = sentiment_classes(scores, rule)
        assert not (positive & ~scored).any()
        assert not scored[np.isnan(scores)].any()
        assert (scored | np.isnan(scores) | (scores == 0)).all()


def test_seven_labels_from_six_intensities():
    rows = np.array([[0, 0, 0, 0, 0, 0], [0, 0.1, 0, 3, 0, 0], [np.nan] * 6, [0, 0, 0, 0, np.nan, 1]])
    labels, scored = emotion_multihot7(rows)
    assert scored.tolist() == [True, True, False, False]
    assert labels.astype(int).tolist() == [[0] * 6 + [1], [0, 1, 0, 1, 0, 0, 0], [0] * 7, [0] * 7]
    assert labels.shape[1] == len(EMOTION_OUTPUTS)
    assert EMOTION_OUTPUTS[:6] == EMOTIONS == tuple(sorted(EMOTIONS))


def test_no_rows_are_no_labels():
    labels, scored = emotion_multihot7(np.zeros((0, 6)))
    assert labels.shape == (0, 7)
    assert scored.shape == (0,)


def test_start_order_with_ties_by_index_and_by_index_alone_where_a_start_is_unknown():
    def order(*pairs):
        return [each.index for each in in_start_order([Utterance(index, start) for index, start in pairs])]

    assert order((5, 2.0), (3, 7.0), (2, 0.5)) == [2, 5, 3]
    assert order((5, 2.0), (3, 2.0), (11, 0.0)) == [11, 3, 5]
    assert order((5, 2.0), (3, 7.0), (2, None)) == [2, 3, 5]
    assert order() == []
