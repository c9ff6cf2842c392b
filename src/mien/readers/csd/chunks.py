"""Reads gzip-compressed HDF5 datasets chunk by chunk with libdeflate, which is faster than the zlib inside h5py.

Datasets that are stored in any other way are read by h5py.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import h5py
import numpy as np
from deflate import DeflateError, zlib_decompress
from numpy.typing import NDArray

# h5py reads smaller datasets as fast
SMALLEST_BYTES = 1 << 18
# Sequences have no larger chunks. A dataset that has one is left to h5py, which reports what is wrong with it.
LARGEST_CHUNK_BYTES = 64 << 20


def read_chunked_rows(dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Read a range of rows of a dataset, as ``dataset[start:stop]`` does.

    Args:
        dataset: Numbers or texts, with the rows on the first axis.
        start: First row to read. If the dataset is chunked, it must be the first row of a chunk.
        stop: Row to stop before. It may exceed the number of rows.

    Returns:
        The rows, with the data type of the dataset.

    Raises:
        OSError: The stored data are damaged.
    """
    if not _is_plain_gzip(dataset):
        return np.asarray(dataset[start:stop])
    chunk_shape, dtype = dataset.chunks, dataset.dtype
    n_bytes = int(np.prod(chunk_shape)) * dtype.itemsize
    rows = np.empty((min(stop, len(dataset)) - start, dataset.shape[1]), dtype)
    for row, column in product(
        range(start, start + len(rows), chunk_shape[0]), range(0, rows.shape[1], chunk_shape[1])
    ):
        is_uncompressed, stored = dataset.id.read_direct_chunk((row, column))
        try:
            content = stored if is_uncompressed else zlib_decompress(stored, n_bytes)
        except DeflateError as error:
            raise OSError(f"{error} at row {row}") from None
        if len(content) != n_bytes:
            raise OSError(f"{len(content)} bytes instead of {n_bytes} at row {row}")
        # the file stores whole chunks, also where one extends beyond the last row or column
        target = rows[row - start :, column:][: chunk_shape[0], : chunk_shape[1]]
        target[:] = np.frombuffer(content, dtype).reshape(chunk_shape)[: target.shape[0], : target.shape[1]]
    return rows


def _is_plain_gzip(dataset: h5py.Dataset) -> bool:
    """Return whether this module can decompress the chunks of a dataset without h5py.

    The dataset must be a numeric matrix of at least `SMALLEST_BYTES`. All chunks of the dataset must be stored,
    compressed by gzip and by no other filter, and not larger than `LARGEST_CHUNK_BYTES`.
    """
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
