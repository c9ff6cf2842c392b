"""Reads arrays from .npz archives of numpy. Sizes are checked before anything is decompressed.

An object array of an archive contains a pickle and is refused.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mien.errors import DataError
from mien.limits import READ_ERRORS, SHOWN_CHARACTERS, current_limits
from mien.readers.input_files import ZIP_MAGIC, AnyArray, wrong_format

# errors of numpy and zipfile on archives that are cut, altered or not made by numpy
NPZ_ERRORS = (*READ_ERRORS, zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError)


def array_names(path: Path, reader: str) -> list[str]:
    """List the arrays in an .npz archive.

    Args:
        path: The archive.
        reader: Name of the reader, for error messages.

    Returns:
        Names of the arrays in stored order.

    Raises:
        DataError: The file is not an archive or is damaged.
    """
    with open(path, "rb") as handle:
        if not handle.read(len(ZIP_MAGIC)).startswith(ZIP_MAGIC):
            raise wrong_format(path, "an .npz archive", reader)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if len(names) > current_limits().items or len(set(names)) < len(names):
                raise ValueError("too many arrays, or two of one name")
            return names
    except NPZ_ERRORS as error:
        raise _damaged_npz(path, error) from None


def read_arrays(path: Path, names: Collection[str], reader: str) -> dict[str, AnyArray]:
    """Read arrays from an .npz archive.

    Args:
        path: The archive.
        names: Arrays to read; names that are not in the archive are ignored.
        reader: Name of the reader, for error messages.

    Returns:
        Name -> array.

    Raises:
        DataError: An array contains Python objects, or the file is not an archive or is damaged.
    """
    names_in_file = array_names(path, reader)
    arrays: dict[str, AnyArray] = {}
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, info in zip(names_in_file, archive.infolist(), strict=True):
                if name in names:
                    arrays[name] = _read_array(archive, info, path.stat().st_size)
    except NPZ_ERRORS as error:
        raise _damaged_npz(path, f"{error or type(error).__name__} in {name!r}") from None
    return arrays


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, archive_bytes: int) -> AnyArray:
    """Read one array, after checking that its size is within the limits.

    Raises DataError if the array holds Python objects, and ValueError for any other reason to refuse it.
    """
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("a compression that numpy does not write")
    if info.file_size > current_limits().largest_unpacked(archive_bytes):
        raise ValueError(
            f"{info.file_size >> 20} MiB of an archive of {archive_bytes >> 20} MiB (--limit unpacked_ratio=N or "
            "unpacked_mib=N allows more)"
        )
    with archive.open(info) as member:
        shape, dtype = _read_npy_header(member)
        if dtype.hasobject:
            raise DataError(
                f"Expected arrays of numbers and text in {archive.filename}, but got Python objects in "
                f"{info.filename.removesuffix('.npy')!r}, which only a pickle can hold; save it again as a plain array "
                "(nothing of it was executed)"
            )
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes > info.file_size:
            raise ValueError(f"an array of shape {shape} in {info.file_size} bytes")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _read_npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(f"the shape {shape}")
    return shape, dtype


def require_arrays(path: Path, names: Sequence[str], there: Collection[str]) -> None:
    """Check that an archive has all needed arrays.

    Args:
        path: The archive, for the error message.
        names: Needed arrays.
        there: All array names of the archive.

    Raises:
        DataError: A needed array is missing; the message lists the arrays of the archive.
    """
    for name in names:
        if name not in there:
            raise DataError(
                f"Expected an array {name!r} in {path}, but got {', '.join(there) or 'none'}; check that this is the "
                "file the reader expects"
            )


def _damaged_npz(path: Path, reason: object) -> DataError:
    return DataError(
        f"Expected an .npz archive of arrays in {path}, but got {str(reason)[:SHOWN_CHARACTERS]}; "
        "the file was cut or altered: copy or download it again"
    )
