"""A small planted Dataset and quick settings for the workflow tests."""

from __future__ import annotations

QUICK = {
    "epochs": 3,
    "gru_size": 5,
    "dense_size": 3,
    "batch_videos": 8,
    "patience": None,
}
