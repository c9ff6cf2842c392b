"""The setting that chooses between the fast forms and torch's own: the environment variable MIEN_FAST."""

from __future__ import annotations

import os

import torch
from torch import Tensor


def use_fast(*tensors: Tensor) -> bool:
    """Whether the fast forms run over `tensors`: on a CPU, outside an ONNX export, unless ``MIEN_FAST=0``.

    This is no setting of a model, because settings are part of a run's identity and decide its weights. Both forms
    compute the same; only the dropout of a training draws other random numbers, as it does on another device.
    """
    on_cpu = all(each.device.type == "cpu" for each in tensors)
    return on_cpu and not torch.onnx.is_in_onnx_export() and os.environ.get("MIEN_FAST") != "0"
