"""The training loop: epochs over whole videos, validation after each, a checkpoint after each.

There is no test argument: what a run learns and chooses comes from `train` and `valid` alone.

How a network's parameters move: the optimizer, and its learning rates over the course of a training.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.storage.files import atomic_file
from mien.storage.runs import epoch_file
from mien.training.batching import BatchBudget, Scaling, VideoSet, bucketed_batches, collate, rows_of
from mien.training.checkpoint import (
    Progress,
    load_weights,
    model_weights,
    restore_progress,
    save_progress,
    save_weights,
)
from mien.training.devices import launch_fabric, reporting_lost_process, torch_threads
from mien.training.losses import TaskWeighting, loss_sums, scored_counts
from mien.training.train_settings import TrainSettings
from mien.training.validation import to_device, validation_record

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RESUME_FILE = Path("resume/progress.safetensors")
HISTORY_FILE = Path("history.jsonl")
MODEL_FILE = Path("model.safetensors")

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class FitSpec:
    """All that decides what is learned, beside the videos."""

    settings: TrainSettings
    seed: int
    scaling: Scaling
    tasks: tuple[str, ...]


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> np.random.Generator:
    """Seed torch for one epoch and return the generator of its batch order.

    Every epoch draws from its own stream, so a resumed training needs no stored random state to continue to the bit.
    """
    dropout, order = np.random.SeedSequence([seed, epoch]).spawn(2)
    torch.manual_seed(int(dropout.generate_state(1, np.uint64)[0] >> 1) + rank)
    return np.random.default_rng(order)


@reporting_lost_process()
def fit(
    make_network: Callable[[], nn.Module], train: VideoSet, valid: VideoSet, spec: FitSpec, folder: Path, report: Report
) -> Progress:
    """Train into `folder` from where it stands; returns after the last epoch or when patience is out.

    Leaves model.safetensors (the epoch with the best validation score), history.jsonl and, if kept, epochs/.
    Deterministic for a seed on CPU, also across any number of kills: the same weights and history to the bit. Calls
    `report` with the history record of every epoch that it ran. Raises TrainingError when the loss is not finite, or
    when another process of a training on several devices has ended.
    """
    settings = spec.settings
    with torch_threads(settings.threads):
        fabric = launch_fabric(settings)
        seed_epoch(spec.seed, 0)
        plain, weighting = make_network(), TaskWeighting(spec.tasks, settings).to(fabric.device)
        network, optimizer = fabric.setup(plain, weighting.trained_by(make_optimizer(plain, settings)))
        modules = {"network": plain, "weighting": weighting}
        progress = Progress()
        if (folder / RESUME_FILE).exists():
            progress = restore_progress(folder / RESUME_FILE, modules, optimizer.optimizer)
        while not _finished(progress, settings):
            started_s = time.perf_counter()
            record = {"epoch": float(progress.epoch + 1)}
            record |= _train_epoch(fabric, (network, weighting), optimizer, train, spec, progress.epoch + 1)
            # One process' word for all: another kind of processor may round to another best epoch, and stop at another.
            record |= fabric.broadcast(validation_record(network, weighting, valid, settings))
            if not math.isfinite(record["valid_loss"]):
                raise TrainingError(
                    f"Expected a finite validation loss, but got {record['valid_loss']} in epoch {progress.epoch + 1}; "
                    "lower learning_rate, or look for extreme feature values with: mien describe"
                )
            progress.epoch += 1
            progress.history.append(record)
            if record["valid_score"] > progress.best_score:
                progress.best_epoch, progress.best_score = progress.epoch, record["valid_score"]
            progress.seconds.append(time.perf_counter() - started_s)
            if fabric.is_global_zero:
                _keep(folder, modules, optimizer.optimizer, spec, progress)
                report(record)
            fabric.barrier()
        if fabric.is_global_zero:
            _finish(folder, progress)
        fabric.barrier()
        return progress


def _train_epoch(
    fabric: Fabric,
    modules: tuple[nn.Module, TaskWeighting],
    optimizer: Any,
    train: VideoSet,
    spec: FitSpec,
    epoch: int,
) -> dict[str, float]:
    network, weighting = modules
    rng = seed_epoch(spec.seed, epoch, fabric.global_rank)
    network.train()
    total = 0.0
    batches = bucketed_batches(train.lengths.numpy(), spec.settings.batch_videos, rng, _budget(train, spec.settings))
    for step, numbers in enumerate(batches):
        # the middle of the step, so that neither the first nor the last is lost on a rate of zero
        set_rates(optimizer, (epoch - 1 + (step + 0.5) / len(batches)) / spec.settings.epochs, spec.settings)
        mine, share = _my_part(numbers, fabric)
        batch, rows = collate(train, mine)
        targets = train.targets.at(rows)
        counts = scored_counts(targets if len(mine) == len(numbers) else train.targets.at(rows_of(train, numbers)))
        batch = to_device(batch, fabric.device)
        sums = loss_sums(network(batch), batch, to_device(targets, fabric.device))
        loss = weighting.total(sums, counts) * share + weighting.penalty(counts)
        optimizer.zero_grad()
        fabric.backward(loss)
        # Fabric averages the gradients of the network alone.
        for learned in weighting.parameters():
            learned.grad = cast(Tensor, fabric.all_reduce(cast(Tensor, learned.grad), reduce_op="mean"))
        optimizer.step()
        total += float(cast(Tensor, fabric.all_reduce(loss.detach(), reduce_op="mean")))
    return {"train_loss": total / len(batches)}


def _budget(videos: VideoSet, settings: TrainSettings) -> BatchBudget | None:
    if settings.batch_tokens is None or videos.n_tokens is None:
        return None
    return BatchBudget(videos.n_tokens, settings.batch_tokens)


def _my_part(numbers: Sequence[int], fabric: Fabric) -> tuple[Sequence[int], float]:
    """This process' videos of a global batch, and the factor that undoes the averaging of gradients over processes."""
    if len(numbers) < fabric.world_size:
        return numbers, 1.0
    return numbers[fabric.global_rank :: fabric.world_size], float(fabric.world_size)


def _finished(progress: Progress, settings: TrainSettings) -> bool:
    if progress.epoch >= settings.epochs:
        return True
    return settings.patience is not None and progress.epoch - progress.best_epoch >= settings.patience


def _keep(
    folder: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    spec: FitSpec,
    progress: Progress,
) -> None:
    """Write the epoch's files; the resume file last, so that whatever it promises is there."""
    weights = model_weights(modules, spec.scaling)
    if spec.settings.keep_epochs:
        save_weights(folder / epoch_file(progress.epoch), weights)
    if progress.best_epoch == progress.epoch:
        save_weights(folder / RESUME_FILE.parent / f"best-{progress.epoch:04d}.safetensors", weights)
    save_progress(folder / RESUME_FILE, modules, optimizer, progress)
    write_history(folder, progress)
    for old in (folder / RESUME_FILE.parent).glob("best-*.safetensors"):
        if old.stem != f"best-{progress.best_epoch:04d}":
            old.unlink()


def write_history(folder: Path, progress: Progress) -> None:
    """One JSON line per epoch."""
    with atomic_file(folder / HISTORY_FILE) as aside:
        aside.write_text("".join(json.dumps(record) + "\n" for record in progress.history), encoding="utf-8")


def _finish(folder: Path, progress: Progress) -> None:
    best, _ = load_weights(folder / RESUME_FILE.parent / f"best-{progress.best_epoch:04d}.safetensors")
    save_weights(folder / MODEL_FILE, best)
    write_history(folder, progress)


# parameters below this name are a text encoder's
ENCODER = "encoder."
INITIAL_RATE = "initial_lr"


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam, as in the paper, of what is learned. Fused: the plain one takes an eighth of an epoch on a CPU."""
    learned = {name: each for name, each in network.named_parameters() if each.requires_grad}
    rest = [each for name, each in learned.items() if not name.startswith(ENCODER)]
    encoder = [each for name, each in learned.items() if name.startswith(ENCODER)]
    groups: list[dict[str, Any]] = [{"params": rest}]
    if encoder:
        groups.append({"params": encoder, "lr": settings.encoder_learning_rate or settings.learning_rate})
    return torch.optim.Adam(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, done: float, settings: TrainSettings) -> None:
    """Set the learning rates for a step before which the share `done` of all steps was made."""
    factor = rate_factor(done, settings)
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault(INITIAL_RATE, group["lr"]) * factor


def rate_factor(done: float, settings: TrainSettings) -> float:
    """Rises linearly to one over the warm-up; then one, or falling linearly to zero at the end."""
    if done < settings.warmup:
        return done / settings.warmup
    return (1 - done) / (1 - settings.warmup) if settings.linear_decay else 1.0
