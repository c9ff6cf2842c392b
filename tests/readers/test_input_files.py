from __future__ import annotations

import io
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.readers.examples import write_text

from mien.errors import DataError
from mien.readers.input_files import HEAD_BYTES, input_files, looks_like, only_file, wrong_format


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(2))
    return buffer.getvalue()


def npy_bytes() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (npz_bytes(), "a zip archive, perhaps .npz (reader arrays or npz)"),
        (npy_bytes(), "a single .npy array"),
        (pickle.dumps([1], protocol=2), "a pickle (reader mmsa or mult)"),
        (b"video_id,text\n", "text (reader table or meld)"),
        # the head ends inside a character
        (b"a" * (HEAD_BYTES - 1) + "é".encode(), "text (reader table or meld)"),
        (b"text\0", "binary data of an unknown kind"),
        (b"\xff\xfe", "binary data of an unknown kind"),
        (b"\x80\x09", "binary data of an unknown kind"),
    ],
)
def test_the_first_bytes_tell_the_kind(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "x").write_bytes(data)
    assert looks_like(tmp_path / "x") == kind
    assert f"to be A for the reader 'b', but got {kind}; name" in str(wrong_format(tmp_path / "x", "A", "b"))


def test_hdf5_is_known(tmp_path: Path) -> None:
    h5py.File(tmp_path / "x", "w").close()
    assert looks_like(tmp_path / "x") == "an HDF5 file (reader csd)"


def test_a_folder_is_its_files_of_the_suffix_by_name(tmp_path: Path) -> None:
    for name in ("b.CSV", "a.csv", "c.txt"):
        write_text(tmp_path / name, "x")
    (tmp_path / "d.csv").mkdir()
    assert [path.name for path in input_files([tmp_path], (".csv",), "table")] == ["a.csv", "b.CSV"]
    assert input_files([tmp_path / "c.txt"], (".csv",), "table") == [tmp_path / "c.txt"]


def test_what_is_wrong_with_the_paths_is_said(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.csv", "x")
    write_text(tmp_path / "b.csv", "")
    with pytest.raises(DataError, match=r"at least one file for the reader 'table', but got none; name the files"):
        input_files([], (".csv",), "table")
    with pytest.raises(
        DataError, match=r"a file at .*no\.csv for the reader 'table', but got nothing there; check the path"
    ):
        input_files([tmp_path / "no.csv"], (".csv",), "table")
    with pytest.raises(DataError, match=r"data in .*b\.csv, but got an empty file; copy or download it again"):
        input_files([tmp_path], (".csv",), "table")
    with pytest.raises(DataError, match=r"files ending in \.csd in the folder .*, but got none; check the path"):
        input_files([tmp_path], (".csd",), "csd")
    with pytest.raises(DataError, match=r"every file once, but got .*a\.csv twice; leave one out"):
        input_files([path, tmp_path / "." / "a.csv"], (".csv",), "table")
    with pytest.raises(
        DataError, match=r"one file for the reader 'mmsa', but got 2 \(a\.csv, b\.txt\); import them one by"
    ):
        only_file([path, write_text(tmp_path / "b.txt", "x")], (".pkl",), "mmsa")
