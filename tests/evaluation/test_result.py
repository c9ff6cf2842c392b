import dataclasses
import json
import math

import numpy as np
import pytest
from tests.evaluation.examples import gold, predicted, rated, reordered, without_tasks
from tests.labelled import labels_of, relabelled

from mien.errors import DataError, UnknownNameError, UsageError
from mien.evaluation.counts import GRADES, count_videos
from mien.evaluation.decisions import fit_decisions, paper_decisions
from mien.evaluation.headline import all_headlines, headline_values, is_share, lower_is_better
from mien.evaluation.protocols import clean, fixed, released
from mien.evaluation.result import Bootstrap, RunIdentity, evaluate_predictions
from mien.evaluation.rows import validated_predictions
from mien.evaluation.summary import mean_and_sd, summarize
from mien.evaluation.trivial import TrainMajority, constant_predictions
from mien.metrics.regression import GradeRule
from mien.metrics.significance import video_weights
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, SentimentValues
from mien.storage.files import to_json_text
from mien.storage.predictions import Predictions
from mien.tasks import PAPER_TASKS

FEW = Bootstrap(n_resamples=67, seed=2)
MAJORITY = TrainMajority({"sentiment": (1.0,), "emotion": (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)})
CONTRACT = {
    "sentiment": ("accuracy_has0", "weighted_f1_has0", "accuracy_non0", "weighted_f1_non0"),
    "emotion": ("weighted_accuracy_mean6", "weighted_f1_mean6", "per_emotion"),
}
ROW = (
    *("weighted_accuracy", "weighted_f1", "threshold", "positive_f1", "macro_f1", "roc_auc", "calibration_error"),
    *("n_positive", "n_negative", "n_predicted_positive"),
)


@pytest.fixture
def test():
    return predicted(gold(2), 2)


@pytest.fixture
def decisions():
    return fit_decisions(predicted(gold(1), 1))


def at_path(part, path):
    for key in path.split("."):
        part = part[key]
    return part


def evaluated(predictions, decisions, seed=0, **facts):
    identity = RunIdentity(run=f"runs/{seed}", model="cim", inputs=("text",), tasks=("emotion",), seed=seed, **facts)
    return evaluate_predictions(predictions, decisions=decisions, majority=MAJORITY, identity=identity, bootstrap=FEW)


def test_json_has_the_keys_of_the_design(test, decisions):
    facts = json.loads(to_json_text(evaluated(test, decisions).to_json()))
    head = {"run": "runs/0", "model": "cim", "inputs": ["text"], "tasks": ["emotion"], "seed": 0, "split": "test"}
    head |= {"protocol": "clean", "n_videos": 31, "n_utterances": len(test.index), "upper_bound": False}
    assert {key: facts[key] for key in head} == head
    for part in (facts, facts["trivial"]):
        for name, keys in CONTRACT.items():
            assert set(keys) <= set(part[name])
        assert list(part["emotion"]["per_emotion"]) == list(EMOTIONS)
        for row in (*part["emotion"]["per_emotion"].values(), part["emotion"]["no_emotion"]):
            assert set(ROW) <= set(row)
    assert set(facts["conventions"]) == {
        "sentiment_classes", "f1", "emotion_accuracy", "mean", "thresholds", "chosen_on", "data"
    }  # fmt: skip
    assert facts["operating_points"]["weighted_accuracy"]["thresholds"] == dict(
        decisions.thresholds["emotion"]["weighted_accuracy"]
    )
    assert "weighted_f1" in facts["operating_points"]["weighted_accuracy"]["columns"]


def test_scores_are_those_of_the_protocol(test, decisions):
    for protocol, given, scores in (
        ("clean", test, clean(test, decisions)),
        ("fixed", test, fixed(test)),
        ("released", {1: test}, released({1: test})),
    ):
        result = evaluate_predictions(given, protocol=protocol, decisions=decisions, bootstrap=FEW)
        assert (result.parts["sentiment"], result.parts["emotion"]) == (
            scores.parts["sentiment"],
            scores.parts["emotion"],
        )
        assert set(scores.notes) <= set(result.notes)
        assert result.upper_bound == (protocol == "released")
        assert bool(result.intervals) == (protocol != "released")
    columns = evaluate_predictions(test, protocol="fixed", bootstrap=FEW).operating_points["weighted_f1"]["columns"]
    assert "weighted_f1" in columns


def test_intervals_are_those_of_explicitly_resampled_videos(test, decisions):
    result = evaluated(test, decisions)
    rows = validated_predictions(test)
    names = np.unique(rows.video_id.astype(str))
    drawn_scores = {path: [] for path in result.intervals}
    for weight in video_weights(len(names), FEW.n_resamples, FEW.seed):
        videos = np.repeat(names, weight)
        drawn = [np.flatnonzero(rows.video_id == name) for name in videos]
        resample = reordered(rows, np.concatenate(drawn))
        renumbered = dataclasses.replace(resample, index=np.arange(len(resample.index)))
        scores = clean(renumbered, decisions)
        for path, values in drawn_scores.items():
            values.append(at_path({"sentiment": scores.parts["sentiment"], "emotion": scores.parts["emotion"]}, path))
    assert len(result.intervals) == 14
    for path, interval in result.intervals.items():
        assert interval == pytest.approx(np.quantile(drawn_scores[path], [0.025, 0.975]).tolist())


@pytest.mark.parametrize("protocol", ["clean", "fixed"])
def test_headline_values_are_the_scores(test, decisions, protocol):
    result = evaluate_predictions(test, protocol=protocol, decisions=decisions, bootstrap=FEW)
    counts = count_videos(validated_predictions(test), decisions if protocol == "clean" else paper_decisions())
    for path, value in headline_values(counts).items():
        assert value == pytest.approx(at_path(result.to_json(), path), abs=1e-14)
        assert result.intervals[path][0] < value < result.intervals[path][1]


def test_an_emotion_rare_enough_to_be_lost_in_a_resample_is_said(test, decisions):
    emotions = test.emotions.copy()
    emotions[:, 2] = np.where(np.isnan(emotions[:, 2]), np.nan, 0)
    emotions[0, 2] = 1
    result = evaluated(relabelled(test, emotions=emotions), decisions)
    assert not math.isnan(result.parts["emotion"]["weighted_accuracy_mean6"])
    assert not math.isnan(result.intervals["emotion.weighted_accuracy_mean6"][0])
    path = "emotion.weighted_accuracy_mean6"
    (note,) = (each for each in result.notes if each.startswith(f"the interval of {path} rests on"))
    assert note.endswith("in the others it is undefined, because a class of emotion is missing")


def test_a_note_about_an_interval_is_about_the_labels_of_its_task(test, decisions):
    sentiment = np.where(np.isnan(test.sentiment), np.nan, 1.0)
    sentiment[np.flatnonzero(~np.isnan(sentiment))[0]] = -1.0
    rows = without_tasks(rated(relabelled(test, sentiment=sentiment)), "emotion", "emotion_intensity")
    result = evaluate_predictions(rows, decisions=decisions, bootstrap=FEW)
    notes = [note for note in result.notes if note.startswith("the interval of")]
    assert notes
    assert not any("emotion" in note for note in notes)
    assert any("because the labels of sentiment intensity do not differ" in note for note in notes)


def test_an_undefined_emotion_is_left_out_of_the_interval_too(test, decisions):
    emotions = test.emotions.copy()
    emotions[:, 2] = np.where(np.isnan(emotions[:, 2]), np.nan, 0)
    result = evaluated(relabelled(test, emotions=emotions), decisions)
    low, high = result.intervals["emotion.weighted_accuracy_mean6"]
    assert low < result.parts["emotion"]["weighted_accuracy_mean6"] < high
    assert math.isnan(result.intervals["emotion.per_emotion.fear.weighted_accuracy"][0])
    assert '"weighted_accuracy": null' in to_json_text(result.to_json())


def test_missing_parts_are_none(test, decisions):
    result = evaluated(without_tasks(test, "emotion"), decisions)
    assert result.to_json()["emotion"] is None
    assert result.to_json()["trivial"]["emotion"] is None
    assert result.operating_points == {}
    assert all(path.startswith("sentiment.") for path in result.intervals)
    hidden = relabelled(
        test,
        sentiment=np.where(test.sentiment >= 0, 1.0, np.where(np.isnan(test.sentiment), np.nan, -1.0)),
        sentiment_values=SentimentValues.HAS0_CLASS,
    )
    result = evaluated(hidden, decisions)
    assert result.parts["sentiment"]["accuracy_non0"] is None
    assert result.trivial["sentiment"]["accuracy_non0"] is None
    assert "sentiment.accuracy_non0" not in result.intervals
    assert evaluate_predictions(test, protocol="fixed", bootstrap=FEW).trivial is None


def test_what_a_protocol_needs_is_asked_for(test, decisions):
    with pytest.raises(UnknownNameError, match="did you mean 'clean'"):
        evaluate_predictions(test, protocol="claen")
    with pytest.raises(UsageError, match="Expected thresholds under the protocol clean, but got none"):
        evaluate_predictions(test)
    with pytest.raises(UsageError, match="Expected predictions of every epoch under the protocol released"):
        evaluate_predictions(test, protocol="released")
    with pytest.raises(UsageError, match="Expected one table of predictions under the protocol fixed"):
        evaluate_predictions({1: test}, protocol="fixed")
    assert evaluate_predictions(test, decisions=decisions, bootstrap=Bootstrap(n_resamples=0)).intervals == {}


def test_majority_counts_labels_that_exist():
    sentiment = np.array([-1.0, 0.0, -2.0, np.nan, np.nan])
    emotions = np.array([[1, 0, 0, 2, 0, 0], [1, 0, 0, 0, 0, 0], [0] * 6, [np.nan] * 6, [np.nan] * 6], dtype=float)
    majority = TrainMajority.from_labels(labelled(sentiment, emotions))
    assert majority.constants == {
        "sentiment": (0.0,),
        "emotion": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "sentiment_intensity": (-1.0,),
        "emotion_intensity": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    }
    facts = majority.to_json()
    assert facts == {
        "sentiment_positive": False,
        "emotions": [True, False, False, False, False, False, False],
        "sentiment_median": -1.0,
        "emotion_medians": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    }
    assert TrainMajority.from_json(facts) == majority
    # as a run of an earlier version has it
    old = TrainMajority.from_json({"sentiment_positive": False, "emotions": facts["emotions"]})
    assert old.constants["emotion"] == majority.constants["emotion"]
    assert old.constants["emotion_intensity"] == (0.0,) * 6
    tied = TrainMajority.from_labels(labelled(np.array([-1.0, 0.0]), emotions[:2]))
    assert tied.constants["sentiment"] == (1.0,)
    nothing = TrainMajority.from_labels(labelled(sentiment[3:], emotions[3:]))
    assert nothing.constants["sentiment"] == (1.0,)
    assert nothing.constants["emotion"] == (0.0,) * 7
    with pytest.raises(DataError, match="Expected the majority of 7 outputs of emotion, but got 6"):
        TrainMajority({"emotion": (0.0,) * 6})


def labelled(sentiment, emotions):
    return Predictions(
        np.full(len(sentiment), "v", object), np.arange(len(sentiment)), labels_of(sentiment, emotions), {}
    )


def test_trivial_values_of_the_current_release():
    sentiment = np.repeat([-1.0, 0.0, 1.0], [1350, 1025, 2287])
    n_rows = len(sentiment)
    emotions = np.zeros((n_rows, 6))
    emotions[: round(0.2298 * n_rows), 0] = 1  # anger
    emotions[: round(0.53 * n_rows), 3] = 1  # happy
    rows = Predictions(
        video_id=np.full(n_rows, "only", dtype=object),
        index=np.arange(n_rows),
        labels=labels_of(sentiment, emotions),
        outputs={"sentiment": np.full((n_rows, 1), 0.3), "emotion": np.full((n_rows, 7), 0.3)},
    )
    trivial = evaluate_predictions(rows, protocol="fixed", majority=MAJORITY, bootstrap=Bootstrap(0)).trivial
    figures = [100 * trivial["sentiment"][key] for key in CONTRACT["sentiment"]]
    assert figures == pytest.approx([71.04, 59.01, 62.88, 48.55], abs=0.005)
    anger, happy = (trivial["emotion"]["per_emotion"][name] for name in ("anger", "happy"))
    assert 100 * anger["weighted_f1"] == pytest.approx(67.0, abs=0.05)
    p = happy["n_positive"] / n_rows
    assert happy["weighted_f1"] == pytest.approx(2 * p**2 / (1 + p))
    assert anger["positive_f1"] == 0
    assert anger["weighted_accuracy"] == happy["weighted_accuracy"] == 0.5
    assert anger["n_predicted_positive"] == 0
    assert happy["n_predicted_positive"] == n_rows


def test_trivial_is_the_constant_predictor_scored_like_anyone(test, decisions):
    result = evaluated(test, decisions)
    constant = fixed(constant_predictions(test, MAJORITY))
    assert result.trivial["sentiment"] == constant.parts["sentiment"]
    for name, row in constant.parts["emotion"]["per_emotion"].items():
        assert result.trivial["emotion"]["per_emotion"][name]["weighted_f1"] == row["weighted_f1"]


def leaves(part, path=()):
    for key, value in part.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def test_summary_is_mean_and_sd_of_every_number(test, decisions):
    results = [evaluated(predicted(test, seed), decisions, seed) for seed in (3, 4, 5)]
    summary = summarize(results)
    assert summary["runs"] == [result.to_json() for result in results]
    means, sds = dict(leaves(summary["mean"])), dict(leaves(summary["sd"]))
    assert means.keys() == sds.keys()
    for path in ("sentiment.accuracy_has0", "emotion.per_emotion.sad.weighted_f1", "emotion.no_emotion.n_positive"):
        values = [at_path(run, path) for run in summary["runs"]]
        assert means[path] == pytest.approx(np.mean(values))
        assert sds[path] == pytest.approx(np.std(values, ddof=1))
    assert sds["sentiment.accuracy_has0"] > 0
    assert sds["trivial.sentiment.accuracy_has0"] == 0
    for name, keys in CONTRACT.items():
        assert set(keys) <= set(summary["mean"][name]) & set(summary["sd"][name])
    assert summary["mean"]["protocol"] == "clean"
    assert summary["notes"] == []


def test_summary_of_one_run_has_no_sd(test, decisions):
    summary = summarize([evaluated(test, decisions)])
    assert summary["mean"]["sentiment"]["accuracy_has0"] == summary["runs"][0]["sentiment"]["accuracy_has0"]
    assert summary["sd"]["sentiment"]["accuracy_has0"] is None
    assert summary["sd"]["emotion"]["per_emotion"]["sad"]["weighted_f1"] is None


def test_summary_keeps_what_is_missing_or_undefined(test, decisions):
    single = evaluated(without_tasks(test, "emotion"), decisions, 0)
    both = evaluated(test, decisions, 1)
    mixed = summarize([single, both])
    assert mixed["mean"]["emotion"] is None
    assert mixed["mean"]["sentiment"]["accuracy_has0"] == both.parts["sentiment"]["accuracy_has0"]
    emotions = np.where(np.arange(6) == 2, 0 * test.emotions, test.emotions)
    undefined = summarize([evaluated(relabelled(test, emotions=emotions), decisions, seed) for seed in (0, 1)])
    for part in ("mean", "sd"):
        assert math.isnan(undefined[part]["emotion"]["per_emotion"]["fear"]["weighted_accuracy"])
        assert not math.isnan(undefined[part]["emotion"]["weighted_accuracy_mean6"])


def test_summary_refuses_unlike_runs_and_names_likely_mistakes(test, decisions):
    result = evaluated(test, decisions)
    at_constants = evaluate_predictions(test, protocol="fixed", identity=result.identity, bootstrap=FEW)
    with pytest.raises(DataError, match="same protocol, but got clean and fixed"):
        summarize([result, at_constants])
    with pytest.raises(DataError, match="same split, but got test and valid"):
        summarize([result, evaluated(test, decisions, split="valid")])
    with pytest.raises(DataError, match="same n_utterances"):
        summarize([result, evaluated(reordered(test, np.arange(len(test.index) - 1)), decisions)])
    with pytest.raises(UsageError, match="Expected at least one result"):
        summarize([])
    assert summarize([result, result])["notes"] == ["some runs share a seed: the sd over them is too small"]
    other = dataclasses.replace(result, identity=dataclasses.replace(result.identity, model="tfn", seed=1))
    assert summarize([result, other])["notes"] == ["mean and sd mix runs with different model: cim and tfn"]


def test_released_summary_leaves_out_what_was_chosen(test):
    result = evaluate_predictions({1: test, 2: predicted(test, 9)}, protocol="released", majority=MAJORITY)
    assert result.parts["emotion"]["chosen"]
    summary = summarize([result])
    assert summary["mean"]["upper_bound"] is True
    assert not any("chosen" in path for path, _ in leaves(summary["mean"]))
    assert set(EMOTION_OUTPUTS[:6]) == set(summary["mean"]["emotion"]["per_emotion"])


def test_an_utterance_that_occurs_twice_is_refused_wherever_it_stands(test):
    rows = test.index.size
    for row in (0, rows // 2, rows - 1):
        twice = reordered(test, np.append(np.arange(rows), row))
        with pytest.raises(DataError, match=f"but got utterance {test.index[row]} of video {test.video_id[row]} twice"):
            validated_predictions(twice)


def test_a_headline_says_whether_it_is_a_share_and_which_way_is_better():
    facts = {path: (is_share(path), lower_is_better(path)) for path in all_headlines()}
    assert facts["sentiment.accuracy_has0"] == facts["emotion.weighted_f1_mean6"] == (True, False)
    assert facts["sentiment_intensity.mae"] == (False, True)
    assert facts["sentiment_intensity.pearson"] == (False, False)
    anger = [each for each in all_headlines().values() if each.task == "emotion" and each.outputs == (0,)]
    assert [each.measure for each in anger] == ["weighted_accuracy"]


def test_scores_of_seven_and_five_grades_are_counted():
    assert {f"accuracy{n}_{rule}": (n, rule) for n in (7, 5) for rule in GradeRule} == GRADES


def test_a_probability_at_the_threshold_counts_as_present(test, decisions):
    threshold = decisions.at(PAPER_TASKS["emotion"])
    emotion = np.where(test.outputs["emotion"] >= threshold, threshold, 0.0)
    at_threshold = dataclasses.replace(test, outputs={**test.outputs, "emotion": emotion})
    ours, theirs = (
        count_videos(validated_predictions(rows), decisions)["emotion"]["weighted_accuracy"]
        for rows in (at_threshold, test)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong", [-1e-9, 1 + 1e-9])
def test_probabilities_of_exactly_0_and_1_are_accepted_and_others_are_not(test, wrong):
    sentiment = test.outputs["sentiment"].copy()
    sentiment[:2, 0] = [0.0, 1.0]
    validated_predictions(dataclasses.replace(test, outputs={**test.outputs, "sentiment": sentiment}))
    sentiment[5, 0] = wrong
    with pytest.raises(DataError, match=r"Expected probabilities in \[0, 1\] .*, but got .* and 0 more outside"):
        validated_predictions(dataclasses.replace(test, outputs={**test.outputs, "sentiment": sentiment}))


def test_one_output_missing_of_one_utterance_is_refused(test):
    emotion = test.outputs["emotion"].copy()
    emotion[3, 2] = np.nan
    with pytest.raises(DataError, match="but got nan and 0 more outside"):
        validated_predictions(dataclasses.replace(test, outputs={**test.outputs, "emotion": emotion}))


def test_means_and_deviations_of_numbers_alone():
    parts = [
        {"a": 1.0, "b": 2, "flag": True, "text": "x", "none": None, "chosen": {"a": 1}, "deep": {"c": 1}, "nan": 1.0},
        {
            "a": 3.0,
            "b": 4,
            "flag": True,
            "text": "y",
            "none": 2.0,
            "chosen": {"a": 2},
            "deep": {"c": 5.0},
            "nan": math.nan,
        },
        {"a": 8.0, "b": 6, "flag": True, "text": "z", "none": 3.0, "chosen": {"a": 3}, "deep": {"c": 6}, "nan": 2.0},
    ]
    mean, sd = mean_and_sd(parts)
    assert mean == {"a": 4.0, "b": 4.0, "none": None, "deep": {"c": 4.0}, "nan": pytest.approx(math.nan, nan_ok=True)}
    assert sd["a"] == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert sd["b"] == 2
    assert sd["deep"]["c"] == pytest.approx(math.sqrt(7))
    assert math.isnan(sd["nan"])
    assert mean_and_sd(parts[:1])[1]["a"] is None


def test_the_majority_of_a_tie_is_presence_but_nothing_is_present_without_labels():
    rows = gold(3)
    sentiment, emotions = np.full_like(rows.sentiment, np.nan), np.full_like(rows.emotions, np.nan)
    nothing = TrainMajority.from_labels(relabelled(rows, sentiment=sentiment, emotions=emotions))
    assert nothing.constants["sentiment"] == (1.0,)
    assert nothing.constants["emotion"] == (0.0,) * 7
    sentiment[:4] = [1, -1, -1, 0]
    emotions[:4] = 0
    emotions[:2, 0], emotions[:1, 1] = 1, 2
    tie = TrainMajority.from_labels(relabelled(rows, sentiment=sentiment, emotions=emotions))
    assert tie.constants["sentiment"] == (1.0,)
    assert tie.constants["emotion"] == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert tie.constants["emotion_intensity"] == (0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert tie.constants["sentiment_intensity"] == (-0.5,)
