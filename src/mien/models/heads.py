"""Output layers (heads): one per task, directly on the shared representation (paper, Algorithm 1; released code).

A head computes logits. The activation that `TASKS` names for the task turns logits into predicted values: probabilities
of classes, or intensities, which the paper leaves to future work. The activation maps a logit z smoothly into the range
of the intensity labels:

- sentiment: 3 tanh(z / 3) in [-3, 3], with slope 1 at zero, where most labels are;
- emotions: 3 sigmoid(z) in [0, 3], initialised near 0.3, because most intensities are zero.

The loss is computed on these mapped values, and predictions need no clipping.
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
    """Create the output layer (head) of each task: one linear layer.

    Args:
        n_features: Number of features that every head takes as input.
        tasks: Keys of `TASKS`.

    Returns:
        One head per task, by name. If a task defines a `first_share`, the bias of its head is set so that the untrained
        head predicts about this fraction of the largest value that the task allows.

    Raises:
        UsageError: There is no task, or a task is unknown.
    """
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
    """Apply the heads of all tasks to one shared representation of the utterances.

    Args:
        heads: Heads by task, from `make_heads`.
        representation: Shared representation. Its last axis is the feature; any axes may precede it.
        attention: Attention weights of the network, if it has any. They are copied to the outputs.
        fusion: Weights of modalities or graph edges within an utterance, if there are any. They are copied to the
            outputs.

    Returns:
        The logits of every task, with the attention and fusion weights.
    """
    return Outputs({task: head(representation) for task, head in heads.items()}, attention or {}, fusion or {})


def activated(task: str, logits: Logits) -> Values:
    """Turn the logits of a task into predicted values.

    Args:
        task: Key of `TASKS`.
        logits: Output of the head of the task.

    Returns:
        Probabilities of classes, or intensities; one column per output of the task.
    """
    row = TASKS[task]
    return ACTIVATIONS[row.activation].values(logits, row)


def predicted_values(task: str, logits: Logits) -> Float[Tensor, "*axes output"]:
    """Turn the logits of a task into predicted values in double precision.

    In double precision, probabilities near 0 and 1 stay distinct. Intensities are first computed in the precision of
    the network, as for the loss, and then converted.

    Args:
        task: Key of `TASKS`.
        logits: Output of the head of the task.

    Returns:
        Probabilities of classes, or intensities; one column per output of the task.
    """
    return activated(task, logits if TASKS[task].predicts_degrees else logits.double()).double()


def ranking_scores(task: str, logits: Logits) -> Values:
    """Compute scores that rank utterances in the same order as the predicted values do.

    For classes, the scores are log odds. They stay distinct where probabilities are rounded to 0 or 1. For intensities,
    the scores are the predicted values.

    Args:
        task: Key of `TASKS`.
        logits: Output of the head of the task.

    Returns:
        Scores; one column per output of the task.
    """
    row = TASKS[task]
    return ACTIVATIONS[row.activation].scores(logits, row)


def softmax_positive(logits: Float[Tensor, "*axes 2"], _row: Task) -> Float[Tensor, "*axes 1"]:
    """Return the probability of the second of two mutually exclusive classes.

    Args:
        logits: Logits of the two classes.
        _row: Unused.

    Returns:
        Probabilities in [0, 1].
    """
    return logits.softmax(dim=-1)[..., 1:]


def logit_difference(logits: Float[Tensor, "*axes 2"], _row: Task) -> Float[Tensor, "*axes 1"]:
    """Return the logit of the second class minus that of the first.

    Args:
        logits: Logits of the two classes.
        _row: Unused.

    Returns:
        Log odds of the second class.
    """
    return logits[..., 1:] - logits[..., :1]


def sigmoid_activation(logits: Logits, _row: Task) -> Values:
    """Return the probability of each of several classes that may occur together.

    Args:
        logits: One logit per class.
        _row: Unused.

    Returns:
        Probabilities in [0, 1].
    """
    return logits.sigmoid()


def unchanged(logits: Logits, _row: Task) -> Values:
    """Return the logits of independent classes as they are, because they are already log odds.

    Args:
        logits: One logit per output.
        _row: Unused.

    Returns:
        The same logits.
    """
    return logits


def bounded_tanh(logits: Logits, row: Task) -> Values:
    """Map each logit z to an intensity in [-top, top]: top * tanh(z / top).

    Args:
        logits: One logit per output.
        row: Task whose largest intensity is `top`.

    Returns:
        Intensities in [-top, top].
    """
    top = row.range[1]
    return top * torch.tanh(logits / top)


def bounded_sigmoid(logits: Logits, row: Task) -> Values:
    """Map each logit z to an intensity in [0, top]: top * sigmoid(z).

    Args:
        logits: One logit per output.
        row: Task whose largest intensity is `top`.

    Returns:
        Intensities in [0, top].
    """
    return row.range[1] * torch.sigmoid(logits)


@dataclass(frozen=True)
class Activation:
    """Two functions of the logits of a task: one computes the predicted values, the other the ranking scores."""

    values: Callable[[Logits, Task], Values]
    # scores that rank utterances when the best epoch is chosen
    scores: Callable[[Logits, Task], Values]


ACTIVATIONS: dict[str, Activation] = {
    "softmax": Activation(softmax_positive, logit_difference),
    "sigmoid": Activation(sigmoid_activation, unchanged),
    "bounded_tanh": Activation(bounded_tanh, bounded_tanh),
    "bounded_sigmoid": Activation(bounded_sigmoid, bounded_sigmoid),
}
