"""`logistic` against scikit-learn's own predictions, and its choice of the penalty."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.models.spoken import columns_of, spoken_videos

from mien.models.classical.base import ClassicalSpec
from mien.models.classical.logistic import PENALTIES, LogisticSettings, fit_logistic, logistic_probabilities
from mien.schema import Modality
from mien.tasks import PAPER_TASKS, SENTIMENT, targets_of

TRAIN, VALID, OTHER = (columns_of(spoken_videos(n, seed)) for n, seed in ((12, 0), (6, 1), (5, 2)))
TASK = PAPER_TASKS[SENTIMENT]


def standardised(columns):
    present = TRAIN.present[Modality.TEXT]
    rows = TRAIN.features[Modality.TEXT][present].astype(np.float64)
    scaled = (columns.features[Modality.TEXT] - rows.mean(axis=0)) / rows.std(axis=0)
    return np.where(columns.present[Modality.TEXT][:, None], scaled, 0.0)


def machine(penalty):
    targets, scored = targets_of(TASK, TRAIN)
    return LogisticRegression(C=penalty, max_iter=1000).fit(standardised(TRAIN)[scored], targets[scored, 0])


@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_predicts_what_scikit_learn_predicts(penalty):
    spec = ClassicalSpec((Modality.TEXT,), (TASK,), LogisticSettings(penalty=penalty))
    predicted = logistic_probabilities(fit_logistic(TRAIN, VALID, spec), OTHER, spec)[SENTIMENT][:, 0]
    np.testing.assert_allclose(predicted, machine(penalty).predict_proba(standardised(OTHER))[:, 1], atol=1e-9)


def test_the_penalty_with_the_lowest_loss_on_valid_is_taken():
    targets, scored = targets_of(TASK, VALID)
    losses = []
    for penalty in PENALTIES:
        positive = machine(penalty).predict_proba(standardised(VALID)[scored])[:, 1]
        losses.append(-np.log(np.where(targets[scored, 0], positive, 1 - positive)).sum())
    spec = ClassicalSpec((Modality.TEXT,), (TASK,), LogisticSettings())
    assert fit_logistic(TRAIN, VALID, spec)["sentiment.penalty"].tolist() == [PENALTIES[int(np.argmin(losses))]]
