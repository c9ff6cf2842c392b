"""Safe reading of pickles that hold numpy arrays and plain containers.

`PickleProgram` interprets the pickle. `read_pickle` then replaces each `ArrayRecord` by its array. It also limits the
total number of values: a list that occurs many times in a small file may stand for more values than fit in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mien.errors import DataError
from mien.limits import reporting_unreadable
from mien.readers.input_files import looks_like
from mien.readers.pickle_program import PickleLimitError, PickleProgram
from mien.readers.pickled_arrays import PLAIN, ArrayRecord

# memory of a value in a list or dictionary
VALUE_BYTES = 8
TOO_DEEP = "containers that are nested too deeply (--limit nesting=N allows more)"
DAMAGED = "it is cut, altered or of another kind: copy or download it again"


def read_pickle(path: Path, reader: str) -> Any:
    """Read a pickle of arrays and plain values without running any code that the file names.

    Texts that Python 2 wrote are decoded as latin1, which numpy arrays in such files need.

    Args:
        path: The pickle.
        reader: Name of the reader, for error messages.

    Returns:
        Dictionaries, lists, tuples, texts, numbers and numpy arrays.

    Raises:
        UnsafePickleError: The pickle names a function or class that arrays and plain values do not need.
        DataError: The file is damaged, exceeds a limit, or is not a pickle.
    """
    with reporting_unreadable("a pickle of arrays", [path]), open(path, "rb") as handle:
        program = PickleProgram(handle, path, path.stat().st_size)
        try:
            return _TreeMeasure(program).finish(program.run(), 0).value
        except (ValueError, IndexError) as error:
            reason = "an instruction without its values" if isinstance(error, IndexError) else str(error)
            remedy = "check that it comes from a source you trust" if isinstance(error, PickleLimitError) else DAMAGED
            raise DataError(
                f"Expected a pickle of arrays in {path} for the reader {reader!r}, but got {' '.join(reason.split())} "
                f"before byte {handle.tell()} in what looks like {looks_like(path)}; {remedy}"
            ) from None


class _Part(NamedTuple):
    """A value and its size. An object that occurs several times in the value is counted each time."""

    value: Any
    n_values: int
    n_bytes: int
    # number of containers inside each other
    depth: int


class _TreeMeasure:
    """Replaces each `ArrayRecord` in nested containers by its array, and measures the size of the containers.

    Each object is visited only once, even if it occurs several times.
    """

    def __init__(self, program: PickleProgram) -> None:
        self._largest_bytes = program.largest_bytes
        self._limits = program.limits
        # id of an object -> the object, which keeps the id in use, and its part; None while its contents are visited
        self._known: dict[int, tuple[Any, _Part | None]] = {}

    def finish(self, value: Any, depth: int) -> _Part:
        """Replace the array records in a value by arrays, and measure the value.

        Args:
            value: A text, number or other plain value; a container; an array; or an `ArrayRecord`.
            depth: Number of nested containers that enclose the value.

        Returns:
            The converted value with its size.

        Raises:
            PickleLimitError: The containers are nested too deeply or hold too many values.
            ValueError: A container contains itself, the total size is too large, or a value has another type.
        """
        if isinstance(value, PLAIN):
            return _Part(value, 1, _plain_bytes([value]), 0)
        if id(value) in self._known:
            part = self._known[id(value)][1]
            if part is None:
                raise ValueError("a container that contains itself")
        else:
            self._known[id(value)] = (value, None)
            part = self._visit(value, depth)
            self._known[id(value)] = (value, part)
        if depth + part.depth > self._limits.nesting:
            raise PickleLimitError(TOO_DEEP)
        if part.n_values > self._limits.items:
            raise PickleLimitError("too many values (--limit items=N allows more)")
        if part.n_bytes > self._largest_bytes:
            raise ValueError("lists that share their values to stand for a multiple of the file")
        return part

    def _visit(self, value: Any, depth: int) -> _Part:
        if isinstance(value, ArrayRecord):
            value = value.array
        if isinstance(value, np.ndarray) and value.dtype.kind != "O":
            return _Part(value, 1, value.nbytes, 0)
        if isinstance(value, np.ndarray):
            return _Part(value, value.size, _plain_bytes(value.reshape(-1).tolist()), 0)
        if isinstance(value, bytearray):
            return _Part(value, 1, len(value), 0)
        if not isinstance(value, dict | list | tuple):
            raise ValueError("a type or an empty array where data should be")
        if depth >= self._limits.nesting:
            raise PickleLimitError(TOO_DEEP)
        children = list(value.values()) if isinstance(value, dict) else value
        n_bytes = VALUE_BYTES + (_plain_bytes(list(value)) if isinstance(value, dict) else 0)
        if all(issubclass(kind, PLAIN) for kind in set(map(type, children))):
            return _Part(value, 1 + len(children), n_bytes + _plain_bytes(children), 1)
        parts = [self.finish(child, depth + 1) for child in children]
        finished = [part.value for part in parts]
        if isinstance(value, dict):
            value.update(zip(value, finished, strict=True))
        elif isinstance(value, list):
            value[:] = finished
        else:
            value = tuple(finished)
        n_values = 1 + sum(part.n_values for part in parts)
        n_bytes += sum(part.n_bytes for part in parts)
        return _Part(value, n_values, n_bytes, 1 + max(part.depth for part in parts))


def _plain_bytes(values: Sequence[Any]) -> int:
    """Return the approximate number of bytes of memory that plain values in a container take."""
    kinds = tuple(kind for kind in set(map(type, values)) if issubclass(kind, str | bytes))
    texts = sum(len(value) for value in values if isinstance(value, kinds)) if kinds else 0
    return VALUE_BYTES * len(values) + texts
