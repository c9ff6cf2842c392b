"""Numpy arrays in pickles: stand-ins for the functions that a pickle of arrays calls.

Every stand-in takes the arguments in the pickle as one tuple, and a function `spend` that counts the bytes it handles.
It checks the arguments, and raises ValueError, with a reason, if numpy would not have written them. The arrays are
views of the stored bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mien.limits import current_limits
from mien.readers.input_files import LARGEST_CODE_POINT, AnyArray

Spend = Callable[[int], None]
StandIn = Callable[[tuple[Any, ...], Spend], Any]

# boolean, integers, floats, bytes, text and (as a list of such) objects
DTYPE_NAME = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,6}|O8?)")
PLAIN = (str, bytes, int, float, bool, type(None), np.generic)
MOST_AXES = 32
# stands for the type numpy.ndarray, which is only an argument of `_reconstruct`
NDARRAY: Final = object()
# stands for a type that a defaultdict makes new values with; it is only an argument of `_default_dictionary`
FACTORY: Final = object()


class DtypeRecord:
    """Stand-in for a numpy.dtype object while a pickle is read: the name of a type and its byte order."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name.lstrip("<>|=")

    def set_state(self, state: object) -> None:
        """Set the byte order from the state that a pickle stores for a numpy.dtype.

        Raises ValueError if the state describes a structured type or has metadata.
        """
        match state:
            case (_, "<" | ">" | "|" | "=" as order, None, None, None, *rest) if len(rest) <= 3:
                self._name = order + self._name.lstrip("<>|=")
            case _:
                raise ValueError("an array type with parts or metadata")

    @property
    def holds_objects(self) -> bool:
        """Whether an array of this type is stored as a list of Python objects instead of bytes."""
        return "O" in self._name

    def numpy(self) -> np.dtype[Any]:
        """Return the numpy type that this record stands for."""
        return np.dtype(self._name)


class NewDictionary:
    """Result of a stand-in that makes a dictionary. `PickleProgram` checks the keys, and then fills a dictionary."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        # key, value, key, value, ...
        self.items = items


class ArrayRecord:
    """Stand-in for an array that a pickle creates without data. `set_state` creates the array itself."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: AnyArray | None = None

    def set_state(self, state: object, spend: Spend) -> None:
        """Create the array from the state that a pickle stores for it, and keep it in the field `array`.

        Args:
            state: Tuple of version, shape, type, whether the data are in Fortran order, and the data.
            spend: Function that is called with the number of bytes of the data.

        Raises:
            ValueError: Shape, type and data do not fit each other.
        """
        match state:
            case (_, shape, dtype, fortran, raw):
                self.array = _array(raw, dtype, shape, "F" if isinstance(fortran, int) and fortran else "C", spend)
            case _:
                raise ValueError("an array without its five parts")


def _array(raw: object, dtype: object, shape: object, order: str, spend: Spend) -> AnyArray:
    if not isinstance(dtype, DtypeRecord) or not isinstance(shape, tuple) or len(shape) > MOST_AXES:
        raise ValueError("an array without type or shape")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("a shape that is none")
    if not isinstance(raw, list if dtype.holds_objects else str | bytes | bytearray):
        raise ValueError("an array without data")
    spend(len(raw) * (8 if dtype.holds_objects else 1))
    if isinstance(raw, list):
        # numpy lists objects in C order, whatever the order of the array
        return _object_array(raw, shape).reshape(shape)
    numpy_dtype = dtype.numpy()
    # a Python 2 string arrives as latin1 text
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    if math.prod(shape) * numpy_dtype.itemsize != len(data):
        raise ValueError(f"an array whose shape does not fit its {len(data)} bytes")
    if not data:
        if math.prod(shape) or max(shape) > current_limits().items:
            raise ValueError("an array without bytes, but with a shape that needs them")
        return np.zeros(shape, numpy_dtype)
    array = np.frombuffer(data, dtype=numpy_dtype)
    if numpy_dtype.kind == "U":
        codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(numpy_dtype.byteorder))
        # numpy would raise SystemError when it makes a text of it
        if codes.max() > LARGEST_CODE_POINT:
            raise ValueError("an array of text with numbers that are no characters")
    return array.reshape(shape, order="F" if order == "F" else "C")


def _object_array(raw: list[Any], shape: tuple[int, ...]) -> AnyArray:
    if math.prod(shape) != len(raw) or max(shape, default=0) > current_limits().items:
        raise ValueError(f"an array whose shape does not fit its {len(raw)} values")
    if not all(issubclass(kind, PLAIN) for kind in set(map(type, raw))):
        raise ValueError("an array of objects that are neither text nor numbers")
    values = np.empty(len(raw), dtype=object)
    values[:] = raw
    return values


def _dtype(arguments: tuple[Any, ...], _spend: Spend) -> DtypeRecord:
    """Return a record of an array type. Stands in for numpy.dtype, with its arguments."""
    match arguments:
        case (str() as name, *_) if DTYPE_NAME.fullmatch(name):
            return DtypeRecord(name)
        case (str() as name, *_):
            raise ValueError(f"the array type {name[:40]!a}")
    raise ValueError("an array type without a name")


def _reconstruct(arguments: tuple[Any, ...], _spend: Spend) -> ArrayRecord:
    """Return an array record without data. Stands in for numpy's `_reconstruct`, which creates an empty array."""
    match arguments:
        case (subtype, (0,), b"b" | "b") if subtype is NDARRAY:
            return ArrayRecord()
    raise ValueError("an array that numpy would not write")


def _scalar(arguments: tuple[Any, ...], spend: Spend) -> Any:
    """Return one value of an array type. Stands in for numpy's `scalar`, with its arguments (type, data)."""
    match arguments:
        case (DtypeRecord() as dtype, raw):
            return _array([raw] if dtype.holds_objects else raw, dtype, (1,), "C", spend)[0]
    raise ValueError("a number that numpy would not write")


def _frombuffer(arguments: tuple[Any, ...], spend: Spend) -> AnyArray:
    """Return an array made from bytes. Stands in for numpy's `_frombuffer`, which pickles of protocol 5 call."""
    match arguments:
        case (raw, dtype, shape, "C" | "F" as order) | (raw, dtype, shape, "C" | "F" as order, _):
            return _array(raw, dtype, shape, order, spend)
        case (raw, dtype, shape, "K", tuple() as axes) if all(type(axis) is int for axis in axes):
            array = _array(raw, dtype, shape, "C", spend)
            if sorted(axes) == list(range(array.ndim)):
                return array.transpose(axes)
    raise ValueError("an array that numpy would not write")


def _encode_latin1(arguments: tuple[Any, ...], spend: Spend) -> bytes:
    """Encode a text as latin1. Stands in for `_codecs.encode`, which pickles of protocol 2 call to make bytes."""
    match arguments:
        case (str() as text, "latin1" | "latin-1"):
            spend(len(text))
            return text.encode("latin1")
    raise ValueError("an encoding other than latin1")


def _no_bytes(arguments: tuple[Any, ...], _spend: Spend) -> bytes:
    """Return empty bytes. Stands in for `bytes`, which pickles of protocol 2 call without arguments."""
    if arguments:
        raise ValueError("a call of bytes with arguments")
    return b""


def _set_as_list(arguments: tuple[Any, ...], spend: Spend) -> list[Any]:
    """Stand-in for `set` and `frozenset`, which pickles up to protocol 3 call with a list of the values."""
    match arguments:
        case (list() as values,):
            spend(8 * len(values))
            return list(values)
    raise ValueError("a set of something other than a list")


def _ordered_dictionary(arguments: tuple[Any, ...], spend: Spend) -> NewDictionary:
    """Stand-in for OrderedDict, which Python 3 calls without arguments and Python 2 with a list of [key, value]."""
    match arguments:
        case () | (list(),):
            pairs = arguments[0] if arguments else []
            if all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
                spend(16 * len(pairs))
                return NewDictionary([value for pair in pairs for value in pair])
    raise ValueError("an OrderedDict of something other than pairs")


def _default_dictionary(arguments: tuple[Any, ...], _spend: Spend) -> NewDictionary:
    """Stand-in for defaultdict. What makes its new values is ignored, because a reader asks only for keys it has."""
    match arguments:
        case () | (None,):
            return NewDictionary([])
        case (factory,) if any(factory is each for each in (FACTORY, *FACTORY_FUNCTIONS)):
            return NewDictionary([])
    raise ValueError("a defaultdict whose new values come from something other than a plain type")


def _counter(arguments: tuple[Any, ...], spend: Spend) -> NewDictionary:
    """Stand-in for Counter, which a pickle calls with a dictionary."""
    match arguments:
        case (dict() as counts,):
            spend(16 * len(counts))
            return NewDictionary([value for item in counts.items() for value in item])
    raise ValueError("a Counter of something other than a dictionary")


def _deque_as_list(arguments: tuple[Any, ...], spend: Spend) -> list[Any]:
    """Stand-in for deque, which a pickle calls with its values, or with none and then adds them, and a length."""
    match arguments:
        case () | (list() | tuple(),) | (list() | tuple(), int() | None):
            values = list(arguments[0]) if arguments else []
            spend(8 * len(values))
            return values
    raise ValueError("a deque of something other than a list")


# stand-ins that a defaultdict may also use to make new values
FACTORY_FUNCTIONS = (_set_as_list, _no_bytes, _ordered_dictionary, _default_dictionary, _counter, _deque_as_list)
BUILTINS = ("builtins", "__builtin__")
# "long" and "unicode" are types of Python 2
FACTORIES = ("list", "dict", "tuple", "int", "float", "bool", "str", "long", "unicode")

# module and name of a global -> its stand-in
STAND_INS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode_latin1,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): _ordered_dictionary,
    ("collections", "defaultdict"): _default_dictionary,
    ("collections", "Counter"): _counter,
    ("collections", "deque"): _deque_as_list,
    # the missing value of pandas, which prints as <NA>
    ("pandas._libs.missing", "NA"): None,
    **{(module, name): _set_as_list for module in BUILTINS for name in ("set", "frozenset")},
    **{(module, name): FACTORY for module in BUILTINS for name in FACTORIES},
}
