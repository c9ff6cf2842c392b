"""Output layers (heads): one per task, directly on the shared representation (paper, Algorithm 1; released code).

A head computes logits. The activation that the kind of the task names turns logits into predicted values: probabilities
of classes, or intensities, which the paper leaves to future work. The activation maps a logit z smoothly into the range
of the intensity labels:

- a score such as sentiment: 3 tanh(z / 3) in [-3, 3], with slope 1 at zero, where most labels are;
- degrees such as those of emotions: 3 sigmoid(z) in [0, 3], initialised near 0.3, because most intensities are zero.

The probabilities that an ordered label reaches its cut points must not rise from one cut point to the next. The first
logit is the log odds of the first cut point. Each further log odds is that before, minus softplus of the next logit.

The loss is computed on these mapped values, and predictions need no clipping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import UsageError
from mien.models.batch import Outputs
from mien.tasks import Task

Logits = Float[Tensor, "*axes logit"]
Values = Float[Tensor, "*axes output"]


def make_heads(n_features: int, tasks: Sequence[Task]) -> nn.ModuleDict:
    """Create the output layer (head) of each task: one linear layer.

    Args:
        n_features: Number of features that every head takes as input.
        tasks: The tasks, in the order in which their weights are drawn.

    Returns:
        One head per task, by name. If a task defines a `first_share`, the bias of its head is set so that the untrained
        head predicts about this fraction of the largest value that the task allows.

    Raises:
        UsageError: There is no task, or torch does not allow its name.
    """
    if not tasks:
        raise UsageError("Expected at least one task, but got none; name them with --tasks")
    heads = by_task_name(tasks, lambda task: nn.Linear(n_features, task.n_logits))
    for task in tasks:
        head = heads[task.name]
        if (share := task.row.first_share) is not None:
            assert isinstance(head.bias, Tensor)
            nn.init.constant_(head.bias, math.log(share / (1 - share)))
    return heads


def by_task_name(tasks: Sequence[Task], make: Callable[[Task], nn.Module]) -> nn.ModuleDict:
    """Make one module per task.

    Args:
        tasks: The tasks.
        make: Function that makes the module of a task.

    Returns:
        The modules by the name of the task.

    Raises:
        UsageError: A name is that of an attribute of torch's dictionaries of modules.
    """
    for task in tasks:
        if hasattr(nn.ModuleDict, task.name):
            raise UsageError(
                f"Expected a label whose name torch does not use itself, but got {task.name!r}; import it under another"
            )
    return nn.ModuleDict({task.name: make(task) for task in tasks})


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


def activated(task: Task, logits: Logits) -> Values:
    """Turn the logits of a task into predicted values.

    Args:
        task: The task.
        logits: Output of the head of the task.

    Returns:
        Probabilities of classes, or intensities; one column per output of the task.
    """
    return ACTIVATIONS[task.row.activation].values(logits, task)


def predicted_values(task: Task, logits: Logits) -> Float[Tensor, "*axes output"]:
    """Turn the logits of a task into predicted values in double precision.

    In double precision, probabilities near 0 and 1 stay distinct. Intensities are first computed in the precision of
    the network, as for the loss, and then converted.

    Args:
        task: The task.
        logits: Output of the head of the task.

    Returns:
        Probabilities of classes, or intensities; one column per output of the task.
    """
    return activated(task, logits if task.predicts_degrees else logits.double()).double()


def ranking_scores(task: Task, logits: Logits) -> Values:
    """Compute scores that rank utterances in the same order as the predicted values do.

    For classes, the scores are log odds. They stay distinct where probabilities are rounded to 0 or 1. For intensities,
    the scores are the predicted values.

    Args:
        task: The task.
        logits: Output of the head of the task.

    Returns:
        Scores; one column per output of the task.
    """
    return ACTIVATIONS[task.row.activation].scores(logits, task)


def softmax_positive(logits: Float[Tensor, "*axes 2"], _task: Task) -> Float[Tensor, "*axes 1"]:
    """Return the probability of the second of two mutually exclusive classes.

    Args:
        logits: Logits of the two classes.
        _task: Unused.

    Returns:
        Probabilities in [0, 1].
    """
    return logits.softmax(dim=-1)[..., 1:]


def logit_difference(logits: Float[Tensor, "*axes 2"], _task: Task) -> Float[Tensor, "*axes 1"]:
    """Return the logit of the second class minus that of the first.

    Args:
        logits: Logits of the two classes.
        _task: Unused.

    Returns:
        Log odds of the second class.
    """
    return logits[..., 1:] - logits[..., :1]


def sigmoid_activation(logits: Logits, _task: Task) -> Values:
    """Return the probability of each of several classes that may occur together.

    Args:
        logits: One logit per class.
        _task: Unused.

    Returns:
        Probabilities in [0, 1].
    """
    return logits.sigmoid()


def unchanged(logits: Logits, _task: Task) -> Values:
    """Return the logits of independent classes as they are, because they are already log odds.

    Args:
        logits: One logit per output.
        _task: Unused.

    Returns:
        The same logits.
    """
    return logits


def softmax_all(logits: Logits, _task: Task) -> Values:
    """Return the probabilities of classes that exclude each other.

    Args:
        logits: One logit per class.
        _task: Unused.

    Returns:
        Probabilities, whose sum over the classes is 1.
    """
    return logits.softmax(dim=-1)


def one_against_rest(logits: Logits, _task: Task) -> Values:
    """Return the log odds of each of several classes that exclude each other.

    Args:
        logits: One logit per class.
        _task: Unused.

    Returns:
        Log odds of each class against all others.
    """
    n = logits.shape[-1]
    own = torch.eye(n, dtype=torch.bool, device=logits.device)
    return logits - logits.unsqueeze(-2).expand(*logits.shape, n).masked_fill(own, -torch.inf).logsumexp(dim=-1)


def cumulative_logits(logits: Logits) -> Values:
    """Return the log odds that an ordered label reaches each cut point; they fall from one cut point to the next.

    Args:
        logits: One logit per cut point.

    Returns:
        The first logit, and below it the sum of softplus of the other logits up to the cut point.
    """
    falls = functional.softplus(logits[..., 1:]).cumsum(dim=-1)
    return torch.cat([logits[..., :1], logits[..., :1] - falls], dim=-1)


def reached_values(logits: Logits, _task: Task) -> Values:
    """Return the probability that an ordered label reaches each cut point.

    Args:
        logits: One logit per cut point.
        _task: Unused.

    Returns:
        Probabilities, which do not rise from one cut point to the next.
    """
    return cumulative_logits(logits).sigmoid()


def reached_scores(logits: Logits, _task: Task) -> Values:
    """Return the log odds that an ordered label reaches each cut point.

    Args:
        logits: One logit per cut point.
        _task: Unused.

    Returns:
        Log odds.
    """
    return cumulative_logits(logits)


def bounded_tanh(logits: Logits, task: Task) -> Values:
    """Map each logit z to a score between the ends of its range: middle + h * tanh(z / h), where h is half the width.

    Args:
        logits: One logit per output.
        task: Task that has the range.

    Returns:
        Scores in the range.
    """
    low, high = task.range
    middle, half = (low + high) / 2, (high - low) / 2
    values = half * torch.tanh(logits / half)
    return values + middle if middle else values


def bounded_sigmoid(logits: Logits, task: Task) -> Values:
    """Map each logit z to an intensity in [0, top]: top * sigmoid(z).

    Args:
        logits: One logit per output.
        task: Task whose largest intensity is `top`.

    Returns:
        Intensities in [0, top].
    """
    return task.range[1] * torch.sigmoid(logits)


@dataclass(frozen=True)
class Activation:
    """Two functions of the logits of a task: one computes the predicted values, the other the ranking scores."""

    values: Callable[[Logits, Task], Values]
    # scores that rank utterances when the best epoch is chosen
    scores: Callable[[Logits, Task], Values]


ACTIVATIONS: dict[str, Activation] = {
    "softmax_positive": Activation(softmax_positive, logit_difference),
    "softmax": Activation(softmax_all, one_against_rest),
    "cumulative": Activation(reached_values, reached_scores),
    "sigmoid": Activation(sigmoid_activation, unchanged),
    "bounded_tanh": Activation(bounded_tanh, bounded_tanh),
    "bounded_sigmoid": Activation(bounded_sigmoid, bounded_sigmoid),
}
