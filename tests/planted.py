"""A small planted Dataset and quick settings for the workflow tests."""

from __future__ import annotations

from mien.readers.planted import open_planted
from mien.storage.dataset import DatasetFacts, write_dataset

QUICK = {
    "epochs": 3,
    "gru_size": 5,
    "dense_size": 3,
    "batch_videos": 8,
    "patience": None,
}


def write_planted(folder, n_videos, *, seed=0):
    """The planted set as a Dataset."""
    intake = open_planted(n_videos, seed)

    def in_roles():
        for video in intake.videos:
            video.split = intake.splits[video.id]
            yield video

    facts = DatasetFacts("planted", intake.spaces, origin={"source": "planted"}, licence_note=intake.licence_note)
    return write_dataset(folder, in_roles(), facts)
