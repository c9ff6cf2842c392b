"""Labels of a user's own, from a CSV to a report, without code: import, train, evaluate, predict, diagnose, analyze."""

from __future__ import annotations

import csv
import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk
from tests.models.tiny_encoder import tiny_encoder  # noqa: F401  (a fixture)

import mien
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DataError, UsageError
from mien.storage.dataset import open_dataset
from mien.storage.describe import describe
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.video.analyze import AnalyzeRequest
from mien.video.demo import sample_clip
from mien.video.outputs import analysis_schema, read_analysis_json

TOPICS = ("art", "sport", "war", "weather")
WORDS = {
    "art": "a lovely painting",
    "sport": "they won the game",
    "war": "the soldiers fight",
    "weather": "it rains today",
}
ACTS = {"ask": "why", "tell": "so", "joke": "haha"}
LABELS = (
    "arousal=Arousal:score:-1..1",
    f"topic=Topic:classes:{','.join(TOPICS)}",
    "acts=Acts:multilabel:ask,tell,joke",
)
FAST = {"epochs": 8, "learning_rate": 1e-2, "batch_videos": 4}


def write_table(path, n_videos=40, seed=0):
    """A table whose texts tell the topic and the acts, and whose exclamation mark tells the arousal."""
    rng = np.random.default_rng(seed)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "text", "split", "Arousal", "Topic", "Acts"])
        for video in range(n_videos):
            split = "valid" if video % 4 == 1 else "test" if video % 4 == 3 else "train"
            for _ in range(4):
                topic, acts = rng.choice(TOPICS), [name for name in ACTS if rng.random() < 0.4]
                loud = rng.random() < 0.5
                text = " ".join([WORDS[topic], *(ACTS[name] for name in acts), "awful" if loud else "calm"])
                arousal = f"{(0.6 if loud else -0.6) + rng.uniform(-0.3, 0.3):.2f}"
                cells = [arousal, topic, ";".join(acts) or "none"]
                if rng.random() < 0.1:
                    cells[rng.integers(3)] = ""
                writer.writerow([f"v{video}", text, split, *cells])
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    options = ImportOptions(text="glove-6b-50d", labels=LABELS)
    return import_dataset("table", [write_table(folder / "table.csv")], folder / "data", options)


@pytest.fixture(scope="module")
def run(own, tmp_path_factory):
    return train(own, tmp_path_factory.mktemp("runs") / "cim", TrainRequest(settings=FAST))


def test_the_card_lists_the_label_spaces_and_classes_are_stored_as_text(own):
    assert [space.name for space in own.facts.label_spaces] == ["arousal", "topic", "acts"]
    table = own.table()
    assert table.column_names[6:11] == ["arousal", "topic", "acts_ask", "acts_tell", "acts_joke"]
    assert set(table["topic"].to_pylist()) == {*TOPICS, None}
    described = describe(own)
    labels = described["splits"]["train"]["labels"]
    rows = zip(table["topic"].to_pylist(), table["split"].to_pylist(), strict=True)
    topics = [name for name, split in rows if split == "train"]
    assert labels["topic"]["counts"] == {name: topics.count(name) for name in TOPICS}
    assert -0.9 <= labels["arousal"]["min"] < -0.3 < 0.3 < labels["arousal"]["max"] <= 0.9
    assert "sentiment" not in described["splits"]["train"]
    again = open_dataset(own.folder)
    assert again.facts.label_spaces == own.facts.label_spaces
    columns = again.columns("test")
    assert columns.labels["topic"].shape == (columns.n_utterances, 1)


def test_all_are_learned_jointly_by_default(run):
    assert run.tasks == ("arousal", "topic", "acts")
    assert open_run(run.folder).task_table == run.task_table
    card = json.loads((run.folder / "run.json").read_text())
    assert [each["kind"] for each in card["label_spaces"]] == ["score", "classes", "multilabel"]
    assert card["task_kinds"] == {}
    record = json.loads((run.folder / "history.jsonl").read_text().splitlines()[-1])
    assert {"valid_concordance_arousal", "valid_roc_auc_topic", "valid_roc_auc_acts"} <= set(record)


def test_scores_are_those_of_scikit_learn_on_the_stored_predictions(run):
    result = mien.evaluate([run.folder], n_resamples=30).results[0]
    said = read_predictions(run.folder / "predictions/test.parquet")
    assert set(said.tasks) == {"arousal", "topic", "acts"}
    topic = result.parts["topic"]
    known = ~np.isnan(said.labels["topic"][:, 0])
    gold, probabilities = said.labels["topic"][known, 0].astype(int), said.outputs["topic"][known]
    decided = probabilities.argmax(axis=1)
    assert topic["accuracy"] == pytest.approx(sk.accuracy_score(gold, decided), abs=1e-12)
    assert topic["weighted_f1"] == pytest.approx(sk.f1_score(gold, decided, average="weighted"), abs=1e-12)
    assert topic["macro_f1"] == pytest.approx(sk.f1_score(gold, decided, average="macro"), abs=1e-12)
    assert topic["accuracy"] > 0.9
    table = sk.confusion_matrix(gold, decided, labels=range(4))
    assert [list(row.values()) for row in topic["confusion"].values()] == table.tolist()
    low, high = result.intervals["topic.accuracy"]
    assert low <= topic["accuracy"] <= high
    known = ~np.isnan(said.labels["arousal"][:, 0])
    error = sk.mean_absolute_error(said.labels["arousal"][known], said.outputs["arousal"][known])
    assert result.parts["arousal"]["mae"] == pytest.approx(error, abs=1e-12)
    assert result.parts["arousal"]["pearson"] > 0.3
    assert set(result.parts["acts"]["per_output"]) == {"ask", "tell", "joke"}
    assert result.parts["acts"]["weighted_accuracy_mean3"] > 0.6
    facts = result.to_json()
    assert facts["trivial"]["topic"]["accuracy"] < 0.6
    assert "sentiment" not in facts


def test_one_run_is_compared_diagnosed_and_predicted(run, own, tmp_path):
    other = train(own, tmp_path / "majority", TrainRequest("majority"))
    metrics = mien.compare([run.folder], [other.folder], n_resamples=30).metrics
    assert {"arousal.mae", "topic.accuracy", "topic.weighted_f1", "acts.weighted_accuracy_mean3"} <= set(metrics)
    assert metrics["topic.accuracy"].difference > 0.3
    diagnosis = mien.diagnose([run.folder], tmp_path / "diagnosis", n_resamples=0)
    kept = diagnosis.summary["mean"]["abstention"]["topic"]["kept"]
    assert kept["100"]["accuracy"] == pytest.approx(mien.evaluate([run.folder]).results[0].parts["topic"]["accuracy"])
    assert "topic kept" in (tmp_path / "diagnosis" / "diagnosis.md").read_text()
    frame = mien.predict(run.folder, own.folder, tmp_path / "all.parquet").to_pandas()
    assert {"probability_topic_art", "intensity_arousal", "probability_acts_joke"} <= set(frame.columns)


@pytest.mark.parametrize("model", ["majority", "mkl-svm"])
def test_classical_systems_learn_what_they_claim(own, model, tmp_path):
    tasks = ("topic", "acts") + (("arousal",) if model == "majority" else ())
    learned = train(own, tmp_path / "run", TrainRequest(model, tasks=tasks))
    said = mien.load_model(learned.folder).predict(own.columns("test")).outputs["topic"]
    np.testing.assert_allclose(said.sum(axis=1), 1.0)


@pytest.mark.usefixtures("tiny_encoder")
def test_cim_tuned_learns_them_from_transcripts(own, tmp_path):
    settings = {"encoder": "tiny", "epochs": 2, "gru_size": 4, "dense_size": 4, "fused_size": 4, "threads": 1}
    learned = train(own, tmp_path / "run", TrainRequest("cim-tuned", settings=settings))
    assert learned.tasks == ("arousal", "topic", "acts")
    assert mien.evaluate([learned.folder], n_resamples=0).results[0].parts["topic"]["n_scored"] > 0


def test_a_recording_is_analysed(run, tmp_path):
    clip = sample_clip()
    request = AnalyzeRequest(model=str(run.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, failed = mien.analyze([clip], tmp_path / "out", request)
    assert failed == {}
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    row = facts["utterances"][0]
    topic = row["answers"]["topic"]
    assert topic["label"] in TOPICS
    assert topic["probability"] == max(topic["probabilities"].values())
    assert set(row["further_labels"]["acts"]) <= set(ACTS)
    assert -1 <= row["outputs"]["arousal"]["arousal"] <= 1
    frame = done[clip].to_pandas()
    assert frame["topic"].tolist()[0] == topic["label"]
    assert frame["topic_probability"].tolist()[0] == topic["probability"]
    assert read_analysis_json(tmp_path / "out" / "analysis.json").utterances[0].answers["topic"].label == topic["label"]


def test_a_value_or_class_that_is_not_allowed_names_file_row_and_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("video_id,text,A,T\nv,hi,0.5,art\nv,ho,1.5,art\n")
    with pytest.raises(DataError, match=r"in \[-1, 1\] for arousal in column 'A', line 3 of .*t.csv, but got '1.5'"):
        import_dataset("table", [path], tmp_path / "d", ImportOptions(labels=("arousal=A:score:-1..1",)))
    with pytest.raises(DataError, match=r"one of sport, war for topic in column 'T', line 2 of .*t.csv, but got 'art'"):
        import_dataset("table", [path], tmp_path / "d", ImportOptions(labels=("topic=T:classes:sport,war",)))
    with pytest.raises(DataError, match="Expected a column 'B' "):
        import_dataset("table", [path], tmp_path / "d", ImportOptions(labels=("topic=B:classes",)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("topic", "name the column and the kind"),
        ("topic=T", "name the column and the kind"),
        ("topic=T:score", "a score needs its range"),
        ("topic=T:classes:0..3", "has names, not a range"),
        ("a=x=X,Y:multilabel", "write COLUMN as LABEL=COLUMN,LABEL=COLUMN"),
        ("Topic=T:score:0..1", "lower-case letters"),
        ("split=T:score:0..1", "choose another name"),
    ],
)
def test_a_label_option_of_another_form_is_refused(tmp_path, text, why):
    path = tmp_path / "t.csv"
    path.write_text("video_id,text,T,X,Y\nv,hi,1,0,0\n")
    with pytest.raises(UsageError, match=why):
        import_dataset("table", [path], tmp_path / "d", ImportOptions(labels=(text,)))


def test_further_forms_of_the_option(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("video_id,text,S,L,X,Y,T,sentiment\nv,hi,0.25,high,2,0,b,1\nv,ho,-0.5,low,0,1,a,-1\n")
    labels = (
        "valence=S:score:-1..0..1",
        "effort=L:ordinal:low,middle,high",
        "hurt=body=X,mind=Y:multilabel:0..2",
        "t=T:classes",
    )
    data = import_dataset("table", [path], tmp_path / "d", ImportOptions(labels=labels))
    spaces = {space.name: space for space in data.facts.label_spaces}
    assert list(spaces) == ["sentiment", "valence", "effort", "hurt", "t"]
    assert (spaces["valence"].neutral, spaces["hurt"].bounds, spaces["t"].names) == (0.0, (0.0, 2.0), ("a", "b"))
    (video,) = data.videos()
    first, second = video.utterances
    assert {name: values.tolist() for name, values in first.labels.items()} == {
        "sentiment": [1.0],
        "valence": [0.25],
        "effort": [2.0],
        "hurt": [2.0, 0.0],
        "t": [1.0],
    }
    assert second.labels["effort"].tolist() == [0.0]


SCORED = {"lovely": 2.0, "a chair": 0.0, "awful": -2.0}


def write_scores(path, scores=SCORED):
    """A table of texts with a sentiment score, a third of which is exactly neutral."""
    rng = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "text", "split", "sentiment"])
        for video in range(24):
            split = "valid" if video % 4 == 1 else "test" if video % 4 == 3 else "train"
            for text in rng.choice(list(scores), 4):
                writer.writerow([f"v{video}", text, split, scores[text]])
    return path


def test_cim_tuned_tells_neutral_from_positive_and_cim_keeps_two_classes(tmp_path):
    options = ImportOptions(text="glove-6b-50d")
    data = import_dataset("table", [write_scores(tmp_path / "t.csv")], tmp_path / "data", options)
    # on text vectors, because the small encoder of the tests knows no words
    settings = {"encoder": "none", "epochs": 30, "gru_size": 6, "dense_size": 6, "fused_size": 8, "threads": 1}
    settings |= {"learning_rate": 1e-2, "batch_videos": 4, "select_by": "loss"}
    learned = train(data, tmp_path / "tuned", TrainRequest("cim-tuned", tasks=("sentiment",), settings=settings))
    assert json.loads((learned.folder / "run.json").read_text())["task_kinds"] == {"sentiment": "ordinal"}
    frame = mien.predict(learned.folder, data.folder, tmp_path / "p.parquet").to_pandas()
    at_least, above = frame["probability_at_least_neutral"], frame["probability_at_least_positive"]
    assert (at_least >= above).all()
    result = mien.evaluate([learned.folder], n_resamples=20).results[0]
    part = result.parts["sentiment"]
    assert {"accuracy_has0", "accuracy_non0", "accuracy", "macro_f1", "weighted_f1", "confusion"} <= set(part)
    assert part["accuracy"] > 0.8
    assert part["confusion"]["neutral"]["neutral"] > 0
    assert {"sentiment.accuracy_has0", "sentiment.accuracy"} <= set(result.intervals)
    two = train(
        data,
        tmp_path / "two",
        TrainRequest("cim-tuned", settings=settings | {"epochs": 1}, kinds={"sentiment": "binary"}),
    )
    assert json.loads((two.folder / "run.json").read_text())["task_kinds"] == {}
    compared = mien.compare([learned.folder], [two.folder], n_resamples=20)
    assert {"sentiment.accuracy_has0", "sentiment.accuracy_non0"} <= set(compared.metrics)
    assert compared.mcnemar
    clip = sample_clip()
    request = AnalyzeRequest(model=str(learned.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, _ = mien.analyze([clip], tmp_path / "out", request)
    for row in done[clip].utterances:
        probabilities = row.sentiment.probabilities
        assert list(probabilities) == ["negative", "neutral", "positive"]
        assert row.sentiment.probability == max(probabilities.values())
        assert (
            f"{row.sentiment.label} {row.sentiment.probability:.2f}" in (tmp_path / "out" / "captions.vtt").read_text()
        )
    diagnosis = mien.diagnose([learned.folder], n_resamples=0).summary
    assert diagnosis["mean"]["abstention"]["sentiment"]["kept"]["100"]["accuracy"] == part["accuracy"]
