import dataclasses
import inspect

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.evaluation.examples import gold, predicted, reordered, without_tasks
from tests.labelled import relabelled

from mien.errors import DataError, UsageError
from mien.evaluation.decisions import ChosenOn, OperatingPoint, constant_decisions, fit_decisions, paper_decisions
from mien.evaluation.protocols import PROTOCOLS, RELEASED_THRESHOLDS, UPPER_BOUND, clean, fixed, released
from mien.evaluation.scores import score_at
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, SentimentValues, emotion_multihot7
from mien.tasks import PAPER_TASKS

SENTIMENT_SCORES = (
    "accuracy_has0",
    "weighted_f1_has0",
    "accuracy_non0",
    "weighted_f1_non0",
    "macro_f1_has0",
    "roc_auc",
)
EMOTION_MEANS = tuple(
    f"{metric}_{mean}"
    for metric in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1")
    for mean in ("mean6", "mean7")
)
ROW_SCORES = ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1", "roc_auc")


@pytest.fixture
def valid():
    return predicted(gold(1), 1)


@pytest.fixture
def test():
    return predicted(gold(2), 2)


def without(predictions, output):
    """The same predictions for a split in which nobody shows one emotion."""
    emotions = predictions.emotions.copy()
    column = EMOTIONS.index(output)
    emotions[:, column] = np.where(np.isnan(emotions[:, column]), np.nan, 0)
    return relabelled(predictions, emotions=emotions)


def test_sentiment_scores_equal_scikit_learn(test):
    part = fixed(test).parts["sentiment"]
    labelled = ~np.isnan(test.sentiment)
    for rule, rows in (("has0", labelled), ("non0", labelled & (test.sentiment != 0))):
        target, decided = test.sentiment[rows] >= 0, test.outputs["sentiment"][rows, 0] >= 0.5
        assert part[f"accuracy_{rule}"] == pytest.approx(sk.accuracy_score(target, decided))
        assert part[f"weighted_f1_{rule}"] == pytest.approx(sk.f1_score(target, decided, average="weighted"))
    target, probability = test.sentiment[labelled] >= 0, test.outputs["sentiment"][labelled, 0]
    assert part["macro_f1_has0"] == pytest.approx(sk.f1_score(target, probability >= 0.5, average="macro"))
    assert part["roc_auc"] == pytest.approx(sk.roc_auc_score(target, probability))
    assert part["n_scored"] == labelled.sum() == len(test.index) - 7
    assert part["n_positive"] + part["n_negative"] == part["n_scored"]
    assert part["n_positive"] == target.sum()
    assert part["n_predicted_positive"] == (probability >= 0.5).sum()
    assert part["n_scored_non0"] == (labelled & (test.sentiment != 0)).sum()


def check_emotion(part, test, accuracy_thresholds, f1_thresholds):
    labels, scored = emotion_multihot7(test.emotions)
    rows = part["per_emotion"] | {"none": part["no_emotion"]}
    assert list(rows) == list(EMOTION_OUTPUTS)
    for column, name in enumerate(EMOTION_OUTPUTS):
        target, probability = labels[scored, column], test.outputs["emotion"][scored, column]
        at_accuracy = probability >= accuracy_thresholds[column]
        at_f1 = probability >= f1_thresholds[column]
        assert rows[name]["weighted_accuracy"] == pytest.approx(sk.balanced_accuracy_score(target, at_accuracy))
        assert rows[name]["weighted_f1"] == pytest.approx(sk.f1_score(target, at_f1, average="weighted"))
        assert rows[name]["positive_f1"] == pytest.approx(sk.f1_score(target, at_f1))
        assert rows[name]["macro_f1"] == pytest.approx(sk.f1_score(target, at_f1, average="macro"))
        assert rows[name]["roc_auc"] == pytest.approx(sk.roc_auc_score(target, probability))
        assert rows[name]["threshold"] == accuracy_thresholds[column]
        assert (rows[name]["n_positive"], rows[name]["n_negative"]) == (target.sum(), (~target).sum())
        assert rows[name]["n_predicted_positive"] == at_accuracy.sum()
    for metric in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1"):
        values = [row[metric] for row in rows.values()]
        assert part[f"{metric}_mean6"] == pytest.approx(np.mean(values[:6]))
        assert part[f"{metric}_mean7"] == pytest.approx(np.mean(values))
    assert part["n_scored"] == scored.sum()


def test_clean_uses_the_weighted_accuracy_point_for_all_columns(valid, test):
    decisions = fit_decisions(valid)
    part = clean(test, decisions).parts["emotion"]
    thresholds = decisions.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_ACCURACY)
    check_emotion(part, test, thresholds, thresholds)
    labels, scored = emotion_multihot7(test.emotions)
    second = [
        sk.f1_score(labels[scored, column], test.outputs["emotion"][scored, column] >= threshold, average="weighted")
        for column, threshold in enumerate(decisions.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_F1)[:6])
    ]
    assert part["weighted_f1_at_f1_threshold_mean6"] == pytest.approx(np.mean(second))


def test_fixed_uses_the_papers_two_points(test):
    check_emotion(fixed(test).parts["emotion"], test, np.full(7, 0.2), np.full(7, 0.4))


def test_clean_refuses_thresholds_that_valid_did_not_choose(test):
    with pytest.raises(UsageError, match=r"Expected thresholds chosen on valid .* but got thresholds chosen on paper"):
        clean(test, paper_decisions())


def test_test_data_chooses_nothing_under_clean(valid, test):
    decisions = fit_decisions(valid)
    score = clean(test, decisions).parts["emotion"]
    better = clean(test, fit_decisions(test)).parts["emotion"]
    assert {name: row["threshold"] for name, row in score["per_emotion"].items()} == {
        name: decisions.thresholds["emotion"]["weighted_accuracy"][name] for name in EMOTIONS
    }
    assert better["weighted_accuracy_mean6"] > score["weighted_accuracy_mean6"]


def test_clean_carries_the_notes_of_the_fit(valid, test):
    decisions = fit_decisions(without(valid, "fear"))
    assert decisions.notes[0] in clean(test, decisions).notes


def test_the_order_of_rows_changes_nothing(valid, test):
    decisions = fit_decisions(valid)
    shuffled = reordered(test, np.random.default_rng(3).permutation(len(test.index)))
    assert clean(shuffled, decisions) == clean(test, decisions)
    assert fixed(shuffled) == fixed(test)
    assert released({1: shuffled, 2: test}) == released({1: test, 2: shuffled})


def test_unlabelled_rows_change_nothing(test):
    labelled = ~np.isnan(test.sentiment) & ~np.isnan(test.emotions).any(axis=1)
    fewer = reordered(test, np.flatnonzero(labelled))
    sentiment, emotions = fewer.sentiment, fewer.emotions
    masked = relabelled(
        test,
        sentiment=np.where(labelled, test.sentiment, np.nan),
        emotions=np.where(labelled[:, None], test.emotions, np.nan),
    )
    assert fixed(masked) == fixed(relabelled(fewer, sentiment=sentiment, emotions=emotions))
    zeros = relabelled(masked, sentiment=np.nan_to_num(masked.sentiment), emotions=np.nan_to_num(masked.emotions))
    assert fixed(zeros).parts["sentiment"]["accuracy_has0"] != fixed(masked).parts["sentiment"]["accuracy_has0"]
    assert fixed(zeros).parts["emotion"]["weighted_f1_mean6"] != fixed(masked).parts["emotion"]["weighted_f1_mean6"]


def test_a_rare_emotion_without_a_case_is_undefined_and_named(test):
    scores = fixed(without(test, "fear"))
    row = scores.parts["emotion"]["per_emotion"]["fear"]
    assert row["n_positive"] == 0
    assert np.isnan([row[metric] for metric in ("weighted_accuracy", "macro_f1", "positive_f1", "roc_auc")]).all()
    assert 0 < row["weighted_f1"] <= 1
    others = [scores.parts["emotion"]["per_emotion"][name]["weighted_accuracy"] for name in EMOTIONS if name != "fear"]
    assert scores.parts["emotion"]["weighted_accuracy_mean6"] == pytest.approx(np.mean(others))
    assert "weighted_accuracy_mean6 is the mean over 5 emotions, without fear" in scores.notes
    assert any(
        note.startswith("weighted_accuracy, macro_f1 and roc_auc of fear are undefined") for note in scores.notes
    )
    assert not any("undefined" in note for note in fixed(test).notes)


def test_missing_heads_and_missing_labels_are_not_the_same(test):
    only_sentiment = fixed(without_tasks(test, "emotion"))
    assert "emotion" not in only_sentiment.parts
    assert only_sentiment.parts["sentiment"] == fixed(test).parts["sentiment"]
    only_emotion = fixed(without_tasks(test, "sentiment"))
    assert "sentiment" not in only_emotion.parts
    assert only_emotion.parts["emotion"] == fixed(test).parts["emotion"]
    unlabelled = fixed(
        relabelled(test, sentiment=np.full_like(test.sentiment, np.nan), emotions=np.full_like(test.emotions, np.nan))
    )
    assert np.isnan(unlabelled.parts["sentiment"]["accuracy_has0"])
    assert np.isnan(unlabelled.parts["emotion"]["weighted_f1_mean6"])
    assert "the sentiment scores are undefined: no utterance has a sentiment label" in unlabelled.notes
    assert "the emotion scores are undefined: no utterance has emotion labels" in unlabelled.notes


def test_classes_under_has0_cannot_be_scored_under_non0(test):
    classes = np.where(np.isnan(test.sentiment), np.nan, np.where(test.sentiment >= 0, 1.0, -1.0))
    hidden = relabelled(test, sentiment=classes, sentiment_values=SentimentValues.HAS0_CLASS)
    scores = fixed(hidden)
    assert scores.parts["sentiment"]["accuracy_non0"] is None
    assert scores.parts["sentiment"]["weighted_f1_non0"] is None
    assert scores.parts["sentiment"]["accuracy_has0"] == fixed(test).parts["sentiment"]["accuracy_has0"]
    assert any("exact zeros are hidden" in note for note in scores.notes)
    best = released({1: hidden})
    assert best.parts["sentiment"]["accuracy_non0"] is None
    assert any("exact zeros are hidden" in note for note in best.notes)


def test_neutral_without_a_label_makes_the_rules_equal(test):
    signed = relabelled(
        test,
        sentiment=np.where(test.sentiment == 0, np.nan, np.sign(test.sentiment)),
        sentiment_values=SentimentValues.SIGNED_CLASS,
    )
    scores = fixed(signed)
    assert scores.parts["sentiment"]["accuracy_has0"] == scores.parts["sentiment"]["accuracy_non0"]
    assert scores.parts["sentiment"]["accuracy_non0"] == fixed(test).parts["sentiment"]["accuracy_non0"]
    assert any("has0 and non0 are equal" in note for note in scores.notes)


@pytest.fixture
def by_epoch(test):
    return {epoch: predicted(test, seed=epoch, skill=0.5 + 0.1 * epoch) for epoch in (1, 2, 5)}


def test_released_is_at_least_every_epoch_at_every_threshold_of_the_grid(by_epoch):
    best = released(by_epoch)
    reached = dict.fromkeys(EMOTION_MEANS, False)
    for predictions in by_epoch.values():
        for threshold in RELEASED_THRESHOLDS:
            scores = score_at(predictions, constant_decisions(threshold, threshold, chosen_on=ChosenOn.NOTHING))
            for key in EMOTION_MEANS:
                assert best.parts["emotion"][key] >= scores.parts["emotion"][key] - 1e-12
                reached[key] |= best.parts["emotion"][key] == pytest.approx(scores.parts["emotion"][key], abs=1e-12)
            for name in EMOTIONS:
                for key in ROW_SCORES:
                    assert (
                        best.parts["emotion"]["per_emotion"][name][key]
                        >= scores.parts["emotion"]["per_emotion"][name][key] - 1e-12
                    )
    assert all(reached.values())


def test_released_is_at_least_fixed_and_clean_sentiment(by_epoch, valid):
    best, decisions = released(by_epoch), fit_decisions(valid)
    for predictions in by_epoch.values():
        at_constants, frozen = fixed(predictions), clean(predictions, decisions)
        for key in SENTIMENT_SCORES:
            assert best.parts["sentiment"][key] >= at_constants.parts["sentiment"][key]
            assert best.parts["sentiment"][key] >= frozen.parts["sentiment"][key]
        assert best.parts["sentiment"]["calibration_error"] <= at_constants.parts["sentiment"]["calibration_error"]
        for key in EMOTION_MEANS:
            assert best.parts["emotion"][key] >= at_constants.parts["emotion"][key] - 1e-12
        for name in EMOTIONS:
            row, bound = at_constants.parts["emotion"]["per_emotion"][name], best.parts["emotion"]["per_emotion"][name]
            assert all(bound[key] >= row[key] for key in ROW_SCORES)
            assert bound["calibration_error"] <= row["calibration_error"]


def test_released_says_what_it_chose(by_epoch):
    best = released(by_epoch)
    assert UPPER_BOUND in best.notes
    epoch = best.parts["sentiment"]["chosen"]["weighted_f1_has0"]["epoch"]
    assert fixed(by_epoch[epoch]).parts["sentiment"]["weighted_f1_has0"] == best.parts["sentiment"]["weighted_f1_has0"]
    accuracy_epoch = best.parts["sentiment"]["chosen"]["accuracy_has0"]["epoch"]
    assert (
        fixed(by_epoch[accuracy_epoch]).parts["sentiment"]["n_predicted_positive"]
        == best.parts["sentiment"]["n_predicted_positive"]
    )
    for name in EMOTIONS:
        row = best.parts["emotion"]["per_emotion"][name]
        picked = row["chosen"]["weighted_accuracy"]
        again = score_at(by_epoch[picked["epoch"]], constant_decisions(picked["threshold"], 0.5))
        again_row = again.parts["emotion"]["per_emotion"][name]
        for key in ("weighted_accuracy", "threshold", "n_predicted_positive", "n_positive"):
            assert row[key] == pytest.approx(again_row[key])
    picked = best.parts["emotion"]["chosen"]["weighted_f1_mean6"]
    again = score_at(by_epoch[picked["epoch"]], constant_decisions(picked["threshold"], 0.5))
    assert best.parts["emotion"]["weighted_f1_mean6"] == pytest.approx(again.parts["emotion"]["weighted_f1_mean6"])


def test_released_grid_is_the_published_one():
    assert len(RELEASED_THRESHOLDS) == 16
    assert [round(100 * threshold) for threshold in RELEASED_THRESHOLDS] == [10, *range(15, 26), 30, 35, 40, 50]


def test_released_with_an_emotion_nobody_shows(by_epoch):
    best = released({epoch: without(predictions, "fear") for epoch, predictions in by_epoch.items()})
    assert np.isnan(best.parts["emotion"]["per_emotion"]["fear"]["weighted_accuracy"])
    assert "weighted_accuracy_mean6 is the mean over 5 emotions, without fear" in best.notes
    assert 0.5 < best.parts["emotion"]["weighted_accuracy_mean6"] < 1


def test_released_with_one_head(by_epoch):
    single = {epoch: without_tasks(predictions, "sentiment") for epoch, predictions in by_epoch.items()}
    best = released(single)
    assert "sentiment" not in best.parts
    assert best.parts["emotion"] == released(by_epoch).parts["emotion"]
    other = {epoch: without_tasks(predictions, "emotion") for epoch, predictions in by_epoch.items()}
    assert "emotion" not in released(other).parts


def test_released_refuses_nothing_and_different_rows(by_epoch, valid):
    with pytest.raises(UsageError, match="Expected predictions of at least one epoch"):
        released({})
    with pytest.raises(DataError, match="Expected epoch 1 and epoch 9 to be about the same utterances"):
        released(by_epoch | {9: valid})


def test_the_table_names_the_functions():
    assert list(PROTOCOLS) == ["clean", "fixed", "released"]
    assert [PROTOCOLS[name].upper_bound for name in PROTOCOLS] == [False, False, True]
    assert list(inspect.signature(PROTOCOLS["fixed"].function).parameters) == ["predictions"]


def test_notes_of_the_thresholds_belong_to_tasks_with_voted_thresholds(valid, test):
    noted = dataclasses.replace(fit_decisions(valid), notes=("a note of the thresholds",))
    assert "a note of the thresholds" in clean(test, noted).notes
    assert "a note of the thresholds" not in clean(without_tasks(test, "emotion"), noted).notes
