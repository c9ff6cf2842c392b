"""A new row of TASK_KINDS is a complete kind of task. Example: a score in five levels, each a decision of its own."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk
from tests.graded import write_graded
from tests.planted import QUICK

import mien
from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DataError, UnknownNameError
from mien.features.extractors import load_text_extractor
from mien.labels import LabelKind, paper_labels
from mien.models import MODELS
from mien.schema import SENTIMENT, Modality, SentimentValues, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.task_kinds import TASK_KINDS, VOTED, Cut, TaskKind
from mien.video.analyze import AnalyzeRequest
from mien.video.demo import sample_clip
from mien.video.outputs import analysis_schema

CUTS = (-1.5, -0.5, 0.5, 1.5)
OUTPUTS = tuple(f"level_{number}" for number in (1, 2, 3, 4))
STEPS = "steps"


def outputs_of(_space):
    return OUTPUTS


def cuts_of(_space):
    return tuple(map(Cut, CUTS))


ROW = TaskKind(
    learned_from=(LabelKind.SCORE,),
    outputs=outputs_of,
    target="reached",
    activation="sigmoid",
    loss="binary_cross_entropy",
    ordering="roc_auc",
    scores="presence",
    decision=VOTED,
    cuts=cuts_of,
    needs_degrees=True,
)
EPOCHS = QUICK | {"epochs": 8, "learning_rate": 1e-2, "batch_videos": 4}
KINDS = {SENTIMENT: STEPS}


@pytest.fixture(scope="module", autouse=True)
def added():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASK_KINDS, STEPS, ROW)
        yield


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    return write_graded(tmp_path_factory.mktemp("graded") / "data", 40)


@pytest.fixture(scope="module")
def run(graded, tmp_path_factory):
    request = TrainRequest(tasks=(SENTIMENT,), settings=EPOCHS, kinds=KINDS)
    return train(graded, tmp_path_factory.mktemp("runs") / "cim", request)


def test_a_trained_run_tells_the_loss_of_what_it_predicts(run, graded):
    assert json.loads((run.folder / "run.json").read_text())["task_kinds"] == KINDS
    valid = read_predictions(run.folder / "predictions/valid.parquet")
    assert {task: values.shape[1] for task, values in valid.outputs.items()} == {SENTIMENT: 4}
    columns = graded.columns("valid")
    scored = ~np.isnan(columns.sentiment)
    reached = columns.sentiment[scored, None] >= np.array(CUTS)
    said = valid.outputs[SENTIMENT][scored]
    expected = -np.log(np.where(reached, said, 1 - said)).mean()
    records = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    chosen = records[run.outcome["chosen_epoch"] - 1]
    assert chosen["valid_loss_sentiment"] == pytest.approx(expected, rel=1e-5)
    assert chosen["valid_score"] == chosen["valid_roc_auc_sentiment"] > 0.9


def test_predictions_have_its_columns_and_learned_the_order_of_the_levels(run, graded, tmp_path):
    table = mien.predict(run.folder, graded.folder, tmp_path / "all.parquet", split="test")
    assert [f"probability_{name}" for name in OUTPUTS] == list(table.to_pandas().columns)[-4:]
    predictions = table.open()
    scored = ~np.isnan(predictions.sentiment)
    expected_level = predictions.outputs[SENTIMENT][scored].sum(axis=1)
    assert np.corrcoef(expected_level, np.digitize(predictions.sentiment[scored], CUTS))[0, 1] > 0.8


def test_every_system_claims_it_and_a_classical_one_learns_it(graded, tmp_path):
    assert {name for name, entry in MODELS.items() if not entry.claims(ROW)} == set()
    learned = train(graded, tmp_path / "majority", TrainRequest("majority", tasks=(SENTIMENT,), kinds=KINDS))
    said = mien.load_model(learned.folder).predict(graded.columns("test")).outputs[SENTIMENT]
    columns = graded.columns("train")
    known = columns.sentiment[~np.isnan(columns.sentiment), None]
    np.testing.assert_allclose(said, np.tile((known >= np.array(CUTS)).mean(axis=0), (len(said), 1)))


def test_it_cannot_be_learned_from_classes(graded, tmp_path):
    def signs():
        for video in graded.videos():
            for utterance in video.utterances:
                if utterance.sentiment is not None:
                    utterance.labels |= paper_labels(1.0 if utterance.sentiment >= 0 else -1.0)
            yield video

    facts = DatasetFacts("signs", graded.facts.spaces, sentiment_values=SentimentValues.HAS0_CLASS)
    classes = write_dataset(tmp_path / "data", signs(), facts)
    with pytest.raises(DataError, match="Expected scores to learn sentiment from"):
        train(classes, tmp_path / "run", TrainRequest(tasks=(SENTIMENT,), settings=QUICK, kinds=KINDS))


def test_it_is_scored_by_its_row_alone(run):
    evaluation = mien.evaluate([run.folder], n_resamples=50)
    result = evaluation.results[0]
    thresholds = json.loads((run.folder / "decisions.json").read_text())[SENTIMENT]
    assert set(thresholds) == {"weighted_accuracy", "weighted_f1"}
    said = read_predictions(run.folder / "predictions/test.parquet")
    scored = ~np.isnan(said.sentiment)
    reached = said.sentiment[scored, None] >= np.array(CUTS)
    rows = result.parts[SENTIMENT]["per_output"]
    for column, name in enumerate(OUTPUTS):
        decided = said.outputs[SENTIMENT][scored, column] >= thresholds["weighted_accuracy"][name]
        expected = sk.balanced_accuracy_score(reached[:, column], decided)
        assert rows[name]["weighted_accuracy"] == pytest.approx(expected)
    mean = np.mean([row["weighted_accuracy"] for row in rows.values()])
    assert result.parts[SENTIMENT]["weighted_accuracy_mean4"] == pytest.approx(mean)
    low, high = result.intervals["sentiment.weighted_accuracy_mean4"]
    assert low <= mean <= high
    assert result.operating_points["weighted_f1"][SENTIMENT] == thresholds["weighted_f1"]
    assert result.to_json()["trivial"][SENTIMENT]["weighted_accuracy_mean4"] == 0.5
    assert evaluation.summary["mean"][SENTIMENT]["n_scored"] == scored.sum()


def test_its_probabilities_are_diagnosed(run):
    found = mien.diagnose([run.folder], n_resamples=0).summary["runs"][0]
    assert {f"sentiment {name}" for name in OUTPUTS} <= set(found["calibration"])
    part = found["abstention"][SENTIMENT]
    assert set(part["per_output"]) == set(OUTPUTS)


def test_a_benchmark_trains_it_in_processes_that_do_not_know_the_row(graded, tmp_path, monkeypatch):
    suite = tmp_path / "levels.toml"
    rows = "".join(f'[[setting]]\nname = "{name}"\nmodel = "{name}"\n' for name in ("stepped", "majority"))
    suite.write_text(f'reference = "majority"\n{rows}')
    stepped = dataclasses.replace(MODELS["cim"], kinds=KINDS)
    monkeypatch.setitem(MODELS, "stepped", stepped)
    request = BenchmarkRequest(n_seeds=1, n_resamples=20, settings={"epochs": 1})
    done = benchmark(suite, graded, tmp_path / "out", request)
    assert done.failures == {}
    assert {"sentiment.weighted_accuracy_mean4", "sentiment.accuracy_has0"} <= set(done.to_pandas()["score"])
    assert (tmp_path / "out" / "figures" / "reliability.svg").exists()


def test_a_recording_is_analysed_with_it(tmp_path):
    extractor = load_text_extractor("glove-6b-50d")

    def videos():
        for number, split in enumerate(("train", "train", "valid", "test")):
            video = Video(f"v{number}", [], split)
            for index, (text, score) in enumerate((("awful", -3.0), ("dull", -1.0), ("a film", 0.0), ("lovely", 2.0))):
                utterance = Utterance(index, transcript=text, labels=paper_labels(score))
                utterance.features[Modality.TEXT] = extractor.utterance_vectors([text])[0][0]
                video.utterances.append(utterance)
            yield video

    data = write_dataset(tmp_path / "data", videos(), DatasetFacts("words", {Modality.TEXT: extractor.space}))
    learned = train(data, tmp_path / "run", TrainRequest(tasks=(SENTIMENT,), settings=QUICK, kinds=KINDS))
    clip = sample_clip()
    request = AnalyzeRequest(model=str(learned.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, failed = mien.analyze([clip], tmp_path / "out", request)
    assert failed == {}
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    for row in facts["utterances"]:
        assert set(row["outputs"][SENTIMENT]) == set(OUTPUTS)
        assert row["sentiment"] is None
    assert done[clip].to_pandas()["sentiment_level_1"].between(0, 1).all()


def test_without_the_row_its_run_is_refused_by_name(run, monkeypatch):
    monkeypatch.delitem(TASK_KINDS, STEPS)
    with pytest.raises(UnknownNameError, match="the kind of the task sentiment .*, but got 'steps'"):
        open_run(run.folder)
