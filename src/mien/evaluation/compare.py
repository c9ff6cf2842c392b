"""Is A better than B? Runs paired by seed, videos resampled together, all headline scores corrected as one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.errors import UsageError
from mien.evaluation.counts import count_videos
from mien.evaluation.decisions import Decisions
from mien.evaluation.headline import all_headlines, headline_values
from mien.evaluation.result import Bootstrap
from mien.evaluation.rows import require_same_utterances, validated_predictions, video_numbers
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
from mien.schema import FloatArray, sentiment_classes
from mien.storage.predictions import Predictions
from mien.tasks import SENTIMENT

LEVEL_OF_SIGNIFICANCE = 0.05
ENOUGH_SEEDS = 5


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One run of a system: its predictions, its thresholds and the seed it is paired by."""

    predictions: Predictions
    decisions: Decisions
    seed: int


@dataclass(frozen=True, slots=True)
class SeedScores:
    """The headline scores of one run, as it is and in every resample of the videos."""

    point: Mapping[str, float]
    resampled: Mapping[str, FloatArray]  # path -> (resample,)


@dataclass(frozen=True, slots=True)
class SettingScores:
    """One system: its runs by seed under one protocol."""

    name: str
    rows: Predictions  # `validated_predictions` rows of one of the runs: which utterances, which gold labels
    seeds: Mapping[int, SeedScores]

    def mean_resampled(self, seeds: Sequence[int], path: str) -> FloatArray:
        """One score in every resample (resample,), averaged over these seeds."""
        values = [self.seeds[seed].resampled.get(path, np.empty(0)) for seed in seeds]
        mean: FloatArray = np.mean(values, axis=0)
        return mean


@dataclass(frozen=True, slots=True)
class PairedScores:
    """One score of two settings, run by run with the same seed; fractions, A - B."""

    mean_a: float
    mean_b: float
    bootstrap: PairedBootstrap  # over videos, of the mean over seeds
    t_test: PairedTTest  # over seeds

    @property
    def difference(self) -> float:
        """Of the means over seeds."""
        return self.mean_a - self.mean_b


@dataclass(frozen=True, slots=True)
class MetricComparison(PairedScores):
    """One headline score of two systems, judged."""

    p_bootstrap_holm: float  # corrected over all headline scores of this comparison
    p_t_test_holm: float
    winner: str | None  # name of the better system; None where no difference is shown
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary; undefined values are NaN in it."""
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
    """What `mien compare` says about two systems."""

    name_a: str
    name_b: str
    seeds: tuple[int, ...]
    n_videos: int
    n_utterances: int
    n_resamples: int
    metrics: dict[str, MetricComparison]  # path in the result -> comparison
    mcnemar: dict[int, McNemar]  # seed -> test of the has0 decisions; empty without sentiment heads
    left_out: tuple[str, ...]  # scores that only one side has, or that the labels leave undefined
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary; undefined values are NaN in it, which `to_json_text` writes as null."""
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
    """Compare two systems on the same split, run by run with the same seed.

    For every headline score: the means over seeds, a paired t-test over seeds (how much training chance matters), and a
    paired bootstrap over videos of the difference of the seed means (how much the choice of test videos matters).

    Args:
        a: runs of system A, each with thresholds chosen without the split compared on.
        b: runs of system B with the same seeds.
        name_a: how to call A in the verdicts.
        name_b: how to call B.
        bootstrap: number and seed of the resamples, default 1,000 and 0.

    Raises:
        UsageError: no runs, a seed twice, other seeds in A than in B, or no score in common.
        DataError: not the same utterances with the same gold labels, or unusable rows.
    """
    bootstrap = bootstrap or Bootstrap()
    _require_pairs(a, b)
    sides = [score_setting(name, runs, bootstrap) for name, runs in ((name_a, a), (name_b, b))]
    seeds = tuple(sides[0].seeds)
    require_same_utterances([side.rows for side in sides], [f"{side.name}, seed {seeds[0]}" for side in sides])
    paths, left_out = _common(sides)
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
            path: _judge(path, (name_a, name_b), pair, (p_holm, p_t_holm))
            for (path, pair), p_holm, p_t_holm in zip(
                pairs.items(), corrected.tolist(), corrected_t.tolist(), strict=True
            )
        },
        mcnemar=_mcnemar_by_seed(a, b),
        left_out=left_out,
        notes=_notes([*a, *b], left_out),
    )


def score_setting(
    name: str, runs: Sequence[SeedRun], bootstrap: Bootstrap, decisions: Decisions | None = None
) -> SettingScores:
    """Score the runs of one setting, all on the same resamples of the videos.

    Args:
        name: of the setting.
        runs: one per seed, all on the same split.
        bootstrap: resamples and their seed; the same for all settings that are to be compared.
        decisions: thresholds to use in the place of each run's own, for example `paper_decisions()`.

    Raises:
        DataError: the runs are not about the same utterances, or have unusable rows.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    names = [f"{name}, seed {run.seed}" for run in runs]
    rows = [validated_predictions(run.predictions, each) for run, each in zip(runs, names, strict=True)]
    require_same_utterances(rows, names)
    weights = video_weights(video_numbers(rows[0])[1], bootstrap.n_resamples, bootstrap.seed).astype(np.float64)
    seeds = {}
    for run, row in zip(runs, rows, strict=True):
        counts = count_videos(row, decisions or run.decisions)
        point = {path: float(value) for path, value in headline_values(counts).items()}
        seeds[run.seed] = SeedScores(point, headline_values(counts, weights) if bootstrap.n_resamples else {})
    return SettingScores(name, rows[0], seeds)


def paired_scores(a: SettingScores, b: SettingScores, seeds: Sequence[int], path: str) -> PairedScores:
    """One score of both settings, paired over the seeds and over the resampled videos."""
    of_a, of_b = (np.array([side.seeds[seed].point[path] for seed in seeds]) for side in (a, b))
    over_videos = paired_bootstrap(a.mean_resampled(seeds, path) - b.mean_resampled(seeds, path))
    return PairedScores(float(of_a.mean()), float(of_b.mean()), over_videos, paired_t_test(of_a, of_b))


def winner_of(
    path: str, names: tuple[str, str], difference: float, p_bootstrap_holm: float, p_t_test: float
) -> str | None:
    """The rule: the corrected bootstrap p, and the t-test over seeds where it says anything, are both below 0.05."""
    over_videos = p_bootstrap_holm < LEVEL_OF_SIGNIFICANCE
    over_seeds = bool(np.isnan(p_t_test)) or p_t_test < LEVEL_OF_SIGNIFICANCE
    if not (over_videos and over_seeds) or difference == 0:
        return None
    return names[0 if (difference > 0) != all_headlines()[path].lower_is_better else 1]


def too_few_seeds(n_seeds: int) -> str:
    """What to say where `n_seeds` is less than `ENOUGH_SEEDS`."""
    return f"{n_seeds} seed{'s' if n_seeds > 1 else ''}: use at least five before claiming that one is better"


def _require_pairs(a: Sequence[SeedRun], b: Sequence[SeedRun]) -> None:
    seeds_a, seeds_b = sorted(run.seed for run in a), sorted(run.seed for run in b)
    if not seeds_a or seeds_a != seeds_b or len(set(seeds_a)) < len(seeds_a):
        raise UsageError(
            f"Expected A and B to have runs with the same seeds, each once, but got {seeds_a} and {seeds_b}; "
            "train the missing ones, or name only runs that have a partner"
        )


def _common(sides: Sequence[SettingScores]) -> tuple[list[str], tuple[str, ...]]:
    """Paths that every run of both sides has and the labels define, and the other paths with the reason."""
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


def _judge(path: str, names: tuple[str, str], pair: PairedScores, corrected: tuple[float, float]) -> MetricComparison:
    t_test, interval = pair.t_test, pair.bootstrap.interval
    winner = winner_of(path, names, pair.difference, corrected[0], t_test.p)
    effect = (
        f"{path} {pair.mean_a:.4f} against {pair.mean_b:.4f}, difference {pair.difference:+.4f} [{interval.low:+.4f}, "
        f"{interval.high:+.4f}], p over videos {corrected[0]:.3f} after Holm"
    )
    seeds = f"p over seeds {t_test.p:.3f}" if not np.isnan(t_test.p) else f"nothing over seeds ({t_test.reason})"
    return MetricComparison(
        mean_a=pair.mean_a,
        mean_b=pair.mean_b,
        bootstrap=pair.bootstrap,
        t_test=t_test,
        p_bootstrap_holm=corrected[0],
        p_t_test_holm=corrected[1],
        winner=winner,
        verdict=f"{f'{winner} better' if winner else 'no difference shown'}: {effect}, {seeds}",
    )


def _mcnemar_by_seed(a: Sequence[SeedRun], b: Sequence[SeedRun]) -> dict[int, McNemar]:
    """Of the runs whose two sides predict sentiment."""
    tests = {}
    for pair in zip(*(sorted(side, key=lambda run: run.seed) for side in (a, b)), strict=True):
        if all(SENTIMENT in run.predictions.outputs for run in pair):
            rows = [validated_predictions(run.predictions) for run in pair]
            positive, scored = sentiment_classes(rows[0].sentiment)
            decided = [
                (each.outputs[SENTIMENT] >= run.decisions.at(SENTIMENT))[:, 0]
                for each, run in zip(rows, pair, strict=True)
            ]
            tests[pair[0].seed] = mcnemar(*((each == positive)[scored] for each in decided))
    return tests


def _notes(runs: Sequence[SeedRun], left_out: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    n_seeds = len(runs) // 2
    if n_seeds < ENOUGH_SEEDS:
        notes.append(too_few_seeds(n_seeds))
    chosen = list(dict.fromkeys(f"{run.decisions.chosen_on}/{run.decisions.f1_columns_at}" for run in runs))
    if len(chosen) > 1:
        notes.append(f"the thresholds were not chosen alike: {' and '.join(chosen)}")
    if left_out:
        notes.append("scores that both sides do not have, or that the labels leave undefined, are left out")
    return tuple(notes)
