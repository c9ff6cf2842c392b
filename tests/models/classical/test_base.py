"""What the classical systems share, against other people's code and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.svm import LinearSVC, LinearSVR
from tests.labelled import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY
from tests.training.examples import small_split

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.classical.base import (
    ClassicalSpec,
    ClassicalTargets,
    MajoritySettings,
    apply_platt,
    by_task,
    classes_among,
    column_scaling,
    degrees_among,
    fit_linear_svm,
    fit_linear_svr,
    fit_majority,
    fit_platt_outputs,
    joined_targets,
    majority_probabilities,
)
from mien.schema import Modality
from mien.tasks import PAPER_TASKS

N = 41


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_platt_scaling_fits_the_softened_labels(rng):
    decision = rng.normal(size=400)
    present = rng.random(400) < sigmoid(2.5 * decision - 0.7)
    slope, offset = fit_platt(decision, present)
    n_present = present.sum()
    soft = np.where(present, (n_present + 1) / (n_present + 2), 1 / (400 - n_present + 2))
    residual = 1 / (1 + np.exp(-(slope * decision + offset))) - soft
    # at the maximum of the likelihood both derivatives vanish
    assert abs(residual.mean()) < 1e-6
    assert abs((residual * decision).mean()) < 1e-6
    assert (slope, offset) == pytest.approx((2.5, -0.7), abs=0.5)


def test_platt_scaling_never_turns_an_order_round(rng):
    decision = rng.normal(size=200)
    slope, offset = fit_platt(decision, decision < 0)
    assert slope == pytest.approx(0, abs=1e-9)
    assert sigmoid(offset) == pytest.approx((decision < 0).mean(), abs=0.01)
    slope, offset = fit_platt(np.full(9, 4.0), np.arange(9) < 3)
    assert slope == 0
    # three present of nine: softened to 4/5 and 1/8
    assert sigmoid(offset) == pytest.approx((3 * 4 / 5 + 6 * 1 / 8) / 9)


def test_an_output_without_two_classes_on_valid_is_scaled_on_train(rng):
    decisions = rng.normal(size=(50, 1))
    labels = decisions > 0.3
    everything = np.ones_like(labels)
    never = ClassicalTargets(np.zeros_like(labels), everything)
    found = fit_platt_outputs((decisions, ClassicalTargets(labels, everything)), (decisions, never))
    np.testing.assert_allclose(found[:, 0], fit_platt(decisions[:, 0], labels[:, 0]))
    probability = apply_platt(found, decisions)
    assert (np.argsort(probability[:, 0]) == np.argsort(decisions[:, 0])).all()


def test_outputs_are_divided_in_the_order_of_the_tasks_and_degrees_are_clipped():
    sizes = {task: len(row.outputs) for task, row in PAPER_TASKS.items()}
    joined = np.arange(2.0 * sum(sizes.values())).reshape(2, -1) - 3
    start = 0
    divided = by_task(joined, tuple(reversed(PAPER_TASKS.values())))
    assert list(divided) == list(PAPER_TASKS)
    for task, size in sizes.items():
        part = joined[:, start : start + size]
        expected = np.clip(part, *PAPER_TASKS[task].range) if PAPER_TASKS[task].predicts_degrees else part
        np.testing.assert_array_equal(divided[task], expected)
        start += size


def test_targets_of_tasks_stand_side_by_side():
    columns = small_split(7)
    columns.emotions[2] = np.nan
    targets = joined_targets(columns, (EMOTION, SENTIMENT))
    assert targets.values.shape == targets.scored.shape == (columns.n_utterances, 8)
    np.testing.assert_array_equal(targets.values[:, 0], columns.sentiment >= 0)
    assert targets.scored[2].tolist() == [True] + [False] * 7
    assert joined_targets(columns, ()).values.shape == (columns.n_utterances, 0)


def test_tasks_are_told_apart_by_what_they_predict():
    assert classes_among(tuple(PAPER_TASKS.values())) == [SENTIMENT, EMOTION]
    assert degrees_among(tuple(PAPER_TASKS.values())) == [SENTIMENT_INTENSITY, EMOTION_INTENSITY]


def test_columns_are_scaled_by_their_deviation_and_constant_ones_by_1(rng):
    rows = rng.normal(2.0, 3.0, size=(N, 4))
    rows[:, 1] = 0.1
    rows[:, 2] = 1e9
    rows[0, 2] += 1e-3
    rows[:, 3] *= 1e-3
    mean, scale = column_scaling(rows)
    np.testing.assert_allclose(mean, rows.mean(axis=0))
    np.testing.assert_allclose(scale[[0, 3]], rows[:, [0, 3]].std(axis=0))
    assert scale[[1, 2]].tolist() == [1, 1]
    tiny = np.array([[0.0], [2e-7], [0.0], [2e-7]])
    np.testing.assert_allclose(column_scaling(tiny)[1], 1.0)
    np.testing.assert_allclose(column_scaling(4 * tiny)[1], 4e-7)


def test_linear_machines_are_those_of_scikit_learn(rng):
    rows, present = rng.normal(size=(N, 3)), np.arange(N) % 3 == 0
    rows[present] += 1
    weights, offset = fit_linear_svm(csr_array(rows), present, 0.5)
    machine = LinearSVC(C=0.5, dual=False, class_weight="balanced").fit(rows, present)
    np.testing.assert_allclose(weights, machine.coef_[0], atol=1e-6)
    assert offset == pytest.approx(machine.intercept_[0], abs=1e-6)
    values = rows @ [1.0, -2.0, 0.5] + 0.3
    weights, offset = fit_linear_svr(rows, values, 0.5)
    regression = LinearSVR(C=0.5, loss="squared_epsilon_insensitive", dual=False).fit(rows, values)
    np.testing.assert_allclose(weights, regression.coef_, atol=1e-6)
    assert offset == pytest.approx(float(np.ravel(regression.intercept_)[0]), abs=1e-6)


@pytest.mark.parametrize("label", [True, False])
def test_a_machine_of_one_class_is_zero(label):
    weights, offset = fit_linear_svm(np.ones((5, 3)), np.full(5, label), 1.0)
    assert weights.tolist() == [0, 0, 0]
    assert offset == 0


def test_platt_scaling_is_a_line_in_the_logit():
    platt, decisions = np.array([[2.0, 0.5], [-1.0, 3.0]]), np.array([[0.5, 1.0], [1.0, -6.0]])
    np.testing.assert_allclose(apply_platt(platt, decisions), 1 / (1 + np.exp(-np.array([[0.0, 3.5], [1.0, 0.0]]))))


def test_the_seed_is_zero_unless_given():
    assert ClassicalSpec((Modality.TEXT,), (SENTIMENT,), MajoritySettings()).seed == 0


def test_the_majority_says_the_shares_and_the_median_degrees():
    columns = small_split(40)
    columns.emotions[:5] = np.nan
    spec = ClassicalSpec((Modality.TEXT,), tuple(PAPER_TASKS.values()), MajoritySettings(), 0)
    predicted = majority_probabilities(fit_majority(columns, columns, spec), small_split(3, seed=1), spec)
    n = small_split(3, seed=1).n_utterances
    np.testing.assert_allclose(predicted[SENTIMENT.name], np.full((n, 1), (columns.sentiment > 0).mean()))
    np.testing.assert_allclose(predicted[EMOTION.name][0, :6], (columns.emotions[5:] > 0).mean(axis=0))
    np.testing.assert_allclose(predicted[EMOTION.name][0, 6], (columns.emotions[5:] == 0).all(axis=1).mean())
    np.testing.assert_allclose(predicted[SENTIMENT_INTENSITY.name], np.full((n, 1), np.median(columns.sentiment)))
    np.testing.assert_allclose(predicted[EMOTION_INTENSITY.name][0], np.median(columns.emotions[5:], axis=0))
