"""Rows of gzip-compressed HDF5 datasets, inflated by libdeflate, which is quicker than the zlib inside h5py.

What is stored in any other way is left to h5py.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import h5py
import numpy as np
from deflate import DeflateError, zlib_decompress
from numpy.typing import NDArray

# what is smaller is read as quickly by h5py
SMALLEST_BYTES = 1 << 18
# a chunk of more is no chunk of a sequence: h5py may say what it is
LARGEST_CHUNK_BYTES = 64 << 20


def read_rows(dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """``dataset[start:stop]``; `start` is the first row of a chunk. Raises OSError where the data are damaged."""
    if not _is_plain_gzip(dataset):
        whole = start == 0 and stop >= len(dataset)
        return np.asarray(dataset[()] if whole else dataset[start:stop])
    chunk_shape, dtype, read = dataset.chunks, dataset.dtype, dataset.id.read_direct_chunk
    n_bytes = int(np.prod(chunk_shape)) * dtype.itemsize
    rows = np.empty((min(stop, len(dataset)) - start, dataset.shape[1]), dtype)
    for corner in product(range(start, start + len(rows), chunk_shape[0]), range(0, rows.shape[1], chunk_shape[1])):
        unfiltered, stored = read(corner)
        try:
            content = stored if unfiltered else zlib_decompress(stored, n_bytes)
        except DeflateError as error:
            raise OSError(f"{error} at row {corner[0]}") from None
        if len(content) != n_bytes:
            raise OSError(f"{len(content)} bytes instead of {n_bytes} at row {corner[0]}")
        # chunks are whole in the file, also across the end of the rows and columns
        place = rows[corner[0] - start :, corner[1] :][: chunk_shape[0], : chunk_shape[1]]
        place[:] = np.frombuffer(content, dtype).reshape(chunk_shape)[: place.shape[0], : place.shape[1]]
    return rows


def _is_plain_gzip(dataset: h5py.Dataset) -> bool:
    """Whether it is a matrix whose chunks are all there and only compressed, in the types that numpy has."""
    if dataset.ndim != 2 or dataset.dtype.kind not in "fiu" or dataset.size * dataset.dtype.itemsize < SMALLEST_BYTES:
        return False
    if dataset.chunks is None:
        return False
    filters = dataset.id.get_create_plist()
    n_chunks = [-(-size // step) for size, step in zip(dataset.shape, dataset.chunks, strict=True)]
    return bool(
        filters.get_nfilters() == 1
        and filters.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE
        and int(np.prod(dataset.chunks)) * dataset.dtype.itemsize <= LARGEST_CHUNK_BYTES
        and dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype))
        and dataset.id.get_num_chunks() == int(np.prod(n_chunks))
    )
