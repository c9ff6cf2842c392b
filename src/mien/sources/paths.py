"""Which files a source is given, and what they look like when they are not what was expected."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

from mien.errors import DataError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NPY_MAGIC = b"\x93NUMPY"
HEAD_BYTES = 512
LAST_PICKLE_PROTOCOL = 5


def input_files(paths: Sequence[Path], suffixes: tuple[str, ...], source: str) -> list[Path]:
    """The files to read: a file as it is given, a folder as its files with one of the suffixes, by name.

    Raises DataError when there is none, when one is missing or empty, and when one is given twice.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.is_file() and each.suffix.lower() in suffixes)
            if not inside:
                raise DataError(
                    f"Expected files ending in {' or '.join(suffixes)} in the folder {path} for the source "
                    f"{source!r}, but got none; check the path"
                )
            files.extend(inside)
        else:
            files.append(path)
    if not files:
        raise DataError(f"Expected at least one file for the source {source!r}, but got none; name the files to read")
    for path in files:
        require_file(path, source)
    twice = [path for number, path in enumerate(files) if path.resolve() in [each.resolve() for each in files[:number]]]
    if twice:
        raise DataError(f"Expected every file once, but got {twice[0]} twice; leave one out")
    return files


def only_file(paths: Sequence[Path], suffixes: tuple[str, ...], source: str) -> Path:
    """The one file to read. Raises DataError when there is none or more than one."""
    files = input_files(paths, suffixes, source)
    if len(files) > 1:
        raise DataError(
            f"Expected one file for the source {source!r}, but got {len(files)} "
            f"({', '.join(path.name for path in files)}); import them one by one"
        )
    return files[0]


def require_file(path: Path, source: str) -> None:
    """Raise DataError unless the file is there and holds something."""
    if not path.is_file():
        raise DataError(f"Expected a file at {path} for the source {source!r}, but got nothing there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected data in {path}, but got an empty file; copy or download it again")


def looks_like(path: Path) -> str:
    """What the first bytes of a file say it is, for error messages; "mien import <source>" where one reads it."""
    with open(path, "rb") as handle:
        head = handle.read(HEAD_BYTES)
    if head.startswith(HDF5_MAGIC):
        return "an HDF5 file (source csd)"
    if head.startswith(ZIP_MAGIC):
        return "a zip archive, perhaps .npz (source arrays or npz)"
    if head.startswith(NPY_MAGIC):
        return "a single .npy array"
    if head[:1] == b"\x80" and head[1:2] and head[1] <= LAST_PICKLE_PROTOCOL:
        return "a pickle (source mmsa or mult)"
    try:
        # incremental, because the cut may fall inside a character
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "binary data of an unknown kind"
    return "binary data of an unknown kind" if b"\0" in head else "text (source table or meld)"


def wrong_format(path: Path, expected: str, source: str) -> DataError:
    """The error for a file of another format than its source reads."""
    return DataError(
        f"Expected {path} to be {expected} for the source {source!r}, but got {looks_like(path)}; "
        "name the source that fits the file"
    )
