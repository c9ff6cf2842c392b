"""Output layers: one per task, directly on the shared representation (paper, Algorithm 1; released code).

A head gives logits. The activation of the task's row in `TASKS` makes of them what is predicted. Degrees, which are the
paper's future work, are squashed smoothly into the range of the labels, so that what the loss sees while training is
what a prediction says, and no reader of it has to clip:

- sentiment: 3 tanh(z / 3) in [-3, 3], of slope 1 where most labels are;
- emotions: 3 sigmoid(z) in [0, 3], begun near 0.3, since most intensities are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.errors import UsageError
from mien.models.batch import Outputs
from mien.tasks import TASKS, Task

Logits = Float[Tensor, "*axes logit"]
Values = Float[Tensor, "*axes output"]


def make_heads(n_features: int, tasks: Sequence[str]) -> nn.ModuleDict:
    """One linear layer per task. A single-task network is the same network with one head."""
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        raise UsageError(
            f"Expected tasks to be some of {', '.join(TASKS)}, but got {', '.join(unknown) or 'none'}; "
            "name them with --tasks"
        )
    heads = nn.ModuleDict({task: nn.Linear(n_features, TASKS[task].n_logits) for task in tasks})
    for task, head in heads.items():
        if (share := TASKS[task].first_share) is not None:
            assert isinstance(head.bias, Tensor)
            nn.init.constant_(head.bias, math.log(share / (1 - share)))
    return heads


def outputs_from_heads(
    heads: nn.ModuleDict,
    representation: Float[Tensor, "video utterance feature"],
    attention: Mapping[str, Float[Tensor, "video utterance context"]] | None = None,
    fusion: Mapping[str, Float[Tensor, "video utterance"]] | None = None,
) -> Outputs:
    """What a network says of each utterance: every head on one shared representation, beside the evidence it hands on.

    Works for any leading axes, as long as the last one is the feature.
    """
    return Outputs({task: head(representation) for task, head in heads.items()}, attention or {}, fusion or {})


def activated(task: str, logits: Logits) -> Values:
    """What is predicted, one column per output of the task: probabilities of classes, or degrees."""
    row = TASKS[task]
    return ACTIVATIONS[row.activation].values(logits, row)


def predicted_values(task: str, logits: Logits) -> Float[Tensor, "*axes output"]:
    """`activated` as a prediction says it: in double precision, in which probabilities near 0 and 1 stay apart.

    Degrees are computed in the network's precision, as the loss sees them.
    """
    return activated(task, logits if TASKS[task].predicts_degrees else logits.double()).double()


def ranking_scores(task: str, logits: Logits) -> Values:
    """Numbers that grow with what is predicted, one column per output; those of classes never saturate."""
    row = TASKS[task]
    return ACTIVATIONS[row.activation].scores(logits, row)


def softmax_positive(logits: Float[Tensor, "*axes 2"], _row: Task) -> Float[Tensor, "*axes 1"]:
    """The probability of the second of two classes that exclude each other."""
    return logits.softmax(dim=-1)[..., 1:]


def logit_difference(logits: Float[Tensor, "*axes 2"], _row: Task) -> Float[Tensor, "*axes 1"]:
    """How much more is said for the second class than for the first."""
    return logits[..., 1:] - logits[..., :1]


def sigmoid_activation(logits: Logits, _row: Task) -> Values:
    """The probability of each class, which exclude nothing."""
    return logits.sigmoid()


def unchanged(logits: Logits, _row: Task) -> Values:
    """The logits themselves."""
    return logits


def bounded_tanh(logits: Logits, row: Task) -> Values:
    """Top tanh(z / top): any number into a range around zero, [-top, top]."""
    top = row.range[1]
    return top * torch.tanh(logits / top)


def bounded_sigmoid(logits: Logits, row: Task) -> Values:
    """Top sigmoid(z): any number into a range from zero, [0, top]."""
    return row.range[1] * torch.sigmoid(logits)


@dataclass(frozen=True)
class Activation:
    """From the logits of a task to what is predicted."""

    values: Callable[[Logits, Task], Values]
    # what outputs are ranked by, where an epoch is chosen
    scores: Callable[[Logits, Task], Values]


ACTIVATIONS: dict[str, Activation] = {
    "softmax": Activation(softmax_positive, logit_difference),
    "sigmoid": Activation(sigmoid_activation, unchanged),
    "bounded_tanh": Activation(bounded_tanh, bounded_tanh),
    "bounded_sigmoid": Activation(bounded_sigmoid, bounded_sigmoid),
}
