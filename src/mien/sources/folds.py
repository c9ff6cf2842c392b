"""The official folds of CMU-MOSEI, by whole video id."""

from __future__ import annotations

import csv
from importlib import resources

FOLDS_FILE = "mosei_folds.csv"


def mosei_folds() -> dict[str, str]:
    """Video id -> train (2,249 ids), valid (300) or test (678), as A2Zadeh/CMU-MultimodalSDK lists them."""
    with resources.files("mien.sources").joinpath(FOLDS_FILE).open(encoding="utf-8") as handle:
        return {row["video_id"]: row["fold"] for row in csv.DictReader(handle)}
