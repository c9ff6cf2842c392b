"""Limits for files made elsewhere, so that a damaged or hostile file cannot exhaust memory, time or the stack.

`current_limits` reads the variable ``MIEN_LIMITS``, so that worker processes use the same limits. ``mien --limit
NAME=VALUE`` and `set_limits` set it. docs/security.md lists which reader uses which limit.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mien.settings import override, parse_pairs

VARIABLE = "MIEN_LIMITS"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one foreign file may take.

    Raises:
        ValueError: A limit is below 1.
    """

    # address space of the process that parses an HDF5 or Parquet file: this much, plus twice the size of the file
    memory_mib: int = 512
    # processor time of that process: this much, plus one second per 4 MiB of the file
    seconds: int = 5
    # brackets in brackets (JSON, TOML, pickle)
    nesting: int = 100
    # values in a pickle, JSON or TOML file, entries of an archive, captions, rows of a table
    items: int = 10_000_000
    # decompressed size of an array, of a row group or of a file
    unpacked_mib: int = 8192
    # decompressed size relative to the stored size; it applies to more than `SMALL_MIB` decompressed
    unpacked_ratio: int = 200
    # characters of a CSV cell, a caption or a text
    cell_characters: int = 1_000_000
    # digits of a whole number
    integer_digits: int = 1000

    def __post_init__(self) -> None:
        low = [name for name, value in dataclasses.asdict(self).items() if value < 1]
        if low:
            raise ValueError(f"Expected limits of at least 1, but got {', '.join(low)} below")

    def largest_unpacked(self, stored_bytes: int) -> int:
        """Return how many bytes may come from decompressing or expanding `stored_bytes` bytes."""
        return min(self.unpacked_mib * MIB, max(SMALL_MIB * MIB, self.unpacked_ratio * stored_bytes))


# Less than this is never refused as a decompression bomb, whatever its stored size.
SMALL_MIB = 128


def current_limits() -> Limits:
    """Return the limits of this process. Raises SettingsError if ``MIEN_LIMITS`` is invalid."""
    return _limits_from_text(os.environ.get(VARIABLE, ""))


def set_limits(values: Mapping[str, Any]) -> None:
    """Change limits of this process and of the worker processes that it starts.

    Args:
        values: Field of `Limits` -> number, or its text.

    Raises:
        SettingsError: A limit is unknown or no whole number above zero.
    """
    changed = override(current_limits(), values)
    os.environ[VARIABLE] = ",".join(f"{name}={value}" for name, value in dataclasses.asdict(changed).items())


@lru_cache(maxsize=8)
def _limits_from_text(text: str) -> Limits:
    return override(Limits(), parse_pairs([pair for pair in text.split(",") if pair]))
