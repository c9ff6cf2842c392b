"""Masked losses per task: sums over labelled utterances and their counts, so that any division of a batch agrees.

How the tasks' losses become one: weights that the user fixed, or weights that are learned along.

Learned: Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018. Every task has a variance sigma^2, the noise of its labels as the network sees it, learned as
s = log sigma^2. A classification contributes exp(-s) L + s/2, a regression exp(-s) L/2 + s/2 (their section 3.2; like
them for absolute errors too). The smallest sum has sigma^2 = 2 L and sigma^2 = L. All s begin at 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mien.models.batch import Batch, Outputs
from mien.schema import INTENSITIES, Task
from mien.training.batching import Targets
from mien.training.settings import UNCERTAINTY, TrainSettings

LossSums = dict[Task, Float[Tensor, ""]]


def loss_sums(outputs: Outputs, batch: Batch, targets: Targets) -> LossSums:
    """Per task with a head a loss summed over the utterances that have its label; the others take no part.

    - sentiment: categorical cross-entropy; emotion: binary cross-entropy, mean of seven (paper, section 4.2);
    - sentiment_intensity: absolute error, the measure that is reported;
    - emotion_intensity: squared error, mean of six. Most intensities are zero, so that the absolute error is smallest
      for a network that always says zero; the squared one is smallest at the expected intensity.
    """
    sums: LossSums = {}
    if outputs.sentiment_logits is not None:
        scored = targets.sentiment_scored
        logits = outputs.sentiment_logits[batch.real][scored]
        sums[Task.SENTIMENT] = functional.cross_entropy(logits, targets.sentiment[scored], reduction="sum")
    if outputs.emotion_logits is not None:
        scored = targets.emotions_scored
        logits, labels = outputs.emotion_logits[batch.real][scored], targets.emotions[scored]
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        sums[Task.EMOTION] = each / logits.shape[-1]
    if outputs.sentiment_intensity is not None:
        scored = targets.sentiment_scored
        said = outputs.sentiment_intensity[batch.real][scored]
        sums[Task.SENTIMENT_INTENSITY] = functional.l1_loss(said, targets.sentiment_intensity[scored], reduction="sum")
    if outputs.emotion_intensity is not None:
        scored = targets.emotions_scored
        said = outputs.emotion_intensity[batch.real][scored]
        each = functional.mse_loss(said, targets.emotion_intensity[scored], reduction="sum")
        sums[Task.EMOTION_INTENSITY] = each / said.shape[-1]
    return sums


def scored_counts(targets: Targets) -> dict[Task, int]:
    """Labelled utterances per task."""
    sentiment, emotions = int(targets.sentiment_scored.sum()), int(targets.emotions_scored.sum())
    return {
        Task.SENTIMENT: sentiment,
        Task.EMOTION: emotions,
        Task.SENTIMENT_INTENSITY: sentiment,
        Task.EMOTION_INTENSITY: emotions,
    }


class TaskWeighting(nn.Module):
    """Weighs the tasks' mean losses. Its log-variances, if any, are trained and stored beside the network's weights."""

    def __init__(self, tasks: Sequence[Task], settings: TrainSettings) -> None:
        super().__init__()
        self.fixed = {task: settings.weight_of(task) for task in tasks}
        learned = tasks if settings.task_weighting == UNCERTAINTY else ()
        self.log_variances = nn.ParameterDict({task.value: nn.Parameter(torch.zeros(())) for task in learned})

    def total(self, sums: LossSums, counts: Mapping[Task, int]) -> Float[Tensor, ""]:
        """Weighted sum of the tasks' means. A task without any label contributes zero (its sum is zero)."""
        terms = [self._weight(task) * total / max(counts[task], 1) for task, total in sums.items()]
        return sum(terms[1:], start=terms[0])

    def penalty(self, counts: Mapping[Task, int]) -> Float[Tensor, ""] | float:
        """What keeps the learned variances from growing: sum of s/2 over the tasks that have a label."""
        penalty: Tensor | float = sum(s / 2 for task, s in self.log_variances.items() if counts[Task(task)])
        return penalty

    def trained_by(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Add the log-variances, if any, to what the optimizer trains: without decay, which would pull them to 0."""
        if learned := list(self.parameters()):
            optimizer.add_param_group({"params": learned, "weight_decay": 0.0})
        return optimizer

    def _weight(self, task: Task) -> Float[Tensor, ""] | float:
        if task not in self.log_variances:
            return self.fixed[task]
        precision: Tensor = (-self.log_variances[task]).exp()
        return precision / 2 if task in INTENSITIES else precision
