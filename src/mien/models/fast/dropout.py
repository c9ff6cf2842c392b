"""The environment variable MIEN_FAST, which selects the fast implementations, and a fast dropout."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def use_fast(*tensors: Tensor) -> bool:
    """Whether to use the fast implementations: on a CPU, outside an ONNX export, unless ``MIEN_FAST=0``.

    This is not a setting of a model, because settings are part of a run's identity. Both implementations compute the
    same values; only dropout during training draws other random numbers, as it does on another device.
    """
    on_cpu = all(each.device.type == "cpu" for each in tensors)
    return on_cpu and not torch.onnx.is_in_onnx_export() and os.environ.get("MIEN_FAST") != "0"


# Each random integer of 64 bits serves four values, so rates are rounded to multiples of 1 / 65,536.
LEVELS = 1 << 16
VALUES_PER_NUMBER = 4


def dropout(values: Float[Tensor, "*axes"], rate: float, training: bool) -> Float[Tensor, "*axes"]:
    """Set a random share of the values to zero during training, and scale the others by 1 / (1 - rate).

    The random numbers come from torch's global generator, in one stream for all sizes. Unless `use_fast`, this is
    `torch.nn.functional.dropout`, which draws other numbers.

    Args:
        values: Values on which dropout acts independently.
        rate: Probability that a value is set to zero, in [0, 1).
        training: False returns the values unchanged.

    Returns:
        Values of the same shape.
    """
    if not training or rate == 0:
        return values
    if not use_fast(values):
        return functional.dropout(values, rate, training)
    dropped = round(rate * LEVELS)
    numbers = torch.empty(-(-values.numel() // VALUES_PER_NUMBER), dtype=torch.int64).random_(-(2**63), None)
    draws = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    scales = (draws >= dropped - LEVELS // 2).to(values.dtype)
    return values * scales.mul_(LEVELS / (LEVELS - dropped))
