"""Checks that the settings of several systems share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check_settings(settings: Any, *, sizes: Sequence[str], rates: Sequence[str]) -> None:
    """Raise ValueError unless every named size is at least 1 and every named dropout rate is in [0, 1)."""
    for name in sizes:
        if getattr(settings, name) < 1:
            raise ValueError(f"Expected {name} to be at least 1, but got {getattr(settings, name)}")
    for name in rates:
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"Expected {name} in [0, 1), but got {getattr(settings, name)}")
