"""Atomic writing of files, locks, and JSON files. `mien.storage.folders` writes whole folders.

A file is written under a temporary name and then renamed, so a killed process or a full disk leaves the old content or
the new content, never a part of it. No symbolic link is followed at a temporary name, a lock or the name of the file.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mien.errors import DamagedFileError, DataError, ReadOnlyError, WriteError
from mien.limits import READ_ERRORS, SHOWN_CHARACTERS, describe_error, read_small_file, require_shallow
from mien.printable import printable_json


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once at import: reading the umask changes it for a moment, in all threads.
UMASK = _umask()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Context manager that yields a temporary path, to which the block writes the new content of `path`.

    After the block, the content is flushed to disk and the temporary file is renamed to `path`. If `path` is a symbolic
    link, the link is replaced.

    Raises:
        WriteError: The file cannot be written (full disk, no permission); `path` is unchanged.
    """
    try:
        with temporary_beside(path) as aside:
            yield aside
            set_usual_mode(aside)
            os.replace(aside, path)
    except OSError as error:
        raise write_error(path, error) from error


@contextmanager
def temporary_beside(target: Path, *, is_folder: bool = False) -> Iterator[Path]:
    """Context manager that creates an empty file or folder beside `target`, and removes it after the block.

    Only this user can open it. Its name `.NAME.partial-PID-RANDOM` cannot be predicted, so nobody can put a link there
    in advance. Temporary files and folders that killed processes left for the same target are removed first.

    Args:
        target: File or folder that will be written; missing parent folders are created.
        is_folder: Whether to make a folder.

    Yields:
        The temporary path, which may be renamed.

    Raises:
        OSError: The file or folder cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(target.parent, f".{glob.escape(target.name)}.partial-*")
    prefix = f".{target.name}.partial-{os.getpid()}-"
    if is_folder:
        aside = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    else:
        handle, name = tempfile.mkstemp(prefix=prefix, dir=target.parent)
        os.close(handle)
        aside = Path(name)
    _IN_USE.add(aside.name)
    try:
        yield aside
    finally:
        _IN_USE.remove(aside.name)
        with suppress(OSError):  # an earlier error is more informative
            _remove(aside)


def set_usual_mode(aside: Path) -> None:
    """Flush a temporary file or folder to disk, and give it the permissions that a new one usually has."""
    handle = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
        mode = os.fstat(handle).st_mode
        os.fchmod(handle, stat.S_IMODE(mode) | ((0o777 if stat.S_ISDIR(mode) else 0o666) & ~UMASK))
    finally:
        os.close(handle)


@contextmanager
def exclusive_lock(path: Path, held: Exception | None = None) -> Iterator[None]:
    """Context manager that holds a lock on a file. The operating system releases the lock if this process dies.

    Args:
        path: Lock file; it is created if missing, never changed and not removed.
        held: Error to raise if another process holds the lock. If it is None, the function waits for the lock.

    Yields:
        Nothing; the lock is held.

    Raises:
        WriteError: The file cannot be created or opened, or is a symbolic link.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if held is None else fcntl.LOCK_NB))
        except BlockingIOError:
            assert held is not None
            raise held from None
        yield
    finally:
        os.close(handle)


def refuse_links(folder: Path, *names: str | Path) -> None:
    """Check that subfolders to write into are not symbolic links, which could lead to files of others.

    Args:
        folder: Folder that the user named; it may be a link itself.
        names: Paths of the subfolders, relative to `folder`. They need not exist.

    Raises:
        WriteError: A subfolder, or a folder between it and `folder`, is a symbolic link.
    """
    for name in names:
        for part in (Path(name), *Path(name).parents[:-1]):
            if (folder / part).is_symlink():
                raise WriteError(
                    f"Expected a folder at {folder / part}, but got a symbolic link, through which nothing is "
                    "written; replace it by a folder"
                )


def require_same_kind(path: Path, head: bytes) -> None:
    """Check that a file which the user named as output may be replaced.

    Args:
        path: The file; it need not exist.
        head: First bytes of every file of the kind that will be written.

    Raises:
        WriteError: The file exists and is of another kind.
    """
    if path.is_file() and path.stat().st_size:
        with open(path, "rb") as handle:
            if handle.read(len(head)) != head:
                raise WriteError(
                    f"Expected {path} to be new or an earlier output of this command, but got another file; "
                    "choose another --out"
                )


# Names of the temporary files and folders that this process is writing now.
_IN_USE: set[str] = set()
# names of the temporary files and folders of `temporary_beside`
PARTIAL_FILES = ".*.partial-*"
# ".partial-PID" is the form of former versions.
_PARTIAL_NAME = re.compile(r"\.partial-(\d+)(-[a-z0-9_]+)?$")


def remove_partial(folder: Path, pattern: str, *, sole_writer: bool = False) -> None:
    """Remove the incomplete files and folders that ended processes of this user left in a folder.

    Args:
        folder: Folder to search.
        pattern: Glob pattern of names that end in ``partial-PID-RANDOM``.
        sole_writer: Whether no other process can write in the folder now, for example because this process holds its
            lock. A file then counts as left behind even if some process has the id of its writer: ids are used again.
    """
    for leftover in folder.glob(pattern):
        name = _PARTIAL_NAME.search(leftover.name)
        if name is None or leftover.name in _IN_USE or (not sole_writer and _is_running(int(name[1]))):
            continue
        with suppress(OSError):  # another process removes it at the same time
            if leftover.lstat().st_uid == os.geteuid():
                _remove(leftover)


def _is_running(process_id: int) -> bool:
    """Return whether another process with this id exists. The id of this process itself gives False.

    In containers, every process may have the id 1. An ended process may therefore have left a temporary file with the
    id of this process.
    """
    if process_id == os.getpid():
        return False
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it runs under another user
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content. Raise FileNotFoundError if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def write_error(path: Path, error: OSError) -> WriteError:
    """Return the error for a path that the operating system refuses to write."""
    kind = ReadOnlyError if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else WriteError
    found = "a symbolic link" if error.errno == errno.ELOOP else error.strerror or error
    return kind(
        f"Expected to write {path}, but got {found}; "
        "what stood there before is unchanged: free some space or choose another place"
    )


def write_json(path: Path, facts: Any) -> None:
    """Write values to a JSON file atomically. NaN becomes null.

    Args:
        path: File to write.
        facts: Values that JSON can hold, or numpy values and arrays, which are converted.

    Raises:
        WriteError: The file cannot be written.
    """
    with atomic_file(path) as aside:
        aside.write_text(to_json_text(facts) + "\n", encoding="utf-8")


def to_json_text(facts: Any) -> str:
    """Return values as indented JSON text. NaN and infinities become null, and control characters are escaped."""
    return printable_json(json.dumps(_nan_as_none(facts), indent=2, ensure_ascii=False, allow_nan=False))


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a file that contains one JSON object.

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
        facts = json.loads(read_small_file(path), parse_constant=_refuse_constant)
        if not isinstance(facts, dict):
            raise ValueError(f"{type(facts).__name__} instead of an object")
        require_shallow(facts)
        # UnicodeEncodeError for half of a surrogate pair, unless it is a byte of a file name that is not UTF-8
        json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return facts
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"Expected {what} with the file {path}, but got nothing there; check the path") from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or not an object
        raise DamagedFileError(
            f"Expected JSON in {path}, but got {str(error)[:SHOWN_CHARACTERS]}; the file was cut or altered: "
            f"make {what} again"
        ) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON")


def require_shape(value: Any, shape: Any, where: str) -> None:
    """Check the types of values from a JSON file.

    Args:
        value: Value to check.
        shape: A type; ``[shape]`` for a list; ``{name: shape}`` for an object with at least these keys;
            ``{str: shape}`` for an object with any keys.
        where: Name of the value, for the message.

    Raises:
        ValueError: The value has another type, or a key is missing.
    """
    expected = type(shape) if isinstance(shape, dict | list) else shape
    # a bool is an int, and a whole number may stand for a float
    fits = isinstance(value, int | float if expected is float else expected)
    if not fits or (isinstance(value, bool) and expected is not bool):
        raise ValueError(f"{type(value).__name__} as {where} instead of {expected.__name__}")
    if isinstance(shape, list):
        for each in value:
            require_shape(each, shape[0], f"a value of {where}")
    elif isinstance(shape, dict):
        for name, part in shape.items():
            for key in value if name is str else [name]:
                if key not in value:
                    raise ValueError(f"no {key} in {where}")
                require_shape(value[key], part, f"{key!r} in {where}")


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
    """Context manager that converts errors of reading values from a card (a metadata file) to DamagedFileError.

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
    except READ_ERRORS as error:
        raise DamagedFileError(
            f"Expected complete facts in {path}, but got {describe_error(error)}; "
            f"it was cut or altered since it was written: make {what} again"
        ) from None


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
