"""Arrow arrays from and to buffers. None, and False in `present`, is null.

pyarrow's own conversions load pandas, where it is installed, to ask whether they are given any: a third of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mien.schema import BoolArray, FloatArray, IntArray


def integers(values: Sequence[int]) -> pa.Array:
    """64-bit whole numbers, none of them null."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, _buffer(np.array(values, dtype=np.int64))])


def numbers(values: Sequence[float | None]) -> pa.Array:
    """Double precision."""
    present = [value is not None for value in values]
    content = np.array([0.0 if value is None else value for value in values], dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(values), [_validity(present), _buffer(content)])


def texts(values: Sequence[str | None]) -> pa.Array:
    """Text in UTF-8."""
    encoded = [b"" if value is None else value.encode("utf-8") for value in values]
    bounds = np.concatenate([[0], np.cumsum([len(each) for each in encoded])]).astype(np.int32)
    validity = _validity([value is not None for value in values])
    return pa.Array.from_buffers(pa.string(), len(values), [validity, _buffer(bounds), pa.py_buffer(b"".join(encoded))])


def vectors(matrix: FloatArray, present: BoolArray) -> pa.Array:
    """The rows of a matrix (row, feature) float32, of which some are present (row,), as lists of one size."""
    n_rows, n_features = matrix.shape
    values = pa.Array.from_buffers(pa.float32(), matrix.size, [None, _buffer(matrix)])
    return pa.Array.from_buffers(pa.list_(pa.float32(), n_features), n_rows, [_validity(present)], children=[values])


def lists(bounds: IntArray, values: pa.Array, present: Sequence[bool]) -> pa.Array:
    """List number n holds ``values[bounds[n] : bounds[n + 1]]``; bounds (list + 1,)."""
    offsets = _buffer(bounds.astype(np.int32))
    kind = pa.list_(values.type)
    return pa.Array.from_buffers(kind, len(present), [_validity(present), offsets], children=[values])


def present_in(array: pa.Array) -> BoolArray:
    """Which values are not null, (value,)."""
    bits = array.buffers()[0]
    if bits is None:
        return np.ones(len(array), dtype=bool)
    unpacked = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=array.offset + len(array), bitorder="little")
    return unpacked[array.offset :].astype(bool)


def stored_in(array: pa.Array, kind: type[np.floating[Any]]) -> FloatArray:
    """The numbers of an array of one kind, (value,); anything where null."""
    stored = np.frombuffer(array.buffers()[1] or b"", dtype=kind)
    return stored[array.offset : array.offset + len(array)]


def _buffer(values: NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.ascontiguousarray(values))


def _validity(present: Sequence[bool] | BoolArray) -> pa.Buffer | None:
    """One bit a value, or nothing where none is null."""
    bits = np.asarray(present, dtype=bool)
    return None if bits.all() else pa.py_buffer(np.packbits(bits, bitorder="little"))
