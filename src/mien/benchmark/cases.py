"""Which utterances show what joint learning does: found by rule, not by hand (the paper's Table 8).

The rule. For every utterance and side (joint, single) a score is averaged over the seeds:

- emotions: Jaccard of the predicted and the gold set of the six emotions, |both| / |either|; two empty sets give 1;
- sentiment: 1 where the class under `has0` is right, else 0.

The gain of an utterance is (emotion score + sentiment score) of joint minus the same of single; a part without a gold
label, or which one side does not predict, counts for neither. All decisions use each run's own thresholds, those of
`clean`, at the operating point of weighted accuracy. Listed are the k utterances with the largest positive gain and the
k with the largest negative one; equal gains go by video id, then by index.

What is shown for each is the majority over the seeds: a label stands where more than half of the runs give it.
Precision and recall are those of that set against the gold set. Since the gain is an average, two sides can show the
same set and still differ in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.evaluation.compare import SeedRun
from mien.evaluation.rows import checked, require_same_utterances
from mien.schema import EMOTIONS, BoolArray, FloatArray, emotion_multihot7, sentiment_classes
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, SENTIMENT

N_CASES = 10
# gains are sums of fractions; closer than this they are equal, apart only by rounding
ROUNDING_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share that is told with its two counts, as in 1/3."""

    n: int
    of: int

    @property
    def value(self) -> float:
        """The share; NaN for 0/0."""
        return self.n / self.of if self.of else float("nan")

    def __str__(self) -> str:
        return f"{self.n}/{self.of}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side says of one utterance; a part it does not predict, or that has no gold label, is None."""

    emotions: tuple[str, ...] | None  # majority over the seeds, in the order of EMOTIONS
    wrong: tuple[str, ...]  # said, but not in the gold set
    missed: tuple[str, ...]  # in the gold set, but not said
    precision: Ratio | None
    recall: Ratio | None
    jaccard: float | None  # mean over the seeds
    positive: bool | None  # majority over the seeds; the sentiment class under `has0`
    sentiment_right: float | None  # share of the seeds


@dataclass(frozen=True, slots=True)
class Case:
    """One listed utterance."""

    video_id: str
    index: int
    gold_emotions: tuple[str, ...] | None
    gold_positive: bool | None
    joint: Answer
    single: Answer
    gain: float  # joint - single


@dataclass(frozen=True, slots=True)
class Cases:
    """The listing, and how many utterances each of its two parts was taken from."""

    joint_better: tuple[Case, ...]
    single_better: tuple[Case, ...]
    n_joint_better: int
    n_single_better: int
    n_equal: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SingleRuns:
    """The single-task runs that joint ones are held against; one of the two may be empty."""

    emotion: Sequence[SeedRun] = ()
    sentiment: Sequence[SeedRun] = ()


@dataclass(frozen=True, slots=True)
class _Emotions:
    """One side's emotion decisions; rows without gold labels are not scored."""

    majority: BoolArray  # (utterance, 6)
    jaccard: FloatArray  # (utterance,) mean over the seeds


@dataclass(frozen=True, slots=True)
class _Sentiment:
    majority: BoolArray  # (utterance,)
    right: FloatArray  # (utterance,) mean over the seeds


def find_cases(joint: Sequence[SeedRun], single: SingleRuns, k: int = N_CASES) -> Cases:
    """The `k` utterances where joint learning helps most, and the `k` where it hurts most, by the rule above.

    Args:
        joint: runs with both heads.
        single: runs with one head, with the same seeds.
        k: how many utterances to list each way, default 10.

    Raises:
        UsageError: no single-task run, other seeds on one side, or runs without the head they are asked for.
        DataError: not the same utterances with the same gold labels, or unusable rows.
    """
    parts = {"emotion": single.emotion, "sentiment": single.sentiment}
    seeds = _require_same_seeds(joint, parts)
    everyone = [*joint, *single.emotion, *single.sentiment]
    rows = [checked(run.predictions) for run in everyone]
    require_same_utterances(rows, [f"run {number} (seed {run.seed})" for number, run in enumerate(everyone)])
    gold, n = rows[0], len(joint)
    n_emotion = n + len(single.emotion)
    labels, has_emotions = emotion_multihot7(gold.emotions)
    labels = labels[:, : len(EMOTIONS)]
    positive, has_sentiment = sentiment_classes(gold.sentiment)
    numbered = list(zip(rows, everyone, strict=True))
    sides: list[tuple[_Emotions | None, _Sentiment | None]] = [
        (
            _emotions(emotion, labels) if single.emotion else None,
            _sentiment(sentiment, positive) if single.sentiment else None,
        )
        for emotion, sentiment in (
            (numbered[:n], numbered[:n]),
            (numbered[n:n_emotion], numbered[n_emotion:]),
        )
    ]
    gain = np.zeros(len(gold.index))
    for sign, (emotions, sentiment) in zip((1, -1), sides, strict=True):
        if emotions is not None:
            gain += sign * np.where(has_emotions, emotions.jaccard, 0.0)
        if sentiment is not None:
            gain += sign * np.where(has_sentiment, sentiment.right, 0.0)
    gain = gain.round(ROUNDING_DIGITS)

    def case(row: int) -> Case:
        labelled = bool(has_emotions[row]) and bool(single.emotion)
        scored = bool(has_sentiment[row]) and bool(single.sentiment)
        answers = [
            _answer(row, labels, emotions if labelled else None, sentiment if scored else None)
            for emotions, sentiment in sides
        ]
        return Case(
            video_id=str(gold.video_id[row]),
            index=int(gold.index[row]),
            gold_emotions=_names(labels[row]) if has_emotions[row] else None,
            gold_positive=bool(positive[row]) if has_sentiment[row] else None,
            joint=answers[0],
            single=answers[1],
            gain=float(gain[row]),
        )

    best, worst = np.argsort(-gain, kind="stable"), np.argsort(gain, kind="stable")
    n_better, n_worse = int((gain > 0).sum()), int((gain < 0).sum())
    return Cases(
        joint_better=tuple(case(row) for row in best[: min(k, n_better)].tolist()),
        single_better=tuple(case(row) for row in worst[: min(k, n_worse)].tolist()),
        n_joint_better=n_better,
        n_single_better=n_worse,
        n_equal=len(gain) - n_better - n_worse,
        seeds=seeds,
    )


def _require_same_seeds(joint: Sequence[SeedRun], parts: dict[str, Sequence[SeedRun]]) -> tuple[int, ...]:
    seeds = sorted(run.seed for run in joint)
    given = {name: runs for name, runs in parts.items() if runs}
    differing = [name for name, runs in given.items() if sorted(run.seed for run in runs) != seeds]
    if not seeds or not given or differing:
        raise UsageError(
            f"Expected joint and single-task runs with the same seeds, but got joint {seeds} and "
            + (", ".join(f"{name} {sorted(run.seed for run in runs)}" for name, runs in given.items()) or "nothing")
            + "; name only runs that have a partner"
        )
    return tuple(seeds)


def _emotions(runs: Sequence[tuple[Predictions, SeedRun]], labels: BoolArray) -> _Emotions:
    said = []
    for rows, run in runs:
        if EMOTION not in rows.outputs:
            raise UsageError(f"Expected an emotion head in the run with seed {run.seed}, but got none; name another")
        said.append((rows.outputs[EMOTION] >= run.decisions.at(EMOTION))[:, : len(EMOTIONS)])
    stacked = np.stack(said)  # (seed, utterance, 6)
    either = (stacked | labels).sum(axis=2)
    jaccard = np.where(either == 0, 1.0, (stacked & labels).sum(axis=2) / np.maximum(either, 1))
    return _Emotions(_majority(stacked), jaccard.mean(axis=0))


def _sentiment(runs: Sequence[tuple[Predictions, SeedRun]], positive: BoolArray) -> _Sentiment:
    said = []
    for rows, run in runs:
        if SENTIMENT not in rows.outputs:
            raise UsageError(f"Expected a sentiment head in the run with seed {run.seed}, but got none; name another")
        said.append((rows.outputs[SENTIMENT] >= run.decisions.at(SENTIMENT))[:, 0])
    stacked = np.stack(said)  # (seed, utterance)
    return _Sentiment(_majority(stacked), (stacked == positive).mean(axis=0))


def _majority(said: BoolArray) -> BoolArray:
    """More than half of the runs (first axis)."""
    majority: BoolArray = 2 * said.sum(axis=0) > len(said)
    return majority


def _answer(row: int, labels: BoolArray, emotions: _Emotions | None, sentiment: _Sentiment | None) -> Answer:
    facts: dict[str, Any] = dict.fromkeys(("emotions", "precision", "recall", "jaccard"))
    facts |= {"wrong": (), "missed": ()}
    if emotions is not None:
        said, gold = emotions.majority[row], labels[row]
        n_right = int((said & gold).sum())
        facts = {
            "emotions": _names(said),
            "wrong": _names(said & ~gold),
            "missed": _names(gold & ~said),
            "precision": Ratio(n_right, int(said.sum())),
            "recall": Ratio(n_right, int(gold.sum())),
            "jaccard": float(emotions.jaccard[row]),
        }
    return Answer(
        **facts,
        positive=None if sentiment is None else bool(sentiment.majority[row]),
        sentiment_right=None if sentiment is None else float(sentiment.right[row]),
    )


def _names(present: BoolArray) -> tuple[str, ...]:
    return tuple(name for name, here in zip(EMOTIONS, present, strict=True) if here)
