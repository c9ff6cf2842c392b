"""`cdbn`: the whole of it from scikit-learn's machines; values beyond train; labels of one class."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import StandardScaler
from tests.labelled import EMOTION, SENTIMENT, relabelled
from tests.models.spoken import columns_of, lacking, spoken_videos

from mien.models.classical.base import ClassicalSpec, joined_targets
from mien.models.classical.cdbn import CdbnSettings, cdbn_probabilities, fit_cdbn, hidden_units
from mien.schema import Modality
from mien.storage.split_columns import SplitColumns

_, A, V = Modality
TRAIN, VALID, UNSEEN = (columns_of(spoken_videos(n, seed)) for n, seed in ((12, 0), (6, 1), (5, 2)))
TASKS = (SENTIMENT, EMOTION)
SETTINGS = CdbnSettings(
    rbm_size=11, rbm_layers=2, joint_size=7, rbm_passes=3, rbm_learning_rate=0.1, logistic_penalty=0.3
)


def said_by(train: SplitColumns, columns: SplitColumns, inputs=(A, V), seed: int = 3) -> np.ndarray:
    """The probabilities of sentiment and of the emotions side by side."""
    spec = ClassicalSpec(inputs, TASKS, SETTINGS, seed)
    said = cdbn_probabilities(fit_cdbn(train, VALID, spec), columns, spec)
    return np.concatenate([said[task.name] for task in TASKS], axis=1)


def test_hidden_units_by_hand():
    weights, biases = np.array([[2.0, 0.0, -2.0], [0.0, 1.0, 0.0]]), np.array([0.0, -0.5])
    found = hidden_units(np.array([[1.0, 0.5, 1.0], [1.0, 0.0, 0.0]]), weights, biases)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array([[0.0, 0.0], [2.0, -0.5]]))), rtol=1e-12)


def machine_of(size):
    return BernoulliRBM(size, learning_rate=0.1, n_iter=3, random_state=3)


@pytest.mark.parametrize("inputs", [(V,), (A, V)], ids="+".join)
def test_the_fitted_system_is_scikit_learns_machines_on_top_of_each_other(inputs):
    train, unseen = lacking(TRAIN, inputs[-1], 7, 9.0), lacking(UNSEEN, inputs[0], 2, 9.0)
    tops = [[], []]
    for m in inputs:
        low, high = (f(train.features[m][train.present[m]], axis=0).astype(float) for f in (np.min, np.max))
        units = [np.clip((columns.features[m] - low) / (high - low), 0, 1) for columns in (train, unseen)]
        for _ in range(2):
            machine = machine_of(11).fit(units[0][train.present[m]])
            units = [machine.transform(each) for each in units]
        for top, each, columns in zip(tops, units, (train, unseen), strict=True):
            top.append(each * columns.present[m][:, None])
    joined = [np.concatenate(top, axis=1) for top in tops]
    machine = machine_of(7).fit(joined[0])
    joint, other = (machine.transform(each) for each in joined)
    targets, said = joined_targets(train, TASKS), said_by(train, unseen, inputs)
    for output in range(8):
        rows = targets.scored[:, output]
        labels = targets.values[rows, output]
        if len(set(labels)) < 2:
            continue
        scaler = StandardScaler().fit(joint[rows])
        classifier = LogisticRegression(C=0.3, max_iter=300).fit(scaler.transform(joint[rows]), labels)
        expected = classifier.predict_proba(scaler.transform(other))[:, 1]
        np.testing.assert_allclose(said[:, output], expected, atol=1e-8)
        assert np.ptp(expected) > 0.05


def test_an_output_of_one_class_gets_its_smoothed_share_for_every_utterance():
    scored = ~np.isnan(TRAIN.emotions[:, 0])
    emotions = np.where(scored[:, None], [[0.0, 2.0, 0.0, 1.0, 0.0, 0.0]], np.nan)
    said = said_by(relabelled(TRAIN, emotions=emotions), UNSEEN)[:, 1:]
    n = int(scored.sum())
    assert n < TRAIN.n_utterances
    never, always = 1 / (n + 2), (n + 1) / (n + 2)
    expected = [never, always, never, always, never, never, never]
    np.testing.assert_allclose(said, np.tile(expected, (UNSEEN.n_utterances, 1)), rtol=1e-12)


@pytest.mark.parametrize("beyond", [-1.0, 1.0])
def test_values_beyond_those_of_train_count_as_the_smallest_and_the_largest(beyond):
    rows = TRAIN.features[V]
    edge = rows.max(axis=0) if beyond > 0 else rows.min(axis=0)
    at_the_edge, outside = (
        dataclasses.replace(UNSEEN, features=UNSEEN.features | {V: np.tile(each, (UNSEEN.n_utterances, 1))})
        for each in (edge, edge + beyond * np.ptp(rows, axis=0))
    )
    np.testing.assert_allclose(said_by(TRAIN, outside), said_by(TRAIN, at_the_edge), atol=1e-6)
    assert not np.allclose(said_by(TRAIN, outside), said_by(TRAIN, UNSEEN), atol=1e-3)


def test_a_constant_column_is_no_obstacle():
    features = TRAIN.features[V].copy()
    features[:, 1] = 4.0
    said = said_by(dataclasses.replace(TRAIN, features=TRAIN.features | {V: features}), UNSEEN)
    assert np.isfinite(said).all()
