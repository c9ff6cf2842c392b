"""`mien doctor`: which packages and weights are installed, which are missing, and what that blocks.

It reads the metadata of installed packages and looks for files. It imports no package and does not use the network.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from mien.errors import MienError
from mien.features.text.minilm import MINILM
from mien.features.visual.face import EXPRESSION, FACE_MESH
from mien.features.visual.face_blendshapes import LANDMARKER
from mien.media.speech_models import SPEECH_MODELS
from mien.pretrained import ModelFiles, locate_model_files
from mien.version import __version__

# extra -> what needs it
EXTRAS = {
    "text": "analyze and demo; minilm for import --text, extract and diagnose; train --model cim-tuned",
    "media": "analyze, demo and extract",
    "onnx": "export --onnx",
    "hub": "the download of weights that no package contains",
    "dask": "--engine dask",
    "ray": "--engine ray",
    "offline": "use of the weights of minilm, glove-6b-50d and tiny.en without a download",
    "languages": "identification of the language of speech, and recognition of other languages than English",
}
FACE_USES = "analyze with tracks, demo, extract --visual face"
SPEECH_USES = "recognition of speech in analyze and extract"


@dataclass(frozen=True)
class Part:
    """One part of the installation: mien's own packages, an extra, or the weights of a model."""

    # "packages", "extra" or "weights"
    kind: str
    name: str
    # name of each package that is installed -> its version; weights: their folder, not checked for damage
    found: dict[str, str]
    # packages with the required versions, or files
    missing: tuple[str, ...]
    # what does not work without this part
    blocks: str
    # how to get what is missing; empty if nothing is
    remedy: str


@dataclass(frozen=True)
class Installation:
    """All parts of the installation, with what is installed and what is missing of each part."""

    mien: str
    python: str
    platform: str
    # folder of the package
    folder: str
    parts: tuple[Part, ...]


def doctor() -> Installation:
    """Find out what is installed and what is missing, without importing the packages and without the network.

    Raises:
        MienError: mien runs from a folder without being installed, so that its requirements are unknown.
    """
    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires("mien") or ()]
    except importlib.metadata.PackageNotFoundError:
        raise MienError(
            "Expected mien to be installed, but got no metadata of it; run: pip install --editable . in its folder"
        ) from None
    core = _packages("packages", "mien", [each for each in requirements if each.marker is None], "every command")
    extras = [
        _packages("extra", extra, [each for each in requirements if _belongs_to(each, extra)], uses)
        for extra, uses in EXTRAS.items()
    ]
    folder = str(Path(__file__).parents[1])
    return Installation(
        __version__, platform.python_version(), platform.platform(), folder, (core, *extras, *_weights())
    )


def _belongs_to(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def _packages(kind: str, name: str, requirements: list[Requirement], uses: str) -> Part:
    found, missing = {}, []
    for each in requirements:
        try:
            found[each.name] = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{each.name}{each.specifier}")
            continue
        if not each.specifier.contains(found[each.name], prereleases=True):
            missing.append(f"{each.name}{each.specifier}")
    target = "mien" if kind == "packages" else f"'mien[{name}]'"
    return Part(kind, name, found, tuple(missing), uses, f"pip install {target}" if missing else "")


def _weights() -> Iterator[Part]:
    """Yield an entry for each pretrained model that mien can use, found or missing.

    Speech models other than the default one are included only if they are found.
    """
    from mien.features.text.glove import GLOVE_6B_50D

    default, *others = SPEECH_MODELS.values()
    uses: list[tuple[ModelFiles, str]] = [
        (MINILM, EXTRAS["text"]),
        (GLOVE_6B_50D, "glove-6b-50d for import --text and extract"),
        (FACE_MESH, FACE_USES),
        (EXPRESSION, FACE_USES),
        (LANDMARKER, "extract --visual face-blendshapes"),
        (default, SPEECH_USES),
    ]
    uses += [(files, SPEECH_USES) for files in others if locate_model_files(files)]
    for files, blocks in uses:
        folder = locate_model_files(files)
        if folder is None:
            yield Part("weights", str(files), {}, tuple(files.sha256), blocks, files.remedy.removeprefix("run: "))
        else:
            yield Part("weights", str(files), {"folder": str(folder)}, (), blocks, "")
