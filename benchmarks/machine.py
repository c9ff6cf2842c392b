"""Facts about the machine that stand beside every measured figure."""

from __future__ import annotations

import os
import platform

import torch


def machine_facts() -> dict[str, str | int]:
    """Processor, cores, versions."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
