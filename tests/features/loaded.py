"""Extractors as the tests use them, each loaded once."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from mien.features.extractors import load_text_extractor
from mien.features.text.base import TextExtractor

TINY_GLOVE = """\
the 1 0 0 0 0
good 0 2 0 0 0.5
n't 0 0 -3 0 0
do 0 0 1 4 0
. . 9 9 9 9 9
, 0 0 0 0 5
day 7 0 0 0 0
good 8 8 8 8 8
"""


@functools.cache
def extractor(name: str) -> TextExtractor:
    """By its name in the table; `glove` reads a tiny file."""
    if name != "glove":
        return load_text_extractor(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.txt"
        path.write_text(TINY_GLOVE, encoding="utf-8")
        return load_text_extractor(f"glove:{path}")
