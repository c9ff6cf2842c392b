"""Validation after every epoch: the loss of each task, and the score that chooses the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.metrics.ranking import concordance_index, roc_auc
from mien.models.heads import ranking_scores
from mien.schema import BoolArray, FloatArray
from mien.tasks import Task, in_order
from mien.training.batching import VideoSet, collate
from mien.training.buckets import bucketed_batches
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.train_settings import TrainSettings

PREDICTION_BATCH_VIDEOS = 64
SELECT_BY_LOSS = "loss"
# name in `TaskKind.ordering` -> ranking metric: the probability that two utterances with different labels are ranked in
# the right order
ORDERINGS: dict[str, Callable[[Any, Any], float]] = {"roc_auc": roc_auc, "concordance": concordance_index}
ORDERING_NAMES = {"roc_auc": "ROC AUC", "concordance": "concordance index"}


def validation_record(
    network: nn.Module, weighting: TaskWeighting, valid: VideoSet, settings: TrainSettings
) -> dict[str, float]:
    """Evaluate a network on the valid split: losses, one ranking score per task, and ``valid_score``.

    The ranking score of a task measures how well its predictions order the utterances. It is the ROC AUC if the task
    predicts classes, and the concordance index if it predicts intensities, averaged over the outputs of the task. A
    ranking score is undefined if all labels are equal.

    ``valid_score`` is the mean of the defined ranking scores; higher is better. If no ranking score is defined, or if
    `select_by` is "loss", ``valid_score`` is the negative total loss.

    Args:
        network: Network; it is set to evaluation mode.
        weighting: Weights of the tasks' losses.
        valid: The valid split with targets.
        settings: Training settings, of which only `select_by` is used.

    Returns:
        A record with ``valid_loss`` (the total loss), ``valid_loss_<task>``, ``valid_<metric>_<task>`` (the ranking
        score, if it is defined; the metric is roc_auc or concordance), and ``valid_score``. If the weights of the tasks
        are learned, it also has ``log_variance_<task>``. If the loss is not finite, the record has only ``valid_loss``
        and a ``valid_score`` of NaN.
    """
    sums: dict[str, float] = {}
    scores: dict[str, FloatArray] = {}
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for numbers in bucketed_batches(valid.lengths.numpy(), PREDICTION_BATCH_VIDEOS, None):
            batch, rows = collate(valid, numbers)
            batch = to_device(batch, device)
            outputs, targets = network(batch), to_device(valid.targets.at(rows), device)
            for task, total in loss_sums(outputs, batch, targets, weighting.tasks).items():
                sums[task] = sums.get(task, 0.0) + float(total)
            for each in weighting.tasks:
                ranking = ranking_scores(each, outputs.logits[each.name])[batch.real].float().cpu().numpy()
                scores.setdefault(each.name, np.zeros(valid.targets.values[each.name].shape))[rows.numpy()] = ranking
        counts = scored_counts(valid.targets)
        totals = {task: torch.tensor(value, device=device) for task, value in sums.items()}
        record = {"valid_loss": float(weighting.total(totals, counts) + weighting.penalty(counts))}
    if not np.isfinite(record["valid_loss"]):
        return record | {"valid_score": float("nan")}
    record |= {f"valid_loss_{task}": value / max(counts[task], 1) for task, value in sums.items()}
    record |= {f"log_variance_{task}": s.item() for task, s in weighting.log_variances.items()}
    orderings = {}
    for each in in_order(weighting.tasks):
        scored = valid.targets.scored[each.name].numpy()
        labels = valid.targets.values[each.name].numpy()[scored]
        orderings[each] = ordering(each, labels, scores[each.name][scored])
    return record | ordering_record(orderings, record["valid_loss"], by_loss=settings.select_by == SELECT_BY_LOSS)


def ranking_key(task: Task) -> str:
    """Return the key of the ranking score of a task in the record of an epoch."""
    return f"valid_{task.row.ordering}_{task.name}"


def has_ranking_score(record: Mapping[str, float]) -> bool:
    """Return whether the ranking score of any task is defined in the record of an epoch."""
    return any(key.startswith(f"valid_{name}_") for key in record for name in ORDERINGS)


def ordering_record(orderings: Mapping[Task, float], loss: float, *, by_loss: bool) -> dict[str, float]:
    """Compute ``valid_score`` from the ranking scores of the tasks, and return both in one record.

    Args:
        orderings: Ranking score in [0, 1] (ROC AUC or concordance index) by task, NaN where undefined.
        loss: Total loss on the valid split.
        by_loss: If True, ``valid_score`` is the negative loss.

    Returns:
        Every defined ranking score as ``valid_<metric>_<task>``, where the metric is roc_auc or concordance; and
        ``valid_score``, the mean of these scores. If none is defined, ``valid_score`` is the negative loss.
    """
    defined = {task: value for task, value in orderings.items() if np.isfinite(value)}
    record = {ranking_key(task): value for task, value in defined.items()}
    score = -loss if by_loss or not defined else float(np.mean(list(defined.values())))
    return record | {"valid_score": score}


def ordering(task: Task, labels: FloatArray | BoolArray, predictions: FloatArray) -> float:
    """Compute how well the predictions for a task rank the utterances.

    This is the ROC AUC for classes and the concordance index for intensities, averaged over the outputs of the task.
    Outputs whose labels are all equal are left out. The output that stands for "none of them" is left out too, because
    it follows from the other outputs.

    Args:
        task: The task.
        labels: Gold classes or intensities of labelled utterances, (utterance, output).
        predictions: Predictions, or any scores that grow with them, (utterance, output).

    Returns:
        Mean in [0, 1]. NaN if the metric is undefined for every output.
    """
    metric = ORDERINGS[task.row.ordering]
    by_output = np.array([metric(labels[:, c], predictions[:, c]) for c in range(task.n_own_outputs)])
    return float(np.nanmean(by_output)) if np.isfinite(by_output).any() else float("nan")


def to_device(facts: Any, device: torch.device) -> Any:
    """Move all tensors of a Batch or Targets to a device.

    Args:
        facts: A tensor, None, a dictionary of tensors, or a dataclass with slots. The fields of the dataclass are again
            such values.
        device: Target device.

    Returns:
        The same structure with its tensors on the device. If the device is the CPU, `facts` itself is returned.
    """
    if device.type == "cpu" or facts is None:
        return facts
    if isinstance(facts, Tensor):
        return facts.to(device)
    if isinstance(facts, dict):
        return {key: tensor.to(device) for key, tensor in facts.items()}
    return type(facts)(**{name: to_device(getattr(facts, name), device) for name in facts.__slots__})
