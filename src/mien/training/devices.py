"""Devices through Lightning Fabric: one or several CPUs or GPUs, one process each (docs/multi-device.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mien.errors import TrainingError
from mien.training.train_settings import TrainSettings

if TYPE_CHECKING:  # it takes two seconds to import, and only training needs it
    from lightning_fabric import Fabric

# where a launcher says which process this is; the first one that is set counts (Fabric reads them in this order)
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
# tells the further processes who started them, until all have met
STARTED_BY = "MIEN_STARTED_BY"
WATCH_EVERY_S = 1.0


def launch_fabric(settings: TrainSettings) -> Fabric:
    """Fabric for these settings, in as many processes as there are devices, once all of them have met.

    With several devices a batch may leave the encoder of a modality unused in one process (all its videos lack it), so
    unused parameters are looked for.
    """
    from lightning_fabric import Fabric

    strategy = "auto" if settings.devices == 1 else "ddp_find_unused_parameters_true"
    accelerator, devices, precision = settings.accelerator, settings.devices, settings.precision
    fabric = Fabric(accelerator=accelerator, strategy=strategy, devices=devices, precision=precision)  # type: ignore[arg-type]  # Fabric checks the words itself
    if devices == 1:
        fabric.launch()
        return fabric
    all_met = threading.Event()
    starter = None if is_first_process(devices) else int(os.environ.get(STARTED_BY, os.getppid()))
    os.environ[STARTED_BY] = str(os.getpid())
    threading.Thread(target=_watch_the_start, args=(fabric, starter, all_met), daemon=True).start()
    try:
        fabric.launch()
    finally:
        all_met.set()
        del os.environ[STARTED_BY]
    return fabric


def is_first_process(devices: int) -> bool:
    """False in the further processes of a training on several devices, which run the same command again.

    A training on one device has no further process, whatever a cluster's launcher says about the one it runs in.
    """
    return devices == 1 or next((int(os.environ[name]) for name in RANK_VARIABLES if name in os.environ), 0) == 0


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads inside the block: on another number sums round otherwise, and machines would differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def reporting_lost_process() -> Iterator[None]:
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


def _watch_the_start(fabric: Fabric, starter: int | None, all_met: threading.Event) -> None:
    """End this process if one that it waits for is gone: the one that started it, or one that it has started.

    Later, the next exchange of gradients notices; but before all have met, torch would wait for half an hour.
    """
    started: list[subprocess.Popen[bytes]] = getattr(fabric.strategy.launcher, "procs", [])
    while not all_met.wait(WATCH_EVERY_S):
        if any(process.poll() for process in started) or (starter is not None and os.getppid() != starter):
            for process in started:
                process.kill()
            sys.stderr.write(
                "mien: Expected every process of this training to start, but one of them ended; read what it said "
                "last, and repeat the command\n"
            )
            sys.stderr.flush()
            os._exit(1)
