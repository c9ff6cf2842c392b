"""Checks of the settings dataclasses of networks, for their ``__post_init__``."""

from __future__ import annotations

from typing import Any


def require_shares(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named setting is in [0, 1), as a dropout must be."""
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"Expected {name} in [0, 1), but got {getattr(settings, name)}")


def require_at_least(least: int, settings: Any, *names: str) -> None:
    """Raises ValueError unless each named setting is at least `least`, as a number of units must be."""
    for name in names:
        if getattr(settings, name) < least:
            raise ValueError(f"Expected {name} to be at least {least}, but got {getattr(settings, name)}")
