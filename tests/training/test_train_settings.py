"""The defaults of a training, and what is refused."""

from __future__ import annotations

import dataclasses

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
