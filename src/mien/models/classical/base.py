"""The second kind of system: fitted once on the train split, and then nothing but named arrays.

A classical system is two plain functions. ``fit`` learns the arrays, ``probabilities`` uses them; whatever library did
the fitting, only the arrays are stored, so that no pickle is ever written and prediction is arithmetic on numpy arrays.

Axes: N = utterances of the columns; output = "sentiment is positive", then the seven of `EMOTION_OUTPUTS`, as far as
the tasks ask for them; likewise for intensities the sentiment's, then the six of `EMOTIONS`.

Platt scaling of all outputs of a classical system; the fit of one is `metrics.platt`.

Linear support vector machines of several outputs, as weights and offsets.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from mien.metrics.platt import fit_platt, sigmoid
from mien.models.batch import Reads
from mien.schema import (
    CLASSIFICATIONS,
    EMOTION_OUTPUTS,
    EMOTION_RANGE,
    EMOTIONS,
    SENTIMENT_RANGE,
    FloatArray,
    Modality,
    Task,
    emotion_multihot7,
    sentiment_classes,
)
from mien.storage.split_columns import SplitColumns

Array = NDArray[Any]
Tensors = dict[str, Array]


@dataclass(frozen=True)
class ClassicalSpec:
    """All that decides what is learned, beside the columns."""

    inputs: tuple[Modality, ...]
    tasks: tuple[Task, ...]
    settings: Any
    seed: int = 0


class Probabilities(NamedTuple):
    """What a system says about N utterances; None without the task."""

    sentiment: Float[Array, "N"] | None
    emotions: Float[Array, "N 7"] | None
    # not probabilities: predicted intensities in [-3, 3] and [0, 3]
    sentiment_intensity: Float[Array, "N"] | None = None
    emotion_intensities: Float[Array, "N 6"] | None = None


@dataclass(frozen=True)
class ClassicalEntry:
    """One system: how to fit it and use it, and its default settings. The other fields are those of `ModelEntry`."""

    # (train, valid, spec): valid may choose and calibrate; nothing else is ever given
    fit: Callable[[SplitColumns, SplitColumns, ClassicalSpec], Tensors]
    # reads only the spec's inputs, and of them only what is `present`
    probabilities: Callable[[Tensors, SplitColumns, ClassicalSpec], Probabilities]
    settings: Any
    description: str
    citation: str
    reads: Reads = Reads.UTTERANCE
    modalities: tuple[Modality, ...] = tuple(Modality)
    tasks: tuple[Task, ...] = CLASSIFICATIONS
    # always empty: the loop's settings do not apply
    training: Mapping[str, Any] = field(default_factory=dict)
    # what stands here is a free adaptation: not to be reported as the cited system
    experimental: bool = False


class IntensityTargets(NamedTuple):
    """Degrees to regress on; `scored` is False where the label is missing."""

    values: Float[Array, "N output"]
    scored: Bool[Array, "N output"]


class Targets(NamedTuple):
    """Binary labels; `scored` is False where the label is missing."""

    labels: Bool[Array, "N output"]
    scored: Bool[Array, "N output"]


def binary_targets(columns: SplitColumns, tasks: Sequence[Task]) -> Targets:
    """One column per output: the class of sentiment under `has0`, the seven emotion labels."""
    parts = []
    if Task.SENTIMENT in tasks:
        positive, scored = sentiment_classes(columns.sentiment)
        parts.append((positive[:, None], scored[:, None]))
    if Task.EMOTION in tasks:
        labels, labelled = emotion_multihot7(columns.emotions)
        parts.append((labels, np.repeat(labelled[:, None], len(EMOTION_OUTPUTS), axis=1)))
    if not parts:
        return Targets(*(np.zeros((columns.n_utterances, 0), dtype=bool) for _ in range(2)))
    return Targets(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))


def intensity_targets(columns: SplitColumns, tasks: Sequence[Task]) -> IntensityTargets:
    """One column per intensity: the sentiment's, then the six emotions', as far as the tasks ask for them."""
    parts: list[FloatArray] = [np.zeros((columns.n_utterances, 0))]
    if Task.SENTIMENT_INTENSITY in tasks:
        parts.append(columns.sentiment[:, None])
    if Task.EMOTION_INTENSITY in tasks:
        parts.append(columns.emotions)
    values = np.concatenate(parts, axis=1)
    return IntensityTargets(np.nan_to_num(values), ~np.isnan(values))


def with_intensities(
    said: Probabilities, intensities: Float[Array, "N output"], tasks: Sequence[Task]
) -> Probabilities:
    """Beside the probabilities the intensities as `intensity_targets` orders them, cut to the range of the labels."""
    if Task.SENTIMENT_INTENSITY in tasks:
        said = said._replace(sentiment_intensity=np.clip(intensities[:, 0], *SENTIMENT_RANGE))
    if Task.EMOTION_INTENSITY in tasks:
        said = said._replace(emotion_intensities=np.clip(intensities[:, -len(EMOTIONS) :], *EMOTION_RANGE))
    return said


def by_task(outputs: Float[Array, "N output"], tasks: Sequence[Task]) -> Probabilities:
    """Probabilities per output as `binary_targets` orders them, sorted by task."""
    sentiment = outputs[:, 0] if Task.SENTIMENT in tasks else None
    emotions = outputs[:, -len(EMOTION_OUTPUTS) :] if Task.EMOTION in tasks else None
    return Probabilities(sentiment, emotions)


def has_both_classes(labels: Bool[Array, "n"]) -> bool:
    """Whether there is anything to tell apart."""
    return bool(labels.any() and not labels.all())


def column_scaling(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and s.d. (feature,) of every column of (n, feature); a constant column keeps its scale."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    # a constant column has a spread of rounding noise, not of exactly zero
    return mean, np.where(spread <= 1e-7 * np.maximum(np.abs(mean), 1.0), 1.0, spread)


@contextmanager
def iterations_may_run_out() -> Iterator[None]:
    """Inside, scikit-learn does not warn that a solver stopped at its limit: what it has then is what is used."""
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes seconds to import, and only fitting needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit_platt_outputs(
    train: tuple[Float[Array, "n output"], Targets], valid: tuple[Float[Array, "v output"], Targets]
) -> Float[Array, "2 output"]:
    """Slopes and offsets of all outputs, from decision values and labels.

    Fitted on valid, whose decision values are those of unseen utterances; on train for an output of which valid has
    only one class, which is then too sure of itself.
    """
    fitted = np.zeros((2, train[0].shape[1]))
    for output in range(fitted.shape[1]):
        chosen = []
        for decisions, targets in (valid, train):
            scored = targets.scored[:, output]
            chosen.append((decisions[scored, output], targets.labels[scored, output]))
        decision, present = chosen[0] if has_both_classes(chosen[0][1]) else chosen[1]
        fitted[:, output] = fit_platt(decision, present)
    return fitted


def apply_platt(platt: Float[Array, "2 output"], decisions: Float[Array, "n output"]) -> Float[Array, "n output"]:
    """Probabilities of `fit_platt_outputs`' outputs."""
    return sigmoid(decisions * platt[0] + platt[1])


def fit_linear_svm(features: Any, present: Bool[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Weights and offset of one binary SVM on (n, feature), dense or scipy sparse, both classes weighing the same.

    Squared hinge loss, solved in the primal, which needs no random numbers. An output of one class only can learn
    nothing: its decision is zero throughout.
    """
    from sklearn.svm import LinearSVC

    if not has_both_classes(present):
        return np.zeros(features.shape[1]), 0.0
    machine = LinearSVC(C=penalty, dual=False, class_weight="balanced")
    with iterations_may_run_out():
        machine.fit(features, present)
    return machine.coef_[0], float(machine.intercept_[0])


def fit_linear_svr(features: Any, values: Float[Array, "n"], penalty: float) -> tuple[Float[Array, "feature"], float]:
    """Weights and offset of one support vector regression (squared epsilon-insensitive loss, in the primal)."""
    from sklearn.svm import LinearSVR

    machine = LinearSVR(C=penalty, loss="squared_epsilon_insensitive", dual=False)
    with iterations_may_run_out():
        machine.fit(features, values)
    return machine.coef_, float(np.ravel(machine.intercept_)[0])
