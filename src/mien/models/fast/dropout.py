"""The setting that chooses the fast forms, the environment variable MIEN_FAST, and a fast dropout."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def use_fast(*tensors: Tensor) -> bool:
    """Whether the fast forms run over `tensors`: on a CPU, outside an ONNX export, unless ``MIEN_FAST=0``.

    This is no setting of a model, because settings are part of a run's identity and decide its weights. Both forms
    compute the same; only the dropout of a training draws other random numbers, as it does on another device.
    """
    on_cpu = all(each.device.type == "cpu" for each in tensors)
    return on_cpu and not torch.onnx.is_in_onnx_export() and os.environ.get("MIEN_FAST") != "0"


# Each random integer of 64 bits decides over four values: rates are rounded to multiples of 1 / 65,536.
LEVELS = 1 << 16
VALUES_PER_NUMBER = 4


def dropout(values: Float[Tensor, "*axes"], rate: float, training: bool) -> Float[Tensor, "*axes"]:
    """Set a share `rate` of the values to zero and scale the others by 1 / (1 - share), while training.

    The random numbers are those of torch's global seed, one stream for all sizes. Where not `use_fast`, this is
    `torch.nn.functional.dropout`, which draws others.
    """
    if not training or rate == 0:
        return values
    if not use_fast(values):
        return functional.dropout(values, rate, training)
    dropped = round(rate * LEVELS)
    numbers = torch.empty(-(-values.numel() // VALUES_PER_NUMBER), dtype=torch.int64).random_(-(2**63), None)
    drawn = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (drawn >= dropped - LEVELS // 2).to(values.dtype)
    return values * kept.mul_(LEVELS / (LEVELS - dropped))
