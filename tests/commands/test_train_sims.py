"""CH-SIMS from a synthetic file in its structure (made-up values) to a report of its own scores."""

from __future__ import annotations

import numpy as np
import pytest
from tests.readers.examples import N_ACOUSTIC, N_TEXT, N_VISUAL, write_pickle

import mien
from mien.cli import render, render_dataset
from mien.commands.import_ import import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.storage.describe import describe
from mien.storage.predictions import read_predictions

FAST = {"epochs": 6, "learning_rate": 1e-2, "batch_videos": 4, "threads": 1}


def sims_of(n_videos):
    """Videos of four clips; the first text feature tells the score, which is a multiple of 0.2."""
    rng = np.random.default_rng(0)
    data = {}
    for split, n in (("train", n_videos), ("valid", 8), ("test", 8)):
        n_rows = 4 * n
        scores = rng.integers(-5, 6, n_rows) / 5
        text = rng.normal(size=(n_rows, 3, N_TEXT))
        text[:, :, 0] = scores[:, None]
        data[split] = {
            "id": np.array([f"video_{row // 4:04d}$_${row % 4 + 1:04d}" for row in range(n_rows)]),
            "raw_text": np.array(["\u4f60\u597d"] * n_rows),
            "text": text.astype(np.float32),
            "audio": rng.normal(size=(n_rows, 5, N_ACOUSTIC)).astype(np.float32),
            "vision": rng.normal(size=(n_rows, 6, N_VISUAL)).astype(np.float32),
            "audio_lengths": [5] * n_rows,
            "vision_lengths": [6] * n_rows,
            "regression_labels": scores.astype(np.float32),
            **{f"regression_labels_{letter}": scores.astype(np.float32) for letter in "TAV"},
        }
        data[split]["id"] = np.array([f"{split}_{each}" for each in data[split]["id"]])
    return data


def test_a_run_on_sims_has_its_own_scores(tmp_path, capsys):
    data = import_dataset("mmsa", [write_pickle(tmp_path / "sims.pkl", sims_of(24))], tmp_path / "data")
    assert [str(space) for space in data.facts.label_spaces] == ["sentiment (score: -1 to 1)"]
    description = describe(data)
    part = description["splits"]["train"]["sentiment"]
    assert part["negative"] + part["zero"] + part["positive"] == part["labelled"] == 96
    render_dataset.show_description(description)
    request = TrainRequest(tasks=("sentiment", "sentiment_intensity"), settings=FAST)
    run = train(data, tmp_path / "run", request)
    evaluation = mien.evaluate([run.folder], n_resamples=20)
    said = read_predictions(run.folder / "predictions/test.parquet")
    gold, predicted = said.labels["sentiment"][:, 0], said.outputs["sentiment_intensity"][:, 0]
    assert np.abs(predicted).max() <= 1
    part = evaluation.results[0].parts["sentiment_intensity"]
    assert part["accuracy2_sims"] == pytest.approx(np.mean((gold > 0) == (predicted > 0)), abs=1e-12)
    assert part["pearson"] > 0.5
    assert {"accuracy3_sims", "accuracy5_sims", "weighted_f1_sims", "mae"} <= set(part)
    assert "accuracy_has0" in evaluation.results[0].parts["sentiment"]
    trivial = evaluation.results[0].trivial
    assert trivial["sentiment_intensity"]["accuracy2_sims"] < part["accuracy2_sims"]
    render.show_evaluation(evaluation.summary)
    assert "acc2" in capsys.readouterr().out
    other = train(data, tmp_path / "majority", TrainRequest("majority", tasks=request.tasks))
    compared = mien.compare([run.folder], [other.folder], n_resamples=20)
    assert {"sentiment_intensity.accuracy5_sims", "sentiment.accuracy_has0"} <= set(compared.metrics)
