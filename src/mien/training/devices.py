"""Devices through Lightning Fabric: one or several CPUs or GPUs, one process each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mien.training.settings import TrainSettings

if TYPE_CHECKING:  # it takes two seconds to import, and only training needs it
    from lightning_fabric import Fabric


def make_fabric(settings: TrainSettings) -> Fabric:
    """Fabric for these settings, not yet launched.

    With several devices a batch may leave the encoder of a modality unused in one process (all its videos lack it), so
    unused parameters are looked for.
    """
    from lightning_fabric import Fabric

    strategy = "auto" if settings.devices == 1 else "ddp_find_unused_parameters_true"
    accelerator, devices, precision = settings.accelerator, settings.devices, settings.precision
    return Fabric(accelerator=accelerator, strategy=strategy, devices=devices, precision=precision)  # type: ignore[arg-type]  # Fabric checks the words itself


def is_first_process() -> bool:
    """False in the further processes of a training on several devices, which run the same command again."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0
