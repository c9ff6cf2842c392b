"""Devices through Lightning Fabric: one or several CPUs or GPUs, one process each (docs/multi-device.md)."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mien.errors import TrainingError
from mien.training.settings import TrainSettings

if TYPE_CHECKING:  # it takes two seconds to import, and only training needs it
    from lightning_fabric import Fabric

# where a launcher says which process this is; the first one that is set counts (Fabric reads them in this order)
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
WATCH_EVERY_S = 1.0


def make_fabric(settings: TrainSettings) -> Fabric:
    """Fabric for these settings, not yet launched.

    With several devices a batch may leave the encoder of a modality unused in one process (all its videos lack it), so
    unused parameters are looked for.
    """
    from lightning_fabric import Fabric

    if not is_first_process(settings.devices):
        _end_with_starter()
    strategy = "auto" if settings.devices == 1 else "ddp_find_unused_parameters_true"
    accelerator, devices, precision = settings.accelerator, settings.devices, settings.precision
    return Fabric(accelerator=accelerator, strategy=strategy, devices=devices, precision=precision)  # type: ignore[arg-type]  # Fabric checks the words itself


def is_first_process(devices: int) -> bool:
    """False in the further processes of a training on several devices, which run the same command again.

    A training on one device has no further process, whatever a cluster's launcher says about the one it runs in.
    """
    return devices == 1 or next((int(os.environ[name]) for name in RANK_VARIABLES if name in os.environ), 0) == 0


@contextmanager
def lost_process_told() -> Iterator[None]:
    """Raise TrainingError where the other processes of a training can no longer be reached, because one ended."""
    try:
        yield
    except RuntimeError as error:
        # NCCL's failures have a class of their own, gloo's have only its name in their text
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "Expected every process of this training to stay, but got no answer from one of them; read what it said "
            "last, then repeat the command with --resume: it goes on after the last complete epoch"
        ) from error


def _end_with_starter() -> None:
    """End this process when the one that started it is gone.

    A lost partner is noticed by the next exchange of gradients, but before the first one a process would wait for half
    an hour for a partner that never comes.
    """
    starter = os.getppid()

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(WATCH_EVERY_S)
        sys.stderr.write("mien: Expected the process that started this training to stay, but it ended; so do I\n")
        sys.stderr.flush()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="starter-watch").start()
