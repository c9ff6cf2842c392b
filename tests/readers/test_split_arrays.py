from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.readers.split_arrays import SplitArrays

LONG = "x" * 1_000_000


def split_of(value: object, n_rows: int) -> SplitArrays:
    return SplitArrays(Path("x.pkl"), "train", {"key": value}, n_rows, {})


def test_a_long_text_does_not_lengthen_the_others() -> None:
    # as an array of numpy's text type, this list would take 400 GB
    texts = ["short"] * 99_999 + [LONG]
    assert split_of(texts, len(texts)).texts("key") == texts
    assert split_of([[each, "1"] for each in texts], len(texts)).text_rows("key")[-1] == [LONG, "1"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, 2], "i"),
        ([1.5, True], "f"),
        ([[1, 2], [np.float32(3), 4]], "f"),
        ([np.zeros(3), np.ones(3, dtype=np.int8)], "f"),
        (([1], [2]), "i"),
        ([1, None], "O"),
        ([1, "a"], "O"),
        ([np.array(["a"]), np.array(["bc"])], "O"),
    ],
)
def test_lists_of_numbers_become_numbers_and_all_others_objects(value: Any, kind: str) -> None:
    assert split_of(value, 2).array("key").dtype.kind == kind
