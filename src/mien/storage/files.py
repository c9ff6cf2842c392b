"""Atomic writing: files and folders are written under a temporary name and then renamed.

A killed process or a full disk leaves the old content or the new content, never a part of it.
"""

from __future__ import annotations

import fcntl
import glob
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mien.errors import DamagedFileError, DataError, WriteError


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once at import: reading the umask changes it for a moment, in all threads.
UMASK = _umask()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, to write a file to inside the block.

    If the block succeeds, the file is flushed to disk and renamed to `path`; otherwise, it is removed.

    Raises:
        WriteError: The file cannot be written (full disk, no permission); `path` is unchanged.
    """
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with open(aside, "rb") as handle:
            os.fsync(handle.fileno())
        # Some writers (safetensors) create files that only their owner can read; use the usual permissions instead.
        os.chmod(aside, 0o666 & ~UMASK)
        os.replace(aside, path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        with suppress(OSError):  # the earlier error is more informative
            aside.unlink()


@contextmanager
def atomic_folder(folder: Path, marker: str) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`. If the block succeeds, rename it to `folder`; otherwise, remove it.

    An existing `folder` is replaced only if it is empty or contains a file named `marker`, so that a mistyped ``--out``
    cannot delete other files. If `folder` is a symbolic link, its target is replaced.

    Args:
        folder: Folder to write or replace.
        marker: Name of the file by which an old version is recognised.

    Yields:
        The temporary folder.

    Raises:
        WriteError: The folder must not be replaced or cannot be written.
    """
    folder = require_replaceable(folder, marker)
    aside = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        # Remove what killed processes left: the old folder after a complete swap, and incomplete folders. One may have
        # this process's own id, because in a container every process may have the id 1.
        for leftover in (_replaced_folder(folder), aside):
            shutil.rmtree(leftover, ignore_errors=True)
        remove_partial(folder.parent, f".{glob.escape(folder.name)}.partial-*")
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            os.replace(folder, _replaced_folder(folder))
        os.replace(aside, folder)
        shutil.rmtree(_replaced_folder(folder), ignore_errors=True)
    except OSError as error:
        raise _write_error(folder, error) from error
    finally:
        restore_interrupted_swap(folder)
        shutil.rmtree(aside, ignore_errors=True)


def require_replaceable(folder: Path, marker: str) -> Path:
    """Check whether `atomic_folder` may replace a folder. It is fast: call it before a long computation.

    Args:
        folder: Folder to write or replace.
        marker: Name of the file by which an old version is recognised.

    Returns:
        The resolved folder.

    Raises:
        WriteError: The folder has content but no file `marker`, contains the working folder, or has a file as its
            parent.
    """
    folder = folder.resolve()
    if folder in (Path.cwd(), *Path.cwd().parents):
        raise WriteError(
            f"Expected a folder that can be replaced, but got {folder}, which holds the working folder; "
            "choose another --out"
        )
    restore_interrupted_swap(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / marker).exists()):
        raise WriteError(
            f"Expected {folder} to be new or to hold {marker}, but got something else; choose another --out"
        )
    try:
        os.stat(folder)  # NotADirectoryError if a parent is a file
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _write_error(folder, error) from error
    return folder


@contextmanager
def exclusive_lock(path: Path, held: Exception | None = None) -> Iterator[None]:
    """Hold a lock on a file inside the block. The operating system releases it when this process dies.

    Args:
        path: Lock file; it is created and not removed.
        held: Error to raise if another process holds the lock. If None, wait until the lock is free.

    Yields:
        Nothing. The lock is held until the end of the block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if held is None else fcntl.LOCK_NB))
        except BlockingIOError:
            assert held is not None
            raise held from None
        yield


def remove_partial(folder: Path, pattern: str) -> None:
    """Remove incomplete files and folders of processes that no longer run.

    Args:
        folder: Folder to search, without subfolders.
        pattern: Glob pattern of names that end in ``partial-PID``.
    """
    for leftover in folder.glob(pattern):
        if _is_running(leftover.name.rpartition("-")[2]):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _is_running(process_id: str) -> bool:
    """Return whether a process with this id exists; False for a text that is not a process id."""
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:  # it runs under another user
        return True
    return True


def restore_interrupted_swap(folder: Path) -> None:
    """Restore the old folder if a process died while `atomic_folder` replaced it with the new one."""
    if not folder.exists() and _replaced_folder(folder).is_dir():
        os.replace(_replaced_folder(folder), folder)


def write_json(path: Path, facts: Any) -> None:
    """Write one JSON file atomically; NaN becomes null.

    Args:
        path: File to write.
        facts: Values that JSON can hold, or numpy values and arrays, which are converted.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_file(path) as aside:
        aside.write_text(to_json_text(facts) + "\n", encoding="utf-8")


def to_json_text(facts: Any) -> str:
    """Return indented JSON text; NaN and infinities, which JSON lacks, become null."""
    return json.dumps(_nan_as_none(facts), indent=2, ensure_ascii=False, allow_nan=False)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        path: File to read.
        what: What the file is part of, such as "the Run"; used in the error message.

    Returns:
        The object.

    Raises:
        DataError: The file is missing.
        DamagedFileError: The file holds no JSON object.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError(f"{type(facts).__name__} instead of an object")
        return facts
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"Expected {what} with the file {path}, but got nothing there; check the path") from None
    except ValueError as error:  # not JSON, not UTF-8, or not an object
        raise DamagedFileError(
            f"Expected JSON in {path}, but got {error}; the file was cut or altered: make {what} again"
        ) from None


def read_card(path: Path, what: str, expected: Mapping[str, Any], remedy: str) -> dict[str, Any]:
    """Read the JSON object of a card (the metadata file of a folder), and check its format.

    Args:
        path: File to read.
        what: What the card describes, such as "a Run"; used in the error message.
        expected: Required values of "format" and "format_version".
        remedy: What the user should do, such as "train it"; used in the error message.

    Returns:
        The object.

    Raises:
        DataError: The file is missing.
        DamagedFileError: The file holds no JSON object, or the object has another format or version.
    """
    card = read_json(path, what)
    if any(card.get(key) != value for key, value in expected.items()):
        raise DamagedFileError(
            f"Expected {path} to be a {expected['format']} of version {expected['format_version']}, but got "
            f"{card.get('format')!r} version {card.get('format_version')!r}; {remedy} again with this version"
        )
    return card


@contextmanager
def reporting_damage(path: Path, what: str) -> Iterator[None]:
    """Convert errors in the block to DamagedFileError. The block reads values from a card (a metadata file).

    Args:
        path: The card; named in the error message.
        what: What the card describes, such as "the Run"; used in the error message.

    Yields:
        Nothing.

    Raises:
        DamagedFileError: A value is missing or has the wrong type.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(
            f"Expected complete facts in {path}, but got {type(error).__name__}: {error}; "
            f"it was cut or altered since it was written: make {what} again"
        ) from None


def _replaced_folder(folder: Path) -> Path:
    """Return the path to which `atomic_folder` moves the old folder while it renames the new one."""
    return folder.with_name(f".{folder.name}.replaced")


def _write_error(path: Path, error: OSError) -> WriteError:
    """Return the error for a path that the operating system refuses to write."""
    return WriteError(
        f"Expected to write {path}, but got {error.strerror or error}; "
        "what stood there before is unchanged: free some space or choose another place"
    )


def _nan_as_none(facts: Any) -> Any:
    """Convert numpy values and arrays to values that JSON can hold, with None for NaN and infinities."""
    if isinstance(facts, dict):
        return {str(key): _nan_as_none(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_nan_as_none(value) for value in facts]
    if hasattr(facts, "item") and getattr(facts, "ndim", 0) == 0:
        facts = facts.item()
    if hasattr(facts, "tolist"):
        return _nan_as_none(facts.tolist())
    if isinstance(facts, float) and not math.isfinite(facts):
        return None
    return facts
