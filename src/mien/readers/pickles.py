"""Safe reading of pickles of numpy arrays, and the splits that the readers `mmsa` and `mult` find in them.

A pickle is a program that can call any function or class by name. `read_pickle` replaces the few of them that create
numpy arrays by functions and classes of this module ("stand-ins"), and refuses all others before they are called. A
stand-in only records the arguments meant for numpy and checks them against the stored bytes, so that a pickle cannot
make numpy allocate memory.
"""

from __future__ import annotations

import math
import pickle
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError, UnsafePickleError
from mien.readers.base import Groups, Row, SourceDataSet
from mien.readers.input_files import AnyArray, as_text, looks_like, only_file
from mien.schema import SPLITS, FeatureSpace, FloatArray, Level, Modality

KEYS = {Modality.TEXT: "text", Modality.ACOUSTIC: "audio", Modality.VISUAL: "vision"}
# how rows become an utterance vector, for the recipe of a feature space
POOLING = "mean of the valid rows, non-finite values left out"
# boolean, integers, floats, bytes, text and (as a list of such) objects
DTYPE_NAME = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,6}|O8?)")
PLAIN = (str, bytes, int, float, bool, type(None), np.generic)
READ_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
    RecursionError,
    ImportError,
)
SHOWN_NAME_CHARACTERS = 80


def open_splits(paths: Sequence[Path], reader: str) -> list[SplitArrays]:
    """Read the splits of one pickle: a dictionary of train, valid and test, each a dictionary of aligned arrays.

    Args:
        paths: One pickle.
        reader: Name of the reader, for error messages.

    Returns:
        The splits in the file, in the order train, valid, test.

    Raises:
        UnsafePickleError: The pickle names a function or class that is not needed for numpy arrays.
        DataError: The pickle is damaged, has no split, or its streams have wrong shapes.
    """
    path = only_file(paths, (".pkl", ".pickle"), reader)
    loaded = read_pickle(path, reader)
    if not isinstance(loaded, dict) or not any(isinstance(loaded.get(name), dict) for name in SPLITS):
        got = f"the keys {', '.join(map(str, list(loaded)[:8]))}" if isinstance(loaded, dict) else type(loaded).__name__
        raise DataError(
            f"Expected a dictionary with {', '.join(SPLITS)} in {path}, but got {got}; "
            "check that this is the file the reader expects"
        )
    splits = [_checked_split(path, name, loaded[name]) for name in SPLITS if isinstance(loaded.get(name), dict)]
    for split in splits:
        for modality, stream in split.features.items():
            first = splits[0].features.get(modality)
            if first is None or first.shape[2] != stream.shape[2]:
                raise DataError(
                    f"Expected {KEYS[modality]!r} of {split.name!r} in {path} to be as wide as in {splits[0].name!r}, "
                    f"but got {stream.shape}; the splits must come from one extractor"
                )
    return splits


@dataclass(frozen=True, slots=True)
class SplitArrays:
    """The arrays of one split (train, valid or test) in a pickle file. N is the number of utterances of the split."""

    path: Path
    name: str
    values: Mapping[str, Any]
    n_rows: int
    # modality -> (N, row, feature)
    features: Mapping[Modality, FloatArray]

    @property
    def is_aligned(self) -> bool:
        """Whether the streams have the same number of rows, so that row i is one word in all of them."""
        return len({stream.shape[1] for stream in self.features.values()}) == 1

    def where(self, row: int) -> str:
        """Location for error messages."""
        return f"row {row} of {self.name!r} in {self.path}"

    def array(self, key: str) -> AnyArray:
        """Get an array with one row per utterance. Raises DataError if it is missing or has another number of rows."""
        if key not in self.values:
            raise DataError(
                f"Expected {key!r} in {self.name!r} of {self.path}, but got {', '.join(map(str, self.values))}; "
                "check that this is the file the reader expects"
            )
        values = _as_array(self.path, self.name, key, self.values[key])
        if not values.ndim or len(values) != self.n_rows:
            raise DataError(
                f"Expected {self.n_rows} rows in {key!r} of {self.name!r} in {self.path}, but got shape "
                f"{values.shape}; every array needs one row per utterance"
            )
        return values

    def texts(self, key: str) -> list[str]:
        """Return the array stored under `key` as a list of strings, one per utterance."""
        return as_text(self.array(key))


def source_from_splits(
    reader: str,
    splits: Sequence[SplitArrays],
    keep_words: bool,
    groups: Groups,
    attach: Callable[[Row], None],
    notes: Counter[str],
    mapping: Mapping[str, str],
) -> SourceDataSet:
    """Create the data set, with feature spaces named after the reader.

    Args:
        reader: Name of the reader.
        splits: The splits of the pickle; rows of aligned streams are words, those of other streams are frames.
        keep_words: Whether `attach` stores words.
        groups: Rows by video.
        attach: Function that adds the features to the utterance of a row.
        notes: Counter of applied rules.
        mapping: Field -> key in the pickle, without the modalities.

    Returns:
        The opened data set.
    """
    first = splits[0]
    level = Level.WORD if keep_words else Level.UTTERANCE
    spaces = {}
    for modality, stream in first.features.items():
        rows = "words" if first.is_aligned else "frames"
        recipe = {"source": reader, "key": KEYS[modality], "rows": rows, "pooling": POOLING}
        spaces[modality] = FeatureSpace(modality, f"{reader}-{modality}", stream.shape[2], level=level, recipe=recipe)
    return SourceDataSet(
        splits=groups.splits,
        spaces=spaces,
        videos=groups.videos(attach),
        notes=notes,
        mapping={**mapping, **{modality.value: KEYS[modality] for modality in first.features}},
        files=(first.path,),
    )


def _as_array(path: Path, name: str, key: str, value: object) -> AnyArray:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(
            f"Expected one array in {key!r} of {name!r} in {path}, but got rows of different shapes; "
            "check that this is the file the reader expects"
        ) from None


def _checked_split(path: Path, name: str, values: Mapping[str, Any]) -> SplitArrays:
    features = {modality: _as_array(path, name, key, values[key]) for modality, key in KEYS.items() if key in values}
    if not features:
        raise DataError(
            f"Expected {' or '.join(map(repr, KEYS.values()))} in {name!r} of {path}, but got "
            f"{', '.join(map(str, values)) or 'nothing'}; check that this is the file the reader expects"
        )
    n_rows = len(next(iter(features.values()))) if next(iter(features.values())).ndim else 0
    for modality, stream in features.items():
        if stream.ndim != 3 or len(stream) != n_rows or not stream.shape[2] or stream.dtype.kind not in "fiu":
            raise DataError(
                f"Expected numbers of shape ({n_rows}, row, feature) in {KEYS[modality]!r} of {name!r} in {path}, but "
                f"got {stream.dtype} of {stream.shape}; check that this is the file the reader expects"
            )
    return SplitArrays(path, name, values, n_rows, features)


def read_pickle(path: Path, reader: str) -> Any:
    """Read a pickle without executing its calls. Texts of Python 2 are read as latin1, as numpy needs it.

    Args:
        path: The pickle.
        reader: Name of the reader, for error messages.

    Returns:
        Dictionaries, lists, tuples, texts, numbers and read-only numpy arrays.

    Raises:
        UnsafePickleError: The pickle names a function or class that is not needed for numpy arrays.
        DataError: The file is damaged or not a pickle.
    """
    try:
        with open(path, "rb") as handle:
            return _build_arrays(_ArraysOnly(handle, path).load(), {})
    except UnsafePickleError:
        raise
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"Expected a pickle of arrays in {path} for the reader {reader!r}, but got {reason} in what looks like "
            f"{looks_like(path)}; it is cut, altered or of another kind: copy or download it again"
        ) from None


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that accepts only the names in `_STAND_INS`, and replaces each by its value there."""

    def __init__(self, handle: Any, path: Path) -> None:
        super().__init__(handle, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """Return the value in `_STAND_INS` for a function or class. Raises UnsafePickleError if it is not listed."""
        try:
            return _STAND_INS[module, name]
        except KeyError:
            shown = ascii(f"{module}.{name}")[1:-1][:SHOWN_NAME_CHARACTERS]
            raise UnsafePickleError(
                f"Expected only numpy arrays and plain containers in {self._path}, but got the global {shown}, which "
                "could run code; nothing was executed: get the data as .npz or .csd, or from somebody you trust"
            ) from None


class _StandIn:
    """Replaces a function or class that a pickle names. It has no attributes and state that a pickle could change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("state for something that has none")


class _CallableStandIn(_StandIn):
    """Replaces a function or class that a pickle may call, by a function of this module that checks the arguments."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _DtypeRecord:
    """Records the arguments for numpy.dtype: a name, and the byte order as state."""

    __slots__ = ("_name",)

    def __init__(self, name: object, *_flags: object) -> None:
        if not isinstance(name, str) or not DTYPE_NAME.fullmatch(name):
            raise pickle.UnpicklingError(f"the array type {ascii(name)[:SHOWN_NAME_CHARACTERS]}")
        self._name = name.lstrip("<>|=")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise pickle.UnpicklingError("an array type with parts or metadata")
        self._name = state[1] + self._name.lstrip("<>|=")

    @property
    def holds_objects(self) -> bool:
        """Whether the data are a list of Python objects instead of bytes."""
        return "O" in self._name

    def numpy(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self._name)


class _ArrayRecord:
    """Records the state of a numpy.ndarray; `_build_arrays` converts it after the whole pickle is read."""

    __slots__ = ("_dtype", "_fortran", "_raw", "_shape")

    def __init__(self) -> None:
        self._raw: object = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array without its five parts")
        _, self._shape, self._dtype, self._fortran, self._raw = state

    def numpy(self) -> AnyArray:
        """Build the array over the bytes of the pickle. Raises ValueError if shape, type and bytes do not match."""
        if self._raw is None:
            raise ValueError("an array without data")
        return _numpy_array(self._raw, self._dtype, self._shape, "F" if self._fortran else "C")


def _numpy_array(raw: object, dtype: object, shape: object, order: str) -> AnyArray:
    if not isinstance(dtype, _DtypeRecord) or not isinstance(shape, tuple):
        raise ValueError("an array without type or shape")
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError("a shape that is none")
    if dtype.holds_objects:
        return _object_array(raw, shape)
    numpy_dtype = dtype.numpy()
    # a Python 2 string arrives as latin1 text
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(data, bytes | bytearray) or math.prod(shape) * numpy_dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} whose bytes do not fit")
    if not data:
        if math.prod(shape):
            raise ValueError(f"an array of shape {shape} of nothing")
        return np.zeros(shape, numpy_dtype)
    return np.frombuffer(data, dtype=numpy_dtype).reshape(shape, order="F" if order == "F" else "C")


def _object_array(raw: object, shape: tuple[int, ...]) -> AnyArray:
    if not isinstance(raw, list) or math.prod(shape) != len(raw):
        raise ValueError(f"an array of shape {shape} whose values do not fit")
    if not all(isinstance(value, PLAIN) for value in raw):
        raise ValueError("an array of objects that are neither text nor numbers")
    values = np.empty(len(raw), dtype=object)
    values[:] = raw
    return values.reshape(shape)


def _reconstruct(subtype: object, shape: object, typecode: object) -> _ArrayRecord:
    """Replace numpy's `_reconstruct`: return an empty record. The pickle sets its state (shape, type, bytes) next."""
    if subtype is not _NDARRAY or shape != (0,) or typecode not in (b"b", "b"):
        raise pickle.UnpicklingError("an array that numpy would not write")
    return _ArrayRecord()


def _scalar(dtype: object, raw: object) -> Any:
    """Replace numpy's `scalar`, which a pickle calls to restore a numpy scalar: check its bytes and return it."""
    return _numpy_array([raw] if isinstance(dtype, _DtypeRecord) and dtype.holds_objects else raw, dtype, (1,), "C")[0]


def _frombuffer(raw: object, dtype: object, shape: object, order: object, *_axes: object) -> _ArrayRecord:
    """Replace numpy's `_frombuffer`, which pickles of protocol 5 call: return a record of the array."""
    array = _ArrayRecord()
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


def _encode_latin1(text: object, encoding: object = "utf-8") -> bytes:
    """Replace `_codecs.encode`, which pickles of protocol 2 call to restore bytes: return the bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


_NDARRAY = _StandIn()
_STAND_INS: dict[tuple[str, str], _StandIn] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _CallableStandIn(_DtypeRecord),
    ("numpy.core.multiarray", "_reconstruct"): _CallableStandIn(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _CallableStandIn(_reconstruct),
    ("numpy.core.multiarray", "scalar"): _CallableStandIn(_scalar),
    ("numpy._core.multiarray", "scalar"): _CallableStandIn(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _CallableStandIn(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): _CallableStandIn(_frombuffer),
    ("_codecs", "encode"): _CallableStandIn(_encode_latin1),
}


def _build_arrays(value: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """Return an unpickled object with its recorded arrays replaced by numpy arrays.

    Each object is converted once, so that shared objects stay shared. ``known`` maps the id of an object to the object
    and its result. It keeps the object alive, so that the id stays unique.
    """
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, _StandIn | _DtypeRecord):
        raise ValueError("a type where data should be")
    result = value
    if isinstance(value, _ArrayRecord):
        result = value.numpy()
    elif isinstance(value, dict):
        known[id(value)] = (value, value)
        for key, each in value.items():
            value[key] = _build_arrays(each, known)
    elif isinstance(value, list):
        known[id(value)] = (value, value)
        value[:] = [_build_arrays(each, known) for each in value]
    elif isinstance(value, tuple):
        result = tuple(_build_arrays(each, known) for each in value)
    known[id(value)] = (value, result)
    return result
