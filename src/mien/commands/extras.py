"""Checks for optional packages. They cost no time, so the command line makes them before it imports torch."""

from __future__ import annotations

import importlib.util

from mien.commands.shipped import find_run
from mien.errors import MissingExtraError

# extra -> module that it brings -> package
MODULES = {
    "text": {"transformers": "transformers", "peft": "peft"},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime"},
    "dask": {"distributed": "distributed"},
    "ray": {"ray": "ray"},
}
# system -> extra without which it can neither be trained nor used
SYSTEM_EXTRAS = {"cim-tuned": "text"}


def require_extra(name: str) -> None:
    """Check that the packages of an extra are installed. Raise MissingExtraError if one is not.

    If `name` is not the name of an extra, nothing is checked.
    """
    for module, package in MODULES.get(name, {}).items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(package, name)


def require_system_extra(model: str) -> None:
    """Check that the optional packages that a system needs are installed. Raise MissingExtraError if one is not."""
    require_extra(SYSTEM_EXTRAS.get(model, ""))


def require_run_extras(*runs: object) -> None:
    """Check that the optional packages that the systems of some runs need are installed.

    Raises:
        MissingExtraError: An optional package is not installed.
        MienError: A run cannot be opened.
    """
    for run in runs:
        require_system_extra(find_run(str(run)).model)
