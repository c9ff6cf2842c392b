"""Input files of the readers: lists them, checks their format, and converts arrays of texts."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.recordings import looks_like_media

AnyArray = NDArray[Any]
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NPY_MAGIC = b"\x93NUMPY"
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
# first bytes of a file -> its format, for error messages
KINDS = {
    HDF5_MAGIC: "an HDF5 file (reader csd)",
    ZIP_MAGIC: "a zip archive, perhaps .npz (reader arrays or npz)",
    PARQUET_MAGIC: "a Parquet file (reader table)",
    NPY_MAGIC: "a single .npy array",
    GZIP_MAGIC: "a gzip archive (unpack it first)",
    b"BZh": "a bzip2 archive (unpack it first)",
    b"\xfd7zXZ": "an xz archive (unpack it first)",
    b"\x28\xb5\x2f\xfd": "a zstd archive (unpack it first)",
    b"ARROW1": "an Arrow file (save it as Parquet)",
    b"\xd0\xcf\x11\xe0": "a file of an old Office program, perhaps .xls (save it as .xlsx or as CSV UTF-8)",
    b"version https://git-lfs": "a Git LFS pointer in place of the file (run git lfs pull)",
    b"<!DOCTYPE": "a web page (download the file itself)",
    b"<!doctype": "a web page (download the file itself)",
    b"<html": "a web page (download the file itself)",
}
MEDIA = "a sound or video file (mien extract reads it)"
HEAD_BYTES = 512
WIDE_SHARE = 0.8
LAST_PICKLE_PROTOCOL = 5
LARGEST_CODE_POINT = 0x10FFFF
LARGEST_TEXT_NUMBER_BITS = 64


def input_files(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> list[Path]:
    """List the files to read, in the order of `paths`.

    Args:
        paths: Files and folders. A file may have any suffix. For a folder, its files with one of the suffixes are
            listed, sorted by name.
        suffixes: Suffixes in lower case with the dot, for example ".csv" or ".csv.gz".
        reader: Name of the reader, for error messages.

    Returns:
        At least one path; each file exists and is not empty.

    Raises:
        DataError: There is no file, or a file is missing, empty or listed twice.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files_inside = files_with_suffix(path, suffixes)
            if not files_inside:
                raise DataError(
                    f"Expected files ending in {' or '.join(suffixes)} in the folder {path} for the reader "
                    f"{reader!r}, but got none; check the path"
                )
            files.extend(files_inside)
        else:
            files.append(path)
    if not files:
        raise DataError(f"Expected at least one file for the reader {reader!r}, but got none; name the files to read")
    for path in files:
        require_file(path, reader)
    duplicates = [
        path for number, path in enumerate(files) if path.resolve() in [each.resolve() for each in files[:number]]
    ]
    if duplicates:
        raise DataError(f"Expected every file once, but got {duplicates[0]} twice; leave one out")
    return files


def files_with_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder that have one of several suffixes.

    Args:
        folder: Folder to list; its subfolders are not searched.
        suffixes: Suffixes in lower case with the dot.

    Returns:
        The files, sorted by name.
    """
    return sorted(each for each in folder.iterdir() if each.is_file() and each.name.lower().endswith(suffixes))


def only_file(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> Path:
    """Find the single file to read.

    Args:
        paths: One file, or a folder that contains one file with one of the suffixes.
        suffixes: Suffixes in lower case with the dot.
        reader: Name of the reader, for error messages.

    Returns:
        The path of the file, which exists and is not empty.

    Raises:
        DataError: There is no such file, it is empty, or there is more than one.
    """
    files = input_files(paths, suffixes, reader)
    if len(files) > 1:
        raise DataError(
            f"Expected one file for the reader {reader!r}, but got {len(files)} "
            f"({', '.join(path.name for path in files)}); import them one by one"
        )
    return files[0]


def require_file(path: Path, reader: str) -> None:
    """Check that a file exists and is not empty.

    Args:
        path: File to check.
        reader: Name of the reader, for error messages.

    Raises:
        DataError: The file is missing or empty.
    """
    if not path.is_file():
        raise DataError(f"Expected a file at {path} for the reader {reader!r}, but got nothing there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected data in {path}, but got an empty file; copy or download it again")


def looks_like(path: Path) -> str:
    """Guess the format of a file from its first bytes, and describe it for error messages.

    If mien has a reader for this format, the description names the reader.
    """
    with open(path, "rb") as handle:
        head = handle.read(HEAD_BYTES)
    for magic, kind in KINDS.items():
        if head.startswith(magic):
            return kind
    if head[:1] == b"\x80" and head[1:2] and head[1] <= LAST_PICKLE_PROTOCOL:
        return "a pickle (reader mmsa or mult)"
    try:
        # an incremental decoder accepts a head that ends within a character
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return MEDIA if looks_like_media(head) else "binary data of an unknown kind"
    if b"\0" not in head:
        return "text (reader table or meld)"
    # letters of Western languages have a zero byte each in UTF-16
    is_wide = any(head[first::2].count(0) > WIDE_SHARE * len(head[first::2]) for first in (0, 1))
    return (
        "text in UTF-16 without a byte order mark (save it as UTF-8)" if is_wide else "binary data of an unknown kind"
    )


def wrong_format(path: Path, expected: str, reader: str) -> DataError:
    """Create the error for a file that has another format than its reader expects.

    Args:
        path: The file.
        expected: Expected format, with an article, for example "a CSV file".
        reader: Name of the reader.

    Returns:
        The error to raise.
    """
    return DataError(
        f"Expected {path} to be {expected} for the reader {reader!r}, but got {looks_like(path)}; "
        "name the reader that fits the file"
    )


def as_text(values: AnyArray) -> list[str]:
    """Convert an array of texts, bytes (UTF-8), whole numbers, or objects of these kinds to a flat list of texts.

    Bytes that are not UTF-8, and halves of surrogate pairs, become U+FFFD.

    Raises:
        DataError: A text has a code point above U+10FFFF, or a number has too many digits.
    """
    if values.dtype.kind == "U" and values.size:
        codes = np.ascontiguousarray(values).reshape(-1).view(np.dtype("u4").newbyteorder(values.dtype.byteorder))
        if codes.max(initial=0) > LARGEST_CODE_POINT:
            raise DataError("Expected Unicode text, but got a code point above U+10FFFF; the file is damaged")
    return [_to_text(value) for value in values.reshape(-1).tolist()]


def _to_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and value.bit_length() > LARGEST_TEXT_NUMBER_BITS:
        raise DataError("Expected text or a whole number below 2 ** 64, but got a larger number; the file is damaged")
    text = str(value)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
