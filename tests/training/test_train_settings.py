"""The defaults of a training, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from mien.training.train_settings import TrainSettings


def test_default_train_settings():
    assert dataclasses.asdict(TrainSettings()) == {
        "epochs": 50,
        "select_by": "roc_auc",
        "patience": 10,
        "batch_videos": 16,
        "batch_tokens": None,
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "encoder_learning_rate": None,
        "warmup": 0.0,
        "linear_decay": False,
        "scale_features": True,
        "task_weighting": "fixed",
        "sentiment_weight": 1.0,
        "emotion_weight": 1.0,
        "sentiment_intensity_weight": 1.0,
        "emotion_intensity_weight": 1.0,
        "keep_epochs": True,
        "threads": 1,
        "accelerator": "auto",
        "devices": 1,
        "precision": "32-true",
    }


@pytest.mark.parametrize("name", ["epochs", "batch_videos", "threads", "devices", "patience", "batch_tokens"])
def test_a_count_is_at_least_one(name):
    assert getattr(TrainSettings(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=f"Expected {name} to be at least 1, but got 0"):
        TrainSettings(**{name: 0})


@pytest.mark.parametrize("name", ["learning_rate", "encoder_learning_rate"])
def test_a_rate_is_above_zero(name):
    with pytest.raises(ValueError, match=f"Expected {name} > 0, but got 0"):
        TrainSettings(**{name: 0.0})


def test_limits_of_shares_and_weights():
    assert TrainSettings(warmup=0.0, emotion_weight=0.0, weight_decay=0.0).weight_of("emotion") == 0
    for wrong in ({"warmup": 1.0}, {"warmup": -0.1}, {"sentiment_weight": -0.5}, {"weight_decay": float("inf")}):
        with pytest.raises(ValueError, match=f"Expected {next(iter(wrong))} "):
            TrainSettings(**wrong)
    assert TrainSettings(emotion_weight=0.5).weight_of("emotion") == 0.5
    assert TrainSettings(emotion_weight=0.5).weight_of("a task of a plug-in") == 1


def test_learned_weights_exclude_fixed_ones():
    assert TrainSettings(task_weighting="uncertainty").emotion_weight == 1
    for wrong in (0.0, 2.0):
        with pytest.raises(ValueError, match="Expected no fixed weights beside task_weighting=uncertainty"):
            TrainSettings(task_weighting="uncertainty", emotion_weight=wrong)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("select_by", "roc_auc or loss"),
        ("task_weighting", "fixed or unc"),
        ("accelerator", "auto or cpu or cuda"),
        ("precision", "32-true or 16-mixed or "),
    ],
)
def test_an_unknown_choice_names_the_known_ones(name, choices):
    with pytest.raises(ValueError, match=f"Expected {name} to be {choices}"):
        TrainSettings(**{name: "other"})


def test_a_mistyped_accelerator_gets_the_nearest_name():
    with pytest.raises(ValueError, match="but got 'cudda'; did you mean 'cuda'"):
        TrainSettings(accelerator="cudda")
