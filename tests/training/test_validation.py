"""The record of an epoch, from a network whose outputs are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.training.examples import BOTH, small_split
from torch import nn

from mien.models.batch import Outputs
from mien.schema import EMOTION_OUTPUTS, Modality
from mien.tasks import EMOTION, EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT
from mien.training.batching import fit_scaling, to_video_set
from mien.training.losses import TaskWeighting
from mien.training.train_settings import TrainSettings
from mien.training.validation import ordering, ordering_record, validation_record

N_VIDEOS = 131  # more than two batches


class FirstFeature(nn.Module):
    """Sentiment by the first feature, emotions by the others."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        rows = batch.features[Modality.TEXT] * self.scale
        sentiment = torch.stack([torch.zeros_like(rows[..., 0]), rows[..., 0]], dim=-1)
        emotion = torch.cat([rows, rows, rows[..., :1]], dim=-1)
        return Outputs({SENTIMENT: sentiment, EMOTION: emotion}, {}, {})


@pytest.fixture(scope="module")
def split():
    columns = small_split(N_VIDEOS)
    return columns, to_video_set(columns, fit_scaling(columns, [Modality.TEXT], identity=True), tasks=BOTH)


def record_of(videos, **settings):
    settings = TrainSettings(**settings)
    return validation_record(FirstFeature(), TaskWeighting(BOTH, settings), videos, settings)


def test_losses_and_areas_of_a_split_of_several_batches_equal_independent_ones(split):
    columns, videos = split
    record = record_of(videos)
    first = columns.features[Modality.TEXT][:, 0].astype(np.float64)
    positive = columns.sentiment > 0
    sentiment_loss = np.log1p(np.exp(np.where(positive, -first, first))).mean()
    assert record["valid_loss_sentiment"] == pytest.approx(sentiment_loss, rel=1e-5)
    assert record["valid_roc_auc_sentiment"] == pytest.approx(roc_auc_score(positive, first))
    logits = columns.features[Modality.TEXT][:, [0, 1, 2, 0, 1, 2]]
    areas = [roc_auc_score(columns.emotions[:, n] > 0, logits[:, n]) for n in range(6)]
    assert record["valid_roc_auc_emotion"] == pytest.approx(np.mean(areas))
    assert record["valid_score"] == pytest.approx(
        (record["valid_roc_auc_sentiment"] + record["valid_roc_auc_emotion"]) / 2
    )
    assert record["valid_loss"] == pytest.approx(record["valid_loss_sentiment"] + record["valid_loss_emotion"])


def test_weights_and_learned_variances_enter_the_total(split):
    _, videos = split
    plain = record_of(videos)
    weighted = record_of(videos, emotion_weight=3.0)
    assert weighted["valid_loss"] == pytest.approx(plain["valid_loss_sentiment"] + 3 * plain["valid_loss_emotion"])
    settings = TrainSettings(task_weighting="uncertainty")
    weighting = TaskWeighting(BOTH, settings)
    with torch.no_grad():
        weighting.log_variances[SENTIMENT].fill_(0.5)
    learned = validation_record(FirstFeature(), weighting, videos, settings)
    expected = plain["valid_loss_sentiment"] * math.exp(-0.5) + plain["valid_loss_emotion"] + 0.5 / 2
    assert learned["valid_loss"] == pytest.approx(expected)
    assert learned["log_variance_sentiment"] == 0.5


def test_the_score_by_loss_is_the_negative_loss(split):
    record = record_of(split[1], select_by="loss")
    assert record["valid_score"] == -record["valid_loss"]


def test_the_loss_decides_where_nothing_can_be_ordered():
    assert ordering_record({PAPER_TASKS[SENTIMENT]: float("nan")}, 0.7, by_loss=False) == {"valid_score": -0.7}
    both = ordering_record({PAPER_TASKS[SENTIMENT]: 0.8, PAPER_TASKS[EMOTION_INTENSITY]: 0.6}, 0.7, by_loss=False)
    assert both == {
        "valid_roc_auc_sentiment": 0.8,
        "valid_concordance_emotion_intensity": 0.6,
        "valid_score": pytest.approx(0.7),
    }


def test_an_output_of_one_class_and_no_emotion_are_left_out_of_the_mean():
    labels = np.zeros((4, 7), bool)
    labels[:2, EMOTION_OUTPUTS.index("anger")] = True
    labels[2:, EMOTION_OUTPUTS.index("none")] = True
    scores = np.zeros((4, 7))
    scores[:, EMOTION_OUTPUTS.index("anger")] = [3, 1, 2, 0]
    assert ordering(PAPER_TASKS[EMOTION], labels, scores) == 0.75
    assert math.isnan(ordering(PAPER_TASKS[EMOTION], np.zeros((4, 7), bool), scores))
