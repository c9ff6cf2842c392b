"""Reads and writes weights as safetensors: one file per epoch, and one to resume from. Each is written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.errors import DamagedFileError
from mien.schema import Modality
from mien.storage.files import atomic_file
from mien.training.batching import Scaling

Weights = dict[str, Tensor]


@dataclass
class Progress:
    """State of a training after a complete epoch.

    Attributes:
        epoch: Number of completed epochs.
        best_epoch: Epoch with the best validation score, counted from 1.
        best_score: Validation score of the epoch `best_epoch`.
        history: One record per epoch. A record contains no times, so that it is reproducible to the bit.
        seconds: Duration of each epoch in seconds.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def save_weights(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and optionally other values such as the progress of the training, to a safetensors file.

    Args:
        path: File to write.
        weights: Tensors by name, on any device.
        facts: The other values by name. They are stored as JSON in the metadata of the file.

    Raises:
        WriteError: The file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_file(path) as aside:
        try:
            save_file(tensors, aside, metadata={"facts": json.dumps(facts or {})})
        except SafetensorError as error:
            # safetensors raises its own class of error even for errors of the operating system, such as a full disk
            raise OSError(str(error)) from error


def load_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Read the tensors of a safetensors file, and the other values that `save_weights` stored in it as JSON.

    Raises:
        DamagedFileError: The file is missing or truncated.
    """
    try:
        # safetensors opens only paths that are valid UTF-8
        with open(path, "rb") as opened, safe_open(f"/dev/fd/{opened.fileno()}", framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  (not a dictionary)
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"Expected weights in {path}, but got {error}; train the run again") from None


def learned_weights(network: nn.Module) -> Weights:
    """Return the parameters and buffers of a network by name.

    Frozen parameters, such as those of a pretrained encoder, are left out.
    """
    frozen = _frozen_names(network)
    return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}


def load_learned(network: nn.Module, weights: Weights) -> None:
    """Load into a network the weights that `learned_weights` returned.

    Args:
        network: Network to change.
        weights: Trained parameters and buffers of the network by name.

    Raises:
        RuntimeError: The weights belong to another network. This error is raised by torch.
    """
    missing, unexpected = network.load_state_dict(weights, strict=False)
    mismatched = [*sorted(set(missing) - _frozen_names(network)), *unexpected]
    if mismatched:
        raise RuntimeError(f"missing or unexpected: {', '.join(mismatched)}")


def _frozen_names(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def model_weights(modules: Mapping[str, nn.Module], scaling: Scaling) -> Weights:
    """Return the trained parameters of modules and the scaling of the inputs, as tensors for one weights file.

    Args:
        modules: Modules by name. Prediction needs only the module "network"; the others are stored for inspection.
        scaling: Scaling of the inputs.

    Returns:
        Tensors by name: "<module>.<parameter>", "scaling.<modality>.mean" and "scaling.<modality>.scale".
    """
    weights = _learned_state(modules)
    for modality in scaling.mean:
        weights[f"scaling.{modality}.mean"] = scaling.mean[modality]
        weights[f"scaling.{modality}.scale"] = scaling.scale[modality]
    return weights


def restore_model(network: nn.Module, weights: Weights, modalities: tuple[Modality, ...]) -> Scaling:
    """Load into a network the tensors of a weights file, which `model_weights` returned.

    Args:
        network: Network built with the same settings; its parameters are changed in place.
        weights: Tensors of the weights file by name.
        modalities: Input modalities of the network.

    Returns:
        The scaling of the inputs, which the weights file also contains.

    Raises:
        DamagedFileError: The weights belong to another network.
    """
    try:
        load_learned(network, _strip_prefix("network.", weights))
        return Scaling(
            mean={m: weights[f"scaling.{m}.mean"] for m in modalities},
            scale={m: weights[f"scaling.{m}.scale"] for m in modalities},
        )
    except (RuntimeError, KeyError) as error:
        raise DamagedFileError(
            f"Expected the weights of this run's network, but got {error}; "
            "another version of mien may have trained it: train it again with this one"
        ) from None


def save_progress(
    path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write one file from which an interrupted training can be resumed.

    The states of random generators are not stored, because `loop.seed_epoch` seeds them anew for every epoch.

    Args:
        path: File to write.
        modules: Trained modules by name.
        optimizer: Optimizer of the modules.
        progress: State of the training.

    Raises:
        WriteError: The file cannot be written.
    """
    tensors = _learned_state(modules)
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    save_weights(path, tensors, vars(progress))


def restore_progress(path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> Progress:
    """Restore modules and optimizer in place from the file that `save_progress` wrote.

    Args:
        path: File to read.
        modules: Modules by name; their parameters are changed.
        optimizer: Optimizer of the modules; its state is changed.

    Returns:
        State of the training.

    Raises:
        DamagedFileError: The file is damaged or belongs to another network.
    """
    tensors, facts = load_weights(path)
    try:
        for name, module in modules.items():
            load_learned(module, _strip_prefix(f"{name}.", tensors))
    except RuntimeError as error:
        raise DamagedFileError(
            f"Expected the weights of this training in {path}, but got {error}; begin anew"
        ) from None
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _strip_prefix("optimizer.", tensors).items():
        number, entry = name.split(".", 1)
        states.setdefault(int(number), {})[entry] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**facts)


def _learned_state(modules: Mapping[str, nn.Module]) -> Weights:
    """Return the trained parameters and buffers of all modules. Their names are "<module>.<parameter>"."""
    return {
        f"{name}.{key}": tensor for name, module in modules.items() for key, tensor in learned_weights(module).items()
    }


def _strip_prefix(prefix: str, tensors: Weights) -> Weights:
    """Return only the tensors whose names begin with the prefix. The prefix is removed from their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
