"""A new row of TASKS is a complete task. Example: the sentiment score in five ordinal levels, from existing parts."""

from __future__ import annotations

import json
import math

import jsonschema
import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from tests.graded import write_graded
from tests.models.batches import random_batch
from tests.planted import QUICK

import mien
from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DataError, UnknownNameError
from mien.features.extractors import load_text_extractor
from mien.models import MODELS
from mien.models.batch import Outputs
from mien.schema import Modality, SentimentValues, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.tasks import SENTIMENT, TASKS, Task, targets_of
from mien.training.batching import Targets
from mien.training.losses import loss_sums, scored_counts
from mien.video.analyze import AnalyzeRequest
from mien.video.demo import sample_clip
from mien.video.outputs import analysis_schema

LEVELS = "sentiment_levels"
CUTS = (-1.5, -0.5, 0.5, 1.5)
ROW = Task(
    labels=SENTIMENT,
    target="at_least",
    outputs=tuple(f"level_{number}" for number in (1, 2, 3, 4)),
    n_logits=len(CUTS),
    activation="sigmoid",
    loss="binary_cross_entropy",
    ordering="roc_auc",
    scores="presence",
    decision="voted",
    columns=tuple(f"probability_level_{number}" for number in (1, 2, 3, 4)),
    letters="O",
    export_name="sentiment_levels",
    cuts=CUTS,
    on_request=True,
    needs_degrees=True,
)
EPOCHS = QUICK | {"epochs": 8, "learning_rate": 1e-2, "batch_videos": 4}


@pytest.fixture(scope="module", autouse=True)
def added():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, LEVELS, ROW)
        yield


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    return write_graded(tmp_path_factory.mktemp("graded") / "data", 40)


@pytest.fixture(scope="module")
def run(graded, tmp_path_factory):
    request = TrainRequest(tasks=(SENTIMENT, LEVELS), settings=EPOCHS)
    return train(graded, tmp_path_factory.mktemp("runs") / "cim", request)


def test_the_score_becomes_the_levels_that_it_reaches(graded):
    columns = graded.columns("train")
    targets, scored = targets_of(LEVELS, columns)
    np.testing.assert_array_equal(scored, ~np.isnan(columns.sentiment))
    levels = np.digitize(columns.sentiment[scored], CUTS)
    np.testing.assert_array_equal(targets[scored].sum(axis=1), levels)
    assert set(levels) == {0, 1, 2, 3, 4}


def test_its_loss_is_the_mean_over_the_cuts():
    logits = torch.zeros(2, 2, 4)
    logits[0, 0] = torch.tensor([2.0, 1.0, -1.0, 0.0])
    # scores: 0, which is above two cuts; missing; 3
    wanted = torch.tensor([[True, True, False, False], [False] * 4, [True] * 4])
    targets = Targets({LEVELS: wanted}, {LEVELS: torch.tensor([True, False, True])})
    (total,) = loss_sums(Outputs({LEVELS: logits}), random_batch((2, 1)), targets).values()
    first = math.log(1 + math.exp(-2)) + 2 * math.log(1 + math.exp(-1)) + math.log(2)
    assert total.item() == pytest.approx((first + 4 * math.log(2)) / 4)
    assert scored_counts(targets) == {LEVELS: 2}


def test_a_trained_run_tells_the_loss_of_what_it_predicts(run, graded):
    valid = read_predictions(run.folder / "predictions/valid.parquet")
    assert {task: values.shape[1] for task, values in valid.outputs.items()} == {SENTIMENT: 1, LEVELS: 4}
    columns = graded.columns("valid")
    scored = ~np.isnan(columns.sentiment)
    reached = columns.sentiment[scored, None] >= np.array(CUTS)
    said = valid.outputs[LEVELS][scored]
    expected = -np.log(np.where(reached, said, 1 - said)).mean()
    records = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    chosen = records[run.outcome["chosen_epoch"] - 1]
    assert chosen[f"valid_loss_{LEVELS}"] == pytest.approx(expected, rel=1e-5)
    assert chosen[f"valid_roc_auc_{LEVELS}"] > 0.9
    assert chosen["valid_score"] == pytest.approx(
        (chosen["valid_roc_auc_sentiment"] + chosen[f"valid_roc_auc_{LEVELS}"]) / 2
    )


def test_predictions_have_its_columns_and_learned_the_order_of_the_levels(run, graded, tmp_path):
    table = mien.predict(run.folder, graded.folder, tmp_path / "all.parquet", split="test")
    assert [f"probability_level_{number}" for number in (1, 2, 3, 4)] == list(table.to_pandas().columns)[-4:]
    predictions = table.open()
    scored = ~np.isnan(predictions.sentiment)
    expected_level = predictions.outputs[LEVELS][scored].sum(axis=1)
    assert np.corrcoef(expected_level, np.digitize(predictions.sentiment[scored], CUTS))[0, 1] > 0.8


def test_every_system_claims_it_and_a_classical_one_learns_it(graded, tmp_path):
    assert {name for name, entry in MODELS.items() if LEVELS not in entry.tasks} == set()
    learned = train(graded, tmp_path / "majority", TrainRequest("majority", tasks=(LEVELS,)))
    said = mien.load_model(learned.folder).predict(graded.columns("test")).outputs[LEVELS]
    columns = graded.columns("train")
    known = columns.sentiment[~np.isnan(columns.sentiment), None]
    np.testing.assert_allclose(said, np.tile((known >= np.array(CUTS)).mean(axis=0), (len(said), 1)))


def test_it_cannot_be_learned_from_classes(graded, tmp_path):
    def signs():
        for video in graded.videos():
            for utterance in video.utterances:
                if utterance.sentiment is not None:
                    utterance.sentiment = 1.0 if utterance.sentiment >= 0 else -1.0
            yield video

    facts = DatasetFacts("signs", graded.facts.spaces, sentiment_values=SentimentValues.HAS0_CLASS)
    classes = write_dataset(tmp_path / "data", signs(), facts)
    with pytest.raises(DataError, match=f"Expected scores to learn {LEVELS} from"):
        train(classes, tmp_path / "run", TrainRequest(tasks=(LEVELS,), settings=QUICK))


def test_it_is_scored_by_its_row_alone(run):
    evaluation = mien.evaluate([run.folder], n_resamples=50)
    result = evaluation.results[0]
    thresholds = json.loads((run.folder / "decisions.json").read_text())[LEVELS]
    assert set(thresholds) == {"weighted_accuracy", "weighted_f1"}
    said = read_predictions(run.folder / "predictions/test.parquet")
    scored = ~np.isnan(said.sentiment)
    reached = said.sentiment[scored, None] >= np.array(CUTS)
    rows = result.parts[LEVELS]["per_output"]
    for column, name in enumerate(ROW.outputs):
        decided = said.outputs[LEVELS][scored, column] >= thresholds["weighted_accuracy"][name]
        expected = sk.balanced_accuracy_score(reached[:, column], decided)
        assert rows[name]["weighted_accuracy"] == pytest.approx(expected)
    mean = np.mean([row["weighted_accuracy"] for row in rows.values()])
    assert result.parts[LEVELS]["weighted_accuracy_mean4"] == pytest.approx(mean)
    low, high = result.intervals[f"{LEVELS}.weighted_accuracy_mean4"]
    assert low <= mean <= high
    assert result.operating_points["weighted_f1"][LEVELS] == thresholds["weighted_f1"]
    facts = result.to_json()
    assert facts["trivial"][LEVELS]["weighted_accuracy_mean4"] == 0.5
    assert facts["emotion"] is None
    assert evaluation.summary["mean"][LEVELS]["n_scored"] == scored.sum()


def test_its_probabilities_are_diagnosed(run):
    found = mien.diagnose([run.folder], n_resamples=0).summary["runs"][0]
    assert {f"{LEVELS} {name}" for name in ROW.outputs} <= set(found["calibration"])
    part = found["abstention"][LEVELS]
    assert set(part["per_output"]) == set(ROW.outputs)
    assert part["kept"]["100"]["n_outputs"] == 4


def test_a_benchmark_trains_it_in_processes_that_do_not_know_the_row(graded, tmp_path):
    suite = tmp_path / "levels.toml"
    tasks = json.dumps([SENTIMENT, LEVELS])
    rows = "".join(
        f'[[setting]]\nname = "{model}"\nmodel = "{model}"\ntasks = {tasks}\n' for model in ("cim", "majority")
    )
    suite.write_text(f'reference = "majority"\n{rows}')
    request = BenchmarkRequest(n_seeds=1, n_resamples=20, settings={"epochs": 1})
    done = benchmark(suite, graded, tmp_path / "out", request)
    assert done.failures == {}
    assert f"{LEVELS}.weighted_accuracy_mean4" in set(done.to_pandas()["score"])
    assert "sentiment levels W-Acc" in (tmp_path / "out" / "scores.md").read_text()
    assert (tmp_path / "out" / "figures" / "reliability.svg").exists()


def test_a_recording_is_analysed_with_it(tmp_path):
    extractor = load_text_extractor("glove-6b-50d")

    def videos():
        for number, split in enumerate(("train", "train", "valid", "test")):
            video = Video(f"v{number}", [], split)
            for index, (text, score) in enumerate((("awful", -3.0), ("dull", -1.0), ("a film", 0.0), ("lovely", 2.0))):
                utterance = Utterance(index, transcript=text, sentiment=score)
                utterance.features[Modality.TEXT] = extractor.utterance_vectors([text])[0][0]
                video.utterances.append(utterance)
            yield video

    data = write_dataset(tmp_path / "data", videos(), DatasetFacts("words", {Modality.TEXT: extractor.space}))
    learned = train(data, tmp_path / "run", TrainRequest(tasks=(LEVELS,), settings=QUICK))
    clip = sample_clip()
    request = AnalyzeRequest(model=str(learned.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, failed = mien.analyze([clip], tmp_path / "out", request)
    assert failed == {}
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    for row in facts["utterances"]:
        assert set(row["outputs"][LEVELS]) == set(ROW.outputs)
        assert row["sentiment"] is None
    table = done[clip].to_pandas()
    assert table[f"{LEVELS}_level_1"].between(0, 1).all()


def test_without_the_row_its_run_is_refused_by_name(run, monkeypatch):
    monkeypatch.delitem(TASKS, LEVELS)
    with pytest.raises(UnknownNameError, match=f"but got '{LEVELS}'"):
        open_run(run.folder)
