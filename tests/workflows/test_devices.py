"""Several devices, here two CPU processes that talk through gloo, train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tests.workflows.planted import QUICK

from mien.tables import open_run


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_with_the_same_global_batch(planted, tmp_path):
    # Dropout differs between processes; without it only the order of the sums does.
    settings = QUICK | {"input_dropout": 0, "state_dropout": 0, "dense_dropout": 0, "accelerator": "cpu"}
    histories = []
    for devices in (1, 2):
        out = tmp_path / f"run-{devices}"
        command = [sys.executable, "-m", "mien", "train", str(planted.folder), "--out", str(out)]
        for key, value in {**settings, "devices": devices}.items():
            command += ["--set", f"{key}={'none' if value is None else value}"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("chosen by") == 1, "only the first process speaks"
        lines = (open_run(out).folder / "history.jsonl").read_text().splitlines()
        histories.append([list(json.loads(line).values()) for line in lines])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-5)
