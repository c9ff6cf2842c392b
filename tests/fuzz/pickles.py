"""Mutations of pickles that keep enough of their structure to get far into a reader."""

from __future__ import annotations

import copy
import pickle
import pickletools
import random
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from tests.fuzz.mutators import ODD_TEXTS, mutate_bytes

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 3, 2**31, 2**63, 2**64, 10**400, 10**1500, 1.5, float("inf"), float("nan"), -0.0),
    *(
        "",
        "x",
        "\ud800",
        "a$_$1",
        "a$_$" + "9" * 40,
        "v[7]",
        "v[" + "7" * 5000 + "]",
        "x" * 10_000,
        b"",
        b"\xff",
        b"a$_$1",
    ),
    *([], [[]], [None], [[1], [1, 2]], ["a", "x" * 5000], ("a", 1), {}, {"train": {}}, [10**400, 1.5], [2**63, -1]),
    *(np.float32(2), np.str_("a"), np.zeros(()), np.zeros((0, 3, 2)), np.zeros((2, 0, 3)), np.full(2, np.nan)),
]
ODD_NUMBERS = [0, 1, 3, 2**31 - 1, 2**32 - 1, -1, 2**63, 2**61 - 1]
# an opcode of each kind, so that every instruction occurs
ODD_PIECES = [
    *(opcode.code.encode("latin1") for opcode in pickletools.opcodes if opcode.arg is None),
    *(
        b"K\x00",
        b"K\xff",
        b"M\xff\xff",
        b"J\xff\xff\xff\xff",
        b"J\xff\xff\xff\x7f",
        b"I01\n",
        b"I" + b"9" * 1200 + b"\n",
    ),
    *(
        b"L-5L\n",
        b"F1e999\n",
        b"Fnan\n",
        b"G\x7f\xf8\0\0\0\0\0\0",
        b"\x8a\x08" + b"\xff" * 8,
        b"\x8a\xff" + b"\x7f" * 255,
    ),
    *(
        b"\x8b\xff\xff\xff\xff",
        b"\x8b\0\0\0\0",
        b"S'\\x41\\n'\n",
        b"S'\\q'\n",
        b'S"\n',
        b"V\\ud800\n",
        b"V\\U00110000\n",
    ),
    *(b"\x8c\x04text", b"\x8c\x01\xff", b"X\x03\0\0\0\xed\xa0\x80", b"C\x02ab", b"T\xff\xff\xff\xff", b"U\x01\xe9"),
    *(b"\x8d" + b"\xff" * 8, b"\x8e" + b"\0" * 7 + b"\x40", b"\x96" + b"\0" * 8, b"\x95" + b"\xff" * 8, b"\x80\x09"),
    *(b"p99999999999\n", b"p-1\n", b"r\xff\xff\xff\xff", b"j\xff\xff\xff\xff", b"g0\n", b"gx\n", b"\x82\x01", b"P1\n"),
    *(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"c__builtin__\nbytes\n", b"cos\nsystem\n"),
    *(b"ios\nsystem\n", b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\nscalar\n", b"}]\x94a"),
]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Mutate the values, the instructions or the bytes of a pickle.

    Args:
        rng: Source of the choices.
        data: A pickle that is trusted, because it is loaded.

    Returns:
        Another pickle, or something like one.
    """
    if (choice := rng.random()) < 0.15:
        return mutate_bytes(rng, data)
    if choice < 0.5:
        data = pickle.dumps(_mutate_value(rng, pickle.loads(data)), protocol=rng.randrange(6))
        if rng.random() < 0.7:
            return data
    pieces = list(_pieces(data))
    if rng.random() < 0.95:  # else the lengths of the frames are wrong
        pieces = [piece for piece in pieces if piece[:1] != pickle.FRAME]
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        _mutate_pieces(rng, pieces)
    return b"".join(pieces)


@lru_cache(maxsize=4)
def _pieces(data: bytes) -> tuple[bytes, ...]:
    """Return the instructions of a pickle, each with its argument."""
    starts = [position for _, _, position in pickletools.genops(data) if position is not None]
    return tuple(data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True))


def _mutate_pieces(rng: random.Random, pieces: list[bytes]) -> None:
    place = rng.randrange(len(pieces))
    length = rng.choice([1, 1, 1, 2, 5, 20])
    match rng.randrange(9):
        case 0:
            del pieces[place : place + length]
        case 1:
            pieces[place:place] = pieces[place : place + length] * rng.choice([1, 2, 30])
        case 2:
            pieces[place:place] = [rng.choice(ODD_PIECES)]
        case 3:
            pieces[place] = rng.choice(ODD_PIECES)
        case 4:  # a splice from another place
            start = rng.randrange(len(pieces))
            pieces[place : place + rng.choice([0, length])] = pieces[start : start + length]
        case 5:
            pieces[place] = _other_argument(rng, pieces[place])
        case 6:  # read another value from the memo
            pieces[place] = pickle.BINGET + bytes([rng.randrange(60)])
        case 7:  # share the last value, twice per round
            shared = (pickle.DUP + pickle.TUPLE2) if rng.random() < 0.5 else b"\x94](h\x01h\x01e"
            pieces[place:place] = [shared] * rng.choice([1, 30, 150])
        case _:
            argument = bytes(rng.choice(pieces)[1:])
            pieces[place] = pieces[place][:1] + argument
    if not pieces:
        pieces.append(pickle.STOP)


def _other_argument(rng: random.Random, piece: bytes) -> bytes:
    """Change the number or the length that follows the code of an instruction, or its content."""
    formats = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d", b"q": "<B", b"h": "<B", b"r": "<I", b"j": "<I"}
    lengths = {b"\x8c": "<B", b"C": "<B", b"U": "<B", b"X": "<I", b"B": "<I", b"T": "<i", b"\x8e": "<Q", b"\x96": "<Q"}
    code, number = piece[:1], rng.choice([*ODD_NUMBERS, rng.randrange(12)])
    if code in formats:
        size = struct.calcsize(formats[code])
        return code + (number % 256**size).to_bytes(size, "little")
    if code in lengths:
        size = struct.calcsize(lengths[code])
        content = piece[1 + size :]
        if rng.random() < 0.4:  # the length alone
            near = max(0, len(content) + rng.choice([-4, -1, 1, 4]))
            return code + (rng.choice([near, number]) % 256**size).to_bytes(size, "little") + content
        content = mutate_bytes(rng, content)
        return code + (len(content) % 256**size).to_bytes(size, "little") + content
    return code + mutate_bytes(rng, piece[1:]) if len(piece) > 1 else rng.choice(ODD_PIECES)


def _mutate_value(rng: random.Random, value: Any) -> Any:
    """Change values in a dictionary of splits, each of which is a dictionary of arrays."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        container = value
        inner = [each for each in value.values() if isinstance(each, dict) and each]
        if inner and rng.random() < 0.95:
            container = rng.choice(inner)
        if not container:
            break
        key = rng.choice(list(container))
        match rng.randrange(8):
            case 0:
                container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
            case 1:
                container[rng.choice([*ODD_TEXTS, None, 3, b"text", "id", "text", "audio_lengths"])] = container.pop(
                    key
                )
            case 2:
                container[key] = container[rng.choice(list(container))]
            case _ if not isinstance(container[key], dict):
                container[key] = _odd_array(rng, container[key])
    return value


def _odd_array(rng: random.Random, value: Any) -> Any:
    """Make an array of another shape or type, or with odd values, or a list of it."""
    try:
        array = np.array(value) if rng.random() < 0.9 else np.array(value, dtype=object)
    except (ValueError, OverflowError):
        return None
    if not array.ndim:
        return array
    place = rng.randrange(array.size) if array.size else 0
    match rng.randrange(7):
        case 0:
            odd: Any = array[: rng.randrange(len(array) + 1)]
        case 1:
            odd = array.reshape(rng.choice([array.shape[::-1], (*array.shape, 1), (array.size,), (1, *array.shape)]))
        case 2:
            odd = np.zeros(array.shape, rng.choice(["U3", "S2", "f2", "i1", "b1", "u8", ">f8", ">U2", "O", "f8", "c8"]))
        case 3 if array.size and array.dtype.kind == "f":
            odd = array.copy()
            odd.reshape(-1)[place] = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e30])
        case 4 if array.size:
            odd = array.astype(object).copy()
            odd.reshape(-1)[place] = rng.choice([None, 1.5, 2**70, 10**400, "x" * 3000, b"\xff", np.float64("nan")])
        case 5 if len(array):
            odd = array.tolist()
            odd[rng.randrange(len(odd))] = copy.deepcopy(rng.choice(ODD_VALUES))
        case _:
            odd = np.asfortranarray(array) if rng.random() < 0.5 else array.T
    return odd
