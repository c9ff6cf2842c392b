"""Running code in a process of its own, which may be killed or limited."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def in_a_process(code, *arguments, **options):
    """Start a process that runs code with the example videos and `write_dataset`."""
    head = (
        "from pathlib import Path; import sys; from tests.storage.examples import *\n"
        "from mien.storage.dataset import DatasetFacts, write_dataset\n"
    )
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
