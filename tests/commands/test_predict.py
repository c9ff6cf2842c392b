"""`mien predict` and `mien export`: a corpus into one table, a run into one file."""

from __future__ import annotations

import json
import re

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from tests.planted import QUICK, write_planted

import mien
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DamagedFileError, DataError, FeatureSpaceError, UsageError, WriteError
from mien.schema import Modality
from mien.storage import dataset as storage
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.predictions import read_predictions
from mien.tasks import EMOTION, SENTIMENT
from mien.training.onnx_export import run_graph

REQUEST = TrainRequest(settings=QUICK)


@pytest.fixture(scope="module")
def run(planted, tmp_path_factory):
    return train(planted, tmp_path_factory.mktemp("run") / "run", REQUEST).folder


@pytest.fixture
def many_groups(planted, tmp_path, monkeypatch):
    """The planted videos in a Dataset of row groups of about 20 utterances, in which some modalities are missing."""
    rng = np.random.default_rng(0)

    def thinned():
        for video in planted.videos():
            for utterance in video.utterances:
                if rng.random() < 0.25:
                    utterance.features.pop(Modality.VISUAL)
            yield video

    monkeypatch.setattr(storage, "ROWS_PER_GROUP", 20)
    return write_dataset(tmp_path / "groups", thinned(), DatasetFacts("groups", planted.facts.spaces))


def test_windows_are_whole_videos_and_together_all_of_them(many_groups):
    windows = list(many_groups.windows())
    assert len(windows) > 5
    for window in windows:
        # a group is closed by the first video that fills it
        assert window.n_utterances - window.lengths[-1] < 20
    ids = [name for window in windows for name in window.video_ids]
    assert ids == [video.id for video in many_groups.videos()]
    for split in many_groups.splits:
        whole, parts = many_groups.columns(split), list(many_groups.windows(split))
        assert [name for part in parts for name in part.video_ids] == whole.video_ids
        for modality, matrix in whole.features.items():
            np.testing.assert_array_equal(np.concatenate([part.features[modality] for part in parts]), matrix)
            present = np.concatenate([part.present[modality] for part in parts])
            np.testing.assert_array_equal(present, whole.present[modality])
        np.testing.assert_array_equal(np.concatenate([part.emotions for part in parts]), whole.emotions)


def test_a_corpus_in_many_windows_gets_the_predictions_of_its_splits(many_groups, run, tmp_path):
    seen = []
    out = tmp_path / "all.parquet"
    predicted = mien.predict(run, many_groups.folder, out, advance=lambda *counts: seen.append(counts))
    table = predicted.open()
    assert pq.ParquetFile(out).num_row_groups == len(seen) > 5
    n = sum(count["utterances"] for count in many_groups.counts.values())
    assert seen[-1] == (n, n)
    assert (predicted.n_utterances, len(table.index), predicted.n_videos) == (n, n, 40)
    model = mien.load_model(run)
    for split in many_groups.splits:
        expected = model.predict(many_groups.columns(split))
        rows = np.isin(table.video_id, np.unique(expected.video_id))
        np.testing.assert_array_equal(table.video_id[rows], expected.video_id)
        np.testing.assert_array_equal(table.index[rows], expected.index)
        np.testing.assert_array_equal(table.sentiment[rows], expected.sentiment)
        np.testing.assert_allclose(table.outputs[SENTIMENT][rows], expected.outputs[SENTIMENT], atol=1e-6)
        np.testing.assert_allclose(table.outputs[EMOTION][rows], expected.outputs[EMOTION], atol=1e-6)


def test_it_tells_what_the_model_has_seen_and_what_is_missing(many_groups, run, tmp_path):
    predicted = mien.predict(run, many_groups.folder, tmp_path / "all.parquet")
    counts = many_groups.counts
    assert predicted.known_videos == {role: counts[role]["videos"] for role in ("train", "valid")}
    assert list(predicted.missing) == ["visual"]
    assert 0.15 < predicted.missing["visual"] < 0.35
    scored = mien.predict(run, many_groups.folder, tmp_path / "scored.parquet", split="test")
    assert scored.known_videos == {}
    assert scored.n_videos == counts["test"]["videos"]


def test_one_split_is_what_evaluate_leaves_in_the_run(planted, run, tmp_path):
    mien.evaluate([run], n_resamples=0)
    mien.predict(run, planted.folder, tmp_path / "scored.parquet", split="test")
    kept, mine = read_predictions(run / "predictions/test.parquet"), read_predictions(tmp_path / "scored.parquet")
    np.testing.assert_array_equal(mine.outputs[EMOTION], kept.outputs[EMOTION])
    assert mine.sentiment_values == kept.sentiment_values


def test_an_interrupted_prediction_leaves_the_old_table(many_groups, run, tmp_path):
    out = tmp_path / "table.parquet"
    mien.predict(run, many_groups.folder, out, split="test")
    before = out.read_bytes()

    def interrupt(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mien.predict(run, many_groups.folder, out, advance=interrupt)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["table.parquet"]


def test_a_file_of_another_kind_is_not_replaced(planted, run, tmp_path):
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("years of work")
    for call in (lambda: mien.predict(run, planted.folder, thesis), lambda: mien.export(run, thesis)):
        with pytest.raises(WriteError, match="thesis.tex to be new or an earlier output of this command, but got"):
            call()
    assert thesis.read_text() == "years of work"
    path = mien.export(run, tmp_path / "x.onnx").path
    assert mien.export(run, path).path.read_bytes() == path.read_bytes()


def test_what_does_not_fit_is_refused_and_leaves_nothing(planted, run, tmp_path):
    other = write_planted(tmp_path / "other", 8, seed=3)
    out = tmp_path / "out.parquet"
    with pytest.raises(FeatureSpaceError, match="Expected text planted-text"):
        mien.predict(run, other.folder, out)
    with pytest.raises(DataError, match="Expected a split named 'dev'"):
        mien.predict(run, planted.folder, out, split="dev")
    for inside in (planted.folder / "utterances.parquet", tmp_path):
        with pytest.raises(UsageError, match="Expected --out to be a file outside the Dataset"):
            mien.predict(run, planted.folder, inside)

    def bare(videos):
        for video in videos:
            for utterance in video.utterances:
                utterance.features.clear()
            yield video

    nothing = write_dataset(tmp_path / "bare", bare(planted.videos()), planted.facts)
    with pytest.raises(DataError, match="Expected some text, acoustic, visual features, but got none in"):
        mien.predict(run, nothing.folder, out)
    assert not out.exists()


def test_a_system_of_words_gets_the_words_of_every_window(tmp_path):
    spoken = mien.import_dataset("planted", [], tmp_path / "words", mien.ImportOptions(mapping={"videos": "40"}))
    request = TrainRequest(model="ef-lstm", settings={"epochs": 1})
    folder = train(spoken, tmp_path / "run", request).folder
    table = mien.predict(folder, spoken.folder, tmp_path / "table.parquet", split="test").open()
    expected = mien.load_model(folder).predict(spoken.columns("test", words=True))
    np.testing.assert_allclose(table.outputs[EMOTION], expected.outputs[EMOTION], atol=1e-6)


def test_an_exported_run_tells_what_it_is(run, tmp_path):
    opened = mien.open_run(run)
    path = mien.export(run).path
    assert path == run / "model.onnx"
    session = onnxruntime.InferenceSession(path)
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["mien.model"] == "cim"
    assert facts["mien.settings"]["model"] == opened.settings["model"]
    assert facts["mien.decisions"] == json.loads((run / "decisions.json").read_text(encoding="utf-8"))
    for modality, space in opened.spaces.items():
        assert facts["mien.feature_spaces"][modality]["fingerprint"] == space.fingerprint
    assert facts["mien.weights_sha256"] == opened.sha256["model.safetensors"]
    assert not re.search(re.escape(str(run.parent)), json.dumps(facts)), "no path of this machine"
    mien.open_run(run)  # the file is a guest in the run's folder
    assert mien.export(run, tmp_path / "elsewhere.onnx").path.read_bytes() == path.read_bytes()


def test_a_graph_of_trained_weights_says_what_the_run_says_of_real_columns(planted, run, tmp_path):
    session = onnxruntime.InferenceSession(mien.export(run, tmp_path / "model.onnx").path)
    columns = planted.columns("test")
    expected = mien.load_model(run).predict(columns)
    for start, stop in zip(columns.offsets[:-1], columns.offsets[1:], strict=True):
        found = run_graph(session, {str(m): rows[start:stop] for m, rows in columns.features.items()})
        said = {task: values[start:stop] for task, values in expected.outputs.items()}
        np.testing.assert_allclose(found["sentiment_probability"], said[SENTIMENT][:, 0], atol=1e-5)
        np.testing.assert_allclose(found["emotion_probabilities"], said[EMOTION], atol=1e-5)


def test_what_cannot_be_exported_says_what_can(planted, tmp_path):
    folder = train(planted, tmp_path / "run", TrainRequest(model="majority")).folder
    with pytest.raises(UsageError, match=r"whole utterances \(cim, .*\), but got a system without a network"):
        mien.export(folder)
    assert not (folder / "model.onnx").exists()
    with pytest.raises(UsageError, match="Expected --out for mosei-text"):
        mien.export("mosei-text")
    with pytest.raises(UsageError, match="Expected --out to be a file, but got the folder"):
        mien.export("mosei-text", tmp_path)


def test_a_damaged_run_is_not_exported(planted, tmp_path):
    folder = train(planted, tmp_path / "run", REQUEST).folder
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(DamagedFileError):
        mien.export(folder)
