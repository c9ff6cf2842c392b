"""`mien.load_model`: a finished Run -> a predictor."""

from __future__ import annotations

from pathlib import Path

from mien.tables import open_run
from mien.training import Predictor, load_predictor


def load_model(run: str | Path) -> Predictor:
    """The system that a finished run chose on its validation videos. Raises DataError, DamagedFileError."""
    return load_predictor(open_run(run))
