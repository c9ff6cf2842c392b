"""The demo: two arms of one network, nothing left behind, and the rule found only where the context is seen."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest

import mien
from mien.schema import Modality
from mien.workflows.demo import N_VIDEOS, demo, write_planted

TINY = {"epochs": 2, "gru_size": 5, "dense_size": 3}


def test_both_arms_are_trained_and_scored_and_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []
    result = demo(lambda arm, record: seen.append((arm, record["epoch"])), n_videos=31, settings=TINY)
    assert seen == [(arm, epoch) for arm in ("whole videos", "single utterances") for epoch in (1, 2)]
    with_context, without = (each.summary["runs"][0] for each in (result.with_context, result.without_context))
    assert with_context["n_utterances"] == without["n_utterances"] == without["n_videos"] > with_context["n_videos"]
    assert with_context["trivial"]["sentiment"] == without["trivial"]["sentiment"]
    assert list(tmp_path.iterdir()) == []


def test_both_arms_see_the_same_utterances(tmp_path):
    whole = write_planted(tmp_path / "whole", 13).columns("train")
    alone = write_planted(tmp_path / "alone", 13, context=False).columns("train")
    assert alone.lengths.tolist() == [1] * whole.n_utterances
    np.testing.assert_array_equal(alone.sentiment, whole.sentiment)
    np.testing.assert_array_equal(alone.emotions, whole.emotions)
    for modality in Modality:
        np.testing.assert_array_equal(alone.features[modality], whole.features[modality])


@pytest.mark.slow
def test_the_rule_is_found_with_context_and_not_without():
    result = mien.demo()
    accuracy = [
        each.summary["mean"]["sentiment"]["accuracy_has0"] for each in (result.with_context, result.without_context)
    ]
    assert accuracy[0] > 0.9
    assert accuracy[1] < 0.6
    assert result.with_context.summary["mean"]["emotion"]["weighted_accuracy_mean6"] > 0.9
    assert result.with_context.summary["runs"][0]["n_videos"] == pytest.approx(0.15 * N_VIDEOS, abs=1)
