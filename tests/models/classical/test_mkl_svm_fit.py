"""The whole of `mkl-svm`: with as many landmarks as rows it is a SVM on exact kernels, written out here."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist, pdist
from sklearn.svm import LinearSVC
from tests.labelled import EMOTION, SENTIMENT
from tests.models.spoken import columns_of, lacking, spoken_videos

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.classical.base import ClassicalSpec, joined_targets
from mien.models.classical.mkl_svm import MklSvmSettings, fit_mkl_svm, mkl_svm_probabilities
from mien.schema import Modality

TASKS = (SENTIMENT, EMOTION)


def numpy_weights(kernels, labels):
    """The best non-negative v of v'Mv - 2 v'a: the best of all sets of kernels, each solved without constraint."""
    centring = np.eye(len(labels)) - 1 / len(labels)
    centred = [centring @ kernel @ centring for kernel in kernels]
    gram = np.array([[(one * other).sum() for other in centred] for one in centred])
    target = np.array([labels @ kernel @ labels for kernel in centred])
    best = np.zeros(len(kernels))
    for size in range(1, len(kernels) + 1):
        for chosen in map(list, itertools.combinations(range(len(kernels)), size)):
            v = np.zeros(len(kernels))
            v[chosen] = np.linalg.solve(gram[np.ix_(chosen, chosen)], target[chosen])
            if (v >= 0).all() and v @ gram @ v - 2 * v @ target < best @ gram @ best - 2 * best @ target:
                best = v
    return best / best.sum() if best.any() else np.full(len(kernels), 1 / len(kernels))


def exact_features(train, targets, modality, settings, splits):
    """Rows whose products are the kernel of one modality, for every split: a Cholesky factor of train's kernel."""
    mask = train.present[modality]
    rows = train.features[modality][mask].astype(np.float64)
    best = np.zeros(rows.shape[1])
    for labels, scored in zip(targets.values[mask].T, targets.scored[mask].T, strict=True):
        if len(set(labels[scored])) == 2:
            best = np.maximum(best, stats.f_oneway(rows[scored & labels], rows[scored & ~labels]).statistic)
    kept = np.sort(np.argsort(-best)[: round(settings.selected_share * len(best))])
    mean, deviation = rows[:, kept].mean(axis=0), rows[:, kept].std(axis=0)
    landmarks = (rows[:, kept] - mean) / deviation
    gamma = settings.gamma_factor / np.median(pdist(landmarks, "sqeuclidean"))
    factor = np.linalg.cholesky(np.exp(-gamma * cdist(landmarks, landmarks, "sqeuclidean")))
    found = []
    for columns in splits:
        scaled = (columns.features[modality][:, kept] - mean) / deviation
        kernel = np.exp(-gamma * cdist(scaled, landmarks, "sqeuclidean")) * columns.present[modality][:, None]
        found.append(solve_triangular(factor, kernel.T, lower=True).T)
    return found


@pytest.mark.parametrize(
    "inputs", [(Modality.ACOUSTIC,), (Modality.TEXT, Modality.VISUAL), tuple(Modality)], ids="+".join
)
def test_the_fitted_system_is_a_svm_on_the_weighted_sum_of_exact_kernels(inputs):
    settings = MklSvmSettings(selected_share=0.6, landmarks=500, gamma_factor=0.7, svm_penalty=0.4)
    spec = ClassicalSpec(inputs, TASKS, settings)
    train, valid, unseen = (columns_of(spoken_videos(n, seed)) for n, seed in ((12, 0), (6, 1), (5, 2)))
    train, unseen = lacking(train, inputs[0], 7, 9.0), lacking(unseen, inputs[-1], 2, 9.0)
    tensors = fit_mkl_svm(train, valid, spec)
    said = mkl_svm_probabilities(tensors, unseen, spec)
    splits, targets = (train, valid, unseen), joined_targets(train, TASKS)
    features = [exact_features(train, targets, m, settings, splits) for m in inputs]
    for output in range(8):
        rows, labels = targets.scored[:, output], targets.values[targets.scored[:, output], output]
        kernels = [mine[0][rows] @ mine[0][rows].T for mine in features]
        weights = numpy_weights(kernels, np.where(labels, 1.0, -1.0))
        joined = [
            np.concatenate([np.sqrt(w) * mine[n] for w, mine in zip(weights, features, strict=True)], axis=1)
            for n in range(3)
        ]
        decisions = [np.zeros(len(each)) for each in joined]
        if len(set(labels)) == 2:
            np.testing.assert_allclose(tensors["kernel_weights"][output], weights, atol=1e-6)
            machine = LinearSVC(C=0.4, dual=False, class_weight="balanced", tol=1e-8).fit(joined[0][rows], labels)
            decisions = [machine.decision_function(each) for each in joined]
        answers = joined_targets(valid, TASKS)
        heard, decision = answers.scored[:, output], decisions[1]
        if len(set(answers.values[heard, output])) == 2:
            slope, offset = fit_platt(decision[heard], answers.values[heard, output])
        else:
            slope, offset = fit_platt(decisions[0][rows], labels)
        task, place = (SENTIMENT, 0) if output == 0 else (EMOTION, output - 1)
        np.testing.assert_allclose(said[task.name][:, place], sigmoid(slope * decisions[2] + offset), atol=2e-3)


def test_landmarks_are_that_many_different_train_rows_that_have_the_modality():
    train = columns_of(spoken_videos(12, 0))
    for utterance in range(0, train.n_utterances, 2):
        train = lacking(train, Modality.VISUAL, utterance, 99.0)
    settings = MklSvmSettings(selected_share=1.0, landmarks=17)
    tensors = fit_mkl_svm(
        train, columns_of(spoken_videos(6, 1)), ClassicalSpec((Modality.VISUAL,), (SENTIMENT,), settings)
    )
    rows = tensors["visual.landmarks"] * tensors["visual.scale"] + tensors["visual.mean"]
    distances = cdist(rows, train.features[Modality.VISUAL][train.present[Modality.VISUAL]])
    assert rows.shape == (17, 3)
    assert tensors["visual.columns"].tolist() == [0, 1, 2]
    assert distances.min(axis=1).max() < 1e-6
    assert len(set(distances.argmin(axis=1))) == 17


def test_the_share_of_columns_lies_above_zero_and_up_to_one_and_landmarks_are_at_least_two():
    assert MklSvmSettings(selected_share=1.0, landmarks=2).landmarks == 2
    for share in (0.0, 1.001):
        with pytest.raises(ValueError, match=r"Expected selected_share in \(0, 1\]"):
            MklSvmSettings(selected_share=share)
    with pytest.raises(ValueError, match="Expected landmarks to be at least 2, but got 1"):
        dataclasses.replace(MklSvmSettings(), landmarks=1)


def test_a_small_share_keeps_one_column_and_equal_landmarks_have_the_gamma_of_the_factor():
    train, valid = columns_of(spoken_videos(12, 0)), columns_of(spoken_videos(6, 1))
    alike = dataclasses.replace(train, features={m: np.ones_like(rows) for m, rows in train.features.items()})
    spec = ClassicalSpec((Modality.TEXT,), (SENTIMENT,), MklSvmSettings(selected_share=0.01, gamma_factor=0.3))
    assert len(fit_mkl_svm(train, valid, spec)["text.columns"]) == 1
    assert fit_mkl_svm(alike, valid, spec)["text.gamma"] == pytest.approx(0.3)
