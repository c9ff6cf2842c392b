from __future__ import annotations

import pytest
from tests.cli.calls import QUICK, said
from tests.planted import write_planted


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder of a planted Dataset of 40 videos."""
    return write_planted(tmp_path_factory.mktemp("cli") / "data", 40).folder


@pytest.fixture(scope="session")
def runs(data, tmp_path_factory):
    """a0, a1: all inputs; b0, b1: text alone."""
    folder = tmp_path_factory.mktemp("cli-runs")
    for seed in (0, 1):
        said("train", data, "--out", folder / f"a{seed}", "--seed", seed, *QUICK)
        said("train", data, "--out", folder / f"b{seed}", "--seed", seed, "--inputs", "text", *QUICK)
    return folder


@pytest.fixture
def table(tmp_path):
    """A CSV of 7 train and 2 dev videos."""
    lines = [
        f"v{number},{segment},It was a good day.,{'train' if number < 7 else 'dev'},{segment - 1}"
        for number in range(9)
        for segment in range(3)
    ]
    path = tmp_path / "talks.csv"
    path.write_text("video_id,segment_id,text,split,score\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path
