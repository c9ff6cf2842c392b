"""Checks for optional packages. They cost no time, so the command line makes them before it imports torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from mien.commands.shipped import find_run
from mien.errors import MissingExtraError

# extra -> module that it brings -> package
MODULES = {
    "text": {"transformers": "transformers", "peft": "peft"},
    "media": {
        "av": "av",
        "faster_whisper": "faster-whisper",
        "ai_edge_litert": "ai-edge-litert",
        "cv2": "opencv-python-headless",
        "afx_audio": "afx-audio",
    },
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime"},
    "dask": {"distributed": "distributed"},
    "ray": {"ray": "ray"},
}
# system -> extra without which it can neither be trained nor used
SYSTEM_EXTRAS = {"cim-tuned": "text"}
# extractor -> modules of the extra `media` that it needs
EXTRACTOR_MODULES = {
    "egemaps": ("afx_audio",),
    "face": ("ai_edge_litert", "cv2"),
    "face-blendshapes": ("ai_edge_litert", "cv2"),
}


def require_extra(name: str, modules: Iterable[str] | None = None) -> None:
    """Check that the packages of an extra are installed.

    Args:
        name: Name of the extra. If it is not the name of an extra, nothing is checked.
        modules: Modules of the extra that are needed; None means all.

    Raises:
        MissingExtraError: A package is not installed.
    """
    for module, package in MODULES.get(name, {}).items():
        if (modules is None or module in modules) and not _is_installed(module):
            raise MissingExtraError(package, name)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # imported as None, which stands for a module that cannot be imported
        return False


def require_analysis_extras(run: str, *, recognizes: bool, watches: bool) -> None:
    """Check that the optional packages that `mien analyze` needs are installed.

    Args:
        run: Name of a shipped model, or folder of a run.
        recognizes: Whether speech is recognised.
        watches: Whether the face is measured beside the model.

    Raises:
        MissingExtraError: An optional package is not installed.
        MienError: The run cannot be opened.
    """
    require_run_extras(run)
    extractors = [space.name for space in find_run(run).spaces.values()]
    require_recording_extras([*extractors, *(["face"] if watches else [])], recognizes=recognizes)


def require_recording_extras(extractors: Iterable[str], *, recognizes: bool) -> None:
    """Check that the optional packages that read recordings and compute their features are installed.

    Args:
        extractors: Names of the extractors, perhaps with the path of their files: ``NAME:PATH``.
        recognizes: Whether speech is recognised.

    Raises:
        MissingExtraError: An optional package is not installed.
    """
    names = {name.partition(":")[0] for name in extractors}
    modules = {"av", *(["faster_whisper"] if recognizes else [])}
    for name in names:
        modules |= set(EXTRACTOR_MODULES.get(name, ()))
    require_extra("media", modules)
    if "minilm" in names:
        require_extra("text", ["transformers"])


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
