"""`mien diagnose` on runs that were really trained: what is chosen on valid, what it refuses, what it writes."""

from __future__ import annotations

import numpy as np
import pytest

import mien
from mien.commands.evaluate import evaluate
from mien.commands.shipped import ship_run
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.diagnosis.report import to_markdown
from mien.errors import DataError, FeatureSpaceError, UsageError
from mien.features.extractors import load_text_extractor
from mien.labels import paper_labels
from mien.schema import Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset

ACCURACY = "sentiment.accuracy_has0"
T = Modality.TEXT
GOOD, BAD, PLAIN = ("fine", "lovely", "great"), ("dull", "awful", "sad"), ("a", "film", "it", "was", "the", "end")
QUICK = {"epochs": 12, "patience": None, "gru_size": 4, "dense_size": 3, "batch_videos": 6, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def glove(tmp_path_factory):
    """A text extractor's file: good words point one way, bad ones the other."""
    path = tmp_path_factory.mktemp("glove") / "vectors.txt"
    rng = np.random.default_rng(0)
    lines = []
    for words, mood in ((GOOD, 1.0), (BAD, -1.0), (PLAIN, 0.0)):
        lines += [" ".join([word, *map(str, [mood, *rng.normal(size=2).round(3)])]) for word in words]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make(folder, glove, *, roles=("train", "train", "valid", "test"), transcripts=True):
    """32 videos; the mood of an utterance is in one of its words, the emotions follow it; no times but in test."""
    extractor = load_text_extractor(f"glove:{glove}")
    rng = np.random.default_rng(1)

    def videos():
        for number in range(32):
            video = Video(f"v{number:02d}", [], roles[number % 4])
            for index in range(2 + number % 4):
                good = bool(rng.random() < 0.6)
                said = [*rng.choice(PLAIN, size=rng.integers(1, 9)), rng.choice(GOOD if good else BAD)]
                utterance = Utterance(index, transcript=" ".join(said) if transcripts else "")
                vectors, _ = extractor.utterance_vectors([" ".join(said)])
                utterance.features[T] = vectors[0]
                # one label in ten is the annotators' mistake
                utterance.labels |= paper_labels(1.0 if good ^ (rng.random() < 0.1) else -1.0)
                # half of the emotions follow the mood, half its opposite, one label in five neither
                utterance.labels |= paper_labels(
                    emotions=((np.arange(6) % 2 == good) ^ (rng.random(6) < 0.2)).astype(float)
                )
                video.utterances.append(utterance)
            yield video

    return write_dataset(folder, videos(), DatasetFacts("moods", {T: extractor.space}))


@pytest.fixture(scope="module")
def data(tmp_path_factory, glove):
    return make(tmp_path_factory.mktemp("moods") / "data", glove)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moods-runs")
    return [train(data, folder / f"seed-{seed}", TrainRequest(seed=seed, settings=QUICK)).folder for seed in (0, 1)]


@pytest.fixture(scope="module")
def diagnosis(runs, glove):
    """Both seeds, with everything."""
    steps = []
    found = mien.diagnose(
        runs,
        word_errors=(0.1, 0.5),
        text=f"glove:{glove}",
        n_resamples=50,
        advance=lambda *step: steps.append(step),
    )
    assert steps == [(number, 5) for number in range(1, 6)]
    return found


def test_one_object_says_it_all_and_agrees_with_evaluate(diagnosis, runs):
    summary = diagnosis.summary
    assert [run["seed"] for run in summary["runs"]] == [0, 1]
    scores = evaluate(runs, n_resamples=0).summary
    for run, other in zip(summary["runs"], scores["runs"], strict=True):
        assert run["abstention"]["sentiment"]["kept"]["100"]["accuracy_has0"] == other["sentiment"]["accuracy_has0"]
        kept = run["abstention"]["emotion"]["kept"]["100"]
        assert kept["weighted_accuracy_mean6"] == pytest.approx(other["emotion"]["weighted_accuracy_mean6"])
        assert run["calibration"]["sentiment"]["before"]["calibration_error"] == pytest.approx(
            other["sentiment"]["calibration_error"]
        )
    mean = scores["mean"]["sentiment"]["accuracy_has0"]
    assert summary["groups"]["whole"]["scores"][ACCURACY]["value"] == pytest.approx(mean)
    slopes = [run["calibration"]["happy"]["slope"] for run in summary["runs"]]
    assert summary["sd"]["calibration"]["happy"]["slope"] == pytest.approx(abs(slopes[0] - slopes[1]) / 2**0.5)
    assert not any("NOT A TEST" in note for note in summary["notes"])
    page = to_markdown(summary)
    assert f"| 100 % | 100.00 | {100 * mean:.2f} ± " in page
    assert "no groups by duration of the utterance: the scored split does not say" in page


def test_errors_in_the_words_that_carry_the_mood_cost_accuracy(diagnosis):
    degraded = diagnosis.summary["transcription_errors"]
    assert degraded["notes"] == [], "made anew, the text is the Dataset's own"
    clean, few, many = degraded["levels"]
    assert [level["rate"] for level in degraded["levels"]] == [0, 0.1, 0.5]
    assert clean["measured_rate"] == 0
    assert clean["scores"][ACCURACY]["difference"] == 0
    assert few["measured_rate"] == pytest.approx(0.1, abs=0.01)
    assert many["scores"][ACCURACY]["difference"] < -0.05
    assert many["scores"][ACCURACY]["value"] < few["scores"][ACCURACY]["value"] <= clean["scores"][ACCURACY]["value"]
    low, high = many["scores"][ACCURACY]["interval"]
    assert low < many["scores"][ACCURACY]["difference"] < high


def test_nothing_is_written_into_the_runs_and_valid_alone_chooses(runs, tmp_path, glove):
    before = {path: path.stat().st_mtime_ns for path in runs[0].rglob("*")}
    first = mien.diagnose([runs[0]], word_errors=(), n_resamples=0).summary
    assert {path: path.stat().st_mtime_ns for path in runs[0].rglob("*")} == before
    assert first["transcription_errors"]["absent"] == "not asked for"

    def chosen(summary):
        run = summary["runs"][0]
        thresholds = {name: {each: row[each]["threshold"] for each in row} for name, row in run["thresholds"].items()}
        cuts = {key: row["cut"] for key, row in run["abstention"]["sentiment"]["kept"].items()}
        edges = [by["edges"] for by in summary["groups"]["by"]]
        return thresholds, cuts, edges, [row["slope"] for row in run["calibration"].values()]

    # another split to score, with other labels: nothing that was chosen moves
    other = make(tmp_path / "other", glove, roles=("test", "test", "valid", "train"))
    second = mien.diagnose([runs[0]], dataset=other.folder, word_errors=(), n_resamples=0).summary
    assert chosen(first) == chosen(second)
    assert any(note.startswith("NOT A TEST: 16 of the 16 scored videos were trained on") for note in second["notes"])
    third = mien.diagnose([runs[0]], split="valid", word_errors=(), n_resamples=0).summary
    assert any("chose epoch and thresholds" in note for note in third["notes"])


def test_a_shipped_run_is_asked_about_valid_anew_unless_it_was_trained_on_it(runs, data, glove, tmp_path):
    slim = ship_run(mien.open_run(runs[0]), tmp_path / "slim").folder
    with pytest.raises(DataError, match="at a named folder, but got nothing there; say where it is with --dataset"):
        mien.diagnose([slim])
    found = mien.diagnose([slim], dataset=data.folder, word_errors=(), n_resamples=0).summary
    assert f"valid was predicted anew: 8 videos of {data.folder}" in found["notes"]
    whole = mien.diagnose([runs[0]], word_errors=(), n_resamples=0).summary["runs"][0]
    # its weights are rounded to half precision
    assert found["runs"][0]["calibration"]["happy"]["slope"] == pytest.approx(
        whole["calibration"]["happy"]["slope"], rel=0.05
    )
    turned = make(tmp_path / "turned", glove, roles=("valid", "valid", "train", "test"))
    with pytest.raises(DataError, match="Expected a valid split that .*slim was not trained on, .* got 16 of its"):
        mien.diagnose([slim], dataset=turned.folder)
    blind = make(tmp_path / "blind", glove, roles=("train", "train", "train", "test"))
    with pytest.raises(DataError, match=r"Expected the run's predictions on valid in .* but got neither"):
        mien.diagnose([slim], dataset=blind.folder)


def test_text_that_cannot_be_made_again_is_refused_or_left_out_with_the_reason(runs, glove, tmp_path):
    needed = r"Expected text features of an extractor that is at hand .* but got glove-file-3d; .*--text glove:FILE"
    with pytest.raises(DataError, match=needed):
        mien.diagnose([runs[0]], word_errors=(0.1,), n_resamples=0)
    absent = mien.diagnose([runs[0]], n_resamples=0).summary["transcription_errors"]["absent"]
    assert "but got glove-file-3d" in absent
    other = tmp_path / "other.txt"
    other.write_text("film 1 2 3\n", encoding="utf-8")
    with pytest.raises(FeatureSpaceError, match="Expected text glove-file-3d"):
        mien.diagnose([runs[0]], word_errors=(0.1,), text=f"glove:{other}", n_resamples=0)
    mute = make(tmp_path / "mute", glove, transcripts=False)
    with pytest.raises(DataError, match="but the scored split has none; leave out --word-errors$"):
        mien.diagnose([runs[0]], dataset=mute.folder, word_errors=(0.1,), n_resamples=0)
    # a single run needs no list; without the option there is nothing to leave out, and no remedy
    absent = mien.diagnose(runs[0], dataset=mute.folder, n_resamples=0).summary["transcription_errors"]["absent"]
    assert absent == "Expected transcripts to put errors into, but the scored split has none"


def test_runs_must_be_of_one_system(runs, data, tmp_path):
    other = train(data, tmp_path / "other", TrainRequest(model="majority"))
    with pytest.raises(UsageError, match="to differ in their seed alone"):
        mien.diagnose([runs[0], other.folder])
    # it orders nothing, and says so
    found = mien.diagnose([other.folder], word_errors=(), n_resamples=0).summary
    assert any("has the slope 0" in note for note in found["notes"])
    area = found["runs"][0]["abstention"]["sentiment"]["area"]
    assert area["model"] == pytest.approx(area["random"])
