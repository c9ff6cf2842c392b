"""The scores of one system at fixed operating points: the parts of a result, those of classes in full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.evaluation.decisions import Decisions, Point
from mien.evaluation.intensity import score_emotion_intensity, score_sentiment_intensity
from mien.metrics.calibration import calibration_error
from mien.metrics.confusion import Confusion, accuracy, count, macro_f1, positive_f1, weighted_accuracy, weighted_f1
from mien.metrics.ranking import roc_auc
from mien.schema import (
    EMOTION_OUTPUTS,
    EMOTIONS,
    NO_EMOTION,
    BoolArray,
    FloatArray,
    SentimentRule,
    SentimentValues,
    Task,
    emotion_multihot7,
    sentiment_classes,
)
from mien.storage.predictions import Predictions

N_EMOTIONS = len(EMOTIONS)
SENTIMENT_RULES = (SentimentRule.HAS0, SentimentRule.NON0)
NON0_HIDDEN = (
    "accuracy_non0 and weighted_f1_non0 are left out: the data set stores sentiment as classes under has0, "
    "so its exact zeros are hidden among the positive ones"
)
NON0_SIGNED = "has0 and non0 are equal here: the data set gives neutral utterances no sentiment label"
NON0_MODEL = (
    "the columns ending in _non0 score the same decisions, made for has0, on the utterances that are not exactly 0"
)


@dataclass(slots=True)
class Scores:
    """The four parts of a result, each None without its head, and what must be said about them."""

    sentiment: dict[str, Any] | None = None
    emotion: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    sentiment_intensity: dict[str, Any] | None = None
    emotion_intensity: dict[str, Any] | None = None

    def parts(self) -> dict[str, dict[str, Any] | None]:
        """The four by their names."""
        return {str(task): getattr(self, task) for task in Task}


def score_at(predictions: Predictions, decisions: Decisions) -> Scores:
    """Score `checked` predictions with given thresholds.

    Args:
        predictions: sorted and checked rows.
        decisions: the thresholds.

    Returns:
        The parts with the keys of docs/protocol.md. An undefined score is NaN and a note says why.

    Raises:
        DataError: there is an emotion head, but no threshold for it.
    """
    notes: list[str] = []
    return Scores(
        score_sentiment(predictions, decisions, notes),
        score_emotion(predictions, decisions, notes),
        notes,
        score_sentiment_intensity(predictions, notes),
        score_emotion_intensity(predictions, notes),
    )


def sentiment_rules(values: SentimentValues) -> tuple[SentimentRule, ...]:
    """The rules under which these labels can be scored."""
    return SENTIMENT_RULES[:1] if values is SentimentValues.HAS0_CLASS else SENTIMENT_RULES


def mean_of_defined(values: FloatArray) -> float:
    """Mean over (output,) of the values that are defined; NaN if none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def emotion_means(by_output: dict[str, dict[str, Any]]) -> dict[str, float]:
    """mean6 and mean7 of the decision scores, from the per-output rows in the order of `EMOTION_OUTPUTS`."""
    means = {}
    for metric in ("weighted_accuracy", "weighted_f1", "macro_f1", "positive_f1"):
        values = np.array([by_output[name][metric] for name in EMOTION_OUTPUTS], dtype=np.float64)
        means[f"{metric}_mean6"] = mean_of_defined(values[:N_EMOTIONS])
        means[f"{metric}_mean7"] = mean_of_defined(values)
    return means


def note_undefined(by_output: dict[str, dict[str, Any]], notes: list[str]) -> None:
    """Say which outputs have undefined scores, because a mean over fewer emotions is another number."""
    undefined = [name for name in EMOTION_OUTPUTS if np.isnan(by_output[name]["weighted_accuracy"])]
    for name in undefined:
        row = by_output[name]
        notes.append(
            f"weighted_accuracy, macro_f1 and roc_auc of {name} are undefined: {row['n_positive']} utterances with it "
            f"and {row['n_negative']} without"
        )
    lost = [name for name in undefined if name != NO_EMOTION]
    if lost:
        kept = N_EMOTIONS - len(lost)
        notes.append(f"weighted_accuracy_mean6 is the mean over {kept} emotions, without {', '.join(lost)}")


def counts_of(confusion: Confusion, suffix: str = "") -> dict[str, int]:
    """The counts that stand beside every score."""
    return {
        f"n_positive{suffix}": int(confusion.positives),
        f"n_negative{suffix}": int(confusion.negatives),
        f"n_predicted_positive{suffix}": int(confusion.predicted_positives),
    }


def score_sentiment(predictions: Predictions, decisions: Decisions, notes: list[str]) -> dict[str, Any] | None:
    """The sentiment part of `score_at`, None without that head; what must be said is added to `notes`."""
    probability = predictions.sentiment_probability
    if probability is None:
        return None
    part: dict[str, Any] = {
        f"{metric}_{rule}": None for rule in SENTIMENT_RULES for metric in ("accuracy", "weighted_f1")
    }
    predicted = probability >= decisions.sentiment
    for rule in sentiment_rules(predictions.sentiment_values):
        positive, scored = sentiment_classes(predictions.sentiment, rule)
        confusion = count(positive, predicted, scored)
        part |= {
            f"accuracy_{rule}": float(accuracy(confusion)),
            f"weighted_f1_{rule}": float(weighted_f1(confusion)),
        }
        if rule is SentimentRule.HAS0:
            part |= _beside_has0(confusion, positive[scored], probability[scored], decisions)
        else:
            part |= {"n_scored_non0": int(scored.sum())} | counts_of(confusion, "_non0")
    notes.append(
        {
            SentimentValues.INTENSITY: NON0_MODEL,
            SentimentValues.HAS0_CLASS: NON0_HIDDEN,
            SentimentValues.SIGNED_CLASS: NON0_SIGNED,
        }[predictions.sentiment_values]
    )
    if part["n_scored"] == 0:
        notes.append("the sentiment scores are undefined: no utterance has a sentiment label")
    elif not part["n_positive"] or not part["n_negative"]:
        notes.append("weighted_accuracy, macro_f1 and roc_auc of sentiment are undefined: only one class occurs")
    return part


def _beside_has0(
    confusion: Confusion, positive: BoolArray, probability: FloatArray, decisions: Decisions
) -> dict[str, Any]:
    return {
        "macro_f1_has0": float(macro_f1(confusion)),
        "weighted_accuracy_has0": float(weighted_accuracy(confusion)),
        "roc_auc": roc_auc(positive, probability),
        "calibration_error": calibration_error(positive, probability),
        "threshold": decisions.sentiment,
        "n_scored": int(positive.size),
    } | counts_of(confusion)


def score_emotion(predictions: Predictions, decisions: Decisions, notes: list[str]) -> dict[str, Any] | None:
    """The emotion part of `score_at`, None without that head; what must be said is added to `notes`."""
    probabilities = predictions.emotion_probabilities
    if probabilities is None:
        return None
    labels, scored = emotion_multihot7(predictions.emotions)
    at = {point: count(labels, probabilities >= decisions.at(point), scored) for point in Point}
    by_output = {
        name: _output_row(labels[scored, column], probabilities[scored, column], column, at, decisions)
        for column, name in enumerate(EMOTION_OUTPUTS)
    }
    if not scored.any():
        notes.append("the emotion scores are undefined: no utterance has emotion labels")
    note_undefined(by_output, notes)
    second = weighted_f1(at[Point.WEIGHTED_F1])
    part: dict[str, Any] = emotion_means(by_output)
    return part | {
        "weighted_f1_at_f1_threshold_mean6": mean_of_defined(second[:N_EMOTIONS]),
        "n_scored": int(scored.sum()),
        "per_emotion": {name: by_output[name] for name in EMOTIONS},
        "no_emotion": by_output[NO_EMOTION],
    }


def _output_row(
    present: BoolArray, probability: FloatArray, column: int, at: dict[Point, Confusion], decisions: Decisions
) -> dict[str, Any]:
    main = at[Point.WEIGHTED_ACCURACY].take(column)
    f1_columns = at[decisions.f1_columns_at].take(column)
    second = at[Point.WEIGHTED_F1].take(column)
    return {
        "weighted_accuracy": float(weighted_accuracy(main)),
        "weighted_f1": float(weighted_f1(f1_columns)),
        "threshold": float(decisions.at(Point.WEIGHTED_ACCURACY)[column]),
        "positive_f1": float(positive_f1(f1_columns)),
        "macro_f1": float(macro_f1(f1_columns)),
        "roc_auc": roc_auc(present, probability),
        "calibration_error": calibration_error(present, probability),
        "weighted_f1_at_f1_threshold": float(weighted_f1(second)),
        "f1_threshold": float(decisions.at(Point.WEIGHTED_F1)[column]),
        **counts_of(main),
        "n_predicted_positive_at_f1_threshold": int(second.predicted_positives),
    }
