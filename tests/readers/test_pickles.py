from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import mmsa_data, write_pickle

from mien.errors import DataError, UnsafePickleError
from mien.readers import open_reader
from mien.readers.pickles import read_pickle

# what Python 2 with numpy 1 wrote for {'x': array([1., 2.], dtype=float32)}, text protocol
PYTHON2_ARRAY = (
    b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    b"S'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntbs."
)


def loaded(tmp_path: Path, data: bytes) -> Any:
    (tmp_path / "x.pkl").write_bytes(data)
    return read_pickle(tmp_path / "x.pkl", "mmsa")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_and_containers_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "ü"]),
        "bytes": np.array([b"a", b"\xff"]),
        "objects": np.array(["a", b"b", 1, None], dtype=object),
        "flags": np.array([True, False]),
        "scalar_array": np.array(3.5),
    }
    if protocol >= 3:
        # below, Python 3 writes no bytes as a call of `bytes`, which is not among the admitted names
        arrays["empty"] = np.zeros((0, 4), dtype=np.int64)
    plain = {"list": [1, "two", (3.0, None)], "nested": {"array": arrays["floats"]}, "scalar": np.float32(1.5)}
    read = read_pickle(write_pickle(tmp_path / "x.pkl", arrays | plain, protocol), "mmsa")
    for name, expected in arrays.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == expected.dtype
    assert read["list"] == plain["list"]
    assert read["scalar"] == 1.5
    np.testing.assert_array_equal(read["nested"]["array"], arrays["floats"])


def test_a_python2_pickle_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path, PYTHON2_ARRAY)["x"].tolist() == [1.0, 2.0]


def test_the_old_module_name_is_read_too(tmp_path: Path) -> None:
    new = pickle.dumps(np.arange(3), protocol=3)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert new != old
    assert loaded(tmp_path, old).tolist() == [0, 1, 2]


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Path.touch, "getattr"),
        (eval, "eval"),
        (np.load, r"numpy\.load"),
        (np.frombuffer, r"numpy.*frombuffer"),
        (np.zeros, r"numpy.*zeros"),
        (open, "open"),
        (np.random.seed, "seed"),
    ],
)
def test_every_other_global_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    call = Call(function, Path("executed")) if function is Path.touch else Call(function, "executed")
    data = {"train": {"annotations": call}}
    expected = (
        rf"Expected only numpy arrays .* but got the global .*({name}|pathlib|_reconstructor).*nothing was executed"
    )
    with pytest.raises(UnsafePickleError, match=expected):
        loaded(tmp_path, pickle.dumps(data, protocol=protocol))
    assert not (tmp_path / "executed").exists()


def test_the_name_of_a_global_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UnsafePickleError) as caught:
        loaded(tmp_path, b"c\x1b[2Jos\nsystem\n(S'x'\ntR.")
    assert "\x1b" not in str(caught.value)
    assert r"\x1b[2Jos.system" in str(caught.value)


@pytest.mark.parametrize(
    "program",
    [
        # ndarray itself called: numpy would allocate 8 GB
        b"\x80\x02cnumpy\nndarray\nJ\x00\x00\x00\x40\x85R.",
        # _reconstruct with a shape of its own: the same
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\x00\x00\x00\x40\x85C\x01b\x87R.",
        # a shape that the bytes do not fill
        pickle.dumps(np.arange(3), protocol=2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
        # state for the stand-ins
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02cnumpy\nndarray\n}b.",
        # arrays never filled, and types where data should be
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\n"
        b"X\x01\x00\x00\x00bX\x06\x00\x00\x00latin1\x86R\x87R.",
        b"\x80\x02cnumpy\ndtype\n.",
        # types with parts, of functions, of much
        b"\x80\x02cnumpy\ndtype\nX\x03\x00\x00\x00f4,K\x00K\x01\x87R.",
        b"\x80\x02cnumpy\ndtype\nX\x09\x00\x00\x00V99999999K\x00K\x01\x87R.",
        # another codec
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        # an extension, a persistent id, an object of a class
        b"\x80\x02\x82\x01.",
        b"\x80\x02Pname\n.",
        b"\x80\x02cnumpy\ndtype\n)\x81.",
        # a length of one terabyte in a file of a few bytes
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",
        # an array of arrays
        b"\x80\x02" + pickle.dumps(np.array([np.zeros(2), None], dtype=object), protocol=2)[2:],
    ],
)
def test_tricks_end_in_a_data_error(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(
        DataError, match=r"Expected a pickle of arrays in .*x\.pkl for the reader 'mmsa', but got .*; it is"
    ):
        loaded(tmp_path, program)


def test_state_cannot_change_a_stand_in_for_the_next_file(tmp_path: Path) -> None:
    # BUILD with a slot state would set attributes on a plain function
    with pytest.raises(DataError):
        loaded(tmp_path, b"\x80\x02cnumpy\ndtype\nN}X\x0c\x00\x00\x00__defaults__)s\x86b.")
    assert loaded(tmp_path, PYTHON2_ARRAY)["x"].tolist() == [1.0, 2.0]


def test_shared_lists_do_not_explode(tmp_path: Path) -> None:
    shared: list[Any] = [0]
    for _ in range(60):
        shared = [shared, shared]
    assert len(read_pickle(write_pickle(tmp_path / "x.pkl", shared), "mmsa")) == 2


def test_nesting_without_end_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected a pickle of arrays"):
        loaded(tmp_path, b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.7, 0.999])
def test_a_cut_pickle_is_a_data_error(tmp_path: Path, share: float) -> None:
    data = pickle.dumps(mmsa_data())
    with pytest.raises(DataError, match=r"it is cut, altered or of another kind: copy or download it again"):
        loaded(tmp_path, data[: int(len(data) * share) + 1])


@pytest.mark.parametrize("text", ["video_id,text\nv,a\n", "hello", "."])
def test_text_is_no_pickle(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"in what looks like text \(reader table or meld\)"):
        loaded(tmp_path, text.encode())


@pytest.mark.data
@pytest.mark.parametrize("source", ["mmsa", "mult"])
@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("os_system.pkl", r"os\.system"),
        ("builtins_eval.pkl", r"builtins\.eval"),
        ("numpy_load.pkl", r"numpy\.load"),
    ],
)
def test_hostile_pickles_are_refused(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, refused: str, source: str
) -> None:
    def executed(*_arguments: Any, **_named: Any) -> None:
        raise AssertionError("executed")

    for target in ("os.system", "builtins.eval", "numpy.load"):
        monkeypatch.setattr(target, executed)
    with pytest.raises(
        UnsafePickleError, match=rf"got the global {refused}, which could run code; nothing was executed"
    ):
        open_reader(source, [data_dir / "hostile_pickles" / name])
