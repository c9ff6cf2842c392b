"""``--plugin MODULE``: modules of the user's own that add lines to the plug-in tables, for one call.

Only a module named on this very call is imported: opening somebody's run never runs code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from mien.cli.guard import guarded
from mien.errors import UsageError


@guarded
def import_plugins(names: Sequence[str]) -> None:
    """Import each module, also from the current folder. Raises UsageError when there is none of that name."""
    if names and "" not in sys.path:
        sys.path.insert(0, "")
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"Expected a module to import for --plugin {name}, but got: {error}; run the command in the folder of "
                f"{name.partition('.')[0]}.py, or install it"
            ) from error
