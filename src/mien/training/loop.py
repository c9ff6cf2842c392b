"""The training loop: epochs over whole videos, with validation and a checkpoint after each epoch.

No function takes the test split: the weights are learned from the train split, and the epoch is chosen on the valid
split. The module also defines the optimizer and the schedule of its learning rates.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import TrainingError
from mien.storage.files import PARTIAL_FILES, atomic_file, remove_partial
from mien.storage.runs import epoch_file
from mien.tasks import Task
from mien.training.batching import Scaling, VideoSet, collate, rows_of
from mien.training.buckets import BatchBudget, bucketed_batches
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
# weights of the best epoch so far, in the folder of the resume file
BEST_FILES = "best-*.safetensors"
HISTORY_FILE = Path("history.jsonl")
MODEL_FILE = Path("model.safetensors")

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class FitSpec:
    """Settings, seed, scaling of the inputs, and tasks of a training.

    Together with the network and the videos, they determine the result of the training.
    """

    settings: TrainSettings
    seed: int
    scaling: Scaling
    tasks: tuple[Task, ...]


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> np.random.Generator:
    """Seed torch for one epoch, and return a random generator for the order of its batches.

    Every epoch has separate random numbers, which depend only on the seed and the epoch. A resumed training therefore
    gives bit-identical results, although no state of a random generator is stored.

    Args:
        seed: Seed of the run.
        epoch: Epoch, counted from 1. The value 0 is used for the initial weights.
        rank: Index of this process. It changes only the seed of torch, so that all processes have the same order of
            batches.

    Returns:
        Random generator for the order of the batches.
    """
    dropout, order = np.random.SeedSequence([seed, epoch]).spawn(2)
    torch.manual_seed(int(dropout.generate_state(1, np.uint64)[0] >> 1) + rank)
    return np.random.default_rng(order)


@reporting_lost_process()
def fit(
    make_network: Callable[[], nn.Module], train: VideoSet, valid: VideoSet, spec: FitSpec, folder: Path, report: Report
) -> Progress:
    """Train a network until the last epoch or until early stopping.

    If `folder` contains an interrupted training, it is resumed. The function writes model.safetensors (the weights of
    the epoch with the best validation score), history.jsonl and, with the setting `keep_epochs`, the weights of every
    epoch in epochs/. On a CPU, a seed gives bit-identical weights and history, however often the training was
    interrupted.

    Args:
        make_network: Function that builds the network. It is called once, after torch was seeded.
        train: The train split.
        valid: The valid split, on which the epoch is chosen.
        spec: Settings, seed, scaling of the inputs, and tasks.
        folder: Run folder to write into.
        report: Function that is called after each epoch with the record (losses and scores) of this epoch.

    Returns:
        Best epoch, history and seconds per epoch of the whole training, including the epochs before a resumption.

    Raises:
        TrainingError: The validation loss is not finite, or another process of the training has ended.
        DamagedFileError: The file to resume from does not fit the network.
        WriteError: A file cannot be written.
    """
    settings = spec.settings
    with torch_threads(settings.threads):
        fabric = launch_fabric(settings)
        seed_epoch(spec.seed, 0)
        bare_network, weighting = make_network(), TaskWeighting(spec.tasks, settings).to(fabric.device)
        network, optimizer = fabric.setup(bare_network, weighting.trained_by(make_optimizer(bare_network, settings)))
        modules = {"network": bare_network, "weighting": weighting}
        progress = Progress()
        if (folder / RESUME_FILE).exists():
            progress = restore_progress(folder / RESUME_FILE, modules, optimizer.optimizer)
        while not _is_training_done(progress, settings):
            started_s = time.perf_counter()
            record = {"epoch": float(progress.epoch + 1)}
            record |= _train_epoch(fabric, (network, weighting), optimizer, train, spec, progress.epoch + 1)
            # All processes use the record of the first one. A different kind of processor may round differently, and a
            # process with its own record could then choose a different best epoch or stop earlier.
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
                _save_epoch(folder, modules, optimizer.optimizer, spec, progress)
                report(record)
            fabric.barrier()
        if fabric.is_global_zero:
            _save_best_model(folder, progress)
        fabric.barrier()
        return progress


def _train_epoch(
    fabric: Fabric, modules: tuple[nn.Module, TaskWeighting], optimizer: Any, train: VideoSet, spec: FitSpec, epoch: int
) -> dict[str, float]:
    """Train the two `modules` for one epoch. They are the network and the weighting of the tasks' losses.

    Returns:
        The loss, averaged over the steps, under the key ``train_loss``.
    """
    network, weighting = modules
    rng = seed_epoch(spec.seed, epoch, fabric.global_rank)
    network.train()
    total = 0.0
    batches = bucketed_batches(
        train.lengths.numpy(), spec.settings.batch_videos, rng, _token_budget(train, spec.settings)
    )
    for step, numbers in enumerate(batches):
        # The learning rate is that of the middle of the step, so that neither the first nor the last step has the rate
        # zero.
        set_rates(optimizer, (epoch - 1 + (step + 0.5) / len(batches)) / spec.settings.epochs, spec.settings)
        local, gradient_factor = _share_of_batch(numbers, fabric)
        batch, rows = collate(train, local)
        targets = train.targets.at(rows)
        counts = scored_counts(targets if len(local) == len(numbers) else train.targets.at(rows_of(train, numbers)))
        batch = to_device(batch, fabric.device)
        sums = loss_sums(network(batch), batch, to_device(targets, fabric.device), spec.tasks)
        loss = weighting.total(sums, counts) * gradient_factor + weighting.penalty(counts)
        optimizer.zero_grad()
        fabric.backward(loss)
        # Fabric averages only the gradients of the network.
        for parameter in weighting.parameters():
            parameter.grad = cast(Tensor, fabric.all_reduce(cast(Tensor, parameter.grad), reduce_op="mean"))
        optimizer.step()
        total += float(cast(Tensor, fabric.all_reduce(loss.detach(), reduce_op="mean")))
    return {"train_loss": total / len(batches)}


def _token_budget(videos: VideoSet, settings: TrainSettings) -> BatchBudget | None:
    """Return the limit on the number of tokens per batch, or None if no limit is set or the split has no tokens."""
    if settings.batch_tokens is None or videos.n_tokens is None:
        return None
    return BatchBudget(videos.n_tokens, settings.batch_tokens)


def _share_of_batch(numbers: Sequence[int], fabric: Fabric) -> tuple[Sequence[int], float]:
    """Return the videos of a batch that this process computes, and a factor by which its loss is multiplied.

    `numbers` contains the indices of the videos of the batch. The factor is the number of processes, because Fabric
    averages the gradients over the processes, but their sum is needed. If there are fewer videos than processes, every
    process computes all videos, and the factor is 1.
    """
    if len(numbers) < fabric.world_size:
        return numbers, 1.0
    return numbers[fabric.global_rank :: fabric.world_size], float(fabric.world_size)


def _is_training_done(progress: Progress, settings: TrainSettings) -> bool:
    if progress.epoch >= settings.epochs:
        return True
    return settings.patience is not None and progress.epoch - progress.best_epoch >= settings.patience


def _save_epoch(
    folder: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, spec: FitSpec, progress: Progress
) -> None:
    """Write the files of a completed epoch: weights, history, and the file from which the training can be resumed.

    The weights of the best epoch so far are stored in a separate file. It is written before the file to resume from,
    because a training that is resumed needs both. Finally, the weights of earlier best epochs are deleted.
    """
    weights = model_weights(modules, spec.scaling)
    if spec.settings.keep_epochs:
        save_weights(folder / epoch_file(progress.epoch), weights)
    if progress.best_epoch == progress.epoch:
        save_weights(folder / RESUME_FILE.parent / f"best-{progress.epoch:04d}.safetensors", weights)
    save_progress(folder / RESUME_FILE, modules, optimizer, progress)
    write_history(folder, progress)
    for old in (folder / RESUME_FILE.parent).glob(BEST_FILES):
        if old.stem != f"best-{progress.best_epoch:04d}":
            old.unlink()


def write_history(folder: Path, progress: Progress) -> None:
    """Write history.jsonl, one JSON line per epoch.

    Args:
        folder: Run folder.
        progress: Progress whose history is written.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_file(folder / HISTORY_FILE) as aside:
        aside.write_text("".join(json.dumps(record) + "\n" for record in progress.history), encoding="utf-8")


def remove_resume_files(folder: Path) -> None:
    """Remove the files from which a training that has finished could be resumed. Other files stay where they are."""
    resume = folder / RESUME_FILE.parent
    with suppress(OSError):  # the folder is missing or read-only, or a user put files there
        for path in (folder / RESUME_FILE, *resume.glob(BEST_FILES)):
            path.unlink(missing_ok=True)
        remove_partial(resume, PARTIAL_FILES, sole_writer=True)
        resume.rmdir()


def _save_best_model(folder: Path, progress: Progress) -> None:
    """Write model.safetensors, with the weights of the best epoch, and history.jsonl."""
    best, _ = load_weights(folder / RESUME_FILE.parent / f"best-{progress.best_epoch:04d}.safetensors")
    save_weights(folder / MODEL_FILE, best)
    write_history(folder, progress)


# prefix of the names of a text encoder's parameters
ENCODER = "encoder."
INITIAL_RATE = "initial_lr"


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Create an Adam optimizer, as in the paper, for the trained parameters of a network.

    It uses torch's fused implementation of Adam, which is faster than the default implementation. On a CPU, the default
    implementation would account for an eighth of the duration of an epoch.

    Args:
        network: Network to train; frozen parameters are skipped.
        settings: Learning rates and weight decay. If `encoder_learning_rate` is set, it is the learning rate of a text
            encoder.

    Returns:
        The optimizer.
    """
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    other = [parameter for name, parameter in trained.items() if not name.startswith(ENCODER)]
    encoder = [parameter for name, parameter in trained.items() if name.startswith(ENCODER)]
    groups: list[dict[str, Any]] = [{"params": other}]
    if encoder:
        groups.append({"params": encoder, "lr": settings.encoder_learning_rate or settings.learning_rate})
    return torch.optim.Adam(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, done: float, settings: TrainSettings) -> None:
    """Set the learning rates of an optimizer for one step.

    Args:
        optimizer: Optimizer to change. The first call stores the initial rates in its parameter groups.
        done: Completed fraction of all steps of the training, in [0, 1].
        settings: Warm-up and decay of the learning rates.
    """
    factor = rate_factor(done, settings)
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault(INITIAL_RATE, group["lr"]) * factor


def rate_factor(done: float, settings: TrainSettings) -> float:
    """Compute the factor by which the initial learning rate is multiplied at one point of the training.

    The factor rises linearly from 0 to 1 during the warm-up. Afterwards it stays 1 or, with `linear_decay`, falls
    linearly to 0 at the end of the training.

    Args:
        done: Completed fraction of all steps of the training, in [0, 1].
        settings: Warm-up and decay of the learning rates.

    Returns:
        Factor in [0, 1].
    """
    if done < settings.warmup:
        return done / settings.warmup
    return (1 - done) / (1 - settings.warmup) if settings.linear_decay else 1.0
