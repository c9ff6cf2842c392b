"""Weights on disk as safetensors: one file per epoch, one to resume from, each written aside and renamed."""

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
    """Where a training stands after a complete epoch. History holds no times, so that it is reproducible to the bit."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def save_weights(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write tensors and optional JSON facts. Raises WriteError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_file(path) as aside:
        try:
            save_file(tensors, aside, metadata={"facts": json.dumps(facts or {})})
        except SafetensorError as error:
            # safetensors wraps the system's refusal (a full disk) in an error of its own
            raise OSError(str(error)) from error


def load_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Read tensors and facts. Raises DamagedFileError when the file is missing or cut."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  (not a dictionary)
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"Expected weights in {path}, but got {error}; train the run again") from None


def learned_weights(network: nn.Module) -> Weights:
    """The network's state without the parameters that training leaves as they are (a public encoder's)."""
    frozen = _frozen(network)
    return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}


def load_learned(network: nn.Module, weights: Weights) -> None:
    """Put `learned_weights` back. Raises RuntimeError, as torch does, when they are another network's."""
    missing, unexpected = network.load_state_dict(weights, strict=False)
    wrong = [*sorted(set(missing) - _frozen(network)), *unexpected]
    if wrong:
        raise RuntimeError(f"missing or unexpected: {', '.join(wrong)}")


def _frozen(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def model_weights(modules: Mapping[str, nn.Module], scaling: Scaling) -> Weights:
    """What the modules have learned under their names, and the scaling of the inputs.

    A prediction needs those of "network"; what else was trained along is there to be looked at.
    """
    weights = _state(modules)
    for modality in scaling.mean:
        weights[f"scaling.{modality}.mean"] = scaling.mean[modality]
        weights[f"scaling.{modality}.scale"] = scaling.scale[modality]
    return weights


def restore_model(network: nn.Module, weights: Weights, modalities: tuple[Modality, ...]) -> Scaling:
    """Put `model_weights` back into a network of the same settings; returns the scaling. Raises DamagedFileError."""
    try:
        load_learned(network, _below("network.", weights))
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
    """Write all that the next epoch depends on into one file. Random numbers need no place: see `loop.seed_epoch`."""
    tensors = _state(modules)
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    save_weights(path, tensors, vars(progress))


def restore_progress(path: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> Progress:
    """Put `save_progress` back. Raises DamagedFileError."""
    tensors, facts = load_weights(path)
    try:
        for name, module in modules.items():
            load_learned(module, _below(f"{name}.", tensors))
    except RuntimeError as error:
        raise DamagedFileError(
            f"Expected the weights of this training in {path}, but got {error}; begin anew"
        ) from None
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below("optimizer.", tensors).items():
        number, entry = name.split(".", 1)
        states.setdefault(int(number), {})[entry] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**facts)


def _state(modules: Mapping[str, nn.Module]) -> Weights:
    return {f"{name}.{key}": tensor for name, each in modules.items() for key, tensor in learned_weights(each).items()}


def _below(prefix: str, tensors: Weights) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
