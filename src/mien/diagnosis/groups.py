"""Scores of groups of utterances.

The utterances are grouped by number of words, by duration, by position in the video, and by the number of utterances of
their video. The edges of the groups come from the valid split, the scores from the scored split, and the intervals from
a bootstrap over the videos of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.diagnosis.calibration import PlattScaling, interval_of, mean_trust_scores
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.evaluation.headline import all_headlines
from mien.evaluation.rows import select_rows, validated_predictions, video_numbers
from mien.metrics.calibration_error import equal_count_edges
from mien.metrics.significance import video_weights
from mien.metrics.word_error_rate import split_words
from mien.schema import BoolArray, FloatArray
from mien.storage.split_columns import SplitColumns

NO_VALID = "there is no valid split at hand to take edges from"
THIRDS = ("first third", "middle third", "last third")


@dataclass(frozen=True, slots=True)
class UtteranceAttributes:
    """Attributes of the N utterances of a split, ordered by video and index."""

    video_id: np.ndarray[Any, np.dtype[np.object_]]  # (N,) str
    index: np.ndarray[Any, np.dtype[np.int64]]  # (N,)
    words: FloatArray  # (N,) number of words of the transcript, NaN without one
    duration_s: FloatArray  # (N,) NaN where unknown
    position: FloatArray  # (N,) relative position in the video, in (0, 1): 0.25 and 0.75 for two utterances
    video_length: FloatArray  # (N,) number of utterances of its video


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of utterances by one attribute. If there are no groups, `absent` holds the reason."""

    what: str
    groups: Mapping[str, BoolArray]  # name -> (N,) membership, in the order of `UtteranceAttributes`
    edges: tuple[float, ...] = ()  # from the valid split; an edge belongs to the group above it
    absent: str = ""


def utterance_attributes(columns: SplitColumns) -> UtteranceAttributes:
    """Compute number of words, duration and position of each utterance, and the number of utterances of its video.

    The rows are ordered by video and index. A value is NaN where it is unknown.
    """
    n, lengths = columns.n_utterances, columns.lengths
    video_id = np.repeat(np.array(columns.video_ids, dtype=object), lengths)
    unknown = np.full(n, np.nan)
    words = unknown
    if columns.transcripts is not None:
        counts = np.array([len(split_words(text)) for text in columns.transcripts], dtype=np.float64)
        words = np.where(counts > 0, counts, np.nan)
    duration_s = unknown if columns.start_s is None or columns.end_s is None else columns.end_s - columns.start_s
    place = np.arange(n) - np.repeat(columns.offsets[:-1], lengths)
    length = np.repeat(lengths, lengths)
    order = np.lexsort((columns.index, video_id.astype(str)))
    return UtteranceAttributes(
        video_id=video_id[order],
        index=columns.index[order],
        words=words[order],
        duration_s=duration_s[order],
        position=((2 * place + 1) / (2 * length))[order],
        video_length=length[order].astype(np.float64),
    )


def make_groupings(scored: UtteranceAttributes, valid: UtteranceAttributes | None) -> list[Grouping]:
    """Group utterances by number of words, duration, position in the video, and number of utterances of their video.

    Args:
        scored: Attributes of the split to score.
        valid: Attributes of the valid split. Their terciles are the edges of the groups. If `valid` is None, there are
            only groups by position, which need no such edges.

    Returns:
        One grouping per attribute.
    """

    def thirds(what: str, unit: str, size: Callable[[UtteranceAttributes], FloatArray]) -> Grouping:
        return _thirds(what, unit, size(scored), None if valid is None else size(valid))

    third = np.minimum((scored.position * len(THIRDS)).astype(np.intp), len(THIRDS) - 1)
    return [
        thirds("words of the utterance", "words", lambda split: split.words),
        thirds("duration of the utterance", "s", lambda split: split.duration_s),
        Grouping("position in the video", {name: third == number for number, name in enumerate(THIRDS)}),
        thirds("length of the video", "utterances", lambda split: split.video_length),
    ]


def _thirds(what: str, unit: str, scored: FloatArray, valid: FloatArray | None) -> Grouping:
    known = ~np.isnan(scored)
    if not known.any():
        return Grouping(what, {}, absent="the scored split does not say")
    if valid is None or np.isnan(valid).all():
        return Grouping(
            what, {}, absent="valid, which gives the edges, does not say" if valid is not None else NO_VALID
        )
    edges = equal_count_edges(valid[~np.isnan(valid)], len(THIRDS))
    low, high = (f"{edge:.4g}" for edge in edges)
    group_of = np.where(known, np.searchsorted(edges, np.nan_to_num(scored), side="right"), -1)
    names = (f"below {low} {unit}", f"{low} to below {high} {unit}", f"{high} {unit} or more")
    groups = {name: group_of == number for number, name in enumerate(names)}
    if not known.all():
        groups["unknown"] = ~known
    return Grouping(what, groups, edges=tuple(float(edge) for edge in edges))


def score_groups(
    runs: Sequence[SeedRun],
    scalings: Sequence[Mapping[str, PlattScaling]],
    groupings: Sequence[Grouping],
    scored: UtteranceAttributes,
    n_resamples: int,
) -> dict[str, Any]:
    """Score the whole split and every group. A score is the mean over the runs, with its 95 % interval.

    A group is flagged as worse in a headline score if the interval of the group lies wholly below the score of the
    whole split. Calibration errors are never flagged, because they grow when there are fewer utterances.

    Args:
        runs: Predictions for the scored split and thresholds, one entry per run.
        scalings: Platt scalings of each run, by output. Calibration errors are measured after this scaling.
        groupings: Groups from `make_groupings`.
        scored: Attributes of the scored utterances.
        n_resamples: Resamples of the bootstrap over videos; 0 gives no intervals and no flags.

    Returns:
        The entry ``groups`` in the JSON of a diagnosis: scores of the whole split, and of every group.

    Raises:
        DataError: Predictions and attributes are about different utterances.
    """
    rows = [validated_predictions(run.predictions) for run in runs]
    for row in rows:
        if not (np.array_equal(row.index, scored.index) and np.array_equal(row.video_id, scored.video_id)):
            raise DataError(
                "Expected predictions for the utterances of the scored split, but got others; predict the split again"
            )

    def scores_of(members: BoolArray) -> dict[str, Any]:
        parts = [select_rows(row, members) for row in rows]
        scored_parts = [
            (part, run.decisions, scaling) for part, run, scaling in zip(parts, runs, scalings, strict=True)
        ]
        entries: dict[str, Any] = {
            path: {"value": float(value), "interval": None} for path, value in mean_trust_scores(scored_parts).items()
        }
        if n_resamples:
            weights = video_weights(video_numbers(parts[0])[1], n_resamples)
            for path, drawn in mean_trust_scores(scored_parts, weights).items():
                entries[path]["interval"] = interval_of(drawn)
        return entries

    all_scores = scores_of(np.ones(len(scored.index), dtype=bool))
    flagged = [path for path in all_scores if path in all_headlines(rows[0].tasks.values())]
    summary: dict[str, Any] = {"whole": {"n_utterances": len(scored.index), "scores": all_scores}, "by": []}
    for grouping in groupings:
        groups = []
        for name, members in grouping.groups.items():
            scores = scores_of(members) if members.any() else {}
            groups.append(
                {
                    "name": name,
                    "n_utterances": int(members.sum()),
                    "n_videos": len(np.unique(scored.video_id[members].astype(str))),
                    "scores": scores,
                    "worse_in": [path for path in flagged if _wholly_below(scores.get(path), all_scores[path])],
                }
            )
        summary["by"].append(
            {"what": grouping.what, "edges": list(grouping.edges), "absent": grouping.absent, "groups": groups}
        )
    return summary


def _wholly_below(group: Mapping[str, Any] | None, whole: Mapping[str, Any]) -> bool:
    return bool(group and group["interval"] and group["interval"][1] < whole["value"])
