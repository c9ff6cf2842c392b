"""Evaluating and comparing runs: the promised keys, honest protocols, and refusals that say what to do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.disks import read_only_copy
from tests.planted import QUICK, write_planted

import mien
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import DataError, FeatureSpaceError, UnknownNameError, UsageError, WriteError
from mien.evaluation.protocols import UPPER_BOUND
from mien.schema import EMOTIONS, Modality
from mien.storage.dataset import open_dataset, write_dataset
from mien.storage.files import to_json_text
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.tasks import EMOTION, SENTIMENT


@pytest.fixture(scope="module")
def runs(planted, tmp_path_factory):
    """Seeds 0 and 1 of two systems; the second has no voice and did not keep its epochs."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train(planted, folder / f"whole-{seed}", TrainRequest(seed=seed, settings=QUICK))
        request = TrainRequest(
            inputs=(Modality.TEXT, Modality.VISUAL), seed=seed, settings=QUICK | {"keep_epochs": False}
        )
        train(planted, folder / f"mute-{seed}", request)
    return folder


@pytest.fixture
def own_runs(runs, tmp_path):
    """A copy that a test may write into, as training left it."""
    shutil.copytree(runs, tmp_path / "runs", ignore=shutil.ignore_patterns("test*.parquet", "train*.parquet"))
    return tmp_path / "runs"


@pytest.mark.parametrize("protocol", ["clean", "fixed", "released"])
def test_the_keys_that_were_promised_are_there(runs, planted, protocol):
    evaluation = mien.evaluate([runs / "whole-0", runs / "whole-1"], protocol=protocol, n_resamples=7)
    summary = json.loads(to_json_text(evaluation.summary))
    columns = planted.columns("test")
    facts = {
        "inputs": ["text", "acoustic", "visual"],
        "tasks": ["sentiment", "emotion"],
        "model": "cim",
        "split": "test",
        "protocol": protocol,
        "n_videos": len(columns.video_ids),
        "n_utterances": columns.n_utterances,
    }
    sentiment = {"accuracy_has0", "weighted_f1_has0", "accuracy_non0", "weighted_f1_non0"}
    emotion = {"weighted_accuracy_mean6", "weighted_f1_mean6", "per_emotion"}
    assert [run["seed"] for run in summary["runs"]] == [0, 1]
    assert [run["run"] for run in summary["runs"]] == [str(runs / "whole-0"), str(runs / "whole-1")]
    for run in summary["runs"]:
        assert facts.items() <= run.items()
        for part in (run, run["trivial"], summary["mean"], summary["sd"]):
            assert sentiment <= set(part["sentiment"])
            assert emotion <= set(part["emotion"])
            assert set(EMOTIONS) <= set(part["emotion"]["per_emotion"])
        for name in EMOTIONS:
            assert {"weighted_accuracy", "weighted_f1", "threshold"} <= set(run["emotion"]["per_emotion"][name])
        for key in sentiment:
            assert 0 <= run["sentiment"][key] <= 1
    for key in sentiment:
        both = [run["sentiment"][key] for run in summary["runs"]]
        assert summary["mean"]["sentiment"][key] == pytest.approx(np.mean(both))
        assert summary["sd"]["sentiment"][key] == pytest.approx(np.std(both, ddof=1))


def test_scores_are_those_of_the_predictions_that_are_left_in_the_run(own_runs, planted):
    run = own_runs / "whole-0"
    assert not (run / "predictions/test.parquet").exists()
    summary = mien.evaluate([run], n_resamples=0).summary["runs"][0]
    predictions = read_predictions(run / "predictions/test.parquet")
    columns = planted.columns("test")
    assert predictions.index.tolist() == columns.index.tolist()
    np.testing.assert_array_equal(predictions.sentiment, columns.sentiment)
    right = (predictions.outputs[SENTIMENT][:, 0] >= 0.5) == (columns.sentiment >= 0)
    assert summary["sentiment"]["accuracy_has0"] == pytest.approx(right.mean())
    mien.evaluate([run], split="train", n_resamples=0)
    assert sorted(path.name for path in (run / "predictions").iterdir()) == [
        "test.parquet",
        "train.parquet",
        "valid.parquet",
    ]
    assert open_run(run).finished


def test_scoring_again_or_on_valid_changes_nothing_in_the_run(own_runs):
    run = own_runs / "whole-0"
    first = mien.evaluate([run], n_resamples=7).summary
    content = {path: path.read_bytes() for path in sorted(run.rglob("*.*"))}
    assert to_json_text(mien.evaluate([run], n_resamples=7).summary) == to_json_text(first)
    mien.evaluate([run], split="valid", n_resamples=0)
    assert {path: path.read_bytes() for path in sorted(run.rglob("*.*"))} == content


def test_a_run_that_cannot_be_changed_is_scored_and_says_that_nothing_was_stored(own_runs, tmp_path):
    """Its training is repeated with --resume, too: there is nothing to do."""
    scores = mien.evaluate([own_runs / "whole-0"], n_resamples=0).summary["mean"]
    (own_runs / "whole-0/predictions/test.parquet").unlink()
    with read_only_copy(own_runs / "whole-0", tmp_path / "disk") as run:
        note = f"the predictions were not stored, because {run} is read-only"
        for protocol in ("clean", "fixed"):
            summary = mien.evaluate([run], protocol=protocol, n_resamples=0).summary
            assert note in summary["runs"][0]["notes"]
            assert (to_json_text(summary["mean"]) == to_json_text(scores)) == (protocol == "clean")
        assert mien.compare([run], [own_runs / "mute-0"], n_resamples=7).notes[0] == note
        assert not (run / "predictions/test.parquet").exists()
        assert train(open_run(run).dataset["path"], run, TrainRequest(settings=QUICK), resume=True).finished


def test_predictions_are_not_written_through_a_link(own_runs, tmp_path):
    run = own_runs / "whole-0"
    (tmp_path / "victim").write_text("years of work")
    (run / "predictions/test.parquet").symlink_to(tmp_path / "victim")
    mien.evaluate([run], n_resamples=0)
    assert read_predictions(run / "predictions/test.parquet").outputs
    (run / "predictions").rename(tmp_path / "elsewhere")
    (run / "predictions").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/test.parquet").write_text("years of work")
    with pytest.raises(WriteError, match="Expected a folder at .*whole-0/predictions, but got a symbolic link"):
        mien.evaluate([run], n_resamples=0)
    assert (tmp_path / "victim").read_text() == (tmp_path / "elsewhere/test.parquet").read_text() == "years of work"


def test_clean_takes_the_thresholds_of_valid_and_fixed_the_papers(runs):
    clean, fixed = (
        mien.evaluate([runs / "whole-0"], protocol=protocol, n_resamples=0).summary["runs"][0]
        for protocol in ("clean", "fixed")
    )
    chosen = json.loads((runs / "whole-0/decisions.json").read_text())["emotion"]["weighted_accuracy"]
    assert len(set(chosen.values())) > 1
    for name in EMOTIONS:
        assert clean["emotion"]["per_emotion"][name]["threshold"] == chosen[name]
        assert fixed["emotion"]["per_emotion"][name]["threshold"] == 0.2
        assert fixed["emotion"]["per_emotion"][name]["f1_threshold"] == 0.4
    assert clean["upper_bound"] is fixed["upper_bound"] is False
    assert clean["sentiment"]["accuracy_has0"] == fixed["sentiment"]["accuracy_has0"]


def test_released_is_never_worse_and_says_that_it_is_an_upper_bound(runs):
    clean, released = (
        mien.evaluate([runs / "whole-0"], protocol=protocol, n_resamples=7).summary["runs"][0]
        for protocol in ("clean", "released")
    )
    assert released["upper_bound"] is True
    assert UPPER_BOUND in json.dumps(released["notes"]) + json.dumps(released["operating_points"])
    assert released["intervals"] == {}
    assert clean["intervals"]
    for key in ("accuracy_has0", "weighted_f1_has0", "accuracy_non0", "weighted_f1_non0"):
        assert released["sentiment"][key] >= clean["sentiment"][key]


def test_released_needs_every_epoch(runs):
    with pytest.raises(DataError) as caught:
        mien.evaluate([runs / "mute-0"], protocol="released")
    assert str(caught.value) == (
        f"Expected the weights of every epoch in {runs / 'mute-0'} for the protocol released, but got none; "
        "train with --set keep_epochs=true"
    )


def test_unknown_names_are_refused_with_the_nearest_one(runs):
    with pytest.raises(
        UnknownNameError, match="Expected protocol to be one of .*, but got 'cleen'; did you mean 'clean'"
    ):
        mien.evaluate([runs / "whole-0"], protocol="cleen")
    with pytest.raises(
        DataError, match="Expected a split named 'tests' .* but got train, valid, test; name one of these"
    ):
        mien.evaluate([runs / "whole-0"], split="tests")
    with pytest.raises(UsageError, match="Expected at least one result .* name a run"):
        mien.evaluate([])
    with pytest.raises(DataError, match="Expected a Run with the file .*nowhere/run.json, but got nothing there"):
        mien.evaluate([runs / "nowhere"])


def test_a_data_set_with_other_feature_spaces_is_refused_and_both_are_named(runs, planted, tmp_path):
    other = replace(planted.facts.spaces[Modality.ACOUSTIC], recipe={"extractor": "another"})
    spaces = {**planted.facts.spaces, Modality.ACOUSTIC: other}
    strange = write_dataset(tmp_path / "strange", planted.videos(), replace(planted.facts, spaces=spaces))
    with pytest.raises(FeatureSpaceError) as caught:
        mien.evaluate([runs / "whole-0"], dataset=strange.folder)
    assert str(caught.value) == (
        f"Expected {planted.facts.spaces[Modality.ACOUSTIC]}, which the model was trained on, but got {other}; "
        "import or extract the data with planted-acoustic, or train a model on this data set"
    )
    # a run that does not hear the voice does not care
    assert mien.evaluate([runs / "mute-0"], dataset=strange.folder, n_resamples=0).results


def test_another_data_set_of_the_same_spaces_is_scored_and_its_predictions_kept_apart(own_runs, planted, tmp_path):
    def test_only():
        for video in planted.videos("test"):
            video.utterances[0].labels.pop("sentiment", None)
            yield video

    other = write_dataset(tmp_path / "other", test_only(), replace(planted.facts, name="other"))
    run = own_runs / "whole-0"
    scored = mien.evaluate([run], dataset=str(other.folder), n_resamples=0).summary["runs"][0]
    n = other.columns("test").n_utterances
    assert scored["n_utterances"] == n
    assert scored["sentiment"]["n_scored"] == n - len(other.columns("test").video_ids)
    assert scored["dataset"] == f"other {other.fingerprint[:12]}"
    assert (run / f"predictions/test-{other.fingerprint[:12]}.parquet").exists()
    assert not (run / "predictions/test.parquet").exists()
    with pytest.raises(DataError, match="Expected a split named 'valid' .* but got test; name one of these"):
        mien.evaluate([run], dataset=other.folder, split="valid")


def test_a_data_set_that_moved_is_asked_for(tmp_path):
    dataset = write_planted(tmp_path / "data", 20)
    run = train(dataset, tmp_path / "run", TrainRequest(settings=QUICK))
    before = mien.evaluate([run.folder], n_resamples=0).summary
    dataset.folder.rename(tmp_path / "moved")
    with pytest.raises(DataError) as caught:
        mien.evaluate([run.folder])
    assert str(caught.value) == (
        f"Expected the data set of {run.folder} at {tmp_path / 'data'}, but got nothing there; "
        "say where it is with --dataset"
    )
    after = mien.evaluate([run.folder], dataset=tmp_path / "moved", n_resamples=0).summary
    assert to_json_text(after) == to_json_text(before)
    assert open_dataset(tmp_path / "moved").fingerprint == dataset.fingerprint


def test_runs_of_one_task_have_no_scores_of_the_other(planted, tmp_path):
    run = train(planted, tmp_path / "run", TrainRequest(tasks=(EMOTION,), settings=QUICK))
    for protocol in ("clean", "fixed", "released"):
        summary = mien.evaluate([run.folder], protocol=protocol, n_resamples=3).summary
        assert summary["runs"][0]["sentiment"] is summary["mean"]["sentiment"] is summary["sd"]["sentiment"] is None
        assert summary["runs"][0]["trivial"]["sentiment"] is None
        assert summary["mean"]["emotion"]["weighted_f1_mean6"] is not None


def test_an_evaluation_becomes_a_table(runs):
    evaluation = mien.evaluate([runs / "whole-0", runs / "whole-1"], n_resamples=0)
    frame = evaluation.to_pandas()
    assert frame["seed"].tolist() == [0, 1]
    assert "sentiment.accuracy_has0" in frame.columns
    assert "whole-1" in evaluation._repr_html_()


def test_a_single_run_needs_no_list(runs):
    for path in (runs / "whole-0", str(runs / "whole-0")):
        summary = mien.evaluate(path, n_resamples=0).summary
        assert [run["run"] for run in summary["runs"]] == [str(runs / "whole-0")]
        comparison = mien.compare(path, runs / "mute-0", n_resamples=7)
        listed = mien.compare([path], [runs / "mute-0"], n_resamples=7)
        assert to_json_text(comparison.to_json()) == to_json_text(listed.to_json())


def test_runs_are_counted_while_they_are_scored(runs):
    seen = []
    mien.evaluate([runs / "mute-0", runs / "mute-1"], n_resamples=0, advance=lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]


def test_runs_are_compared_in_pairs_by_seed(runs):
    a, b = [runs / "whole-0", runs / "whole-1"], [runs / "mute-1", runs / "mute-0"]
    comparison = mien.compare(a, b, n_resamples=97)
    assert comparison.seeds == (0, 1)
    assert comparison.name_a == "cim text+acoustic+visual sentiment+emotion"
    assert comparison.name_b == "cim text+visual sentiment+emotion"
    row = comparison.metrics["sentiment.accuracy_has0"]
    scores = [
        mien.evaluate(sorted(side), n_resamples=0).summary["mean"]["sentiment"]["accuracy_has0"] for side in (a, b)
    ]
    assert [row.mean_a, row.mean_b] == pytest.approx(scores)
    again = mien.compare(a[::-1], b[::-1], n_resamples=97)
    assert to_json_text(again.to_json()) == to_json_text(comparison.to_json())


def test_a_system_against_itself_shows_no_difference_and_two_names(runs):
    comparison = mien.compare([runs / "whole-0"], [runs / "whole-0"], n_resamples=97)
    assert comparison.name_a == comparison.name_b == "cim text+acoustic+visual sentiment+emotion (whole-0)"
    assert all(row.difference == 0 and row.winner is None for row in comparison.metrics.values())


@pytest.mark.parametrize(
    ("a", "b", "seeds"),
    [
        (["whole-0", "whole-1"], ["mute-0"], r"\[0, 1\] and \[0\]"),
        (["whole-0"], ["mute-1"], r"\[0\] and \[1\]"),
        (["whole-0", "whole-0"], ["mute-0", "mute-0"], r"\[0, 0\] and \[0, 0\]"),
    ],
)
def test_other_seeds_on_one_side_are_refused(runs, a, b, seeds):
    message = f"Expected A and B to have runs with the same seeds, each once, but got {seeds}; train the missing ones"
    with pytest.raises(UsageError, match=message):
        mien.compare([runs / name for name in a], [runs / name for name in b])


def test_a_comparison_can_be_made_on_another_split(runs, planted):
    comparison = mien.compare([runs / "whole-0"], [runs / "mute-0"], split="train", n_resamples=7)
    assert comparison.n_utterances == planted.columns("train").n_utterances


def changed(planted, folder, change):
    def videos():
        for video in planted.videos():
            change(video)
            yield video

    return write_dataset(folder, videos(), planted.facts)


def test_scoring_what_was_trained_on_is_called_no_test(runs):
    def first_note(split):
        return mien.evaluate([runs / "whole-0"], split=split, n_resamples=0).summary["runs"][0]["notes"][:1]

    assert first_note("train")[0].startswith("NOT A TEST: 28 of the 28 scored videos were trained on")
    assert first_note("valid")[0].startswith("NOT A TEST: 6 of the 6 scored videos chose epoch and thresholds")
    assert not any("NOT A TEST" in note for note in first_note("test"))


def test_a_split_without_labels_says_where_the_predictions_are(runs, planted, tmp_path):
    def unlabelled(video):
        for utterance in video.utterances:
            utterance.labels.clear()

    sealed = changed(planted, tmp_path / "sealed", unlabelled)
    note = mien.evaluate([runs / "whole-0"], dataset=sealed.folder, n_resamples=0).summary["runs"][0]["notes"][0]
    assert note.startswith("no labels in this split: nothing to score; the predictions are in ")
    kept = read_predictions(runs / "whole-0/predictions" / note.rpartition("/")[2])
    assert kept.outputs.keys() == {SENTIMENT, EMOTION}


def test_inputs_that_are_missing_are_said_or_refused(runs, planted, tmp_path):
    def half_mute(video):
        for number, utterance in enumerate(video.utterances):
            if number % 2:
                utterance.features.pop(Modality.ACOUSTIC)

    def empty(video):
        for utterance in video.utterances:
            utterance.features.clear()

    notes = mien.evaluate(
        [runs / "whole-0"], dataset=changed(planted, tmp_path / "half", half_mute).folder, n_resamples=0
    ).summary["runs"][0]["notes"]
    assert any(note.startswith("acoustic is missing in ") for note in notes)
    with pytest.raises(DataError, match="Expected some text, acoustic, visual features in the split test"):
        mien.evaluate([runs / "whole-0"], dataset=changed(planted, tmp_path / "empty", empty).folder)


def test_one_side_of_a_comparison_is_one_system(runs):
    with pytest.raises(UsageError, match="differ in their seed alone, but got .* with different inputs, settings"):
        mien.compare([runs / "whole-0", runs / "mute-1"], [runs / "mute-0", runs / "whole-1"])
