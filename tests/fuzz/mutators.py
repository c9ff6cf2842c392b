"""Mutations of valid files that keep enough of their structure to get past the header of a reader."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Mutator = Callable[[random.Random, bytes], bytes]

ODD_NUMBERS = ["-1", "0", "1e999", "-1e999", "nan", "9" * 5000, "0" * 5000 + "1", "1e-400", "2" * 19, "0x10", "1_0"]
ODD_TEXTS = ["", " ", "\x00", "\x1b]0;x\x07", "\u202e", "=1+1", "\ufeff", "x" * 200_000, "\u2028", '"', ",", "[", "]"]
ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 10**4000, 2**63, 1.5, float("inf"), float("nan"), "", "x" * 10_000, "\ud800"),
    *([], {}, [[]], [None], {"": 0}, "../../../etc/passwd", "/dev/zero"),
]


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip, insert, remove, repeat or cut bytes at a few places."""
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place, length = rng.randrange(len(content) + 1), rng.choice([1, 1, 2, 4, 8, 64])
        match rng.randrange(6):
            case 0:
                content[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                content[place:place] = rng.randbytes(length)
            case 2:
                del content[place : place + length]
            case 3:
                content[place:place] = content[place : place + length] * rng.choice([1, 2, 50])
            case 4:
                content[place : place + length] = rng.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * length
            case _ if rng.random() < 0.1:
                del content[place:]
            case _:
                content[place : place + 1] = (
                    bytes([content[place] ^ 1 << rng.randrange(8)]) if place < len(content) else b""
                )
    return bytes(content)


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """Replace numbers and words of a text by odd ones, repeat or drop lines, or mutate its bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data)
    text = data.decode("utf-8")
    for _ in range(rng.choice([1, 1, 2, 5])):
        lines = text.split("\n")
        place = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0 | 1:
                tokens = list(re.finditer(r"\d+(?:\.\d+)?|\w+", text))
                if tokens:
                    token = rng.choice(tokens)
                    odd = rng.choice(ODD_NUMBERS if token[0][0].isdigit() and rng.random() < 0.7 else ODD_TEXTS)
                    text = text[: token.start()] + odd + text[token.end() :]
            case 2:
                lines[place:place] = [rng.choice(lines)] * rng.choice([1, 2, 100])
                text = "\n".join(lines)
            case 3:
                del lines[place]
                text = "\n".join(lines)
            case _:
                position = rng.randrange(len(text) + 1)
                text = text[:position] + rng.choice(ODD_TEXTS + ODD_NUMBERS) + text[position:]
    return text.encode("utf-8", "surrogatepass")


def mutate_json(rng: random.Random, data: bytes) -> bytes:
    """Replace, remove, rename or nest a value of a JSON text, or mutate its bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(rng, data)
    facts = json.loads(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        parent, key = rng.choice(list(_places(facts)))
        match rng.randrange(6):
            case 0 | 1 | 2:
                # a copy: a further change of the same input must not change the value for all later inputs
                parent[key] = copy.deepcopy(rng.choice(ODD_VALUES))
            case 3:
                del parent[key]
            case 4:
                other, other_key = rng.choice(list(_places(facts)) or [(parent, key)])
                parent[key] = json.loads(json.dumps(other[other_key]))
            case _:
                nested: Any = 0
                for _ in range(rng.choice([3, 90, 150, 300])):
                    nested = [nested] if rng.random() < 0.5 else {"x": nested}
                parent[key] = nested
        if not list(_places(facts)):
            break
    return json.dumps(facts).encode("utf-8")


def _places(facts: Any) -> Any:
    """Yield (container, key) of every value."""
    pending = [facts]
    while pending:
        container = pending.pop()
        if isinstance(container, dict | list):
            for key in list(container) if isinstance(container, dict) else range(len(container)):
                yield container, key
                pending.append(container[key])


def mutate_npz(rng: random.Random, data: bytes) -> bytes:
    """Mutate the header, the content or the name of one array of an archive, or the bytes of the archive."""
    if rng.random() < 0.2:
        return mutate_bytes(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    match rng.randrange(5):
        case 0:
            members[name] = mutate_bytes(rng, members[name])
        case 1:
            header = re.sub(rb"\d+", lambda _: rng.choice(ODD_NUMBERS).encode()[:40], members[name][:118], count=1)
            members[name] = header + members[name][118:]
        case 2:
            del members[name]
        case 3:
            members[name] = _npy(_odd_array(rng, np.load(io.BytesIO(members[name]))))
        case _:
            members[name] = members[rng.choice(list(members))]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return target.getvalue()


def _npy(values: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, values, allow_pickle=False)
    return target.getvalue()


def _odd_array(rng: random.Random, values: Any) -> Any:
    """An array of another shape or type, or with odd values."""
    match rng.randrange(5):
        case 0:
            return values.reshape(-1)[: rng.randrange(values.size + 1)]
        case 1:
            return values.reshape((*values.shape, 1))
        case 2:
            kind = rng.choice(["U3", "S2", "f2", "i1", "c8", "M8[s]", "b1", "u8", "V4"])
            return np.zeros(values.shape, kind)
        case 3 if values.dtype.kind in "fiu" and values.size:
            odd = values.astype(np.float64).copy()
            odd.reshape(-1)[rng.randrange(values.size)] = rng.choice([np.nan, np.inf, -1e300, 1e9])
            return odd
        case _:
            return np.frombuffer(rng.randbytes(4 * 3 * 16), "<U3").reshape(-1)[: len(values) if values.ndim else 1]


def mutate_hdf5(rng: random.Random, data: bytes) -> bytes:
    """Change shapes, types, links or filters of an HDF5 file, or its bytes."""
    if rng.random() < 0.6:
        return mutate_bytes(rng, data)
    target = io.BytesIO(data)
    with h5py.File(target, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(names)
        item = file[name]
        match rng.randrange(6):
            case 0:
                del file[name]
            case 1:
                del file[name]
                file[name] = h5py.SoftLink(rng.choice(names)) if rng.random() < 0.5 else h5py.ExternalLink("/x", "/")
            case 2 if isinstance(item, h5py.Dataset):
                del file[name]
                file.create_dataset(
                    name, shape=rng.choice([(), (0,), (3,), (2, 2), (1 << 40, 2)]), dtype="f4", chunks=None
                )
            case 3 if isinstance(item, h5py.Dataset):
                del file[name]
                file.create_dataset(name, data=np.zeros((400, 2)), chunks=(100, 2), compression="gzip", shuffle=True)
            case 4:
                file.copy(item, file, f"{name}[{rng.choice(ODD_NUMBERS)[:6000]}]"[:60_000])
            case _:
                del file[name]
                file.create_group(name)
    return target.getvalue() if rng.random() < 0.7 else mutate_bytes(rng, target.getvalue())


def mutate_parquet(rng: random.Random, data: bytes) -> bytes:
    """Change values, types or columns of a Parquet table, or its bytes."""
    if rng.random() < 0.6:
        return mutate_bytes(rng, data)
    table = pq.read_table(io.BytesIO(data))
    number = rng.randrange(table.num_columns)
    field = table.schema.field(number)
    match rng.randrange(5):
        case 0:
            table = table.remove_column(number)
        case 1:
            table = table.set_column(number, field.with_nullable(True), pa.nulls(len(table), field.type))
        case 2:
            table = pa.concat_tables([table] * rng.choice([2, 3]))
        case 3 if pa.types.is_floating(field.type) or pa.types.is_string(field.type):
            odd = rng.choice([float("nan"), 1e300, -5.0]) if pa.types.is_floating(field.type) else rng.choice(ODD_TEXTS)
            table = table.set_column(number, field, pa.array([odd] * len(table), field.type))
        case _:
            table = table.set_column(number, field.name, pa.array(["x"] * len(table)))
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()
