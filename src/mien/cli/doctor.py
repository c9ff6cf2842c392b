"""The command `mien doctor`."""

from __future__ import annotations

import dataclasses

from mien.cli import options
from mien.cli.guard import guarded


@guarded
def doctor(json: options.Json = False) -> None:
    """Show what is installed, what is missing, what that blocks, and the remedy.

    The exit code is 0 even if something is missing.
    """
    from mien.commands.doctor import doctor as find_parts

    installation = find_parts()
    if json:
        options.print_json(dataclasses.asdict(installation))
        return
    from mien.cli.terminal import new_console

    console = new_console()
    console.print(f"mien {installation.mien}, Python {installation.python}, {installation.folder}")
    for part in installation.parts:
        found = ", ".join(value if part.kind == "weights" else f"{name} {value}" for name, value in part.found.items())
        if not part.missing:
            console.print(f"found    {part.kind} {part.name}: {found}")
            continue
        console.print(
            f"missing  {part.kind} {part.name}: {', '.join(part.missing)}" + (f" (found: {found})" if found else "")
        )
        console.print(f"         needed for: {part.blocks}")
        console.print(f"         remedy: {part.remedy}")
