"""How the tasks' losses become one: weights that the user fixed, or weights that are learned along.

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

from mien.schema import INTENSITIES, Task
from mien.training.losses import LossSums
from mien.training.settings import UNCERTAINTY, TrainSettings


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
