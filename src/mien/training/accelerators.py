"""Checks, before anything is loaded, whether this machine has the processors on which a training is to run.

torch is imported only where the version of the installed package does not answer the question.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from mien.errors import SettingsError

# Names of accelerators that stand for a GPU that torch reaches through CUDA, or through ROCm, which has the same names.
GPU_NAMES = ("cuda", "gpu")
# The version of a build of torch that can use no GPU ends so.
CPU_BUILD = "+cpu"
OTHERWISE = "leave accelerator out, which takes what there is, or say accelerator=cpu"
INSTALL_CUDA = "install a build for CUDA (https://pytorch.org/get-started/locally)"


def require_accelerator(name: str) -> None:
    """Check that torch can use an accelerator on this machine.

    Args:
        name: The setting `accelerator`. Nothing is checked for names that ask for no special processor.

    Raises:
        SettingsError: The accelerator is not available. The message gives the reason.
    """
    if name in GPU_NAMES:
        if build := torch_without_cuda():
            raise SettingsError(
                f"Expected torch built with CUDA for accelerator={name}, but got torch {build}; {INSTALL_CUDA}, or "
                f"{OTHERWISE}"
            )
        if not _has_cuda():
            raise SettingsError(
                f"Expected a GPU for accelerator={name}, but got none that torch can use ({_why_no_cuda()}); check "
                f"nvidia-smi and CUDA_VISIBLE_DEVICES, or {OTHERWISE}"
            )
    if name == "mps" and not _has_mps():
        raise SettingsError(
            f"Expected a GPU of Apple for accelerator=mps, but got none that torch can use; {OTHERWISE}"
        )


def require_devices(training: Mapping[str, Any]) -> None:
    """Check that this machine has the accelerator and the number of devices that a training asks for.

    Args:
        training: Settings of the training loop by name. Missing ones have the defaults of `TrainSettings`.

    Raises:
        SettingsError: The accelerator is not available, or has fewer devices.
    """
    accelerator, devices = training.get("accelerator", "auto"), training.get("devices", 1)
    require_accelerator(accelerator)
    if devices == 1 or accelerator == "cpu":  # any number of processes can share the CPU
        return
    if 0 < (n_gpus := _n_gpus()) < devices:
        raise SettingsError(
            f"Expected devices to be at most {n_gpus}, the number of GPUs that torch can use here, but got {devices}; "
            "lower devices, or train in several processes on the CPU: accelerator=cpu"
        )


def torch_without_cuda() -> str:
    """Return the version of the installed torch if its name says that it is a build for CPUs, else an empty text."""
    version = importlib.metadata.version("torch")
    return version if version.endswith(CPU_BUILD) else ""


def _has_cuda() -> bool:
    if torch_without_cuda():
        return False
    import torch

    return torch.cuda.is_available()


def _n_gpus() -> int:
    if _has_cuda():
        import torch

        return torch.cuda.device_count()
    return int(_has_mps())


def _has_mps() -> bool:
    import torch

    return torch.backends.mps.is_available()


def _why_no_cuda() -> str:
    """Return the reason why torch can use no GPU, in the words of torch: no driver, an old one, or no device."""
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # AssertionError: this build has no CUDA
        return str(error).partition("\n")[0]
    return "no device"
