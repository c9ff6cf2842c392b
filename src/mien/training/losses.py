"""Masked losses per task, and their combination by fixed or learned weights.

A loss is a sum over labelled utterances, to be divided by their count later, so that results do not depend on how a
batch is divided over devices.

Learned weights: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018. Every task has a variance sigma^2, the noise of its labels as seen by the network, learned as s =
log sigma^2. A classification contributes exp(-s) L + s/2, a regression exp(-s) L/2 + s/2 (their section 3.2; they use
it for absolute errors too). The minimum is at sigma^2 = 2 L for a classification and sigma^2 = L for a regression. All
s start at 0.
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
    """Sum of the loss over the labelled utterances, for every task that the network predicts.

    Losses of classes take logits, losses of degrees take the predicted degrees.

    Args:
        outputs: Outputs of the network for the batch.
        batch: The batch.
        targets: Targets of its real utterances, in the order of ``real.nonzero()``.

    Returns:
        Task -> loss summed over the utterances that have its label.
    """
    sums: LossSums = {}
    for task, row in TASKS.items():
        if task in outputs.logits:
            logits, scored = outputs.logits[task], targets.scored[task]
            predicted = activated(task, logits) if row.predicts_degrees else logits
            sums[task] = LOSSES[row.loss].total(predicted[batch.real][scored], targets.values[task][scored])
    return sums


def scored_counts(targets: Targets) -> dict[str, int]:
    """Task -> number of labelled utterances."""
    return {task: int(scored.sum()) for task, scored in targets.scored.items()}


def cross_entropy(logits: Float[Tensor, "n 2"], wanted: Bool[Tensor, "n 1"]) -> Float[Tensor, ""]:
    """Categorical cross-entropy of two exclusive classes (paper, section 4.2).

    Args:
        logits: Logits of the negative and the positive class (n, 2).
        wanted: True where positive (n, 1).

    Returns:
        Sum over the utterances.
    """
    return functional.cross_entropy(logits, wanted[:, 0].long(), reduction="sum")


def binary_cross_entropy(logits: Float[Tensor, "n output"], wanted: Bool[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Binary cross-entropy, averaged over independent outputs (paper, section 4.2).

    Args:
        logits: One logit per output (n, output).
        wanted: True where the class is present (n, output).

    Returns:
        Sum over the utterances.
    """
    each = functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="sum")
    return each / wanted.shape[1]


def absolute_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Absolute error, averaged over the outputs.

    Args:
        degrees: Predicted degrees (n, output).
        wanted: Gold degrees (n, output).

    Returns:
        Sum over the utterances.
    """
    return functional.l1_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def squared_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Squared error, averaged over the outputs.

    Args:
        degrees: Predicted degrees (n, output).
        wanted: Gold degrees (n, output).

    Returns:
        Sum over the utterances.
    """
    return functional.mse_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def log_losses(predicted: FloatArray, wanted: BoolArray) -> FloatArray:
    """Negative log likelihood of each output.

    Args:
        predicted: Predicted probabilities (n, output).
        wanted: True where the class is present (n, output).

    Returns:
        Losses (n, output).
    """
    return -np.log(np.maximum(np.where(wanted, predicted, 1 - predicted), SMALLEST_PROBABILITY))


@dataclass(frozen=True)
class Loss:
    """One loss function, for labelled utterances only."""

    # (logits of classes or predicted degrees, targets) -> sum over utterances (mean over the outputs)
    total: Callable[[Tensor, Tensor], Float[Tensor, ""]]
    # (predictions, targets), both (utterance, output) -> loss of each value; for systems without logits
    of_predictions: Callable[[FloatArray, Any], FloatArray]


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, log_losses),
    "binary_cross_entropy": Loss(binary_cross_entropy, log_losses),
    "absolute_error": Loss(absolute_error, lambda predicted, wanted: np.abs(predicted - wanted)),
    "squared_error": Loss(squared_error, lambda predicted, wanted: (predicted - wanted) ** 2),
}


class TaskWeighting(nn.Module):
    """Combines the tasks' mean losses. Learned log-variances, if any, are trained and stored beside the network."""

    def __init__(self, tasks: Sequence[str], settings: TrainSettings) -> None:
        super().__init__()
        self.fixed = {task: settings.weight_of(task) for task in tasks}
        learned = tasks if settings.task_weighting == UNCERTAINTY else ()
        self.log_variances = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in learned})

    def total(self, sums: LossSums, counts: Mapping[str, int]) -> Float[Tensor, ""]:
        """Weighted sum of the tasks' mean losses.

        Args:
            sums: Task -> loss summed over its labelled utterances.
            counts: Task -> number of its labelled utterances; a task without labels contributes zero.

        Returns:
            The combined loss, without `penalty`.
        """
        terms = [self._weight(task) * total / max(counts[task], 1) for task, total in sums.items()]
        return sum(terms[1:], start=terms[0])

    def penalty(self, counts: Mapping[str, int]) -> Float[Tensor, ""] | float:
        """Regulariser of the learned variances: the sum of s/2 over the tasks that have a label."""
        penalty: Tensor | float = sum(s / 2 for task, s in self.log_variances.items() if counts[task])
        return penalty

    def trained_by(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Add the log-variances, if any, to the optimizer, without weight decay, which would pull them towards 0."""
        if learned := list(self.parameters()):
            optimizer.add_param_group({"params": learned, "weight_decay": 0.0})
        return optimizer

    def _weight(self, task: str) -> Float[Tensor, ""] | float:
        """Factor of the task's mean loss."""
        if task not in self.log_variances:
            return self.fixed[task]
        precision: Tensor = (-self.log_variances[task]).exp()
        return precision / 2 if TASKS[task].predicts_degrees else precision
