"""Replacing a whole folder, such as a Dataset: the new one is written beside the old one, and then the two are swapped.

Only folders of the expected kind are replaced, and only while they hold nothing but the files that mien writes there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mien.errors import WriteError
from mien.storage.files import set_usual_mode, temporary_beside, write_error

# The card names its format within this many bytes, also if the rest of the card is damaged.
HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class FolderKind:
    """A kind of folder that mien writes.

    Attributes:
        card: Name of the JSON file by which such a folder is recognised.
        mark: Text near the beginning of every such card.
        files: Paths of the files that mien writes, relative to the folder. Other files belong to the user.
    """

    card: str
    mark: str
    files: tuple[str, ...]

    def is_kind_of(self, folder: Path) -> bool:
        """Return whether a folder has a card of this kind."""
        try:
            with open(folder / self.card, "rb") as handle:
                return self.mark.encode() in handle.read(HEAD_BYTES)
        except OSError:
            return False


@contextmanager
def atomic_folder(folder: Path, kind: FolderKind) -> Iterator[Path]:
    """Context manager that yields a temporary folder, to which the block writes the new content of `folder`.

    If the block succeeds, the temporary folder is renamed to `folder`. Otherwise, it is removed.

    An existing `folder` is replaced only if it is empty or of the same kind, and holds no file of the user. If `folder`
    is a symbolic link, its target is replaced.

    Args:
        folder: Folder to write or replace.
        kind: Kind of the folder.

    Yields:
        The temporary folder.

    Raises:
        WriteError: The folder must not be replaced or cannot be written.
    """
    folder = require_replaceable(folder, kind)
    replaced = _replaced_folder(folder)
    try:
        with temporary_beside(folder, is_folder=True) as aside:
            yield aside
            require_replaceable(folder, kind)  # again, because the user may have put files there meanwhile
            set_usual_mode(aside)
            # left by a process that was killed after a complete swap
            shutil.rmtree(replaced, ignore_errors=True)
            if folder.exists():
                os.replace(folder, replaced)
            os.replace(aside, folder)
            shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        restore_interrupted_swap(folder)


def require_replaceable(folder: Path, kind: FolderKind) -> Path:
    """Check whether `atomic_folder` may replace a folder. The check is fast: call it before any long computation.

    Args:
        folder: Folder to write or replace.
        kind: Kind of the folder.

    Returns:
        The resolved folder.

    Raises:
        WriteError: The folder has other content, contains the working folder, or has a file as its parent.
    """
    folder = Path(os.path.realpath(folder))
    if folder in (Path.cwd(), *Path.cwd().parents):
        raise WriteError(
            f"Expected a folder that can be replaced, but got {folder}, which holds the working folder; "
            "choose another --out"
        )
    restore_interrupted_swap(folder)
    try:
        os.stat(folder)  # NotADirectoryError if a parent is a file
    except FileNotFoundError:
        pass
    except OSError as error:
        raise write_error(folder, error) from error
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not kind.is_kind_of(folder)):
        raise WriteError(
            f"Expected {folder} to be new or to hold {kind.card}, but got something else; choose another --out"
        )
    replaced = _replaced_folder(folder)
    if os.path.lexists(replaced) and not _is_own_folder(replaced):
        raise WriteError(
            f"Expected nothing at {replaced}, but got a file, a link or a folder of another user; remove it"
        )
    for place in (folder, replaced):
        for path in sorted(place.rglob("*")):
            is_folder = path.is_dir() and not path.is_symlink()
            if not is_folder and path.relative_to(place).as_posix() not in kind.files:
                raise WriteError(
                    f"Expected only files that mien wrote in {place}, which will be replaced, but got "
                    f"{path.relative_to(place)}; move it elsewhere or choose another --out"
                )
    return folder


def require_own_outputs(folder: Path, kind: FolderKind) -> None:
    """Check that a command replaces no file of the user in a folder, but only files that it wrote earlier.

    The command must not change files whose names are not in `kind.files`, so these are not checked.

    Args:
        folder: Folder of the outputs; it need not exist.
        kind: What the command writes.

    Raises:
        WriteError: The folder has a file with a name in `kind.files`, but no card of this kind.
    """
    taken = [name for name in kind.files if os.path.lexists(folder / name)]
    if taken and not kind.is_kind_of(folder):
        raise WriteError(
            f"Expected {folder} to be without {taken[0]} or to hold {kind.card} of this command, but got a "
            f"{taken[0]} that mien did not write; choose another --out"
        )


def require_creatable(folder: Path) -> None:
    """Check that a folder exists or could be made, and that files could be written there. Nothing is made or changed.

    Args:
        folder: Folder of outputs that are written after a long computation.

    Raises:
        WriteError: A part of the path is a file, the name is too long, or the place is read-only for this user.
    """
    try:
        os.stat(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise write_error(folder, error) from error
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    number = errno.ENOTDIR if not place.is_dir() else 0 if os.access(place, os.W_OK | os.X_OK) else errno.EACCES
    if number:
        raise write_error(folder, OSError(number, os.strerror(number)))


def restore_interrupted_swap(folder: Path) -> None:
    """Restore the old folder if a process died between the two renames of `atomic_folder`."""
    with suppress(OSError):  # in a read-only place; then the folder is reported as missing
        if not folder.exists() and _is_own_folder(_replaced_folder(folder)):
            os.replace(_replaced_folder(folder), folder)


def _replaced_folder(folder: Path) -> Path:
    """Return the path to which `atomic_folder` renames the old folder while it replaces it."""
    return folder.with_name(f".{folder.name}.replaced")


def _is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user, not a link to one."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
