"""Find the files of a pretrained model and check them by sha256.

They are looked for in one order: a path that the user gives, the cache, an installed package that carries them, the
model hub at a pinned revision.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DamagedFileError, MissingWeightsError


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model: what they must be, and where they may be."""

    # also the folder in the cache
    name: str
    # file name -> sha256; empty where none is recorded and the pinned commit on the hub vouches for the file
    sha256: Mapping[str, str]
    # installed package that carries the files, and the folder inside it; empty if none does
    package: str = ""
    package_folder: str = ""
    # repository on the model hub and its pinned commit; empty if it is on none
    hub_repository: str = ""
    hub_revision: str = ""
    # patterns of further files that are fetched from the hub where the repository has them
    hub_optional: tuple[str, ...] = ()
    # what to do where the files are in none of these places
    remedy: str = "run: pip install 'mien[offline]', or give a path"
    # what messages call the model; empty: its name
    title: str = ""

    def __str__(self) -> str:
        return self.title or self.name


def find_model_files(files: ModelFiles, path: Path | None = None) -> Path:
    """Folder that holds every file, each checked. Raises MissingWeightsError, DamagedFileError on a wrong sha256."""
    folder = path or next(_complete_folders(files), None)
    if folder is None:
        package = f" or in the package {files.package}" if files.package else ""
        hub = f" or on the model hub as {files.hub_repository}" if files.hub_repository else ""
        raise MissingWeightsError(
            f"Expected {', '.join(files.sha256)} for {files} in {cache_folder() / files.name}{package}{hub}, "
            f"but got none of them; {files.remedy}"
        )
    for name, expected in files.sha256.items():
        if expected:
            require_sha256(folder / name, expected, f"the files of {files}")
    return folder


def cache_folder() -> Path:
    """Where files that a user or a download put are looked for: MIEN_CACHE, else the XDG cache."""
    if os.environ.get("MIEN_CACHE"):
        return Path(os.environ["MIEN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def _complete_folders(files: ModelFiles) -> Iterator[Path]:
    """The folders that hold every file, in the order in which they count; the hub is asked only when it is its turn."""
    for look in (lambda _files: cache_folder() / files.name, _package_folder, _hub_folder):
        folder = look(files)
        if folder is not None and all((folder / name).is_file() for name in files.sha256):
            yield folder


def _package_folder(files: ModelFiles) -> Path | None:
    # located, never imported: importing could run anything
    spec = importlib.util.find_spec(files.package) if files.package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / files.package_folder


def _hub_folder(files: ModelFiles) -> Path | None:
    if not files.hub_repository or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [*files.sha256, *files.hub_optional]
    try:
        return Path(snapshot_download(files.hub_repository, revision=files.hub_revision, allow_patterns=patterns))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return None


def sha256_of(path: Path) -> str:
    """sha256 of a file in hexadecimal, read in chunks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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
