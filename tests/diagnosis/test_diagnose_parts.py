"""What a diagnosis chooses on valid and what it finds: by hand, and whatever the order of the rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.evaluation.examples import gold, predicted, reordered
from tests.labelled import relabelled

from mien.diagnosis.abstention import confidence_threshold
from mien.diagnosis.calibration import (
    PlattScaling,
    calibration_part,
    fit_scalings,
    labelled_outputs,
    recalibrated,
)
from mien.diagnosis.diagnose import diagnose_predictions, with_labels_only
from mien.diagnosis.groups import make_groupings, score_groups, utterance_attributes
from mien.diagnosis.word_errors import KIND_SHARES, inject_errors
from mien.errors import DataError, UsageError
from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import fit_decisions
from mien.evaluation.result import evaluate_predictions
from mien.evaluation.rows import validated_predictions
from mien.evaluation.summary import mean_and_sd
from mien.metrics.platt import logit, sigmoid
from mien.metrics.word_error_rate import split_words, word_edits, word_error_rate
from mien.schema import EMOTION_OUTPUTS, EMOTIONS
from mien.storage.split_columns import SplitColumns

ACCURACY, WEIGHTED_ACCURACY = "sentiment.accuracy_has0", "emotion.weighted_accuracy_mean6"
ERRORS = ("sentiment.calibration_error", "emotion.calibration_error_mean6")


@pytest.fixture(scope="module")
def valid():
    return predicted(gold(1, n_videos=16), 1)


@pytest.fixture(scope="module")
def scored():
    return predicted(gold(2, n_videos=16), 2)


@pytest.fixture(scope="module")
def decisions(valid):
    return fit_decisions(valid)


@pytest.fixture(scope="module")
def found(valid, scored, decisions):
    return diagnose_predictions(valid, scored, decisions)


def too_sure(predictions):
    """Logits three times as large: the order of before, and no longer calibrated."""
    return dataclasses.replace(
        predictions,
        outputs={task: sigmoid(3 * logit(values)) for task, values in predictions.outputs.items()},
    )


def test_scaling_undoes_a_stretch_of_the_logits(valid, scored, found):
    stretched = calibration_part(validated_predictions(too_sure(scored)), fit_scalings(too_sure(valid)))
    for name in ("sentiment", *EMOTION_OUTPUTS):
        before, after = found.part["calibration"][name], stretched[name]
        assert after["slope"] == pytest.approx(before["slope"] / 3, rel=1e-3)
        assert after["offset"] == pytest.approx(before["offset"], abs=1e-3)
        assert after["after"]["brier"] == pytest.approx(before["after"]["brier"], abs=1e-5)
    before, after = (np.mean([row[when]["brier"] for row in stretched.values()]) for when in ("before", "after"))
    assert before > after


def test_calibrated_probabilities_keep_order_and_every_decision_at_the_moved_threshold(scored, found):
    calibrated = recalibrated(scored, found.scalings)
    for column, name in enumerate(EMOTION_OUTPUTS):
        raw, new = scored.outputs["emotion"][:, column], calibrated.outputs["emotion"][:, column]
        assert (np.argsort(raw) == np.argsort(new)).all()
        for row in found.part["thresholds"][name].values():
            assert ((raw >= row["threshold"]) == (new >= row["calibrated_threshold"])).all()
    assert set(calibrated.outputs) == {"sentiment", "emotion"}


def test_an_output_of_one_class_is_left_as_it_is_and_told(valid, decisions):
    never = relabelled(valid, emotions=np.where(np.arange(6) == 2, 0 * valid.emotions, valid.emotions))
    scaling = fit_scalings(never)["fear"]
    assert "0 utterances with fear" in scaling.reason
    np.testing.assert_array_equal(scaling.apply(np.array([0.2, 0.9])), [0.2, 0.9])
    told = diagnose_predictions(never, valid, decisions)
    thresholds = {objective: row["threshold"] for objective, row in told.part["thresholds"]["fear"].items()}
    assert (thresholds["macro_f1"], thresholds["positive_f1"]) == (0.5, 0.5)
    assert thresholds["weighted_accuracy"] == decisions.thresholds["emotion"]["weighted_accuracy"]["fear"], (
        "the run's own stay"
    )
    assert any("fear is not recalibrated" in note for note in told.notes)


def test_thresholds_are_those_of_the_run_where_it_has_the_same_objective(decisions, found):
    for name in EMOTION_OUTPUTS:
        chosen = found.part["thresholds"][name]
        assert chosen["weighted_accuracy"]["threshold"] == decisions.thresholds["emotion"]["weighted_accuracy"][name]
        assert chosen["weighted_f1"]["threshold"] == decisions.thresholds["emotion"]["weighted_f1"][name]


def test_with_all_answers_kept_the_scores_are_those_of_evaluate(decisions, scored, found):
    result = evaluate_predictions(scored, decisions=decisions)
    everything = found.part["abstention"]["sentiment"]["kept"]["100"]
    assert everything["coverage"] == 1
    assert everything["accuracy_has0"] == pytest.approx(result.parts["sentiment"]["accuracy_has0"])
    emotions = found.part["abstention"]["emotion"]["kept"]["100"]
    assert emotions["weighted_accuracy_mean6"] == pytest.approx(result.parts["emotion"]["weighted_accuracy_mean6"])
    assert found.part["thresholds"]["happy"]["weighted_f1"]["score"] == pytest.approx(
        result.parts["emotion"]["per_emotion"]["happy"]["weighted_f1_at_f1_threshold"]
    )
    area = found.part["abstention"]["emotion"]["area"]
    assert area["random"] == pytest.approx(1 - result.parts["emotion"]["weighted_accuracy_mean6"])
    assert area["oracle"] < area["model"] < area["random"]


def test_the_cut_of_a_coverage_is_chosen_on_valid(valid, scored, found):
    scaling = found.scalings["sentiment"]
    on_valid = np.abs(scaling.slope * logit(labelled_outputs(validated_predictions(valid))["sentiment"].probability))
    on_scored = labelled_outputs(validated_predictions(scored))["sentiment"]
    sure = np.abs(scaling.slope * logit(on_scored.probability))
    row = found.part["abstention"]["sentiment"]["kept"]["80"]
    assert (on_valid >= row["cut"]).mean() == pytest.approx(0.8, abs=1 / len(on_valid))
    kept = sure >= row["cut"]
    assert row["coverage"] == kept.mean() != 0.8
    right = (on_scored.probability >= 0.5) == on_scored.present
    assert row["accuracy_has0"] == right[kept].mean()
    assert confidence_threshold(np.array([3.0, 1.0, 2.0, 4.0]), 0.5) == 3.0
    assert confidence_threshold(np.array([1.0, 1.0, 1.0]), 0.5) == 1.0


def test_the_order_of_the_rows_decides_nothing(valid, scored, decisions, found):
    rng = np.random.default_rng(0)
    mixed = [reordered(each, rng.permutation(len(each.index))) for each in (valid, scored)]
    again = diagnose_predictions(*mixed, decisions)
    assert again.part == found.part


def test_heads_without_labels_are_left_out(scored, decisions):
    mute = relabelled(scored, emotions=np.full_like(scored.emotions, np.nan))
    kept, notes = with_labels_only(mute)
    assert set(kept.outputs) == {"sentiment"}
    assert notes == ["emotion is left out: the scored split has no labels for it"]
    with pytest.raises(DataError, match="labels for them, in the scored split"):
        with_labels_only(relabelled(mute, sentiment=np.full_like(mute.sentiment, np.nan)))
    part = diagnose_predictions(scored, kept, decisions).part
    assert list(part["calibration"]) == ["sentiment"]
    assert part["abstention"]["emotion"] is None
    with pytest.raises(DataError, match="Expected labelled predictions of anger on valid"):
        diagnose_predictions(mute, scored, decisions)


def columns_of(lengths, transcripts=None, durations=None):
    n = sum(lengths)
    start_s = np.arange(n, dtype=float)
    return SplitColumns(
        video_ids=[f"v{9 - number}" for number in range(len(lengths))],
        offsets=np.cumsum([0, *lengths]),
        index=np.concatenate([np.arange(length) for length in lengths]),
        features={},
        present={},
        labels={},
        transcripts=transcripts,
        start_s=None if durations is None else start_s,
        end_s=None if durations is None else start_s + np.array(durations),
    )


def test_edges_are_the_thirds_of_valid_and_belong_to_the_group_above():
    valid = utterance_attributes(columns_of([6], transcripts=[" ".join("w" * n) for n in (1, 2, 3, 4, 5, 6)]))
    # thirds of 1 to 6 lie at 1 + 5/3 and 1 + 10/3
    scored = utterance_attributes(columns_of([4], transcripts=["w w", "w w w", "", "w w w w w w w"]))
    words = make_groupings(scored, valid)[0]
    assert words.edges == pytest.approx((8 / 3, 13 / 3))
    names = list(words.groups)
    assert names == ["below 2.667 words", "2.667 to below 4.333 words", "4.333 words or more", "unknown"]
    assert [words.groups[name].tolist() for name in names] == (np.eye(4)[[0, 1, 3, 2]] == 1).tolist()
    whole = utterance_attributes(columns_of([6], transcripts=["w " * n for n in (1, 2, 3, 3, 4, 5)]))
    assert make_groupings(whole, whole)[0].groups["2.667 to below 3.333 words"].sum() == 2


def test_positions_are_thirds_of_each_video_and_follow_the_rows():
    # v9 has three utterances, v8 one, v7 two; sorted by video they come the other way round
    known = utterance_attributes(columns_of([3, 1, 2]))
    assert known.video_id.tolist() == ["v7", "v7", "v8", "v9", "v9", "v9"]
    position = make_groupings(known, known)[2]
    assert {name: np.flatnonzero(rows).tolist() for name, rows in position.groups.items()} == {
        "first third": [0, 3],
        "middle third": [2, 4],
        "last third": [1, 5],
    }
    assert known.video_length.tolist() == [2, 2, 1, 3, 3, 3]


def test_what_nobody_wrote_down_is_absent_and_not_made_up():
    known = utterance_attributes(columns_of([3, 2]))
    timed = utterance_attributes(columns_of([3, 2], durations=[1, 2, 3, 4, np.nan]))
    by = {each.what: each for each in make_groupings(known, timed)}
    assert by["words of the utterance"].absent == "the scored split does not say"
    assert by["duration of the utterance"].groups == {}
    by = {each.what: each for each in make_groupings(timed, known)}
    assert by["duration of the utterance"].absent.startswith("valid, which gives the edges")
    assert make_groupings(timed, timed)[1].groups["unknown"].tolist() == [False, True, False, False, False]
    assert {each.what for each in make_groupings(timed, None) if not each.absent} == {"position in the video"}


def split_of(predictions):
    """Columns of the same utterances."""
    names, first = np.unique(predictions.video_id.astype(str), return_index=True)
    names = names[np.argsort(first)]
    lengths = [int((predictions.video_id == name).sum()) for name in names]
    return dataclasses.replace(columns_of(lengths), video_ids=list(names), index=predictions.index)


def test_groups_add_up_and_a_bad_one_is_flagged(valid, scored, decisions):
    known = utterance_attributes(split_of(scored))
    # wrong about sentiment in the last third of every video, and nowhere else
    last = make_groupings(known, known)[2].groups["last third"]
    rows = validated_predictions(scored)
    right = np.where(np.nan_to_num(rows.sentiment) >= 0, 0.9, 0.1)
    rows = dataclasses.replace(rows, outputs={**rows.outputs, "sentiment": np.where(last, 1 - right, right)[:, None]})
    runs, scalings = [SeedRun(rows, decisions, 0)], [fit_scalings(valid)]
    told = score_groups(runs, scalings, make_groupings(known, known), known, 200)
    position = {group["name"]: group for group in told["by"][2]["groups"]}
    assert position["last third"]["scores"][ACCURACY]["value"] == 0
    assert position["first third"]["scores"][ACCURACY]["value"] == 1
    assert position["last third"]["worse_in"] == [ACCURACY]
    assert position["first third"]["worse_in"] == []
    assert sum(group["n_utterances"] for group in position.values()) == told["whole"]["n_utterances"] == len(rows.index)
    assert set(told["whole"]["scores"]) == {ACCURACY, WEIGHTED_ACCURACY, *ERRORS}
    low, high = told["whole"]["scores"][WEIGHTED_ACCURACY]["interval"]
    assert low < told["whole"]["scores"][WEIGHTED_ACCURACY]["value"] < high
    # the same interval as the headline's
    result = evaluate_predictions(rows, decisions=decisions)
    again = score_groups(runs, scalings, [], known, 1000)["whole"]["scores"][WEIGHTED_ACCURACY]
    assert again["interval"] == pytest.approx(result.intervals[WEIGHTED_ACCURACY])
    with pytest.raises(DataError, match="Expected predictions for the utterances of the scored split"):
        score_groups(runs, scalings, [], utterance_attributes(columns_of([3])), 0)


WORDS = [f"word{number}" for number in range(40)]


def spoken(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, 30))) for _ in range(n)]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2])
def test_the_rate_of_injected_errors_is_what_an_edit_distance_measures(rate):
    said = spoken()
    heard = inject_errors(said, rate)
    assert heard == inject_errors(said, rate)
    assert heard != inject_errors(said, rate, seed=1)
    # a deletion beside an insertion is one substitution
    assert rate * 0.97 < word_error_rate(heard, said) <= rate + 1e-3
    n_words = sum(len(split_words(text)) for text in said)
    longer = sum(len(split_words(text)) for text in heard) - n_words
    shares = dict(zip(("substitution", "deletion", "insertion"), KIND_SHARES, strict=True))
    assert longer / (rate * n_words) == pytest.approx(
        shares["insertion"] - shares["deletion"], abs=4 * (rate * n_words) ** -0.5
    )


def test_few_errors_are_among_many_and_nothing_else_changes():
    said = spoken()
    few, many = inject_errors(said, 0.02), inject_errors(said, 0.2)
    assert inject_errors(said, 0.0) == said
    touched = [one != other for one, other in zip(few, said, strict=True)]
    assert 0 < sum(touched) < len(said)
    assert all(one != other for one, other, hit in zip(many, said, touched, strict=True) if hit)
    edits = [word_edits(one.split(), other.split()) for one, other in zip(inject_errors(said, 1.0), said, strict=True)]
    assert all(edits[number] for number, text in enumerate(said) if text)


def test_a_word_is_never_replaced_by_itself():
    said = ["yes", "Yes", "yes", "no"] * 20
    replaced = [
        (one, other) for one, other in zip(inject_errors(said, 1.0), said, strict=True) if len(one.split()) == 1
    ]
    assert len(replaced) > 20
    assert all(one.casefold() != other.casefold() for one, other in replaced)
    with pytest.raises(DataError, match="Expected transcripts with different words"):
        inject_errors(["yes Yes"], 0.5)
    with pytest.raises(UsageError, match="from 0 to 1, but got 20"):
        inject_errors(said, 20)


def test_mean_and_spread_over_runs_keep_the_keys(found, valid, decisions):
    other = diagnose_predictions(valid, predicted(gold(2, n_videos=16), 5), decisions)
    mean, sd = mean_and_sd([found.part, other.part])
    slopes = [each.part["calibration"]["anger"]["slope"] for each in (found, other)]
    assert mean["calibration"]["anger"]["slope"] == pytest.approx(np.mean(slopes))
    assert sd["thresholds_mean6"]["macro_f1"]["score"] > 0
    assert set(mean["abstention"]["emotion"]["per_emotion"]) == set(EMOTIONS)
    assert mean_and_sd([found.part])[1]["calibration"]["anger"]["slope"] is None


def test_distance_is_measured_in_calibrated_logits():
    scaling = PlattScaling(slope=2.0, offset=-1.0)
    distance = scaling.distance(np.array([sigmoid(np.array(1.5)), 0.5]), 0.5)
    np.testing.assert_allclose(distance, [3.0, 0.0])
