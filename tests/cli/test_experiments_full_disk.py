"""Commands on a disk that is full or read-only: they say so, and what was there is unchanged."""

from __future__ import annotations

import shutil

import pytest
from tests.cli.calls import QUICK, complaint, mien, said
from tests.disks import full, read_only, small_disk

from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.settings import parse_pairs


@pytest.fixture
def disk(data, runs, tmp_path):
    """A small disk with a finished run, an interrupted one, a Dataset, a table of predictions and an exported run."""
    with small_disk(tmp_path / "disk", "24m") as folder:
        shutil.copytree(runs / "a0", folder / "done")
        shutil.copytree(data, folder / "data")
        request = TrainRequest(settings=parse_pairs(QUICK[1::2]))
        with pytest.raises(ZeroDivisionError):
            train(data, folder / "half", request, report=lambda _: 1 / 0)
        said("predict", runs / "a0", "--dataset", data, "--split", "test", "--out", folder / "table.parquet")
        said("export", runs / "a0", "--onnx", "--out", folder / "run.onnx")
        yield folder


def files_on(disk):
    return {
        path.relative_to(disk): path.read_bytes() for path in disk.rglob("*") if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("state", [full, read_only])
def test_nothing_is_harmed_where_nothing_can_be_written(disk, data, runs, table, state):
    before = files_on(disk)
    calls = [
        ("import", "table", table, "--out", disk / "data", "--text", "glove-6b-50d", "--map", "sentiment=score"),
        ("train", data, "--out", disk / "half", "--resume", *QUICK),
        ("train", data, "--out", disk / "new", *QUICK),
        ("predict", runs / "a0", "--dataset", data, "--out", disk / "table.parquet"),
        ("export", runs / "a0", "--onnx", "--out", disk / "run.onnx"),
        ("benchmark", "table4", data, "--out", disk / "benchmark"),
    ]
    with state(disk):
        for call in calls:
            assert "what stood there before is unchanged" in complaint(1, *call), call
        result = mien("evaluate", disk / "done", "--bootstrap", 0)
        assert result.exit_code == (0 if state is read_only else 1)
        assert ("the predictions were not stored" in " ".join(result.stdout.split())) == (state is read_only)
    assert files_on(disk) == before
    said("train", data, "--out", disk / "half", "--resume", *QUICK)
    assert (disk / "half/model.safetensors").read_bytes() == (disk / "done/model.safetensors").read_bytes()
