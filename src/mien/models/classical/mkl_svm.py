"""`mkl-svm`: feature selection, then a support vector machine (SVM) with one kernel per modality.

Source: S. Poria, I. Chaturvedi, E. Cambria, A. Hussain, "Convolutional MKL based multimodal emotion recognition and
sentiment analysis", ICDM 2016. The paper selects features and trains a multiple-kernel SVM on them (SPF-GMKL,
generalised MKL with spectral projected gradient descent). This file does NOT implement SPF-GMKL but a simpler method.
It selects features by ANOVA F, and computes the weights of the kernels for each output before the SVM is fitted, by
centred kernel alignment (the algorithm "alignf" of C. Cortes, M. Mohri, A. Rostamizadeh, "Algorithms for learning
kernels based on centered alignment", JMLR 13, 2012). The text features of the Dataset replace the convolutional
features of the paper.

Each kernel is replaced by its Nyström approximation (C. Williams, M. Seeger, NIPS 2000) on `landmarks` random train
rows that have the modality. If all such rows are landmarks, the approximation is exact. A linear SVM on the features of
the approximation equals the kernel SVM. Its solution is stored as one coefficient per landmark. Platt scaling on valid
turns decision values into probabilities.

If an utterance lacks a modality, its values of that modality's kernel are zero, and the other modalities decide. If it
lacks all modalities, only the offset decides. With one input modality, the system is an ordinary kernel SVM.

| paper | this file |
|---|---|
| k(x, x') = sum_m d_m k_m(x_m, x'_m) (Poria) | sum over the inputs of ``kernel_weights`` x `rbf_kernel` |
| K_c = (I - 11'/n) K (I - 11'/n) (Cortes) | centred ``features`` in `alignment_weights` |
| M_kl = <K_kc, K_lc>, a_k = <K_kc, yy'> (Cortes) | ``gram``, ``target`` |
| v* = argmin v'Mv - 2 v'a over v >= 0, mu = v*/|v*| | `alignment_weights`, divided by its sum |
| K ~ C W+ C' (Williams and Seeger) | (`rbf_kernel` x `nystroem_projection`) times its transpose |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mien.models.classical.base import (
    Array,
    ClassicalSpec,
    ClassicalTargets,
    Probabilities,
    Tensors,
    apply_platt,
    by_task,
    column_scaling,
    fit_linear_svm,
    fit_platt_outputs,
    has_both_classes,
    joined_targets,
)
from mien.models.layers import SystemSettings
from mien.schema import FloatArray, Modality
from mien.storage.split_columns import SplitColumns

# eigenvalues of the landmarks' kernel below this fraction of the largest eigenvalue are rounding noise
EIGENVALUE_FLOOR = 1e-10


@dataclass(frozen=True)
class MklSvmSettings(SystemSettings):
    """Settings of `mkl-svm`: share of selected features, number of landmarks, kernel width, and penalty of the SVM."""

    # fraction of each modality's features that is selected, by ANOVA F on train
    selected_share: float = 0.75
    # number of train rows that approximate each kernel; the kernel is exact if train has no more rows than that
    landmarks: int = 500
    # gamma of the RBF kernels is this factor divided by the median squared distance between landmarks
    gamma_factor: float = 1.0
    # C of the SVM
    svm_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.selected_share <= 1:
            raise ValueError(f"Expected selected_share in (0, 1], but got {self.selected_share}; 1 keeps all columns")
        if self.landmarks < 2:
            raise ValueError(f"Expected landmarks to be at least 2, but got {self.landmarks}")
        super().__post_init__()


def fit_mkl_svm(train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Fit the kernels, their weights and the SVMs on the train split, and the Platt scaling on the valid split.

    Args:
        train: Train split.
        valid: Valid split.
        spec: Inputs, tasks, settings (`MklSvmSettings`) and seed.

    Returns:
        Arrays by name. For each modality: the selected ``columns``, their ``mean`` and ``scale``, the ``landmarks``,
        ``gamma``, and the ``coefficients`` (landmark, output). For all modalities together: ``kernel_weights`` (output,
        modality), ``offsets`` (output,) and ``platt`` (2, output).
    """
    targets = joined_targets(train, spec.tasks)
    rng = np.random.default_rng(spec.seed)
    tensors: Tensors = {}
    for modality in spec.inputs:
        tensors |= _fit_kernel(train, modality, targets, spec.settings, rng)
    projections = [
        nystroem_projection(rbf_kernel(tensors[f"{m}.landmarks"], tensors[f"{m}.landmarks"], tensors[f"{m}.gamma"]))
        for m in spec.inputs
    ]
    ends = np.cumsum([0, *(projection.shape[1] for projection in projections)])
    blocks = [slice(start, end) for start, end in itertools.pairwise(ends.tolist())]
    features = np.empty((train.n_utterances, int(ends[-1])))
    for modality, projection, block in zip(spec.inputs, projections, blocks, strict=True):
        features[:, block] = _kernel_rows(tensors, train, modality) @ projection
    n_outputs = targets.values.shape[1]
    weights = np.zeros((n_outputs, len(spec.inputs)))
    coefficients = {m: np.zeros((len(tensors[f"{m}.landmarks"]), n_outputs)) for m in spec.inputs}
    offsets = np.zeros(n_outputs)
    for output in range(n_outputs):
        rows = targets.scored[:, output]
        labels = targets.values[rows, output]
        scaled = features[rows]
        weights[output] = alignment_weights([scaled[:, block] for block in blocks], labels)
        for weight, block in zip(weights[output], blocks, strict=True):
            scaled[:, block] *= np.sqrt(weight)
        solution, offsets[output] = fit_linear_svm(scaled, labels, spec.settings.svm_penalty)
        for modality, weight, projection, block in zip(spec.inputs, weights[output], projections, blocks, strict=True):
            coefficients[modality][:, output] = np.sqrt(weight) * (projection @ solution[block])
    tensors |= {f"{modality}.coefficients": each for modality, each in coefficients.items()}
    tensors |= {"kernel_weights": weights, "offsets": offsets}
    decisions = [
        (_mkl_svm_decisions(tensors, columns, spec), joined_targets(columns, spec.tasks)) for columns in (train, valid)
    ]
    return tensors | {"platt": fit_platt_outputs(decisions[0], decisions[1])}


def mkl_svm_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Predict with a fitted `mkl-svm`.

    The decision value of an output is a weighted sum of kernel values. Platt scaling turns it into a probability.

    Args:
        tensors: Arrays from `fit_mkl_svm`.
        columns: Utterances to predict.
        spec: The spec that was given to `fit_mkl_svm`.

    Returns:
        Probabilities (N, output) by task.
    """
    return by_task(apply_platt(tensors["platt"], _mkl_svm_decisions(tensors, columns, spec)), spec.tasks)


def select_columns(rows: FloatArray, targets: ClassicalTargets, n_selected: int) -> Int[Array, "selected"]:
    """Select the feature columns with the largest F statistics (analysis of variance, ANOVA).

    F is computed for every column and every output. Columns are ranked by their largest F over all outputs.

    Args:
        rows: Features (n, feature).
        targets: Class labels of the same rows.
        n_selected: Number of columns to select.

    Returns:
        Indices of the selected columns, ascending.
    """
    best = np.zeros(rows.shape[1])
    for labels, scored in zip(targets.values.T, targets.scored.T, strict=True):
        if has_both_classes(labels[scored]):
            best = np.maximum(best, anova_f(rows[scored], labels[scored]))
    return np.sort(np.argsort(-best, kind="stable")[:n_selected]).astype(np.int64)


def anova_f(rows: FloatArray, present: Bool[Array, "n"]) -> Float[Array, "feature"]:
    """Compute, for each feature, the F statistic of a one-way analysis of variance with two groups.

    Args:
        rows: Features (n, feature).
        present: True for the rows of the first group, False for those of the second.

    Returns:
        F of each feature. It is 0 if the feature is constant within both groups.
    """
    groups = (rows[present], rows[~present])
    mean = rows.mean(axis=0)
    between = sum(len(group) * (group.mean(axis=0) - mean) ** 2 for group in groups)
    within = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups)
    varies = within > 1e-14 * np.maximum(mean**2, 1.0) * len(rows)
    # with two groups the numerator has one degree of freedom
    return np.asarray(np.where(varies, between * max(len(rows) - 2, 1) / np.where(varies, within, 1.0), 0.0))


def rbf_kernel(
    rows: Float[Array, "n feature"], landmarks: Float[Array, "landmark feature"], gamma: FloatArray | float
) -> Float[Array, "n landmark"]:
    """Compute the RBF kernel exp(-gamma |x - x'|^2) between every row x and every landmark x'.

    Args:
        rows: Scaled features.
        landmarks: Landmarks, with the same features and scaling.
        gamma: Factor of the squared distance. The larger it is, the narrower is the kernel.

    Returns:
        Kernel values in (0, 1]. They have one row per row of `rows`, and one column per landmark.
    """
    return np.asarray(np.exp(-gamma * squared_distances(rows, landmarks)))


def squared_distances(rows: Float[Array, "n feature"], others: Float[Array, "k feature"]) -> Float[Array, "n k"]:
    """Compute the squared Euclidean distance between every row of `rows` and every row of `others`.

    Args:
        rows: Feature vectors, one per row.
        others: Feature vectors with the same features, one per row.

    Returns:
        Squared distances. A distance that would be negative by rounding errors is set to zero.
    """
    distances = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    distances -= 2 * rows @ others.T
    np.maximum(distances, 0.0, out=distances)
    return np.asarray(distances)


def nystroem_projection(kernel: Float[Array, "landmark landmark"]) -> Float[Array, "landmark rank"]:
    """Compute a matrix P such that P P' is the pseudo-inverse of a kernel matrix.

    Let K be a matrix of the kernel values between utterances (rows) and landmarks (columns). The rows of K P are then
    feature vectors whose inner products approximate the kernel between utterances.

    Args:
        kernel: Kernel values between all pairs of landmarks.

    Returns:
        The matrix P.
    """
    values, vectors = np.linalg.eigh(kernel)
    significant = values > EIGENVALUE_FLOOR * values[-1]
    return np.asarray(vectors[:, significant] / np.sqrt(values[significant]))


def alignment_weights(features: Sequence[Float[Array, "n rank"]], present: Bool[Array, "n"]) -> Float[Array, "kernel"]:
    """Compute a weight for each kernel, such that the weighted sum of the kernels is best aligned with the labels.

    Alignment is the cosine similarity of two centred matrices: the kernel matrix, and the matrix of the products of all
    pairs of labels (+1 and -1).

    Args:
        features: For each kernel, feature vectors whose inner products are the values of the kernel.
        present: True for the rows of the positive class.

    Returns:
        Non-negative weights with sum 1 that maximise the alignment. If no kernel is aligned with the labels, all
        weights are equal.
    """
    from scipy.optimize import nnls

    centred = [each - each.mean(axis=0) for each in features]
    labels = np.where(present, 1.0, -1.0)
    gram = np.array([[float(((one.T @ other) ** 2).sum()) for other in centred] for one in centred])
    target = np.array([float(((each.T @ labels) ** 2).sum()) for each in centred])
    norms = np.sqrt(np.diag(gram))
    varies = norms > 1e-12 * len(labels)
    norms = np.where(varies, norms, 1.0)
    values, vectors = np.linalg.eigh(gram / np.outer(norms, norms))
    roots = np.sqrt(np.maximum(values, 1e-12))
    # v'Mv - 2 v'a = |R v - R'^-1 a|^2 + constant, for M = R'R; M and a are those of kernels scaled to norm 1
    solution, _ = nnls((vectors * roots).T, (vectors / roots).T @ (target / norms))
    weights = np.where(varies, solution / norms, 0.0)
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(features), 1 / len(features))


def _fit_kernel(
    train: SplitColumns,
    modality: Modality,
    targets: ClassicalTargets,
    settings: MklSvmSettings,
    rng: np.random.Generator,
) -> Tensors:
    mask = train.present[modality]
    rows = train.features[modality][mask].astype(np.float64)
    n_selected = max(1, round(settings.selected_share * rows.shape[1]))
    selected = select_columns(rows, ClassicalTargets(targets.values[mask], targets.scored[mask]), n_selected)
    mean, scale = column_scaling(rows[:, selected])
    picked = np.sort(rng.choice(len(rows), min(settings.landmarks, len(rows)), replace=False))
    landmarks = (rows[picked][:, selected] - mean) / scale
    distances = squared_distances(landmarks, landmarks)[np.triu_indices(len(landmarks), 1)]
    median = float(np.median(distances)) if len(distances) else 0.0
    return {
        f"{modality}.columns": selected,
        f"{modality}.mean": mean,
        f"{modality}.scale": scale,
        f"{modality}.landmarks": landmarks,
        # if all landmarks are equal, the median is zero and any gamma gives the same kernel
        f"{modality}.gamma": np.array([settings.gamma_factor / (median if median > 0 else 1.0)]),
    }


def _kernel_rows(tensors: Tensors, columns: SplitColumns, modality: Modality) -> Float[Array, "N landmark"]:
    """Compute the kernel values between every utterance and every landmark of a modality, (utterance, landmark).

    The values are zero for utterances that lack the modality.
    """
    landmarks = tensors[f"{modality}.landmarks"]
    mask = columns.present[modality]
    rows = columns.features[modality][mask][:, tensors[f"{modality}.columns"]].astype(np.float64)
    values = np.zeros((columns.n_utterances, len(landmarks)))
    standardised = (rows - tensors[f"{modality}.mean"]) / tensors[f"{modality}.scale"]
    values[mask] = rbf_kernel(standardised, landmarks, tensors[f"{modality}.gamma"])
    return values


def _mkl_svm_decisions(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N output"]:
    decisions = np.tile(tensors["offsets"], (columns.n_utterances, 1))
    for modality in spec.inputs:
        decisions += _kernel_rows(tensors, columns, modality) @ tensors[f"{modality}.coefficients"]
    return decisions
