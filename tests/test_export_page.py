"""Runs the example of docs/export.md, which uses an exported file without mien."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.planted import QUICK, write_planted

import mien
from mien.models import MODELS
from mien.tasks import EMOTION, SENTIMENT
from mien.training.onnx_export import exportable

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
# precedes the code of the page, so that neither mien nor torch can be imported
WITHOUT_MIEN = "import sys\nsys.modules['mien'] = sys.modules['torch'] = None\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    dataset = write_planted(folder / "data", 40)
    return mien.train(dataset, folder / "run", mien.TrainRequest(settings=QUICK))


def test_the_exported_file_says_the_same_where_mien_is_not_installed(run, tmp_path):
    exported = mien.export(run.folder)
    (code,) = re.findall(r"```python\n(# use_onnx\.py\n.*?)```", PAGE, flags=re.S)
    (tmp_path / "use_onnx.py").write_text(WITHOUT_MIEN + code, encoding="utf-8")
    rng = np.random.default_rng(0)
    features = {str(m): rng.normal(size=(10, space.n_features)) for m, space in run.spaces.items()}
    features["text"][3:5] = np.nan
    np.savez(tmp_path / "features.npz", **features)
    command = [sys.executable, "-I", "use_onnx.py", str(exported.path), "features.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    expected = mien.load_model(run.folder).predict_video(features)
    np.testing.assert_allclose([row["probability"] for row in said], expected.outputs[SENTIMENT][:, 0], atol=1e-5)
    named = {name for row in said for name in row["emotions"]}
    assert named, "with few epochs some emotion is above its threshold"
    order = mien.export(run.folder).metadata["mien.emotion_outputs"]
    for row, probabilities in zip(said, expected.outputs[EMOTION], strict=True):
        for name, probability in row["emotions"].items():
            assert probability == pytest.approx(probabilities[order.index(name)], abs=1e-5)


def test_the_page_names_all_networks_that_can_be_exported():
    (sentence,) = re.findall(
        r"Every network that takes one vector per utterance as input can be exported: (.*?), and a \[", PAGE, flags=re.S
    )
    assert set(re.findall(r"`([\w-]+)`", sentence)) == set(exportable()) <= set(MODELS)
