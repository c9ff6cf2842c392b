from __future__ import annotations

import pytest
from tests.workflows.planted import write_planted


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A planted Dataset of 40 videos."""
    return write_planted(tmp_path_factory.mktemp("planted") / "data", 40)
