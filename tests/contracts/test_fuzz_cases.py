"""Files on which a reader once ended in another exception than MienError: now each gives a value or a MienError."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS

from mien.errors import MienError

CASES = Path(os.environ.get("MIEN_CASES", "."), "robust", "fuzz")
# first part of a file's name, after "fuzz-" -> target
TARGET_OF = {
    "dsjson": "dataset.json",
    "dsparquet": "utterances.parquet",
    "rundecisions": "decisions.json",
    "runjson": "run.json",
    "settings": "settings.toml",
    "suite": "suite.toml",
    "tabletext": "table",
}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("MIEN_CASES" not in os.environ, reason="MIEN_CASES is not set: the cases are not here"),
]


@pytest.fixture(scope="module")
def seed_of(tmp_path_factory):
    """A function that makes the valid file of a target once and returns its folder and its place in the folder."""

    @cache
    def make(name):
        folder = tmp_path_factory.mktemp("seed")
        return folder, TARGETS[name].make(folder).relative_to(folder)

    return make


@pytest.mark.parametrize("case", sorted(CASES.glob("fuzz-*")), ids=lambda case: case.name)
def test_a_case_ends_in_a_value_or_in_an_error_of_mien(case, seed_of, tmp_path):
    kind = case.name.split("-")[1]
    name = TARGET_OF.get(kind, kind)
    folder, place = seed_of(name)
    shutil.copytree(folder, tmp_path / "case")
    path = tmp_path / "case" / place
    path.write_bytes(case.read_bytes())
    with suppress(MienError):
        TARGETS[name].open(path)
