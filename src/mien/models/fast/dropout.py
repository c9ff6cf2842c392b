"""A fast dropout, and the environment variable MIEN_FAST, which switches the fast implementations on and off."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def use_fast(*tensors: Tensor) -> bool:
    """Return whether to use the fast implementations of recurrence, attention and dropout.

    They are used if all tensors are on the CPU, no ONNX export is running, and the environment variable MIEN_FAST is
    not 0.

    The fast and the plain implementations compute the same values, so this choice is not a setting of the model. Only
    dropout differs: the fast dropout draws other random numbers than the plain one.
    """
    on_cpu = all(each.device.type == "cpu" for each in tensors)
    return on_cpu and not torch.onnx.is_in_onnx_export() and os.environ.get("MIEN_FAST") != "0"


# Each random integer of 64 bits gives 16 bits to each of four values, so rates are rounded to multiples of 1 / 65,536.
LEVELS = 1 << 16
VALUES_PER_NUMBER = 4


def dropout(values: Float[Tensor, "*axes"], rate: float, training: bool) -> Float[Tensor, "*axes"]:
    """Set random values to zero during training, and multiply the others by 1 / (1 - rate).

    The random numbers come from torch's global generator. If `use_fast` returns False, `torch.nn.functional.dropout` is
    used instead, which draws other random numbers.

    Args:
        values: Array of any shape. Each value is dropped independently of the others.
        rate: Probability that a value is set to zero, in [0, 1).
        training: If False, the values are returned unchanged.

    Returns:
        Values in the same shape.
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
