"""Finds the files of a pretrained model and checks their sha256.

Search order: a path from the user, the cache, an installed package that contains the files (mien itself for the small
ones), several installed packages that each contain a part of a file, the model hub at a pinned revision. A file without
a recorded sha256 is opened only if the user trusts it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mien.errors import DamagedFileError, MissingWeightsError, UsageError, WriteError

# size of the blocks in which the parts of a file are copied
JOIN_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelFiles:
    """Files of one pretrained model, and the places in which to search for them.

    Attributes:
        name: Name of the model, and of its folder in the cache.
        sha256: sha256 by file name. It is empty if none is recorded for a file; the user must then trust the file.
        package: Installed package that contains the files; empty if there is none.
        package_folder: Folder of the files in the package.
        hub_repository: Repository on the model hub; empty if there is none.
        hub_revision: Pinned commit of the repository.
        hub_optional: Patterns of optional files to download from the hub.
        remedy: Advice in the error message if the files are in none of these places.
        title: Name of the model in messages; by default `name`.
        parts: File name -> its parts in order, each the name of an installed package and a path in it. The registry
            limits the size of a package, so that a large file is spread over several. A file without an entry lies in
            the folder of `package`.
    """

    name: str
    sha256: Mapping[str, str]
    package: str = ""
    package_folder: str = ""
    hub_repository: str = ""
    hub_revision: str = ""
    hub_optional: tuple[str, ...] = ()
    remedy: str = "run: pip install 'mien[offline]', or give a path"
    title: str = ""
    parts: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.title or self.name


def find_model_files(files: ModelFiles, path: Path | None = None, *, trust_model: bool = False) -> Path:
    """Find the folder of a model's files and check their sha256.

    Args:
        files: The files to find.
        path: Folder of the files. If it is None, the cache, the package and the hub are searched, in this order.
        trust_model: Whether the user trusts the files that have no recorded sha256.

    Returns:
        The folder that contains all files.

    Raises:
        UsageError: A file has no recorded sha256, and `trust_model` is false.
        MissingWeightsError: Neither the cache nor the package nor the hub has all files.
        DamagedFileError: A file does not have the expected sha256, or is missing in `path`.
        WriteError: The files are spread over several packages, and the cache cannot hold them.
    """
    require_trust(str(files), [name for name, expected in files.sha256.items() if not expected], trust_model)
    folder = path or next(_complete_folders(files), None)
    if folder is None:
        packages = [name for parts in files.parts.values() for name, _ in parts] or [files.package]
        package = f" or in the package {' and '.join(packages)}" if files.package else ""
        hub = f" or on the model hub as {files.hub_repository}" if files.hub_repository else ""
        raise MissingWeightsError(
            f"Expected {', '.join(files.sha256)} for {files} in {cache_folder() / files.name}{package}{hub}, "
            f"but got none of them; {files.remedy}"
        )
    for name, expected in files.sha256.items():
        if expected:
            require_sha256(folder / name, expected, f"the files of {files}")
    return folder


def require_trust(model: str, unrecorded: Collection[str], trust_model: bool) -> None:
    """Check that the user trusts the model files whose content mien cannot check.

    Args:
        model: Name of the model, or path of its folder.
        unrecorded: Names of the files that have no recorded sha256.
        trust_model: Whether the user trusts them.

    Raises:
        UsageError: There are such files, and the user does not trust them.
    """
    if unrecorded and not trust_model:
        raise UsageError(
            f"Expected a recorded sha256 for {', '.join(unrecorded)} of {model}, but got none; native code parses "
            "these files, and a hostile one could take over the process: if you trust their source, set --trust-model "
            "(trust_model=True in Python)"
        )


def locate_model_files(files: ModelFiles) -> Path | None:
    """Return the folder on this machine that contains all files, or None. Their sha256 is not checked.

    If the files are spread over several packages and not joined yet, it is the folder of the first package.
    """
    folder = next(_complete_folders(files, network=False), None)
    return folder or (_package_folder(files) if _sources(files) else None)


def cache_folder() -> Path:
    """Return the cache folder for model files.

    It is the folder in the environment variable MIEN_CACHE. If the variable is not set, it is the folder ``mien`` in
    XDG_CACHE_HOME or, by default, in ``~/.cache``.
    """
    if os.environ.get("MIEN_CACHE"):
        return Path(os.environ["MIEN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def _complete_folders(files: ModelFiles, *, network: bool = True) -> Iterator[Path]:
    """Yield the folders that contain all files: the cache, the package, the joined parts and the hub, in this order.

    The hub is accessed only if the caller asks for another folder after those of the cache and the package. If
    `network` is False, the hub is not accessed, only files downloaded from it earlier are searched, and no parts are
    joined.
    """
    hub_folder = partial(_hub_folder, network=network)
    joined_folder = _joined_folder if network else lambda _files: None
    for search in (lambda _files: cache_folder() / files.name, _package_folder, joined_folder, hub_folder):
        folder = search(files)
        if folder is not None and all((folder / name).is_file() for name in files.sha256):
            yield folder


def _package_folder(files: ModelFiles) -> Path | None:
    folder = _installed(files.package) if files.package else None
    return None if folder is None else folder / files.package_folder


def _installed(package: str) -> Path | None:
    """Return the folder of an installed package, or None."""
    # do not import the package, because an import could run any code
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _joined_folder(files: ModelFiles) -> Path | None:
    """Join the files that are spread over several packages in the cache. Return the folder, or None without them."""
    sources, folder = _sources(files), cache_folder() / files.name
    for name, paths in sources.items():
        _join(folder / name, paths, files.sha256[name], str(files))
    return folder if sources else None


def _sources(files: ModelFiles) -> dict[str, list[Path]]:
    """Return the parts of each file in the installed packages, in order.

    The dictionary is empty if the model is not spread over several packages, or if a part is not installed.
    """
    sources: dict[str, list[Path]] = {}
    for name in files.sha256 if files.parts else ():
        parts = files.parts.get(name, ((files.package, f"{files.package_folder}/{name}"),))
        paths = [folder / inside for package, inside in parts if (folder := _installed(package)) is not None]
        if len(paths) < len(parts) or not all(path.is_file() for path in paths):
            return {}
        sources[name] = paths
    return sources


def _join(target: Path, parts: Collection[Path], expected: str, model: str) -> None:
    """Write the bytes of several files into one, and check its sha256.

    The file is written aside and renamed. A killed or concurrent process thus leaves no incomplete file.

    Args:
        target: File to write.
        parts: Files to join, in order.
        expected: sha256 of the result.
        model: Name of the model, for messages.

    Raises:
        DamagedFileError: The result has another sha256.
        WriteError: The file cannot be written, for example because the disk is full.
    """
    n_bytes = sum(path.stat().st_size for path in parts)
    remedy = f"free some space there, or set MIEN_CACHE to another folder ({n_bytes / 1e6:.0f} MB are written once)"
    digest = hashlib.sha256()
    aside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(target.parent).free) < n_bytes:
            raise WriteError(
                f"Expected {n_bytes / 1e6:.0f} MB of free disk space for {model} in {target.parent}, but got "
                f"{free / 1e6:.0f} MB; {remedy}"
            )
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.partial-{os.getpid()}-", dir=target.parent)
        aside = Path(name)
        with os.fdopen(handle, "wb") as joined:
            for path in parts:
                with open(path, "rb") as part:
                    while block := part.read(JOIN_BLOCK_BYTES):
                        digest.update(block)
                        joined.write(block)
            os.fchmod(handle, 0o644)
        if digest.hexdigest() != expected:
            raise DamagedFileError(
                f"Expected the parts {', '.join(map(str, parts))} to give a file of {model} with sha256 "
                f"{expected[:16]}..., but got {digest.hexdigest()[:16]}...; install their packages again"
            )
        aside.replace(target)
    except OSError as error:
        raise WriteError(f"Expected to write {target}, but got {error.strerror or error}; {remedy}") from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _hub_folder(files: ModelFiles, *, network: bool) -> Path | None:
    if not files.hub_repository or importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [*files.sha256, *files.hub_optional]
    try:
        return Path(
            snapshot_download(
                files.hub_repository,
                revision=files.hub_revision,
                allow_patterns=patterns,
                local_files_only=not network,
            )
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError):
        return None


def sha256_of(path: Path) -> str:
    """Compute the sha256 of a file as a hexadecimal string. The file is read in chunks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require_sha256(path: Path, expected: str, what: str) -> None:
    """Check that a file exists and has the expected sha256.

    Args:
        path: File to check.
        expected: sha256 as a hexadecimal string.
        what: What the file is part of, such as "the files of MiniLM" or "the Dataset"; used in the error message.

    Raises:
        DamagedFileError: The file is missing or has another sha256.
    """
    if not path.is_file():
        raise DamagedFileError(f"Expected {path} in {what}, but got no such file; make {what} again")
    actual = sha256_of(path)
    if actual != expected:
        raise DamagedFileError(
            f"Expected {path} to have sha256 {expected[:16]}..., but got {actual[:16]}...; "
            f"it was cut or altered since it was written: make {what} again"
        )
