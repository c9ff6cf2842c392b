"""Mutated files: each reader ends in a value or a MienError. `make fuzz` runs many more."""

from __future__ import annotations

import pytest
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS

N_INPUTS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_a_mutated_file_ends_in_a_value_or_in_an_error_of_mien(name):
    report = fuzz(name, N_INPUTS, seed=1)
    assert report.failures == {}
    assert report.n_past_header > 0
