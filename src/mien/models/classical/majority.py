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
    by_task,
    classes_among,
    degrees_among,
    joined_targets,
)
from mien.storage.split_columns import SplitColumns


@dataclass(frozen=True)
class MajoritySettings:
    """Nothing to set."""


def fit_majority(train: SplitColumns, _valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """``shares`` (output,) and ``medians`` (output,): of the labelled train utterances."""
    targets = joined_targets(train, classes_among(spec.tasks))
    tensors = {"shares": targets.values.sum(axis=0) / np.maximum(targets.scored.sum(axis=0), 1)}
    if degrees := degrees_among(spec.tasks):
        values, scored = joined_targets(train, degrees)
        tensors["medians"] = np.array([np.median(each[here]) for each, here in zip(values.T, scored.T, strict=True)])
    return tensors


def majority_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """The same shares and medians for every utterance."""
    said = by_task(np.tile(tensors["shares"], (columns.n_utterances, 1)), classes_among(spec.tasks))
    if degrees := degrees_among(spec.tasks):
        said |= by_task(np.tile(tensors["medians"], (columns.n_utterances, 1)), degrees)
    return said
