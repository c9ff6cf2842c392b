"""Reading .npz archives of plain arrays; object arrays are pickles inside and are refused."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.sources.paths import ZIP_MAGIC, wrong_format

AnyArray = NDArray[Any]
# what numpy and zipfile raise on archives that are cut, altered or not made by numpy
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    KeyError,
    MemoryError,
    NotImplementedError,
    SyntaxError,
)


def array_names(path: Path, source: str) -> list[str]:
    """Names of the arrays in an archive. Raises DataError when it is none."""
    with open(path, "rb") as handle:
        if not handle.read(len(ZIP_MAGIC)).startswith(ZIP_MAGIC):
            raise wrong_format(path, "an .npz archive", source)
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except READ_ERRORS as error:
        raise _damaged(path, error) from None


def read_arrays(path: Path, names: Collection[str], source: str) -> dict[str, AnyArray]:
    """The named arrays; names that are not there are left out. Raises DataError on objects and damaged archives."""
    there = array_names(path, source)
    arrays: dict[str, AnyArray] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in there:
                if name in names:
                    arrays[name] = archive[name]
    except READ_ERRORS as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"Expected arrays of numbers and text in {path}, but got Python objects in {name!r}, which only a "
                "pickle can hold; save it again as a plain array (nothing of it was executed)"
            ) from None
        raise _damaged(path, error) from None
    return arrays


def require_arrays(path: Path, names: Sequence[str], there: Collection[str]) -> None:
    """Raise DataError, naming what is there, unless all the named arrays are."""
    for name in names:
        if name not in there:
            raise DataError(
                f"Expected an array {name!r} in {path}, but got {', '.join(there) or 'none'}; check that this is the "
                "file the source reads"
            )


def as_text(values: AnyArray) -> list[str]:
    """Text of a 1-D array of text, bytes (UTF-8) or whole numbers."""
    if values.dtype.kind == "S":
        return [bytes(value).decode("utf-8", "replace") for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"Expected an .npz archive of arrays in {path}, but got {error or type(error).__name__}; "
        "the file was cut or altered: copy or download it again"
    )
