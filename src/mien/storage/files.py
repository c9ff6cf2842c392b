"""Write aside, then rename: a killed process or a full disk leaves the old file or the new one, never half a file."""

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


# Asked once while loading: asking changes it for a moment, for all threads.
UMASK = _umask()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it and rename it over `path`, else remove it.

    Raises WriteError when the system refuses (full disk, no permission); `path` is then as it was.
    """
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with open(aside, "rb") as handle:
            os.fsync(handle.fileno())
        # Some writers (safetensors) keep their files from everybody else; a run is as readable as any other file.
        os.chmod(aside, 0o666 & ~UMASK)
        os.replace(aside, path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with suppress(OSError):  # what went wrong before says more
            aside.unlink()


@contextmanager
def atomic_folder(folder: Path, marker: str) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; on success rename it over `folder`, else remove it.

    An existing `folder` is replaced only if it is empty or holds a file named `marker` (so that a mistyped ``--out``
    cannot delete somebody's work); where it is a link, the link stays and what it points to is replaced. Raises
    WriteError otherwise, and when the system refuses.
    """
    folder = require_replaceable(folder, marker)
    aside = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        # Left by killed processes: the old folder after a finished swap, and half a folder by one of the same id (in
        # a container every process may be number 1) or of another.
        for leftover in (_replaced(folder), aside):
            shutil.rmtree(leftover, ignore_errors=True)
        remove_partial(folder.parent, f".{glob.escape(folder.name)}.partial-*")
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            os.replace(folder, _replaced(folder))
        os.replace(aside, folder)
        shutil.rmtree(_replaced(folder), ignore_errors=True)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        restore_interrupted_swap(folder)
        shutil.rmtree(aside, ignore_errors=True)


def require_replaceable(folder: Path, marker: str) -> Path:
    """The resolved folder, if `atomic_folder` may replace it. Cheap: to be asked before any long work.

    Raises:
        WriteError: Something else stands there, or a file stands in the place of a folder above it.
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
        os.stat(folder)  # NotADirectoryError where a file stands above it
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(folder, error) from error
    return folder


@contextmanager
def exclusive_lock(path: Path, held: Exception | None = None) -> Iterator[None]:
    """Hold a lock file, which stays behind. The system lets go when a process dies.

    Raises `held` when another process holds it; without `held`, waits until it does no more.
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
    """Remove what processes that no longer run left half written: files and folders ``...partial-PID``."""
    for leftover in folder.glob(pattern):
        if _runs(leftover.name.rpartition("-")[2]):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _runs(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:  # it runs, and belongs to somebody else
        return True
    return True


def restore_interrupted_swap(folder: Path) -> None:
    """Bring back the old folder if a process died between the two renames of `atomic_folder`."""
    if not folder.exists() and _replaced(folder).is_dir():
        os.replace(_replaced(folder), folder)


def write_json(path: Path, facts: Any) -> None:
    """Write one JSON file aside and rename it; NaN becomes null. Raises WriteError."""
    with atomic_file(path) as aside:
        aside.write_text(to_json_text(facts) + "\n", encoding="utf-8")


def to_json_text(facts: Any) -> str:
    """Indented JSON in which NaN and infinities are null, because JSON knows neither."""
    return json.dumps(_finite(facts), indent=2, ensure_ascii=False, allow_nan=False)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read one JSON object. Raises DataError if missing, DamagedFileError if it is none."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError(f"{type(facts).__name__} instead of an object")
        return facts
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"Expected {what} with the file {path}, but got nothing there; check the path") from None
    except ValueError as error:  # no JSON, no UTF-8, no object
        raise DamagedFileError(
            f"Expected JSON in {path}, but got {error}; the file was cut or altered: make {what} again"
        ) from None


def read_card(path: Path, what: str, expected: Mapping[str, Any], remedy: str) -> dict[str, Any]:
    """`read_json` of a card that states the expected format. Raises DamagedFileError where it is another one."""
    card = read_json(path, what)
    if any(card.get(key) != value for key, value in expected.items()):
        raise DamagedFileError(
            f"Expected {path} to be a {expected['format']} of version {expected['format_version']}, but got "
            f"{card.get('format')!r} version {card.get('format_version')!r}; {remedy} again with this version"
        )
    return card


@contextmanager
def reporting_damage(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong while taking facts from a card into DamagedFileError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(
            f"Expected complete facts in {path}, but got {type(error).__name__}: {error}; "
            f"it was cut or altered since it was written: make {what} again"
        ) from None


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _refused(path: Path, error: OSError) -> WriteError:
    """The error for a system that does not let us write `path`."""
    return WriteError(
        f"Expected to write {path}, but got {error.strerror or error}; "
        "what stood there before is unchanged: free some space or choose another place"
    )


def _finite(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {str(key): _finite(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    if hasattr(facts, "item") and getattr(facts, "ndim", 0) == 0:
        facts = facts.item()
    if hasattr(facts, "tolist"):
        return _finite(facts.tolist())
    if isinstance(facts, float) and not math.isfinite(facts):
        return None
    return facts
