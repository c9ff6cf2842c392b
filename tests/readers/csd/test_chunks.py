"""Rows read chunk by chunk against h5py's own, for every way of storing that a file may use."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.readers.csd.test_sequences import sequence

from mien.errors import DamagedFileError
from mien.readers.csd import chunks
from mien.readers.csd.chunks import read_chunked_rows
from mien.readers.csd.sequences import open_sequence

N_ROWS, WIDTH = 1_000, 33
GZIP = {"compression": "gzip", "chunks": (128, 10)}


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SMALLEST_BYTES", 1)


def stored(path: Path, values: Any, **how: Any) -> h5py.Dataset:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **how)
    return h5py.File(path, "r")["x"]


def numbers(kind: str = "<f4") -> Any:
    return (np.random.default_rng(0).normal(size=(N_ROWS, WIDTH)) * 1_000).astype(kind)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2", "<i8", ">i2", "u1"])
def test_every_kind_of_number(tmp_path: Path, kind: str) -> None:
    dataset = stored(tmp_path / "x.h5", numbers(kind), **GZIP)
    assert chunks._is_plain_gzip(dataset)
    for start, stop in ((0, N_ROWS), (128, 384), (896, 2_000)):
        found = read_chunked_rows(dataset, start, stop)
        assert found.dtype == dataset.dtype
        np.testing.assert_array_equal(found, dataset[start:stop])


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (128, 10)},
        {**GZIP, "shuffle": True},
        {**GZIP, "fletcher32": True},
        {"chunks": (128, 10), "compression": "lzf"},
        {**GZIP, "maxshape": (None, WIDTH)},
        {"compression": "gzip", "chunks": (200, 40), "maxshape": (None, None)},
        {"compression": "gzip", "chunks": (1, 1)},
    ],
)
def test_every_way_of_storing(tmp_path: Path, how: dict[str, Any]) -> None:
    values = numbers()[:150]
    dataset = stored(tmp_path / "x.h5", values, **how)
    np.testing.assert_array_equal(read_chunked_rows(dataset, 0, 150), values)


def test_chunks_that_were_never_written_or_are_not_compressed(tmp_path: Path) -> None:
    values = numbers()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        holes = file.create_dataset("holes", (N_ROWS, WIDTH), "<f4", fillvalue=7, **GZIP)
        holes[:300] = values[:300]
        raw = file.create_dataset("raw", data=values, **GZIP)
        raw.id.write_direct_chunk((128, 0), np.ascontiguousarray(values[128:256, :10]).tobytes(), filter_mask=1)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        np.testing.assert_array_equal(read_chunked_rows(file["holes"], 0, N_ROWS), file["holes"][()])
        np.testing.assert_array_equal(read_chunked_rows(file["raw"], 0, N_ROWS), values)


@pytest.mark.parametrize("harm", ["cut", "noise", "another length"])
def test_a_damaged_chunk_names_its_row_and_video(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "x.csd"
    held = sequence(path, 1_000, compression="gzip", chunks=(500, 4))
    content = zlib.compress(np.ones((500, 4), np.float32).tobytes())
    bad = {"cut": content[:-9], "noise": b"\xff" * 90, "another length": zlib.compress(b"12345678")}[harm]
    with h5py.File(path, "a") as file:
        file["COVAREP/data/v/features"].id.write_direct_chunk((500, 0), bad)
    with (
        open_sequence(held) as reader,
        pytest.raises(DamagedFileError, match="at row 500 at video 'v'; it was cut"),
    ):
        reader.read("v", "fiu")
