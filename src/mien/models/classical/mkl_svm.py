"""Feature selection and a multiple-kernel support vector machine, one kernel per modality. A stand-in.

Source: S. Poria, I. Chaturvedi, E. Cambria, A. Hussain, "Convolutional MKL based multimodal emotion recognition and
sentiment analysis", ICDM 2016. There, features are selected and a multiple-kernel SVM (SPF-GMKL, generalised MKL with
spectral projected gradient descent) is trained on them. This is NOT SPF-GMKL: the kernels' weights are found
beforehand, output by output, by centred kernel alignment (C. Cortes, M. Mohri, A. Rostamizadeh, "Algorithms for
learning kernels based on centered alignment", JMLR 13, 2012, there called alignf), and selection is by ANOVA F. The
convolutional text features are whatever text features the Dataset has.

Each kernel goes through its Nyström approximation (C. Williams, M. Seeger, NIPS 2000) on `landmarks` random train rows
that have the modality; with as many landmarks as rows it is the kernel itself. A linear SVM on these features is the
kernel SVM; its solution is stored as one coefficient per landmark. Probabilities by Platt scaling on valid.

A missing modality: every kernel value of the utterance with any other is zero, so that it is judged by the modalities
it has; without any, by the offset alone. With one modality there is nothing to weigh: an ordinary kernel SVM.

| paper | here |
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

# eigenvalues of the landmarks' kernel below this share of the largest are rounding noise
EIGENVALUE_FLOOR = 1e-10


@dataclass(frozen=True)
class MklSvmSettings(SystemSettings):
    """Sizes and widths."""

    # share of each modality's columns that is kept, the best by ANOVA F on train
    selected_share: float = 0.75
    # train rows that stand for all in each kernel; exact where train has no more
    landmarks: int = 500
    # width of the RBF kernels: gamma is this over the median squared distance between landmarks
    gamma_factor: float = 1.0
    # the SVM's C
    svm_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.selected_share <= 1:
            raise ValueError(f"Expected selected_share in (0, 1], but got {self.selected_share}; 1 keeps all columns")
        if self.landmarks < 2:
            raise ValueError(f"Expected landmarks to be at least 2, but got {self.landmarks}")
        super().__post_init__()


def fit_mkl_svm(train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Selection, scaling, landmarks, kernel weights and SVMs from train; Platt scaling from valid."""
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
        present = targets.values[rows, output]
        scaled = features[rows]
        weights[output] = alignment_weights([scaled[:, block] for block in blocks], present)
        for weight, block in zip(weights[output], blocks, strict=True):
            scaled[:, block] *= np.sqrt(weight)
        solution, offsets[output] = fit_linear_svm(scaled, present, spec.settings.svm_penalty)
        for modality, weight, projection, block in zip(spec.inputs, weights[output], projections, blocks, strict=True):
            coefficients[modality][:, output] = np.sqrt(weight) * (projection @ solution[block])
    tensors |= {f"{modality}.coefficients": each for modality, each in coefficients.items()}
    tensors |= {"kernel_weights": weights, "offsets": offsets}
    decided = [(_decisions(tensors, columns, spec), joined_targets(columns, spec.tasks)) for columns in (train, valid)]
    return tensors | {"platt": fit_platt_outputs(decided[0], decided[1])}


def mkl_svm_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Platt-scaled sums of kernel values with the landmarks."""
    return by_task(apply_platt(tensors["platt"], _decisions(tensors, columns, spec)), spec.tasks)


def select_columns(rows: FloatArray, targets: ClassicalTargets, n_selected: int) -> Int[Array, "selected"]:
    """Numbers of the columns of (n, feature) with the largest ANOVA F for any of the outputs, ascending."""
    best = np.zeros(rows.shape[1])
    for labels, scored in zip(targets.values.T, targets.scored.T, strict=True):
        if has_both_classes(labels[scored]):
            best = np.maximum(best, anova_f(rows[scored], labels[scored]))
    return np.sort(np.argsort(-best, kind="stable")[:n_selected]).astype(np.int64)


def anova_f(rows: FloatArray, present: Bool[Array, "n"]) -> Float[Array, "feature"]:
    """F of a one-way analysis of variance with two groups, per column; 0 for a constant column."""
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
    """exp(-gamma |x - x'|^2)."""
    return np.asarray(np.exp(-gamma * squared_distances(rows, landmarks)))


def squared_distances(rows: Float[Array, "n feature"], others: Float[Array, "k feature"]) -> Float[Array, "n k"]:
    """|x - x'|^2 of every pair."""
    distances = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    distances -= 2 * rows @ others.T
    np.maximum(distances, 0.0, out=distances)
    return np.asarray(distances)


def nystroem_projection(kernel: Float[Array, "landmark landmark"]) -> Float[Array, "landmark rank"]:
    """P with P P' = K+, so that the rows of K(x, landmarks) P have the approximated kernel as inner products."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > EIGENVALUE_FLOOR * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def alignment_weights(features: Sequence[Float[Array, "n rank"]], present: Bool[Array, "n"]) -> Float[Array, "kernel"]:
    """Weights, from 0 on and of sum 1, of the sum of kernels that is best aligned with the labels.

    Args:
        features: per kernel, rows whose inner products are its values.
        present: labels of the rows.

    Returns:
        The maximum of the centred alignment; equal weights where no kernel is aligned with the labels at all.
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
    # v'Mv - 2 v'a = |R v - R'^-1 a|^2 + constant, for M = R'R; both of kernels of norm 1
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
    here = train.present[modality]
    rows = train.features[modality][here].astype(np.float64)
    n_selected = max(1, round(settings.selected_share * rows.shape[1]))
    chosen = select_columns(rows, ClassicalTargets(targets.values[here], targets.scored[here]), n_selected)
    mean, scale = column_scaling(rows[:, chosen])
    picked = np.sort(rng.choice(len(rows), min(settings.landmarks, len(rows)), replace=False))
    landmarks = (rows[picked][:, chosen] - mean) / scale
    apart = squared_distances(landmarks, landmarks)[np.triu_indices(len(landmarks), 1)]
    typical = float(np.median(apart)) if len(apart) else 0.0
    return {
        f"{modality}.columns": chosen,
        f"{modality}.mean": mean,
        f"{modality}.scale": scale,
        f"{modality}.landmarks": landmarks,
        # rows that are all alike have no typical distance; any width gives the same kernel then
        f"{modality}.gamma": np.array([settings.gamma_factor / (typical if typical > 0 else 1.0)]),
    }


def _kernel_rows(tensors: Tensors, columns: SplitColumns, modality: Modality) -> Float[Array, "N landmark"]:
    """Kernel values with the landmarks; zero rows for utterances that lack the modality."""
    landmarks = tensors[f"{modality}.landmarks"]
    here = columns.present[modality]
    rows = columns.features[modality][here][:, tensors[f"{modality}.columns"]].astype(np.float64)
    values = np.zeros((columns.n_utterances, len(landmarks)))
    standard = (rows - tensors[f"{modality}.mean"]) / tensors[f"{modality}.scale"]
    values[here] = rbf_kernel(standard, landmarks, tensors[f"{modality}.gamma"])
    return values


def _decisions(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N output"]:
    decisions = np.tile(tensors["offsets"], (columns.n_utterances, 1))
    for modality in spec.inputs:
        decisions += _kernel_rows(tensors, columns, modality) @ tensors[f"{modality}.coefficients"]
    return decisions
