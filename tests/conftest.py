"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread per process, because tests compare results bit by bit and several processes may run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets; skips the test if there is none."""
    folder = os.environ.get("MIEN_DATA")
    if not folder:
        pytest.skip("MIEN_DATA is not set: the real data sets are not here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A planted Dataset of 40 videos."""
    from tests.planted import (
        write_planted,
    )  # imported here, because numpy must be loaded after the number of threads is set

    return write_planted(tmp_path_factory.mktemp("planted") / "data", 40)
