"""The system that has learned nothing: it says of every utterance how frequent each class is on train, and the median.

Sentiment is then always the more frequent class of train, as in the trivial row of an evaluation. A constant has a
weighted accuracy of 50 % at any threshold. In the columns of F1 a threshold decides whether an emotion is always or
never said: under `clean` never, which is the trivial row's answer too unless most of train has the emotion.
What is missing makes no difference, because nothing is looked at; nor does the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.models.classical.base import (
    ClassicalSpec,
    Probabilities,
    Tensors,
    binary_targets,
    by_task,
    intensity_targets,
    with_intensities,
)
from mien.storage.split_columns import SplitColumns


@dataclass(frozen=True)
class MajoritySettings:
    """Nothing to set."""


def fit_majority(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """``shares`` (output,) and ``medians`` (output,): of the labelled train utterances."""
    targets, intensities = binary_targets(train, spec.tasks), intensity_targets(train, spec.tasks)
    tensors = {"shares": targets.labels.sum(axis=0) / np.maximum(targets.scored.sum(axis=0), 1)}
    if intensities.values.shape[1]:
        columns = zip(intensities.values.T, intensities.scored.T, strict=True)
        tensors["medians"] = np.array([np.median(values[scored]) for values, scored in columns])
    return tensors


def majority_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """The same shares and medians for every utterance."""
    said = by_task(np.tile(tensors["shares"], (columns.n_utterances, 1)), spec.tasks)
    if "medians" not in tensors:
        return said
    return with_intensities(said, np.tile(tensors["medians"], (columns.n_utterances, 1)), spec.tasks)
