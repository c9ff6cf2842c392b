"""Interpreter of pickles that hold numpy arrays and plain containers.

Python's own unpickler calls any function or class that a pickle names, and allocates as much memory as the pickle asks
for. This interpreter executes only the instructions that such data need, and calls only the stand-in functions in
`STAND_INS`. Before it allocates much memory, it compares the length with the rest of the file.
"""

from __future__ import annotations

import codecs
import pickle
import re
import struct
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from types import FunctionType
from typing import Any

from mien.errors import UnsafePickleError
from mien.limits import MIB, current_limits
from mien.readers.input_files import LAST_PICKLE_PROTOCOL
from mien.readers.pickled_arrays import STAND_INS, ArrayRecord, DtypeRecord, NewDictionary

# Where values are shared, all of them written out may take this many times the bytes of the file, or `SHARED_BYTES`.
SHARED_RATIO = 10
SHARED_BYTES = 8 * MIB
# Python's hash of a number is public, so that the author of a file can choose numbers that slow a dictionary down.
MOST_NUMBER_KEYS = 10_000
KEY_BITS = 64
SHOWN_NAME_CHARACTERS = 80
# a length up to this one is read without comparing it with the rest of the file
SMALL_LENGTH = 4096
LONGEST_NAME = 1000
LONGEST_NUMBER = 100
BITS_PER_DIGIT = 3.33
# what Python 2 never writes; `codecs.escape_decode` warns of it
BAD_ESCAPE = re.compile(rb"\\(?![\\'\"nrtx])")
FLAGS = {b"00": False, b"01": True}


class PickleLimitError(ValueError):
    """A pickle exceeds a limit. The message names the command-line option that allows more."""


class PickleProgram:
    """Interprets the instructions of one pickle."""

    def __init__(self, handle: BufferedReader, path: Path, size: int) -> None:
        self._handle = handle
        # The bytes of an instruction may end with the file. Then the next instruction is missing.
        self.read = handle.read
        self._path = path
        self._size = size
        self.limits = current_limits()
        # the values since the last mark, and for each open mark the values before it
        self.stack: list[Any] = []
        self._marks: list[list[Any]] = []
        # a dictionary, because a pickle chooses the numbers of its entries
        self._memo: dict[int, Any] = {}
        self._n_number_keys = 0
        self._spent = 0
        self.largest_bytes = max(SHARED_BYTES, SHARED_RATIO * size)

    def run(self) -> Any:
        """Execute the instructions of the pickle up to its STOP instruction.

        Returns:
            The unpickled value, in which an `ArrayRecord` stands for some of the arrays.

        Raises:
            ValueError: An instruction is unknown, or cannot be applied to the values on the stack.
            IndexError: An instruction takes more values than the stack has.
            UnsafePickleError: The pickle names a global that has no stand-in.
        """
        read, instructions, limit = self.read, _INSTRUCTIONS.get, self.limits.items
        for _ in range(limit):
            code = read(1)
            if code == b".":
                return self.stack.pop()
            instruction = instructions(code)
            if instruction is None:
                raise ValueError(_unknown(code))
            instruction(self)
        raise PickleLimitError(f"more than {limit} instructions (--limit items=N allows more)")

    def require(self, n_bytes: int) -> None:
        """Raise ValueError if fewer than `n_bytes` bytes of the file are left to read."""
        rest = self._size - self._handle.tell()
        if n_bytes > rest:
            raise ValueError(f"a length of {n_bytes} bytes with {rest} bytes left")

    def take(self, n_bytes: int) -> bytes:
        """Read `n_bytes` bytes. If fewer are left, return these, or raise ValueError if `n_bytes` is large."""
        if n_bytes > SMALL_LENGTH:
            self.require(n_bytes)
        return self.read(n_bytes)

    def take_writable(self, n_bytes: int) -> bytearray:
        """Read `n_bytes` bytes into a new bytearray. Raises ValueError if fewer are left."""
        self.require(n_bytes)
        data = bytearray(n_bytes)
        self._handle.readinto(data)
        return data

    def number(self, n_bytes: int) -> int:
        """Read an unsigned little-endian integer that is stored in `n_bytes` bytes."""
        return int.from_bytes(self.read(n_bytes), "little")

    def line(self, longest: int = -1) -> bytes:
        """Return the next line without its line break.

        Raises ValueError if there is no line break within `longest` bytes (-1: up to the end of the file).
        """
        line = self._handle.readline(longest)
        if not line.endswith(b"\n"):
            raise ValueError("a line without an end")
        return line[:-1]

    def open_mark(self) -> None:
        """Put a mark on the stack. The values that follow it form a group."""
        # one group for each list that is being filled, and two for an array inside
        if len(self._marks) > 2 * self.limits.nesting:
            raise PickleLimitError("too many open groups of values (--limit nesting=N allows more)")
        self._marks.append(self.stack)
        self.stack = []

    def close_mark(self) -> list[Any]:
        """Remove the last mark and the values that follow it from the stack, and return these values."""
        values, self.stack = self.stack, self._marks.pop()
        return values

    def pop(self) -> None:
        """Remove the last value from the stack, or the last mark if no value follows it."""
        if self.stack:
            self.stack.pop()
        else:
            self.close_mark()

    def put(self, index: int) -> None:
        """Store the last value of the stack in the memo, from which `get` reads it, under the number `index`."""
        self._memo[index] = self.stack[-1]

    def memoize(self) -> None:
        """Store the last value of the stack in the memo, from which `get` reads it, under the next free number."""
        self._memo[len(self._memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        """Put the value that the memo has under the number `index` on the stack."""
        if index not in self._memo:
            raise ValueError(f"value {index} of the memo, which is not there")
        self.stack.append(self._memo[index])

    def extend(self, values: list[Any]) -> None:
        """Append values to the list that is the last value of the stack."""
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("values for something that is no list")
        target.extend(values)

    def update(self, items: list[Any]) -> None:
        """Add entries to the dictionary that is the last value of the stack. `items` is [key, value, key, ...]."""
        target, keys = self.stack[-1], items[::2]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("keys and values for something that is no dictionary")
        kinds = set(map(type, keys))
        if not kinds <= {str, bytes}:
            self._check_keys(kinds, keys)
        target.update(zip(keys, items[1::2], strict=True))

    def _check_keys(self, kinds: set[type], keys: list[Any]) -> None:
        """Raise ValueError for dictionary keys that could slow dictionaries down, see `MOST_NUMBER_KEYS`."""
        if not kinds <= {str, bytes, bool, int, float, type(None)}:
            raise ValueError("a key that is neither text nor a number")
        if int in kinds and any(type(key) is int and key.bit_length() > KEY_BITS for key in keys):
            raise ValueError(f"a key of more than {KEY_BITS} bits")
        self._n_number_keys += len(keys)
        if self._n_number_keys > MOST_NUMBER_KEYS:
            raise ValueError(f"more than {MOST_NUMBER_KEYS} keys that are numbers")

    def find_global(self, module: str, name: str) -> None:
        """Put the stand-in for a global (a named function or class) on the stack.

        Raises UnsafePickleError if `STAND_INS` has none for it.
        """
        if (module, name) not in STAND_INS:
            shown = ascii(f"{module[:LONGEST_NAME]}.{name[:LONGEST_NAME]}")[1:-1][:SHOWN_NAME_CHARACTERS]
            raise UnsafePickleError(
                f"Expected only numpy arrays and plain containers in {self._path}, but got the global {shown}, which "
                "could run code; nothing was executed: get the data as .npz or .csd, or from somebody you trust"
            )
        self.stack.append(STAND_INS[module, name])

    def reduce(self) -> None:
        """Replace the last two values of the stack, a stand-in function and its arguments, by the function's result."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, FunctionType) or type(arguments) is not tuple:
            raise ValueError("a call of something that is no function")
        made = function(arguments, self._spend)
        self.stack.append({} if isinstance(made, NewDictionary) else made)
        if isinstance(made, NewDictionary):
            self.update(made.items)

    def build(self) -> None:
        """Remove a state from the end of the stack, and apply it to the array or array type before it."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, ArrayRecord):
            target.set_state(state, self._spend)
        elif isinstance(target, DtypeRecord):
            target.set_state(state)
        else:
            raise ValueError("state for something that has none")

    def _spend(self, n_bytes: int) -> None:
        """Add to the number of handled bytes, and raise ValueError if it exceeds the limit.

        Without this limit, a short pickle could cause long computations by repeated calls with the same value.
        """
        self._spent += n_bytes
        if self._spent > self.largest_bytes:
            raise ValueError("many arrays with the same bytes")


def _unknown(code: bytes) -> str:
    if not code:
        return "the end of the file without an instruction to stop"
    names = [name for name in pickle.__all__ if getattr(pickle, name) == code]
    return f"the instruction {names[0]}, which arrays do not need," if names else f"no instruction (byte {code[0]})"


def _protocol(program: PickleProgram) -> None:
    version = program.number(1)
    if version > LAST_PICKLE_PROTOCOL:
        raise ValueError(f"protocol {version}, which is newer than {LAST_PICKLE_PROTOCOL}")


def _global_in_lines(program: PickleProgram) -> None:
    module, name = (program.line(LONGEST_NAME).decode("utf-8", "backslashreplace") for _ in range(2))
    program.find_global(module, name)


def _instance(program: PickleProgram) -> None:
    _global_in_lines(program)
    raise ValueError("an instance of a class")


def _global_on_stack(program: PickleProgram) -> None:
    name, module = program.stack.pop(), program.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("a global whose name is no text")
    program.find_global(module, name)


def _tuple(program: PickleProgram, length: int) -> None:
    values = program.stack[-length:]
    if len(values) < length:
        raise IndexError
    program.stack[-length:] = [tuple(values)]


def _tuple_of_group(program: PickleProgram) -> None:
    values = program.close_mark()
    program.stack.append(tuple(values))


def _list(program: PickleProgram) -> None:
    values = program.close_mark()
    program.stack.append(values)


def _dictionary(program: PickleProgram) -> None:
    items = program.close_mark()
    program.stack.append({})
    program.update(items)


def _set_item(program: PickleProgram) -> None:
    value, key = program.stack.pop(), program.stack.pop()
    program.update([key, value])


def _check_digits(program: PickleProgram, n_digits: float) -> None:
    if n_digits > program.limits.integer_digits:
        raise PickleLimitError("a number with too many digits (--limit integer_digits=N allows more)")


def _decimal(program: PickleProgram) -> int:
    line = program.line().removesuffix(b"L")
    _check_digits(program, len(line.lstrip(b"-")))
    return FLAGS[line] if line in FLAGS else int(line)


def _binary(program: PickleProgram, n_bytes: int) -> int:
    _check_digits(program, (n_bytes * 8 - 1) / BITS_PER_DIGIT)
    return int.from_bytes(program.take(n_bytes), "little", signed=True)


def _quoted(line: bytes) -> str:
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b'"', b"'"):
        raise ValueError("a text without quotes")
    if BAD_ESCAPE.search(line[1:-1].replace(b"\\\\", b"")):
        raise ValueError("a text with a wrong backslash")
    # not declared in the types of the standard library
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


def _push(read: Callable[[PickleProgram], Any]) -> Callable[[PickleProgram], None]:
    """Return an instruction that puts the result of `read` on the stack."""
    return lambda program: program.stack.append(read(program))


def _push_new(make: Callable[[], Any]) -> Callable[[PickleProgram], None]:
    return lambda program: program.stack.append(make())


def _sized(width: int, convert: Callable[[bytes], Any]) -> Callable[[PickleProgram], None]:
    """Return an instruction that reads a length, stored in `width` bytes, then as many bytes, and converts these.

    The instruction puts the converted value on the stack.
    """

    def push(program: PickleProgram) -> None:
        n_bytes = int.from_bytes(program.read(width), "little")
        program.stack.append(convert(program.take(n_bytes)))

    return push


def _utf8(data: bytes) -> str:
    # Python writes halves of surrogate pairs, too
    return data.decode("utf-8", "surrogatepass")


_INSTRUCTIONS: dict[bytes, Callable[[PickleProgram], None]] = {
    # structure of the file
    b"\x80": _protocol,
    b"\x95": lambda program: program.require(program.number(8)),
    # constants and numbers
    b"N": _push_new(lambda: None),
    b"\x88": _push_new(lambda: True),
    b"\x89": _push_new(lambda: False),
    b"K": _push(lambda program: program.number(1)),
    b"M": _push(lambda program: program.number(2)),
    b"J": _push(lambda program: int.from_bytes(program.take(4), "little", signed=True)),
    b"I": _push(_decimal),
    b"L": _push(_decimal),
    b"\x8a": _push(lambda program: _binary(program, program.number(1))),
    b"\x8b": _push(lambda program: _binary(program, program.number(4))),
    b"F": _push(lambda program: float(program.line(LONGEST_NUMBER))),
    b"G": _push(lambda program: struct.unpack(">d", program.take(8))[0]),
    # texts and bytes; those of Python 2 are latin1
    b"S": _push(lambda program: _quoted(program.line())),
    b"V": _push(lambda program: program.line().decode("raw-unicode-escape")),
    b"U": _sized(1, lambda data: data.decode("latin1")),
    b"T": _sized(4, lambda data: data.decode("latin1")),
    b"\x8c": _sized(1, _utf8),
    b"X": _sized(4, _utf8),
    b"\x8d": _sized(8, _utf8),
    b"C": _sized(1, bytes),
    b"B": _sized(4, bytes),
    b"\x8e": _sized(8, bytes),
    b"\x96": _push(lambda program: program.take_writable(program.number(8))),
    # containers
    b"]": _push_new(list),
    b"}": _push_new(dict),
    b")": _push_new(tuple),
    b"(": PickleProgram.open_mark,
    b"l": _list,
    b"d": _dictionary,
    b"t": _tuple_of_group,
    b"\x85": lambda program: _tuple(program, 1),
    b"\x86": lambda program: _tuple(program, 2),
    b"\x87": lambda program: _tuple(program, 3),
    b"a": lambda program: program.extend([program.stack.pop()]),
    b"e": lambda program: program.extend(program.close_mark()),
    b"\x8f": _push_new(list),  # a set is read as a list, so that its values need no hashes, see `MOST_NUMBER_KEYS`
    b"\x90": lambda program: program.extend(program.close_mark()),
    b"\x91": _list,
    b"s": _set_item,
    b"u": lambda program: program.update(program.close_mark()),
    # stack and memo
    b"0": PickleProgram.pop,
    b"1": lambda program: program.close_mark().clear(),
    b"2": lambda program: program.stack.append(program.stack[-1]),
    b"p": lambda program: program.put(_decimal(program)),
    b"q": lambda program: program.put(program.number(1)),
    b"r": lambda program: program.put(program.number(4)),
    b"\x94": PickleProgram.memoize,
    b"g": lambda program: program.get(_decimal(program)),
    b"h": lambda program: program.get(program.number(1)),
    b"j": lambda program: program.get(program.number(4)),
    # globals, calls and states
    b"c": _global_in_lines,
    b"\x93": _global_on_stack,
    b"i": _instance,
    b"R": PickleProgram.reduce,
    b"b": PickleProgram.build,
}
