"""Frozen dataclasses <-> TOML and ``key=value`` pairs. Every mistake is reported, each with the nearest valid name.

Settings live beside the code they configure (``models/cim.py: CimSettings``); this module only moves them.
Field types are limited to bool, int, float, str, a tuple of str, and ``None | int``.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mien.errors import DataError, SettingsError, nearest

SettingsT = TypeVar("SettingsT")


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """``["epochs=15"]`` -> ``{"epochs": "15"}``. Raises SettingsError on a pair without '='."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingsError(f"Expected key=value, but got {', '.join(map(repr, wrong))}; write for example epochs=15")
    return {key.strip(): value.strip() for key, value in (pair.split("=", 1) for pair in pairs)}


def override(defaults: SettingsT, values: Mapping[str, Any]) -> SettingsT:
    """A copy of one settings dataclass with `values` (strings or typed) in place. Raises SettingsError."""
    (result,) = override_several((defaults,), values)
    return typing.cast(SettingsT, result)


def override_several(defaults: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    """Distribute flat `values` over several settings dataclasses whose field names do not overlap.

    Returns one changed copy per dataclass. Raises SettingsError naming every unknown key and every ill-typed value.
    """
    kinds = [typing.get_type_hints(type(settings)) for settings in defaults]
    known = [name for kind in kinds for name in kind]
    mistakes: list[str] = []
    changes: list[dict[str, Any]] = [{} for _ in defaults]
    for key, value in values.items():
        owner = next((number for number, kind in enumerate(kinds) if key in kind), None)
        if owner is None:
            mistakes.append(f"Expected a known setting, but got {key!r}{nearest(key, known)}")
            continue
        try:
            changes[owner][key] = _convert(value, kinds[owner][key])
        except (ValueError, TypeError):
            mistakes.append(f"Expected {key} to be {_describe(kinds[owner][key])}, but got {value!r}")
    results = []
    for settings, change in zip(defaults, changes, strict=True):
        try:
            results.append(dataclasses.replace(settings, **change))
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError("; ".join(mistakes))
    return results


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file. Raises DataError when it is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"Expected a TOML file at {path}, but got nothing there; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"Expected TOML in {path}, but got {error}; correct the file") from None


def to_toml(values: Mapping[str, Any]) -> str:
    """Flat settings as TOML that `read_toml` and `override` read back; None is written as "none"."""
    import tomli_w

    return tomli_w.dumps({key: "none" if value is None else value for key, value in values.items()})


def _convert(value: Any, kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        if value is None or value in ("none", ""):
            return None
        (kind,) = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) is tuple:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        if not all(isinstance(part, str) for part in parts):
            raise ValueError
        return tuple(part for part in parts if part)
    if kind is bool:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise ValueError
        return words[str(value).lower()]
    if (kind is int and isinstance(value, float)) or isinstance(value, bool):
        raise ValueError
    if kind is str and not isinstance(value, str):
        raise ValueError
    return kind(value)


def _describe(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join("none" if part is type(None) else part.__name__ for part in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "a comma-separated list"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(kind, str(kind))
