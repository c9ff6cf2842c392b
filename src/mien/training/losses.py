"""Masked losses per task, and how they become one: weights that the user fixed, or weights that are learned along.

A loss is a sum over labelled utterances beside their count, so that any division of a batch agrees.

Learned weights: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018. Every task has a variance sigma^2, the noise of its labels as the network sees it, learned as
s = log sigma^2. A classification contributes exp(-s) L + s/2, a regression exp(-s) L/2 + s/2 (their section 3.2; like
them for absolute errors too). The smallest sum has sigma^2 = 2 L and sigma^2 = L. All s begin at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from mien.models.batch import Batch, Outputs
from mien.models.heads import activated
from mien.schema import BoolArray, FloatArray
from mien.tasks import TASKS
from mien.training.batching import Targets
from mien.training.train_settings import UNCERTAINTY, TrainSettings

# keeps the logarithm of a probability of 0 or 1 finite
SMALLEST_PROBABILITY = 1e-12
LossSums = dict[str, Float[Tensor, ""]]


def loss_sums(outputs: Outputs, batch: Batch, targets: Targets) -> LossSums:
    """Per task with a head its loss summed over the utterances that have its label; the others take no part.

    Of classes a loss sees the logits, of degrees what a prediction says.
    """
    sums: LossSums = {}
    for task, row in TASKS.items():
        if task in outputs.logits:
            logits, scored = outputs.logits[task], targets.scored[task]
            said = activated(task, logits) if row.predicts_degrees else logits
            sums[task] = LOSSES[row.loss].total(said[batch.real][scored], targets.values[task][scored])
    return sums


def scored_counts(targets: Targets) -> dict[str, int]:
    """HasLabels utterances per task."""
    return {task: int(scored.sum()) for task, scored in targets.scored.items()}


def cross_entropy(logits: Float[Tensor, "n 2"], wanted: Bool[Tensor, "n 1"]) -> Float[Tensor, ""]:
    """Categorical, of two classes (paper, section 4.2)."""
    return functional.cross_entropy(logits, wanted[:, 0].long(), reduction="sum")


def binary_cross_entropy(logits: Float[Tensor, "n output"], wanted: Bool[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Of every output for itself (paper, section 4.2)."""
    each = functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="sum")
    return each / wanted.shape[1]


def absolute_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Mean over the outputs."""
    return functional.l1_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def squared_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Mean over the outputs."""
    return functional.mse_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def log_losses(said: FloatArray, wanted: BoolArray) -> FloatArray:
    """Minus the logarithm of the probability of what is true."""
    return -np.log(np.maximum(np.where(wanted, said, 1 - said), SMALLEST_PROBABILITY))


@dataclass(frozen=True)
class Loss:
    """One loss, of labelled utterances alone."""

    # (logits of classes or predicted degrees, targets) -> sum over utterances of the mean over outputs
    total: Callable[[Tensor, Tensor], Float[Tensor, ""]]
    # (predictions, targets), both (utterance, output) -> that of each: for systems without logits
    of_predictions: Callable[[FloatArray, Any], FloatArray]


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, log_losses),
    "binary_cross_entropy": Loss(binary_cross_entropy, log_losses),
    "absolute_error": Loss(absolute_error, lambda said, wanted: np.abs(said - wanted)),
    "squared_error": Loss(squared_error, lambda said, wanted: (said - wanted) ** 2),
}


class TaskWeighting(nn.Module):
    """Weighs the tasks' mean losses. Its log-variances, if any, are trained and stored beside the network's weights."""

    def __init__(self, tasks: Sequence[str], settings: TrainSettings) -> None:
        super().__init__()
        self.fixed = {task: settings.weight_of(task) for task in tasks}
        learned = tasks if settings.task_weighting == UNCERTAINTY else ()
        self.log_variances = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in learned})

    def total(self, sums: LossSums, counts: Mapping[str, int]) -> Float[Tensor, ""]:
        """Weighted sum of the tasks' means. A task without any label contributes zero (its sum is zero)."""
        terms = [self._weight(task) * total / max(counts[task], 1) for task, total in sums.items()]
        return sum(terms[1:], start=terms[0])

    def penalty(self, counts: Mapping[str, int]) -> Float[Tensor, ""] | float:
        """What keeps the learned variances from growing: sum of s/2 over the tasks that have a label."""
        penalty: Tensor | float = sum(s / 2 for task, s in self.log_variances.items() if counts[task])
        return penalty

    def trained_by(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Add the log-variances, if any, to what the optimizer trains: without decay, which would pull them to 0."""
        if learned := list(self.parameters()):
            optimizer.add_param_group({"params": learned, "weight_decay": 0.0})
        return optimizer

    def _weight(self, task: str) -> Float[Tensor, ""] | float:
        if task not in self.log_variances:
            return self.fixed[task]
        precision: Tensor = (-self.log_variances[task]).exp()
        return precision / 2 if TASKS[task].predicts_degrees else precision
