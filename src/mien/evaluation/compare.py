"""Comparison of two systems on their headline scores.

Runs are paired by seed, videos are resampled, and the p values of all headline scores are corrected together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.evaluation.counts import count_videos, decided_positive
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import headline_values, lower_is_better
from mien.evaluation.result import Bootstrap
from mien.evaluation.rows import classes_of, require_same_utterances, validated_predictions, video_numbers
from mien.metrics.significance import (
    McNemar,
    PairedBootstrap,
    PairedTTest,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_t_test,
    video_weights,
)
from mien.schema import SENTIMENT, FloatArray
from mien.storage.predictions import Predictions

LEVEL_OF_SIGNIFICANCE = 0.05
ENOUGH_SEEDS = 5


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One run of a system: its predictions, its decision thresholds and its seed.

    The run is compared with the other system's run of the same seed.
    """

    predictions: Predictions
    decisions: Decisions
    seed: int


@dataclass(frozen=True, slots=True)
class SeedScores:
    """Headline scores of one run, on a split and in every bootstrap resample of its videos."""

    point: Mapping[str, float]  # path in a result, such as "sentiment.accuracy_has0" -> score on the split
    resampled: Mapping[str, FloatArray]  # path -> scores (resample,); empty without resamples


@dataclass(frozen=True, slots=True)
class SettingScores:
    """Headline scores of one setting, that is, of one system under one protocol, for every seed."""

    name: str
    rows: Predictions  # validated predictions of one run; they give the utterances and gold labels
    seeds: Mapping[int, SeedScores]

    def mean_resampled(self, seeds: Sequence[int], path: str) -> FloatArray:
        """Compute the mean of one score over seeds, separately in every bootstrap resample.

        Args:
            seeds: Seeds to average over.
            path: Keys of the score in a result, joined by dots, such as "sentiment.accuracy_has0".

        Returns:
            Mean scores (resample,).
        """
        values = [self.seeds[seed].resampled.get(path, np.empty(0)) for seed in seeds]
        mean: FloatArray = np.mean(values, axis=0)
        return mean


@dataclass(frozen=True, slots=True)
class PairedScores:
    """One score of two settings A and B, and two tests of the difference A - B.

    Each run of A is paired with the run of B that has the same seed.
    """

    mean_a: float
    mean_b: float
    bootstrap: PairedBootstrap  # resamples videos; tests the difference of the means over seeds
    t_test: PairedTTest  # compares the paired seeds; tests the same difference

    @property
    def difference(self) -> float:
        """Difference A - B between the means of the two settings over the seeds."""
        return self.mean_a - self.mean_b


@dataclass(frozen=True, slots=True)
class MetricComparison(PairedScores):
    """One headline score of two systems, with corrected p values and a verdict on which system is better."""

    p_bootstrap_holm: float  # after Holm's correction over all headline scores of the comparison
    p_t_test_holm: float
    winner: str | None  # name of the better system; None if no difference is shown
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return the content as a dictionary for JSON. Undefined values are NaN."""
        return {
            "mean_a": self.mean_a,
            "mean_b": self.mean_b,
            "difference": self.difference,
            "interval": [self.bootstrap.interval.low, self.bootstrap.interval.high],
            "p_bootstrap": self.bootstrap.p,
            "p_bootstrap_holm": self.p_bootstrap_holm,
            "p_t_test": self.t_test.p,
            "p_t_test_holm": self.p_t_test_holm,
            "t_test_reason": self.t_test.reason,
            "winner": self.winner,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two systems A and B on all their headline scores: the output of `mien compare`."""

    name_a: str
    name_b: str
    seeds: tuple[int, ...]
    n_videos: int
    n_utterances: int
    n_resamples: int
    metrics: dict[str, MetricComparison]  # path in the result -> comparison
    mcnemar: dict[int, McNemar]  # seed -> test of the sentiment decisions; empty unless both predict sentiment
    left_out: tuple[str, ...]  # scores that a run lacks or that the labels leave undefined, each with the reason
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the content as a dictionary for JSON. Undefined values are NaN (null after `to_json_text`)."""
        return {
            "a": self.name_a,
            "b": self.name_b,
            "seeds": list(self.seeds),
            "n_videos": self.n_videos,
            "n_utterances": self.n_utterances,
            "n_resamples": self.n_resamples,
            "metrics": {path: comparison.to_json() for path, comparison in self.metrics.items()},
            "mcnemar": {str(seed): asdict(test) for seed, test in self.mcnemar.items()},
            "left_out": list(self.left_out),
            "notes": list(self.notes),
        }


def compare_runs(
    a: Sequence[SeedRun],
    b: Sequence[SeedRun],
    *,
    name_a: str = "A",
    name_b: str = "B",
    bootstrap: Bootstrap | None = None,
) -> Comparison:
    """Compare two systems on the same split; their runs are paired by seed.

    For every headline score, the difference between the two means over seeds is tested twice. A paired t-test over
    seeds covers the randomness of training. A paired bootstrap over videos covers the choice of the test videos.

    Args:
        a: Runs of system A. Their thresholds must not have been chosen on the split on which the systems are compared.
        b: Runs of system B with the same seeds.
        name_a: Name of A in the verdicts.
        name_b: Name of B in the verdicts.
        bootstrap: Number and seed of the resamples. If it is None, there are 1,000 resamples with seed 0.

    Returns:
        The comparison on every headline score that is present and defined in all runs.

    Raises:
        UsageError: There are no runs, a seed occurs twice, the seeds of A and B differ, or A and B share no score.
        DataError: Utterances or gold labels differ, or the predictions are unusable.
    """
    bootstrap = bootstrap or Bootstrap()
    _require_pairs(a, b)
    sides = [score_setting(name, runs, bootstrap) for name, runs in ((name_a, a), (name_b, b))]
    seeds = tuple(sides[0].seeds)
    require_same_utterances([side.rows for side in sides], [f"{side.name}, seed {seeds[0]}" for side in sides])
    paths, left_out = _common_paths(sides)
    pairs = {path: paired_scores(sides[0], sides[1], seeds, path) for path in paths}
    corrected = holm([pair.bootstrap.p for pair in pairs.values()])
    corrected_t = holm([pair.t_test.p for pair in pairs.values()])
    rows = sides[0].rows
    return Comparison(
        name_a=name_a,
        name_b=name_b,
        seeds=seeds,
        n_videos=video_numbers(rows)[1],
        n_utterances=len(rows.index),
        n_resamples=bootstrap.n_resamples,
        metrics={
            path: _compare_metric(path, (name_a, name_b), pair, (p_holm, p_t_holm))
            for (path, pair), p_holm, p_t_holm in zip(
                pairs.items(), corrected.tolist(), corrected_t.tolist(), strict=True
            )
        },
        mcnemar=_mcnemar_by_seed(a, b),
        left_out=left_out,
        notes=_comparison_notes([*a, *b], left_out),
    )


def score_setting(
    name: str, runs: Sequence[SeedRun], bootstrap: Bootstrap, decisions: Decisions | None = None
) -> SettingScores:
    """Compute the headline scores of all runs of one setting, that is, of one system under one protocol.

    Every run is scored on the split and on bootstrap resamples of its videos. The resamples are the same for all runs.

    Args:
        name: Name of the setting.
        runs: One run per seed, all on the same split.
        bootstrap: Number and seed of the resamples; they must be equal for all settings that are compared.
        decisions: Thresholds for all runs, for example `paper_decisions()`. If it is None, each run is scored with the
            thresholds that it contains.

    Returns:
        Headline scores of every run by seed, in ascending order of the seeds.

    Raises:
        DataError: The runs have different utterances or gold labels, or the predictions are unusable.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    labels = [f"{name}, seed {run.seed}" for run in runs]
    validated = [validated_predictions(run.predictions, label) for run, label in zip(runs, labels, strict=True)]
    require_same_utterances(validated, labels)
    weights = video_weights(video_numbers(validated[0])[1], bootstrap.n_resamples, bootstrap.seed).astype(np.float64)
    seeds = {}
    for run, predictions in zip(runs, validated, strict=True):
        counts = count_videos(predictions, decisions or run.decisions)
        tasks = predictions.tasks
        point = {path: float(value) for path, value in headline_values(counts, tasks=tasks).items()}
        seeds[run.seed] = SeedScores(point, headline_values(counts, weights, tasks) if bootstrap.n_resamples else {})
    return SettingScores(name, validated[0], seeds)


def paired_scores(a: SettingScores, b: SettingScores, seeds: Sequence[int], path: str) -> PairedScores:
    """Compare two settings A and B on one score.

    The runs of A and B are paired by seed, and both settings are scored on the same bootstrap resamples.

    Args:
        a: Scores of setting A.
        b: Scores of setting B on the same utterances and resamples.
        seeds: Seeds that both settings have.
        path: Keys of the score in a result, joined by dots. The score must be defined for all these seeds.

    Returns:
        The mean of each setting over the seeds, and two tests of the difference between these means: the bootstrap over
        videos and the t-test over seeds.
    """
    scores_a, scores_b = (np.array([side.seeds[seed].point[path] for seed in seeds]) for side in (a, b))
    over_videos = paired_bootstrap(a.mean_resampled(seeds, path) - b.mean_resampled(seeds, path))
    return PairedScores(float(scores_a.mean()), float(scores_b.mean()), over_videos, paired_t_test(scores_a, scores_b))


def winner_of(
    path: str, names: tuple[str, str], difference: float, p_bootstrap_holm: float, p_t_test: float
) -> str | None:
    """Decide which of two systems A and B is better on one score.

    A system is better only if both the bootstrap and the t-test are significant at the level 0.05.

    Args:
        path: Keys of the score in a result, joined by dots. They tell whether lower values of the score are better.
        names: Names of A and B.
        difference: Mean of A minus mean of B.
        p_bootstrap_holm: p of the bootstrap over videos, after Holm's correction. NaN counts as not significant.
        p_t_test: Uncorrected p of the t-test over seeds. If it is NaN, for example with a single seed, the bootstrap
            alone decides.

    Returns:
        Name of the better system; None if no difference is shown.
    """
    over_videos = p_bootstrap_holm < LEVEL_OF_SIGNIFICANCE
    over_seeds = bool(np.isnan(p_t_test)) or p_t_test < LEVEL_OF_SIGNIFICANCE
    if not (over_videos and over_seeds) or difference == 0:
        return None
    return names[0 if (difference > 0) != lower_is_better(path) else 1]


def too_few_seeds(n_seeds: int) -> str:
    """Return the warning for a comparison with fewer than `ENOUGH_SEEDS` seeds."""
    return f"{n_seeds} seed{'s' if n_seeds > 1 else ''}: use at least five before claiming that one is better"


def _require_pairs(a: Sequence[SeedRun], b: Sequence[SeedRun]) -> None:
    """Raise UsageError unless A and B have runs with the same seeds and each system has one run per seed."""
    seeds_a, seeds_b = sorted(run.seed for run in a), sorted(run.seed for run in b)
    if not seeds_a or seeds_a != seeds_b or len(set(seeds_a)) < len(seeds_a):
        raise UsageError(
            f"Expected A and B to have runs with the same seeds, each once, but got {seeds_a} and {seeds_b}; "
            "train the missing ones, or name only runs that have a partner"
        )


def _common_paths(sides: Sequence[SettingScores]) -> tuple[list[str], tuple[str, ...]]:
    """Divide the headline scores of A and B (`sides`) into scores to compare and scores to leave out.

    Returns:
        ``(paths, reasons)``: the paths of the scores that are present and defined in every run; and, for each other
        score, a text with its path and the reason.

    Raises:
        UsageError: No score is left to compare.
    """
    points = [[scores.point for scores in side.seeds.values()] for side in sides]
    paths, reasons = [], []
    for path in dict.fromkeys(path for side in points for point in side for path in point):
        lacking = [name for name, side in zip("AB", points, strict=True) if any(path not in point for point in side)]
        if lacking:
            reasons.append(f"{path}: missing in {' and '.join(lacking)}")
        elif any(np.isnan(point[path]) for side in points for point in side):
            reasons.append(f"{path}: undefined, only one class occurs")
        else:
            paths.append(path)
    if not paths:
        raise UsageError(
            "Expected A and B to have a score in common, but got none; compare systems that predict the same task"
        )
    return paths, tuple(reasons)


def _compare_metric(
    path: str, names: tuple[str, str], pair: PairedScores, corrected: tuple[float, float]
) -> MetricComparison:
    """Decide which system is better on one score, and collect the tests of this score and the verdict.

    `names` are the names of A and B. `corrected` contains two p-values after Holm's correction: that of the bootstrap
    and that of the t-test.
    """
    t_test, interval = pair.t_test, pair.bootstrap.interval
    winner = winner_of(path, names, pair.difference, corrected[0], t_test.p)
    over_videos = (
        f"{path} {pair.mean_a:.4f} against {pair.mean_b:.4f}, difference {pair.difference:+.4f} [{interval.low:+.4f}, "
        f"{interval.high:+.4f}], p over videos {corrected[0]:.3f} after Holm"
    )
    over_seeds = f"p over seeds {t_test.p:.3f}" if not np.isnan(t_test.p) else f"nothing over seeds ({t_test.reason})"
    return MetricComparison(
        mean_a=pair.mean_a,
        mean_b=pair.mean_b,
        bootstrap=pair.bootstrap,
        t_test=t_test,
        p_bootstrap_holm=corrected[0],
        p_t_test_holm=corrected[1],
        winner=winner,
        verdict=f"{f'{winner} better' if winner else 'no difference shown'}: {over_videos}, {over_seeds}",
    )


def _mcnemar_by_seed(a: Sequence[SeedRun], b: Sequence[SeedRun]) -> dict[int, McNemar]:
    """Compare the sentiment decisions of A and B for every seed with McNemar's test.

    A gold score >= 0 is positive. A seed is left out if one of its two runs does not predict sentiment.

    Returns:
        Dictionary: seed -> result of the test.
    """
    tests = {}
    for pair in zip(*(sorted(side, key=lambda run: run.seed) for side in (a, b)), strict=True):
        tasks = [run.predictions.tasks[SENTIMENT] for run in pair if SENTIMENT in run.predictions.outputs]
        if len(tasks) == len(pair) and all(task.space.is_paper for task in tasks):
            rows = [validated_predictions(run.predictions) for run in pair]
            targets, scored = classes_of(tasks[0], rows[0])
            positive = targets[:, 0]
            predicted_positive = [
                decided_positive(predictions, task, run.decisions)
                for predictions, task, run in zip(rows, tasks, pair, strict=True)
            ]
            tests[pair[0].seed] = mcnemar(*((each == positive)[scored] for each in predicted_positive))
    return tests


def _comparison_notes(runs: Sequence[SeedRun], left_out: tuple[str, ...]) -> tuple[str, ...]:
    """Return warnings about a comparison, as texts.

    There is a warning if there are too few seeds, if the thresholds of the runs were chosen in different ways, or if
    scores are left out.
    """
    notes = []
    n_seeds = len(runs) // 2
    if n_seeds < ENOUGH_SEEDS:
        notes.append(too_few_seeds(n_seeds))
    threshold_choices = list(dict.fromkeys(f"{run.decisions.chosen_on}/{run.decisions.f1_columns_at}" for run in runs))
    if len(threshold_choices) > 1:
        notes.append(f"the thresholds were not chosen alike: {' and '.join(threshold_choices)}")
    if left_out:
        notes.append("scores that both sides do not have, or that the labels leave undefined, are left out")
    return tuple(notes)
