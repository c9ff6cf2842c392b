"""The parts of the classical systems, against other people's code and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.classical.base import ClassicalTargets, apply_platt, fit_platt_outputs
from mien.models.classical.mkl_svm import (
    alignment_weights,
    anova_f,
    nystroem_projection,
    rbf_kernel,
    select_columns,
)
from mien.models.classical.mm_dictionary import UNKNOWN, dictionary_counts, nearest_centres
from mien.schema import Modality

N = 41


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def centred_alignment(weights, kernels, labels):
    """Cortes et al. 2012, definition 4, written out."""
    centring = np.eye(len(labels)) - 1 / len(labels)
    kernel = centring @ sum(w * k for w, k in zip(weights, kernels, strict=True)) @ centring
    target = np.outer(labels, labels)
    return (kernel * target).sum() / np.linalg.norm(kernel) / np.linalg.norm(centring @ target @ centring)


def test_kernel_weights_are_those_of_the_best_centred_alignment(rng):
    present = rng.random(N) < 0.4
    labels = np.where(present, 1.0, -1.0)
    features = [rng.normal(size=(N, 3)) + 0.8 * labels[:, None], rng.normal(size=(N, 2)) + 0.3 * labels[:, None]]
    found = alignment_weights(features, present)
    kernels = [each @ each.T for each in features]
    shares = np.linspace(0, 1, 2001)
    best = max(shares, key=lambda share: centred_alignment((share, 1 - share), kernels, labels))
    np.testing.assert_allclose(found, (best, 1 - best), atol=1e-3)
    assert 0.01 < best < 0.99


def test_a_kernel_of_the_labels_themselves_takes_all_the_weight(rng):
    present = np.arange(N) % 3 == 0
    labels = np.where(present, 1.0, -1.0)
    across = rng.normal(size=N)
    across -= across[present].mean() * present + across[~present].mean() * ~present
    found = alignment_weights([labels[:, None], across[:, None]], present)
    np.testing.assert_allclose(found, (1, 0), atol=1e-6)


def test_kernels_without_any_alignment_weigh_the_same():
    present = np.array([True, False, True, False])
    nothing = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    np.testing.assert_array_equal(alignment_weights([nothing, 2 * nothing], present), (0.5, 0.5))


def test_with_as_many_landmarks_as_rows_the_approximation_is_the_kernel(rng):
    rows = rng.normal(size=(N, 5))
    kernel = rbf_kernel(rows, rows, 0.1)
    np.testing.assert_allclose(kernel, np.exp(-0.1 * cdist(rows, rows, "sqeuclidean")), atol=1e-12)
    features = kernel @ nystroem_projection(kernel)
    np.testing.assert_allclose(features @ features.T, kernel, atol=1e-6)


def test_few_landmarks_come_close(rng):
    rows = rng.normal(size=(N, 2))
    landmarks = rows[:20]
    features = rbf_kernel(rows, landmarks, 0.1) @ nystroem_projection(rbf_kernel(landmarks, landmarks, 0.1))
    assert np.abs(features @ features.T - rbf_kernel(rows, rows, 0.1)).max() < 0.02


def test_anova_is_that_of_scipy_and_a_constant_column_has_none(rng):
    rows = rng.normal(size=(N, 3))
    rows[:, 1] = 7.0
    present = rng.random(N) < 0.5
    found = anova_f(rows, present)
    expected = stats.f_oneway(rows[present][:, [0, 2]], rows[~present][:, [0, 2]]).statistic
    np.testing.assert_allclose(found[[0, 2]], expected, rtol=1e-10)
    assert found[1] == 0


def test_a_column_is_kept_for_any_output_it_tells_apart(rng):
    labels = rng.random((N, 2)) < 0.5
    rows = rng.normal(size=(N, 5)) * 0.1
    rows[:, 4] += labels[:, 0]
    rows[:, 1] += labels[:, 1]
    assert select_columns(rows, ClassicalTargets(labels, np.ones_like(labels)), 2).tolist() == [1, 4]


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


def test_words_are_counted_with_and_without_each_gesture_beside_them():
    offsets = np.array([0, 3, 3, 5])
    text = np.array([0, 1, 0, 1, UNKNOWN])
    face = np.array([1, 0, 1, UNKNOWN, 0])
    codes, sizes = {Modality.TEXT: text, Modality.VISUAL: face}, {Modality.TEXT: 2, Modality.VISUAL: 2}
    found = dictionary_counts(offsets, codes, sizes).toarray()
    #   words  gestures  word with gesture 0, without; with gesture 1, without
    assert found.tolist() == [
        [2, 1, 1, 2, 0, 1, 2, 0, 2, 0, 0, 1],
        [0] * 12,
        [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_nearest_centre_is_the_nearest(rng):
    rows, centres = rng.normal(size=(N, 5)), rng.normal(size=(7, 5))
    np.testing.assert_array_equal(nearest_centres(rows, centres), cdist(rows, centres).argmin(axis=1))
