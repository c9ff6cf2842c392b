"""Output layers: one per task, directly on the shared representation (paper, Algorithm 1; released code)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mien.errors import UsageError
from mien.schema import EMOTION_OUTPUTS, Task

N_OUTPUTS = {Task.SENTIMENT: 2, Task.EMOTION: len(EMOTION_OUTPUTS)}


def make_heads(n_features: int, tasks: Sequence[Task]) -> nn.ModuleDict:
    """One linear layer per task. A single-task network is the same network with one head."""
    unknown = [task for task in tasks if task not in N_OUTPUTS]
    if unknown or not tasks:
        raise UsageError(
            f"Expected tasks to be some of {', '.join(N_OUTPUTS)}, but got {', '.join(unknown) or 'none'}; "
            "name them with --tasks"
        )
    return nn.ModuleDict({task.value: nn.Linear(n_features, N_OUTPUTS[task]) for task in tasks})


def apply_head(
    heads: nn.ModuleDict, task: Task, representation: Float[Tensor, "video utterance feature"]
) -> Float[Tensor, "video utterance output"] | None:
    """Logits of one task, or None if the network has no head for it."""
    if task not in heads:
        return None
    logits: Tensor = heads[task](representation)
    return logits
