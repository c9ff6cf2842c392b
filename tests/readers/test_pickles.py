from __future__ import annotations

import os
import pickle
import resource
import struct
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.readers.examples import mmsa_data, write_pickle

from mien.errors import DataError, UnsafePickleError
from mien.limits import MIB, VARIABLE
from mien.readers import open_reader
from mien.readers.pickle_program import MOST_NUMBER_KEYS, SHARED_BYTES, SHARED_RATIO
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
        "empty": np.zeros((0, 4), dtype=np.int64),
        "reordered_axes": np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
        "reordered_objects": np.array([["a", "b"], [None, 1]], dtype=object).T,
    }
    plain = {"list": [1, "two", (3.0, None)], "nested": {"array": arrays["floats"]}, "scalar": np.float32(1.5)}
    plain |= {"set": {"a", "b", "c"}, "frozen": frozenset({1, 2}), "none": set()}
    read = read_pickle(write_pickle(tmp_path / "x.pkl", arrays | plain, protocol), "mmsa")
    for name, expected in arrays.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == expected.dtype
    assert read["list"] == plain["list"]
    assert read["scalar"] == 1.5
    # a set is read as a list
    assert [sorted(read[name]) for name in ("set", "frozen", "none")] == [["a", "b", "c"], [1, 2], []]
    np.testing.assert_array_equal(read["nested"]["array"], arrays["floats"])


def test_a_python2_pickle_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path, PYTHON2_ARRAY)["x"].tolist() == [1.0, 2.0]


def test_a_binary_python2_pickle_is_read(tmp_path: Path) -> None:
    # {'\xe9': array(['ab', 'c']), u'\xe9\u20ac': [10L, True]}, with the byte strings of Python 2, protocol 2
    program = (
        b"\x80\x02}q\x01(U\x01\xe9q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02S2q\x07K\x00K\x01\x87Rq\x08(K\x03U\x01|NNNK\x02K\x01K\x00tb"
        b"\x89T\x04\x00\x00\x00abc\x00tbX\x05\x00\x00\x00\xc3\xa9\xe2\x82\xac]q\x09(\x8a\x01\x0a\x88eu."
    )
    read = loaded(tmp_path, program)
    assert list(read) == ["é", "é€"]
    assert read["é"].tolist() == [b"ab", b"c"]
    assert read["é€"] == [10, True]


@pytest.mark.parametrize("protocol", [0, 2, 3, 5])
def test_the_old_module_names_are_read_too(tmp_path: Path, protocol: int) -> None:
    new = pickle.dumps([np.arange(3), np.float32(2.5)], protocol)
    if protocol < 4:
        old = new.replace(b"numpy._core.", b"numpy.core.")
    else:  # the name is stored with its length
        frame_stop = 11
        old = (
            (new[:2] + new[frame_stop:])
            .replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
            .replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray")
        )
    assert new != old
    array, number = loaded(tmp_path, old)
    assert (array.tolist(), number) == ([0, 1, 2], 2.5)


numbers = st.integers(-(2**3000), 2**3000) | st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=())) | st.binary()
keys = texts | st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
containers = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
)
values = containers | containers.map(lambda value: [value, value, (value,)])


@given(values, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_plain_values_are_those_that_python_reads(
    tmp_path_factory: pytest.TempPathFactory, value: object, protocol: int
) -> None:
    data = pickle.dumps(value, protocol)
    # the text tells 1, 1.0 and True apart
    assert repr(loaded(tmp_path_factory.getbasetemp(), data)) == repr(pickle.loads(data, encoding="latin1"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_dictionaries_of_the_standard_library_are_read(tmp_path: Path, protocol: int) -> None:
    values = {"train": {"x": np.arange(3), "y": [1, "two"]}, 3: None}
    kinds = (None, list, dict, int, float, str, set, OrderedDict)
    data = {
        "ordered": OrderedDict(values),
        "nested": OrderedDict(inner=OrderedDict(values)),
        "counted": Counter("abca"),
        "deques": [deque([1, "a"]), deque([2], maxlen=3)],
        "default": [defaultdict(kind, values) for kind in kinds],
    }
    read = read_pickle(write_pickle(tmp_path / "x.pkl", data, protocol), "mmsa")
    assert read["deques"] == [[1, "a"], [2]]
    assert read["counted"] == {"a": 2, "b": 1, "c": 1}
    found = [read["ordered"], read["nested"]["inner"], *read["default"]]
    assert len(found) == 2 + len(kinds)
    for each in found:
        assert type(each) is dict
        assert list(each) == ["train", 3]
        np.testing.assert_array_equal(each["train"]["x"], np.arange(3))
        assert each["train"]["y"] == [1, "two"]


def test_an_ordered_dictionary_of_python2_is_read(tmp_path: Path) -> None:
    program = b"ccollections\nOrderedDict\np0\n((lp1\n(lp2\nS'a'\np3\naI1\naa(lp4\nS'b'\np5\naI2\naatp6\nRp7\n."
    assert loaded(tmp_path, program) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"ccollections\ndefaultdict\n(cos\nsystem\ntR.", "the global os.system"),
        (b"ccollections\ndefaultdict\n(I1\ntR.", "a defaultdict whose new values"),
        (b"ccollections\nOrderedDict\n((lI1\natR.", "an OrderedDict of something other"),
        (b"ccollections\nOrderedDict\n((l(l(I1\ntaI1\naatR.", "a key that is neither text nor a number"),
        (b"ccollections\nCounter\n(I1\ntR.", "a Counter of something other"),
        (b"cbuiltins\nlist\n(tR.", "a call of something that is no function"),
        (b"(lcbuiltins\ndict\na.", "a type or an empty array where data should be"),
    ],
)
def test_other_uses_of_these_types_are_refused(tmp_path: Path, program: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, program)


def test_many_numbers_as_keys_of_an_ordered_dictionary_are_refused(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "x.pkl", OrderedDict.fromkeys(range(MOST_NUMBER_KEYS + 1)))
    with pytest.raises(DataError, match="keys that are numbers"):
        read_pickle(path, "mmsa")


def test_parts_that_are_shared_stay_shared(tmp_path: Path) -> None:
    part = [np.arange(3), "text"]
    read = read_pickle(write_pickle(tmp_path / "x.pkl", {"a": part, "b": (part, part[0])}), "mmsa")
    assert read["a"] is read["b"][0]
    assert read["a"][0] is read["b"][1]


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


def array_of(raw: bytes, shape: bytes, dtype: bytes) -> bytes:
    """A program for an array; `raw`, `shape` and `dtype` are programs for its parts."""
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return start + b"(K\x01" + shape + b"cnumpy\ndtype\n" + dtype + b"\x85R\x89" + raw + b"tb"


def doubled(n_times: int) -> bytes:
    """A program for a pair of the same pair of the same pair, and so on, of a list of five values."""
    return b"\x80\x02](NNNNNe" + b"2\x86" * n_times + b"."


BOMBS = {
    "a length": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a.", r"a length of 1099511627776 bytes with 2 bytes"),
    "a length of a writable text": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a.", r"a length of 1099511627776"),
    "a text": (b"\x80\x02T" + struct.pack("<I", 1 << 31) + b"a.", r"a length of 2147483648 bytes with 2 bytes"),
    "a frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 33) + b"N.", r"a length of 8589934592 bytes"),
    "shared lists": (doubled(18), r"lists that share their values to stand for a multiple of the file"),
    "shared lists without values": (b"\x80\x02]" + b"2\x86" * 60 + b".", r"too many values \(--limit items=N"),
    "shared text": (
        b"\x80\x02X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00(" + b"h\x00" * 1000 + b"t.",
        r"lists that share their values",
    ),
    "nested lists": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", r"nested too deeply \(--limit nesting=N"),
    "nested tuples": (b"\x80\x02)" + b"\x85" * 101 + b".", r"nested too deeply \(--limit nesting=N allows more\)"),
    "open groups": (b"\x80\x02" + b"(" * 1000 + b".", r"too many open groups of values \(--limit nesting=N"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", r"a container that contains itself"),
    "digits": (b"L" + b"7" * 1001 + b"L\n.", r"too many digits \(--limit integer_digits=N allows more\)"),
    "bytes of an integer": (b"\x80\x02\x8b" + struct.pack("<i", 417) + b"\x01" * 417 + b".", r"too many digits"),
    "a negative length": (b"\x80\x02\x8b\xff\xff\xff\xff.", r"too many digits"),
    "a tuple as key": (b"\x80\x02})Ns.", r"a key that is neither text nor a number"),
    "an array as key": (
        b"\x80\x04}" + array_of(b"C\x01a", b"K\x01\x85", b"X\x02\x00\x00\x00i1") + b"Ns.",
        r"a key that is neither text nor a number",
    ),
    "a long number as key": (b"\x80\x02}\x8a\x09" + b"\x01" * 9 + b"Ns.", r"a key of more than 64 bits"),
    "numbers as keys": (
        b"\x80\x02}(" + b"".join(b"J" + struct.pack("<i", key) + b"N" for key in range(MOST_NUMBER_KEYS + 1)) + b"u.",
        rf"more than {MOST_NUMBER_KEYS} keys that are numbers",
    ),
    "a set of a text": (
        b"\x80\x02c__builtin__\nset\nX\x01\x00\x00\x00a\x85R.",
        r"a set of something other than a list",
    ),
    "values for a set that is a tuple": (b"\x80\x04)(K\x01\x90.", r"values for something that is no list"),
    "a set that is copied often": (
        b"\x80\x02c__builtin__\nset\nq\x00](" + b"N" * 10_000 + b"e\x85q\x01(" + b"h\x00h\x01R" * 1000 + b"t.",
        r"many arrays with the same bytes",
    ),
    "a set in itself": (b"\x80\x04\x8fq\x00(h\x00\x90.", r"a container that contains itself"),
    "a shape": (
        b"\x80\x04" + array_of(b"C\x08aaaaaaaa", b"J\xff\xff\xff\x7f\x85", b"X\x02\x00\x00\x00f8") + b".",
        r"an array whose shape does not fit its 8 bytes",
    ),
    "a shape without values": (
        b"\x80\x04" + array_of(b"C\x00", b"K\x00J\xff\xff\xff\x7f\x86", b"X\x02\x00\x00\x00f8") + b".",
        r"an array without bytes, but with a shape that needs them",
    ),
    "a shape of objects": (
        b"\x80\x04" + array_of(b"]", b"K\x00J\xff\xff\xff\x7f\x86", b"X\x01\x00\x00\x00O") + b".",
        r"an array whose shape does not fit its 0 values",
    ),
    "a text that is copied often": (
        b"\x80\x02c_codecs\nencode\nq\x00X" + struct.pack("<I", 100_000) + b"a" * 100_000
        + b"q\x01X\x06\x00\x00\x00latin1q\x02(" + b"h\x00h\x01h\x02\x86R" * 1000 + b"t.",
        r"many arrays with the same bytes",
    ),
    "bytes that are checked often": (
        b"\x80\x04B" + struct.pack("<I", 400_000) + b"a\0\0\0" * 100_000 + b"q\x00("
        + array_of(b"h\x00", b"J" + struct.pack("<i", 100_000) + b"\x85", b"X\x02\x00\x00\x00U1") * 1000 + b"t.",
        r"many arrays with the same bytes",
    ),
    "a character": (
        b"\x80\x04" + array_of(b"C\x04\x00\x00\x11\x00", b"K\x01\x85", b"X\x02\x00\x00\x00U1") + b".",
        r"an array of text with numbers that are no characters",
    ),
    "instructions": (b"\x80\x02" + b"N0" * 1_000_001 + b".", r"more than 2000000 instructions \(--limit items=N"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_would_take_time_or_memory_is_refused(tmp_path: Path, name: str) -> None:
    program, reason = BOMBS[name]
    with pytest.raises(
        DataError, match=rf"^Expected a pickle of arrays in .*x\.pkl for the reader 'mmsa', but got .*{reason}"
    ):
        loaded(tmp_path, program)


def test_the_limits_of_the_process_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nested = b"\x80\x02)" + b"\x85" * 150 + b"."
    long_number = b"L" + b"7" * 1500 + b"L\n."
    monkeypatch.setenv(VARIABLE, "nesting=151,integer_digits=1500")
    assert loaded(tmp_path, long_number) == int("7" * 1500)
    assert len(loaded(tmp_path, nested)) == 1
    monkeypatch.setenv(VARIABLE, "items=3")
    with pytest.raises(DataError, match=r"more than 3 instructions"):
        loaded(tmp_path, b"\x80\x02N0N.")
    monkeypatch.setenv(VARIABLE, "items=50")
    with pytest.raises(DataError, match=r"too many values \(--limit items=N allows more\)"):
        loaded(tmp_path, doubled(4))


def test_few_shared_values_are_read(tmp_path: Path) -> None:
    assert SHARED_BYTES > 1 * MIB
    assert SHARED_RATIO > 1
    text, array = "a" * 1000, np.arange(1000.0)
    read = read_pickle(write_pickle(tmp_path / "x.pkl", {"text": [text] * 1000, "arrays": [array] * 100}), "mmsa")
    assert read["text"] == [text] * 1000
    assert len(read["arrays"]) == 100


READ_ALL = """
import resource, sys
from pathlib import Path
from mien.errors import MienError
from mien.readers import open_reader
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (200 << 20),) * 2)
for path in sys.argv[1:]:
    for reader in ("mmsa", "mult"):
        try:
            print(path, "gave", sum(1 for _ in open_reader(reader, [path]).videos))
        except MienError as error:
            print("refused", type(error).__name__)
"""


def outcomes(paths: list[Path]) -> list[str]:
    """Read files in a process of at most 200 MiB more than it has at its start."""
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *map(str, paths)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS") or sys.platform != "linux", reason="needs Linux")
def test_bombs_are_refused_with_little_memory(tmp_path: Path) -> None:
    paths = []
    for number, (program, _) in enumerate(BOMBS.values()):
        paths.append(tmp_path / f"{number}.pkl")
        paths[-1].write_bytes(program)
    # the number of an entry of the memo allocates nothing
    for number, put in enumerate((b"r\xff\xff\xff\xff", b"p99999999999999\n")):
        paths.append(tmp_path / f"memo{number}.pkl")
        paths[-1].write_bytes(b"\x80\x02]" + put + b".")
    assert set(outcomes(paths)) == {"refused DataError"}


@pytest.mark.data
@pytest.mark.skipif("MIEN_CASES" not in os.environ, reason="MIEN_CASES is not set: the cases are not here")
def test_the_known_hostile_pickles_are_refused() -> None:
    paths = sorted(Path(os.environ["MIEN_CASES"], "robust", "pickles").glob("*.pkl"))
    assert len(paths) > 50
    assert set(outcomes(paths)) == {"refused DataError", "refused UnsafePickleError"}


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
