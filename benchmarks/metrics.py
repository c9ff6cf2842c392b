"""The metric code against plain scikit-learn and scipy code that does the same job, results compared.

    python benchmarks/metrics.py [--json] [--videos 676] [--resamples 1000] [--repeats 3]

Synthetic labels and probabilities of the size of CMU-MOSEI's test split. For every job the processor time of mien's
code and of the reference, in turn in one run, least of the repeats; `speedup` is reference over mien, and
`largest_difference` between their results, which ends the benchmark where it is above `allowed`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from machine import machine_facts
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from mien.evaluation.decisions import best_threshold
from mien.metrics.confusion import count, count_per_video, weighted_accuracy, weighted_f1
from mien.metrics.ranking import roc_auc
from mien.metrics.regression import pearson
from mien.metrics.significance import paired_t_test, percentile_interval, video_bootstrap, video_weights

N_OUTPUTS = 7
EXACT = 1e-12


@dataclass
class Split:
    """Labels and answers for the utterances of some videos."""

    video: np.ndarray  # (utterance,)
    target: np.ndarray  # (utterance, output) bool
    probability: np.ndarray  # (utterance, output)

    @property
    def n_videos(self) -> int:
        """Videos."""
        return int(self.video[-1]) + 1


@dataclass
class Job:
    """One piece of work done twice."""

    name: str
    reference: str
    mine: Callable[[], Any]
    theirs: Callable[[], Any]
    allowed: float = EXACT


@dataclass
class Outcome:
    """What a job cost and how far its two results are apart."""

    name: str
    reference: str
    mien_s: float
    reference_s: float
    speedup: float
    largest_difference: float
    allowed: float


def made_up(n_videos: int) -> Split:
    """Utterances like CMU-MOSEI's: about 7 a video, labels 5 to 50 % present, probabilities that know something."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.round(rng.lognormal(np.log(5.2), 0.85, size=n_videos)), 1, 98).astype(int)
    video = np.repeat(np.arange(n_videos), lengths)
    target = rng.random((len(video), N_OUTPUTS)) < np.linspace(0.05, 0.5, N_OUTPUTS)
    probability = 1 / (1 + np.exp(-(rng.normal(size=target.shape) + 1.5 * target - 1)))
    return Split(video, target, probability)


def jobs(split: Split, n_resamples: int, n_cut_rows: int) -> list[Job]:
    """All comparisons."""
    target, predicted = split.target, split.probability >= 0.5
    rng = np.random.default_rng(1)
    score, guess = rng.normal(size=len(target)), rng.normal(size=len(target))
    seeds_a, seeds_b = rng.normal(0.80, 0.01, 5), rng.normal(0.79, 0.01, 5)
    outputs = range(N_OUTPUTS)
    cut_target, cut_probability = target[:n_cut_rows, 2], split.probability[:n_cut_rows, 2]

    def both_scores() -> np.ndarray:
        confusion = count(target, predicted)
        return np.stack([weighted_accuracy(confusion), weighted_f1(confusion)])

    def both_scores_one_by_one() -> np.ndarray:
        return np.array(
            [
                [balanced_accuracy_score(target[:, k], predicted[:, k]) for k in outputs],
                [f1_score(target[:, k], predicted[:, k], average="weighted") for k in outputs],
            ]
        )

    return [
        Job(
            "weighted accuracy and weighted F1 of seven outputs",
            "sklearn balanced_accuracy_score and f1_score, output by output",
            both_scores,
            both_scores_one_by_one,
        ),
        Job(
            "ROC AUC of seven outputs",
            "sklearn roc_auc_score itself (mien calls it)",
            lambda: [roc_auc(target[:, k], split.probability[:, k]) for k in outputs],
            lambda: [roc_auc_score(target[:, k], split.probability[:, k]) for k in outputs],
        ),
        Job(
            "Pearson's correlation",
            "scipy.stats.pearsonr (which also gives a p)",
            lambda: pearson(score, guess),
            lambda: stats.pearsonr(score, guess).statistic,
        ),
        Job(
            "paired t-test over five seeds",
            "scipy.stats.ttest_rel",
            lambda: paired_t_test(seeds_a, seeds_b).p,
            lambda: stats.ttest_rel(seeds_a, seeds_b).pvalue,
        ),
        *bootstrap_jobs(split, n_resamples),
        Job(
            f"best threshold of all cuts by weighted accuracy, {n_cut_rows} utterances",
            "a loop of sklearn balanced_accuracy_score over the same cuts",
            lambda: best_threshold(cut_target, cut_probability, weighted_accuracy),
            lambda: looped_threshold(cut_target, cut_probability),
        ),
    ]


def bootstrap_jobs(split: Split, n_resamples: int) -> list[Job]:
    """95 % interval of the weighted F1 of one output under resampling of videos."""
    target, predicted = split.target[:, 2], split.probability[:, 2] >= 0.5
    rows_of = [np.flatnonzero(split.video == number) for number in range(split.n_videos)]

    def interval() -> tuple[float, float]:
        per_video = count_per_video(target, predicted, split.video, split.n_videos)
        found = video_bootstrap(weighted_f1, per_video, video_weights(split.n_videos, n_resamples))
        return found.low, found.high

    def weighted_f1_of(videos: np.ndarray) -> float:
        rows = np.concatenate([rows_of[number] for number in videos])
        return float(f1_score(target[rows], predicted[rows], average="weighted"))

    def looped_interval() -> tuple[float, float]:
        videos, weights = np.arange(split.n_videos), video_weights(split.n_videos, n_resamples)
        found = percentile_interval(np.array([weighted_f1_of(np.repeat(videos, row)) for row in weights]))
        return found.low, found.high

    def scipy_interval() -> tuple[float, float]:
        found = stats.bootstrap(
            (np.arange(split.n_videos),),
            weighted_f1_of,
            n_resamples=n_resamples,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        return float(found.low), float(found.high)

    # other random numbers: two percentiles of so many resamples differ by chance, far less than the interval is wide
    low, high = interval()
    by_chance = 0.25 * (high - low)
    what = f"video bootstrap of weighted F1, {n_resamples} resamples"
    return [
        Job(what, "a loop of sklearn f1_score over the same resamples", interval, looped_interval),
        Job(what, "scipy.stats.bootstrap with sklearn f1_score", interval, scipy_interval, by_chance),
    ]


def looped_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The middle one of the cuts with the best balanced accuracy, each tried with scikit-learn."""
    values = np.unique(probability)
    cuts = np.concatenate([[0.0], values[:-1], values[-1:]]) / 2 + np.concatenate([values, [1.0]]) / 2
    scores = np.array([balanced_accuracy_score(target, probability >= cut) for cut in cuts])
    best = np.flatnonzero(scores >= scores.max() - EXACT)
    return float(cuts[best[len(best) // 2]])


def measured(job: Job, repeats: int) -> Outcome:
    """Both ways in turn, least of the repeats. Raises SystemExit where their results differ."""
    mine_s, theirs_s, difference = [], [], 0.0
    for _ in range(repeats):
        mine, seconds = timed(job.mine)
        mine_s.append(seconds)
        theirs, seconds = timed(job.theirs)
        theirs_s.append(seconds)
        difference = max(difference, float(np.max(np.abs(np.asarray(mine) - np.asarray(theirs)))))
    if not difference <= job.allowed:
        raise SystemExit(f"{job.name}: expected what {job.reference} gives, but it differs by {difference}")
    speedup = min(theirs_s) / min(mine_s)
    return Outcome(job.name, job.reference, min(mine_s), min(theirs_s), speedup, difference, job.allowed)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The result and the processor time of one call, repeated until it is long enough to measure."""
    calls, started_s = 0, time.process_time()
    while True:
        result = run()
        calls += 1
        spent_s = time.process_time() - started_s
        if spent_s > 0.02:
            return result, spent_s / calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--videos", type=int, default=676)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--cut-rows", type=int, default=2000, help="utterances of the threshold search")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    split = made_up(arguments.videos)
    n_cut_rows = min(arguments.cut_rows, len(split.video))
    outcomes = [measured(job, arguments.repeats) for job in jobs(split, arguments.resamples, n_cut_rows)]
    if arguments.json:
        facts = {"videos": split.n_videos, "utterances": len(split.video), "machine": machine_facts()}
        print(json.dumps({"jobs": [asdict(each) for each in outcomes]} | facts, indent=2))
        return
    print("| job | reference | speed-up | largest difference |\n|---|---|---|---|")
    for each in outcomes:
        print(f"| {each.name} | {each.reference} | {each.speedup:.3g} | {each.largest_difference:.1e} |")


if __name__ == "__main__":
    main()
