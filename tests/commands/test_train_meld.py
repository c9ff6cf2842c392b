"""MELD's classes of emotion and sentiment, from rows made by hand to a report: names that are scores in CMU-MOSEI."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk
from tests.readers.examples import MELD_HEADER, meld_row, write_text

import mien
from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.cli import render, render_dataset
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import MienError
from mien.labels import paper_labels
from mien.schema import SentimentValues, Utterance, Video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.describe import describe
from mien.storage.predictions import read_predictions
from mien.video.analyze import AnalyzeRequest
from mien.video.demo import sample_clip
from mien.video.outputs import analysis_schema, read_analysis_json

TEXTS = {
    "anger": "awful war",
    "disgust": "ugly dirt",
    "fear": "the soldiers fight",
    "joy": "a lovely painting",
    "neutral": "it is a chair",
    "sadness": "it rains today",
    "surprise": "wow really",
}
SENTIMENT_OF = dict.fromkeys(TEXTS, "negative") | {"joy": "positive", "neutral": "neutral"}
FAST = {"epochs": 8, "learning_rate": 1e-2, "batch_videos": 4}
# on text vectors, because workers do not have the small encoder of the tests
SMALL = {"encoder": "none", "epochs": 1, "gru_size": 4, "dense_size": 4, "fused_size": 4, "threads": 1}


def write_meld(folder, n_dialogues=30):
    """The three files of MELD, whose texts tell the emotion; two speakers in turn."""
    rng = np.random.default_rng(0)
    for name, n in (("train", n_dialogues), ("dev", 10), ("test", 10)):
        rows = ""
        for dialogue in range(n):
            for number in range(5):
                emotion = rng.choice(list(TEXTS))
                sentiment = rng.choice(["positive", "negative"]) if emotion == "surprise" else SENTIMENT_OF[emotion]
                times = (f"00:00:{10 * number:02d},000", f"00:00:{10 * number + 8:02d},500")
                row = meld_row(dialogue, number, TEXTS[emotion], emotion, sentiment, times)
                rows += row.replace("Somebody", "Ross" if number % 2 else "Rachel")
        write_text(folder / f"{name}_sent_emo.csv", MELD_HEADER + rows)
    return folder


@pytest.fixture(scope="module")
def meld(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meld")
    return import_dataset("meld", [write_meld(folder)], folder / "data", ImportOptions(text="glove-6b-50d"))


@pytest.fixture(scope="module")
def run(meld, tmp_path_factory):
    return train(meld, tmp_path_factory.mktemp("runs") / "cim", TrainRequest(settings=FAST))


def test_the_dataset_has_classes_and_speakers(meld, capsys):
    facts = describe(open_dataset(meld.folder))
    train_part = facts["splits"]["train"]
    assert train_part["speakers"] == 2
    assert sum(train_part["labels"]["emotion"]["counts"].values()) == 150
    assert list(train_part["labels"]["sentiment"]["counts"]) == ["negative", "neutral", "positive"]
    assert not {"sentiment", "emotion"} & set(train_part)
    render_dataset.show_description(facts)
    shown = capsys.readouterr().out
    assert "emotion labelled" in shown
    assert "sentiment labelled" in shown
    assert "surprise" in shown


def test_both_tasks_are_scored_as_classes_over_all_utterances(run, capsys):
    assert run.tasks == ("emotion", "sentiment")
    evaluation = mien.evaluate([run.folder], n_resamples=30)
    result = evaluation.results[0]
    said = read_predictions(run.folder / "predictions/test.parquet")
    for task, n_classes in (("emotion", 7), ("sentiment", 3)):
        gold, decided = said.labels[task][:, 0].astype(int), said.outputs[task].argmax(axis=1)
        part = result.parts[task]
        assert part["n_scored"] == len(gold) == 50
        assert part["accuracy"] == pytest.approx(sk.accuracy_score(gold, decided), abs=1e-12)
        assert part["weighted_f1"] == pytest.approx(sk.f1_score(gold, decided, average="weighted"), abs=1e-12)
        assert np.array([list(row.values()) for row in part["confusion"].values()]).shape == (n_classes, n_classes)
        assert f"{task}.weighted_f1" in result.intervals
    assert result.parts["emotion"]["accuracy"] > 0.9
    facts = result.to_json()
    assert facts["trivial"]["sentiment"]["accuracy"] < 0.8
    assert set(facts["conventions"]) == {"classes", "chosen_on", "data"}
    assert not any("has0" in note for note in facts["notes"])
    render.show_evaluation(evaluation.summary)
    shown = capsys.readouterr().out
    assert "By class of emotion" in shown
    assert "By class of sentiment" in shown


def test_runs_are_compared_diagnosed_and_exported(run, meld, tmp_path):
    other = train(meld, tmp_path / "majority", TrainRequest("majority"))
    compared = mien.compare([run.folder], [other.folder], n_resamples=30)
    assert {"emotion.weighted_f1", "sentiment.accuracy"} <= set(compared.metrics)
    assert not compared.mcnemar
    diagnosis = mien.diagnose([run.folder], tmp_path / "diagnosis", n_resamples=0)
    assert set(diagnosis.summary["mean"]["abstention"]) == {"emotion", "sentiment"}
    frame = mien.predict(run.folder, meld.folder, tmp_path / "all.parquet").to_pandas()
    assert {"probability_emotion_anger", "probability_sentiment_negative"} <= set(frame.columns)
    metadata = mien.export(run.folder, tmp_path / "model.onnx").metadata
    assert metadata["mien.outputs"]["sentiment_probabilities"] == ["negative", "neutral", "positive"]
    assert "mien.emotion_outputs" not in metadata


def test_a_recording_is_analysed(run, tmp_path):
    clip = sample_clip()
    request = AnalyzeRequest(model=str(run.folder), subtitles=clip.with_suffix(".srt"), tracks=False)
    done, failed = mien.analyze([clip], tmp_path / "out", request)
    assert failed == {}
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, analysis_schema())
    row = facts["utterances"][0]
    assert list(row["sentiment"]["probabilities"]) == ["negative", "neutral", "positive"]
    for answer in (row["sentiment"], row["answers"]["emotion"]):
        assert answer["probability"] == max(answer["probabilities"].values())
    emotion = row["answers"]["emotion"]
    assert f"{emotion['label']} {emotion['probability']:.2f}" in (tmp_path / "out" / "captions.vtt").read_text()
    assert "most probable" in facts["model"]["protocol"]
    assert row["emotions"] == {}
    assert done[clip].to_pandas()["emotion"].tolist()[0] == emotion["label"]
    assert read_analysis_json(tmp_path / "out" / "analysis.json").utterances[0].answers["emotion"].label


def test_a_suite_file_with_cim_tuned_runs(meld, tmp_path):
    suite = tmp_path / "meld.toml"
    small = ", ".join(f"{name} = {json.dumps(value)}" for name, value in SMALL.items())
    settings = {"majority": "", "tuned": small, "with speakers": f"{small}, speakers = true"}
    rows = ['reference = "tuned"\n']
    for name, values in settings.items():
        model = "majority" if name == "majority" else "cim-tuned"
        rows.append(f'[[setting]]\nname = "{name}"\nmodel = "{model}"\nsettings = {{ {values} }}\n')
    rows.append(f'[[setting]]\nname = "emotion"\nmodel = "cim-tuned"\ntasks = ["emotion"]\nsettings = {{ {small} }}\n')
    suite.write_text("".join(rows))
    request = BenchmarkRequest(n_seeds=1, n_resamples=20)
    result = benchmark(suite, meld, tmp_path / "out", request)
    assert result.results["failures"] == {}
    markdown = (tmp_path / "out" / "scores.md").read_text(encoding="utf-8")
    heading = next(line for line in markdown.splitlines() if "emotion F1" in line)
    assert "sentiment F1" in heading
    assert "has0" not in markdown
    against = next(row for row in result.results["settings"] if row["name"] == "with speakers")["against_reference"]
    assert {"emotion.weighted_f1", "sentiment.weighted_f1"} <= set(against)
    assert not (tmp_path / "out" / "cases.md").exists()


@pytest.mark.parametrize("task", ["sentiment_intensity", "emotion_intensity"])
def test_classes_have_no_intensities(meld, tmp_path, task):
    with pytest.raises(MienError, match=task):
        train(meld, tmp_path / "run", TrainRequest(tasks=(task,)))


def test_a_dataset_of_the_former_reader_still_opens_and_trains(meld, tmp_path):
    """It has signed sentiment and the six emotions, no speakers, and no label spaces on its card."""
    videos = []
    for video in meld.videos():
        utterances = []
        for each in video.utterances:
            sentiment = {0.0: -1.0, 1.0: None, 2.0: 1.0}[each.labels["sentiment"][0]]
            emotions = np.eye(7)[int(each.labels["emotion"][0])][[0, 1, 2, 3, 5, 6]]
            labels = paper_labels(sentiment, emotions)
            utterances.append(Utterance(each.index, None, None, each.transcript, each.features, labels=labels))
        videos.append(Video(video.id, utterances, video.split))
    facts = DatasetFacts("old", meld.facts.spaces, SentimentValues.SIGNED_CLASS)
    old = write_dataset(tmp_path / "old", videos, facts)
    card = json.loads((old.folder / "dataset.json").read_text(encoding="utf-8"))
    del card["label_spaces"]
    (old.folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")
    reopened = open_dataset(old.folder)
    assert [space.name for space in reopened.facts.label_spaces] == ["sentiment", "emotion"]
    learned = train(reopened, tmp_path / "run", TrainRequest(settings=FAST | {"epochs": 1}))
    result = mien.evaluate([learned.folder], n_resamples=0).results[0]
    assert result.parts["sentiment"]["accuracy_has0"] == result.parts["sentiment"]["accuracy_non0"]
    assert "weighted_accuracy_mean6" in result.parts["emotion"]
    other = mien.evaluate([learned.folder], dataset=meld.folder, n_resamples=0).results[0]
    assert other.parts["sentiment"]["n_scored"] == other.parts["emotion"]["n_scored"] == 0
    assert sum(note.startswith("not scored: the labels") for note in other.notes) == 2
