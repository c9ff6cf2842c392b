"""Finished parts of a Dataset in the making, kept beside it so that a killed import goes on where it was.

A part is one Arrow file. Its name holds its number and the sha256 of its bytes, its schema's metadata what it was made
from, so that one that was cut, altered or made from something else is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mien.errors import DataError, WriteError
from mien.pretrained import sha256_of
from mien.storage.files import refused

FACTS_KEY = b"mien.part"
LOCK = "lock"
NAME = re.compile(r"(\d{6})-([0-9a-f]{64})\.arrow")


def parts_folder(out: Path) -> Path:
    """Folder of the parts of the Dataset `out`."""
    out = out.resolve()
    return out.with_name(f".{out.name}.parts")


@dataclass(slots=True)
class Parts:
    """The parts of one Dataset."""

    folder: Path
    # of everything that the parts are made from
    fingerprint: str
    n_parts: int = 0

    def kept(self) -> Iterator[tuple[pa.Table, Counter[str]]]:
        """What an earlier process finished, from the first part on: ``(rows, rules applied)``. Removes the rest."""
        paths = sorted(path for path in self.folder.iterdir() if path.name != LOCK)
        while paths and (part := self._read(paths[0])) is not None:
            paths.pop(0)
            self.n_parts += 1
            yield part
        for path in paths:
            path.unlink()

    def keep(self, table: pa.Table, notes: Counter[str]) -> None:
        """Add the next part. Raises WriteError."""
        facts = json.dumps({"fingerprint": self.fingerprint, "number": self.n_parts, "notes": notes})
        schema = table.schema.with_metadata({FACTS_KEY: facts})
        aside = self.folder / "next.aside"
        try:
            with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, schema) as writer:
                writer.write_table(table)
            # not synchronised to the disk: after a power cut the sha256 tells
            os.replace(aside, self.folder / f"{self.n_parts:06d}-{sha256_of(aside)}.arrow")
        except OSError as error:
            raise refused(self.folder, error) from error
        self.n_parts += 1

    def _read(self, path: Path) -> tuple[pa.Table, Counter[str]] | None:
        name = NAME.fullmatch(path.name)
        if name is None or int(name[1]) != self.n_parts:
            return None
        try:
            with pa.memory_map(str(path)) as file:
                content = file.read_buffer()
            if hashlib.sha256(content).hexdigest() != name[2]:
                return None
            table = pa.ipc.open_file(content).read_all()
            facts = json.loads(table.schema.metadata[FACTS_KEY])
            if (facts["fingerprint"], facts["number"]) != (self.fingerprint, self.n_parts):
                return None
            return table.replace_schema_metadata(), Counter(facts["notes"])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            return None


@contextmanager
def parts_of(out: Path, fingerprint: str) -> Iterator[Parts]:
    """Give the parts of the Dataset `out`; one process at a time. They go when all is done or the data are refused.

    Whatever else ends the work (an interrupt, a full disk, a killed helper) leaves the finished ones for the next call.
    Raises WriteError when another process is at work on `out`, and when the system refuses.
    """
    folder = parts_folder(out)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(folder / LOCK, "w", encoding="utf-8"))
            # the system lets go when a process dies
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteError(
                f"Expected {out} for this import alone, but got another one at work on it; wait for it, or choose "
                "another --out"
            ) from None
        except OSError as error:
            raise refused(out, error) from error
        done = False
        try:
            yield Parts(folder, fingerprint)
            done = True
        except DataError:
            done = True
            raise
        finally:
            if done or not any(path.name != LOCK for path in folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
