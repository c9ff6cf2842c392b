"""Starts training on one or several CPUs or GPUs, with one process each, by Lightning Fabric (docs/multi-device.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mien.errors import SettingsError, TrainingError
from mien.training.train_settings import TrainSettings

if TYPE_CHECKING:  # the import takes two seconds, and only training needs it
    from lightning_fabric import Fabric

# Environment variables that may hold the rank of this process. The first one that is set is used; Fabric has the same
# order.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
# Environment variable that tells a started process the id of the process that started it. It is removed once all
# processes have connected.
STARTED_BY = "MIEN_STARTED_BY"
WATCH_EVERY_S = 1.0


def launch_fabric(settings: TrainSettings) -> Fabric:
    """Start one process per device, and return the Fabric object once all processes have connected.

    Training on several devices uses DDP (torch's distributed training). DDP is set to search for parameters that were
    not used in a step. This is needed because the videos of a process may all lack a modality, and the process then
    does not use the encoder of this modality.

    Raises:
        SettingsError: Fabric cannot use the accelerator, the number of devices or the precision on this machine.
    """
    fabric, devices = _make_fabric(settings), settings.devices
    if devices == 1:
        fabric.launch()
        return fabric
    all_connected = threading.Event()
    starter = None if is_first_process(devices) else int(os.environ.get(STARTED_BY, os.getppid()))
    os.environ[STARTED_BY] = str(os.getpid())
    if sys.flags.safe_path:  # Fabric starts Python without the flag -P
        os.environ["PYTHONSAFEPATH"] = "1"
    threading.Thread(target=_watch_startup, args=(fabric, starter, all_connected), daemon=True).start()
    try:
        fabric.launch()
    finally:
        all_connected.set()
        del os.environ[STARTED_BY]
    return fabric


def _make_fabric(settings: TrainSettings) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    strategy = "auto" if settings.devices == 1 else "ddp_find_unused_parameters_true"
    accelerator, devices, precision = settings.accelerator, settings.devices, settings.precision
    try:
        return Fabric(accelerator=accelerator, strategy=strategy, devices=devices, precision=precision)  # type: ignore[arg-type]  # its types list the values
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise SettingsError(
            f"Expected settings that suit this machine, but got accelerator={accelerator}, devices={devices} and "
            f"precision={precision}: {error}; change the one that is named"
        ) from error


def is_first_process(devices: int) -> bool:
    """Return whether this is the first process of a training on `devices` devices.

    A training on several devices has one process per device, and all of them run the same command. A training on one
    device has only one process. For one device, the result is therefore always True, even if a cluster's launcher has
    set another rank.
    """
    return devices == 1 or next((int(os.environ[name]) for name in RANK_VARIABLES if name in os.environ), 0) == 0


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set the number of torch threads to `count` inside the `with` block, and restore it afterwards.

    The number of threads changes how sums are rounded, and its default differs between machines.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def reporting_lost_process() -> Iterator[None]:
    """Context manager and decorator that raises TrainingError if the communication between processes fails.

    Raises:
        TrainingError: Another process of the training has ended.
    """
    try:
        yield
    except RuntimeError as error:
        # errors of NCCL have a special class; errors of gloo can only be recognised by their message
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "Expected every process of this training to stay, but got no answer from one of them; read what it said "
            "last, then repeat the command with --resume: it goes on after the last complete epoch"
        ) from error


def _watch_startup(fabric: Fabric, starter: int | None, all_connected: threading.Event) -> None:
    """End this process if another process of the training ends before `all_connected` is set.

    Without this watch, torch would wait half an hour for a lost process. The watch covers the processes that this
    process started, and the process that started this one. The id of the latter is `starter`, which is None in the
    first process. After all processes have connected, no watch is needed: if a process is lost, the next exchange of
    gradients fails.
    """
    started: list[subprocess.Popen[bytes]] = getattr(fabric.strategy.launcher, "procs", [])
    while not all_connected.wait(WATCH_EVERY_S):
        if any(process.poll() for process in started) or (starter is not None and os.getppid() != starter):
            for process in started:
                process.kill()
            sys.stderr.write(
                "mien: Expected every process of this training to start, but one of them ended; read what it said "
                "last, and repeat the command\n"
            )
            sys.stderr.flush()
            os._exit(1)
