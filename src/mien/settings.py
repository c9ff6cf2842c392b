"""Converts settings between frozen dataclasses, TOML and ``key=value`` pairs.

Settings classes are defined beside the code that they configure (``models/cim.py: CimSettings``). Their fields may have
the types bool, int, float, str, tuple of str, and ``None | int``. An error message lists all mistakes; for an unknown
name it suggests the nearest valid one.
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
from mien.limits import SHOWN_CHARACTERS, read_small_file, require_shallow

SettingsT = TypeVar("SettingsT")


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Convert ``key=value`` strings to a dictionary. For example, ``["epochs=15"]`` becomes ``{"epochs": "15"}``.

    Raises SettingsError if a string has no '='.
    """
    invalid = [pair for pair in pairs if "=" not in pair]
    if invalid:
        raise SettingsError(f"Expected key=value, but got {', '.join(map(repr, invalid))}; write for example epochs=15")
    return {key.strip(): value.strip() for key, value in (pair.split("=", 1) for pair in pairs)}


def override(defaults: SettingsT, values: Mapping[str, Any]) -> SettingsT:
    """Return a copy of a settings dataclass in which some values are changed.

    Args:
        defaults: Instance of a settings dataclass.
        values: New values by field name. A value has the type of its field, or is a string as on the command line
            (``"15"``).

    Returns:
        The changed copy.

    Raises:
        SettingsError: A field is unknown or a value is invalid. The message lists all mistakes.
    """
    (result,) = override_several((defaults,), values)
    return typing.cast(SettingsT, result)


def override_several(defaults: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    """Return copies of several settings dataclasses in which some values are changed.

    Args:
        defaults: Instances of settings dataclasses. No two of them have a field of the same name.
        values: New values by field name, for the fields of all dataclasses. A value has the type of its field, or is a
            string as on the command line (``"15"``).

    Returns:
        One changed copy of each dataclass, in the same order.

    Raises:
        SettingsError: A field is unknown or a value is invalid. The message lists all mistakes.
    """
    types_by_field = [typing.get_type_hints(type(settings)) for settings in defaults]
    known = [name for field_types in types_by_field for name in field_types]
    mistakes: list[str] = []
    changes: list[dict[str, Any]] = [{} for _ in defaults]
    for key, value in values.items():
        owner = next((number for number, field_types in enumerate(types_by_field) if key in field_types), None)
        if owner is None:
            mistakes.append(f"Expected a known setting, but got {key!r}{nearest(key, known)}")
            continue
        try:
            changes[owner][key] = _convert_value(value, types_by_field[owner][key])
        except (ValueError, TypeError, OverflowError):
            mistakes.append(f"Expected {key} to be {_describe_type(types_by_field[owner][key])}, but got {value!r}")
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
    """Read a TOML file. Raises DataError if it is missing, not TOML, or beyond the limits for foreign files."""
    try:
        values = tomllib.loads(read_small_file(path).decode("utf-8"))
        require_shallow(values)
        return values
    except FileNotFoundError:
        raise DataError(f"Expected a TOML file at {path}, but got nothing there; check the path") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"Expected TOML in {path}, but got {str(error)[:SHOWN_CHARACTERS]}; correct the file") from None


def to_toml(values: Mapping[str, Any]) -> str:
    """Return settings as TOML text. The value None is written as "none", which `override` converts back to None."""
    import tomli_w

    return tomli_w.dumps({key: "none" if value is None else value for key, value in values.items()})


def _convert_value(value: Any, field_type: Any) -> Any:
    if isinstance(field_type, types.UnionType):
        if value is None or value in ("none", ""):
            return None
        (field_type,) = [part for part in typing.get_args(field_type) if part is not type(None)]
    if typing.get_origin(field_type) is tuple:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        if not all(isinstance(part, str) for part in parts):
            raise ValueError
        return tuple(part for part in parts if part)
    if field_type is bool:
        booleans = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in booleans:
            raise ValueError
        return booleans[str(value).lower()]
    if (field_type is int and isinstance(value, float)) or isinstance(value, bool):
        raise ValueError
    if field_type is str and not isinstance(value, str):
        raise ValueError
    return field_type(value)


def _describe_type(field_type: Any) -> str:
    if isinstance(field_type, types.UnionType):
        return " or ".join("none" if part is type(None) else part.__name__ for part in typing.get_args(field_type))
    if typing.get_origin(field_type) is tuple:
        return "a comma-separated list"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(field_type, str(field_type))
