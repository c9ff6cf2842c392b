"""The parts of `mkl-svm` against other people's code and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from mien.models.classical.base import ClassicalTargets
from mien.models.classical.mkl_svm import (
    alignment_weights,
    anova_f,
    nystroem_projection,
    rbf_kernel,
    select_columns,
)

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


def test_columns_are_chosen_by_the_largest_statistic_and_returned_in_order(rng):
    labels = (np.arange(N) % 2 == 0)[:, None]
    rows = rng.normal(size=(N, 6))
    strength = np.array([0.0, 3.0, 1.0, 0.5, 2.0, 0.2])
    rows += strength * labels
    scored = ClassicalTargets(labels, np.ones_like(labels))
    order = np.argsort(-anova_f(rows, labels[:, 0]))
    for n_selected in (1, 2, 4, 6):
        assert select_columns(rows, scored, n_selected).tolist() == sorted(order[:n_selected].tolist())
    never = ClassicalTargets(np.zeros_like(labels), np.ones_like(labels))
    assert select_columns(rows, never, 2).tolist() == [0, 1], "without two classes the first columns"


def test_a_kernel_without_variation_has_no_weight(rng):
    present = np.arange(N) % 3 == 0
    useful = np.where(present, 1.0, -1.0)[:, None] + rng.normal(size=(N, 1)) * 0.1
    np.testing.assert_allclose(alignment_weights([useful, np.full((N, 2), 5.0)], present), (1, 0))
    np.testing.assert_allclose(alignment_weights([np.full((N, 1), 5.0)] * 3, present), np.full(3, 1 / 3))


def test_the_scale_of_a_kernel_is_made_up_for_by_its_weight(rng):
    present = rng.random(N) < 0.4
    labels = np.where(present, 1.0, -1.0)
    one, other = rng.normal(size=(N, 3)) + labels[:, None], rng.normal(size=(N, 2)) + 0.7 * labels[:, None]
    plain = alignment_weights([one, other], present)
    scaled = alignment_weights([one, 2 * other], present)  # a kernel four times as large
    np.testing.assert_allclose(scaled, plain / (1, 4) / (plain / (1, 4)).sum(), rtol=1e-6)
    assert plain.sum() == pytest.approx(1)


def test_directions_without_variance_are_left_out_of_the_projection(rng):
    landmarks = rng.normal(size=(5, 2))
    kernel = rbf_kernel(landmarks, landmarks, 0.1)
    doubled = np.block([[kernel, kernel], [kernel, kernel]])
    projection = nystroem_projection(doubled)
    assert projection.shape == (10, 5)
    np.testing.assert_allclose(projection @ projection.T, np.linalg.pinv(doubled), atol=1e-6)
