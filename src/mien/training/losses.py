"""Losses per task, computed on labelled utterances only, and their combination by fixed or learned weights.

Each loss is first a sum over the labelled utterances and is divided by their number later. The result therefore does
not depend on how a batch is divided over devices.

The learned weights are those of Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics", CVPR 2018. Every task has a variance sigma^2, which models the noise of its labels. The network
learns the logarithm s = log sigma^2, which starts at 0. If L is the mean loss of a task, a classification contributes
exp(-s) L + s/2 to the total, and a regression exp(-s) L/2 + s/2 (section 3.2 of their paper; they use the second term
for absolute errors too). For a given L, this is smallest at sigma^2 = 2 L for a classification and at sigma^2 = L for a
regression.
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
from mien.models.heads import activated, cumulative_logits
from mien.schema import BoolArray, FloatArray
from mien.tasks import Task, in_order
from mien.training.batching import Targets
from mien.training.train_settings import UNCERTAINTY, TrainSettings

# keeps the logarithm of a probability of 0 or 1 finite
SMALLEST_PROBABILITY = 1e-12
LossSums = dict[str, Float[Tensor, ""]]


def loss_sums(outputs: Outputs, batch: Batch, targets: Targets, tasks: Sequence[Task]) -> LossSums:
    """Compute the loss of every task that the network predicts, summed over the labelled utterances.

    The loss of classes is computed from the logits, and the loss of intensities from the predicted intensities.

    Args:
        outputs: Outputs of the network for the batch.
        batch: The batch.
        targets: Targets of the utterances that are not padding: first those of the first video, then those of the
            second, and so on.
        tasks: The tasks that the network predicts.

    Returns:
        Loss by task, summed over the utterances that have a label for the task.
    """
    sums: LossSums = {}
    for task in in_order(tasks):
        logits, scored = outputs.logits[task.name], targets.scored[task.name]
        predicted = activated(task, logits) if task.predicts_degrees else logits
        loss = LOSSES[task.row.loss]
        sums[task.name] = loss.total(predicted[batch.real][scored], targets.values[task.name][scored])
    return sums


def scored_counts(targets: Targets) -> dict[str, int]:
    """Return the number of labelled utterances of every task."""
    return {task: int(scored.sum()) for task, scored in targets.scored.items()}


def cross_entropy(logits: Float[Tensor, "n 2"], wanted: Bool[Tensor, "n 1"]) -> Float[Tensor, ""]:
    """Compute the cross-entropy of two mutually exclusive classes, summed over utterances (paper, section 4.2).

    Args:
        logits: Logits of the negative and the positive class, (n, 2).
        wanted: True where the class is positive, (n, 1).

    Returns:
        Sum of the loss over the n utterances.
    """
    return functional.cross_entropy(logits, wanted[:, 0].long(), reduction="sum")


def class_cross_entropy(logits: Float[Tensor, "n class"], wanted: Bool[Tensor, "n class"]) -> Float[Tensor, ""]:
    """Compute the cross-entropy of several mutually exclusive classes, summed over utterances.

    Args:
        logits: One logit per class, (n, class).
        wanted: True for the class of an utterance, (n, class).

    Returns:
        Sum of the loss over the n utterances.
    """
    return functional.cross_entropy(logits, wanted.long().argmax(dim=1), reduction="sum")


def level_likelihood(logits: Float[Tensor, "n cut"], wanted: Bool[Tensor, "n cut"]) -> Float[Tensor, ""]:
    """Compute the negative log likelihood of ordered levels, summed over utterances.

    With the log odds z of reaching the cut points, P(level k) = s(z_k) - s(z_k+1) = s(z_k) s(-z_k+1) s(d), where s is
    the sigmoid, and d is the logit from which z_k+1 = z_k - softplus(d) was computed.

    Args:
        logits: One logit per cut point, (n, cut).
        wanted: True where the label reaches the cut point, (n, cut).

    Returns:
        Sum of the loss over the n utterances.
    """
    reached = cumulative_logits(logits)
    nothing = torch.zeros_like(logits[:, :1])
    last_reached = torch.cat([nothing, functional.logsigmoid(reached)], dim=1)
    next_not_reached = torch.cat([functional.logsigmoid(-reached), nothing], dim=1)
    between = torch.cat([nothing, functional.logsigmoid(logits[:, 1:]), nothing], dim=1)
    log_likelihood = last_reached + next_not_reached + between
    return -log_likelihood.gather(1, wanted.sum(dim=1, keepdim=True)).sum()


def binary_cross_entropy(logits: Float[Tensor, "n output"], wanted: Bool[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Compute the binary cross-entropy of classes that may occur together (paper, section 4.2).

    Args:
        logits: One logit per class, (n, output).
        wanted: True where the class is present, (n, output).

    Returns:
        Mean loss over the classes, summed over the n utterances.
    """
    each = functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="sum")
    return each / wanted.shape[1]


def absolute_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Compute the absolute error of predicted intensities.

    Args:
        degrees: Predicted intensities (n, output).
        wanted: Gold intensities (n, output).

    Returns:
        Mean error over the outputs, summed over the n utterances.
    """
    return functional.l1_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def squared_error(degrees: Float[Tensor, "n output"], wanted: Float[Tensor, "n output"]) -> Float[Tensor, ""]:
    """Compute the squared error of predicted intensities.

    Args:
        degrees: Predicted intensities (n, output).
        wanted: Gold intensities (n, output).

    Returns:
        Mean error over the outputs, summed over the n utterances.
    """
    return functional.mse_loss(degrees, wanted, reduction="sum") / wanted.shape[1]


def log_losses(predicted: FloatArray, wanted: BoolArray) -> FloatArray:
    """Compute the negative log likelihood of each class in each utterance.

    Args:
        predicted: Predicted probabilities of the classes, (n, output).
        wanted: True where the class is present, (n, output).

    Returns:
        Losses (n, output).
    """
    return -np.log(np.maximum(np.where(wanted, predicted, 1 - predicted), SMALLEST_PROBABILITY))


def class_log_losses(predicted: FloatArray, wanted: BoolArray) -> FloatArray:
    """Compute the negative log likelihood of the class of each utterance.

    Args:
        predicted: Predicted probabilities of mutually exclusive classes, (n, class).
        wanted: True for the class of an utterance, (n, class).

    Returns:
        Losses (n, 1).
    """
    likelihood = np.where(wanted, predicted, 0.0).sum(axis=1, keepdims=True)
    losses: FloatArray = -np.log(np.maximum(likelihood, SMALLEST_PROBABILITY))
    return losses


def level_log_losses(predicted: FloatArray, wanted: BoolArray) -> FloatArray:
    """Compute the negative log likelihood of the level of each utterance.

    Args:
        predicted: Predicted probabilities of reaching each cut point, (n, cut).
        wanted: True where the label reaches the cut point, (n, cut).

    Returns:
        Losses (n, 1).
    """
    ends = np.ones((len(predicted), 1))
    levels = -np.diff(np.concatenate([ends, predicted, 0 * ends], axis=1), axis=1)
    likelihood = np.take_along_axis(levels, wanted.sum(axis=1, keepdims=True), axis=1)
    losses: FloatArray = -np.log(np.maximum(likelihood, SMALLEST_PROBABILITY))
    return losses


@dataclass(frozen=True)
class Loss:
    """One loss function in two forms.

    `total` computes the loss of logits or predicted intensities as a tensor, for training a network. `of_predictions`
    computes it from predictions as arrays, for systems without logits. Both must be called with labelled utterances
    only.
    """

    # (logits of classes or predicted intensities, targets) -> loss, averaged over outputs and summed over utterances
    total: Callable[[Tensor, Tensor], Float[Tensor, ""]]
    # (predictions, targets), both (utterance, output) -> loss of each value; used for systems without logits
    of_predictions: Callable[[FloatArray, Any], FloatArray]


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, log_losses),
    "class_cross_entropy": Loss(class_cross_entropy, class_log_losses),
    "level_likelihood": Loss(level_likelihood, level_log_losses),
    "binary_cross_entropy": Loss(binary_cross_entropy, log_losses),
    "absolute_error": Loss(absolute_error, lambda predicted, wanted: np.abs(predicted - wanted)),
    "squared_error": Loss(squared_error, lambda predicted, wanted: (predicted - wanted) ** 2),
}


class TaskWeighting(nn.Module):
    """Combines the losses of the tasks in one loss, by fixed or learned weights.

    A learned weight is stored as s, the logarithm of the variance of a task. The loss of the task is multiplied by
    exp(-s), or by exp(-s) / 2 if the task predicts intensities. The values s are trained and stored together with the
    network.
    """

    def __init__(self, tasks: Sequence[Task], settings: TrainSettings) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.fixed = {task.name: settings.weight_of(task.name) for task in tasks}
        self.degrees = {task.name for task in tasks if task.predicts_degrees}
        learned = tasks if settings.task_weighting == UNCERTAINTY else ()
        self.log_variances = nn.ParameterDict({task.name: nn.Parameter(torch.zeros(())) for task in learned})

    def total(self, sums: LossSums, counts: Mapping[str, int]) -> Float[Tensor, ""]:
        """Compute the weighted sum of the mean losses of the tasks.

        Args:
            sums: Loss by task, summed over the labelled utterances of the task.
            counts: Number of labelled utterances by task. A task without labelled utterances contributes zero.

        Returns:
            The combined loss, to which `penalty` must be added.
        """
        terms = [self._weight(task) * total / max(counts[task], 1) for task, total in sums.items()]
        return sum(terms[1:], start=terms[0])

    def penalty(self, counts: Mapping[str, int]) -> Float[Tensor, ""] | float:
        """Compute the regulariser of the learned log-variances: half of their sum.

        `counts` contains the number of labelled utterances of each task. A task without labelled utterances is left
        out. With fixed weights, the regulariser is 0.
        """
        penalty: Tensor | float = sum(s / 2 for task, s in self.log_variances.items() if counts[task])
        return penalty

    def trained_by(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Add the learned log-variances to the parameters of an optimizer, and return the optimizer.

        They have no weight decay, because it would pull them towards 0. With fixed weights, nothing is added.
        """
        if learned := list(self.parameters()):
            optimizer.add_param_group({"params": learned, "weight_decay": 0.0})
        return optimizer

    def _weight(self, task: str) -> Float[Tensor, ""] | float:
        """Return the factor by which the mean loss of a task is multiplied."""
        if task not in self.log_variances:
            return self.fixed[task]
        precision: Tensor = (-self.log_variances[task]).exp()
        return precision / 2 if task in self.degrees else precision
