"""What the page's script reads: the analysis with rounded numbers and tracks thinned to what a screen can show."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.reports.analysis import ARROW, Analysis, Track, UtteranceAnalysis, emotion_names
from mien.schema import FloatArray

# Points of a track on the page; analysis.json holds them all.
MAX_TRACK_POINTS = 2000
DECIMALS = 4


def page_data(analysis: Analysis) -> dict[str, Any]:
    """One JSON object; `web-src/src/types.ts` states its shape."""
    video, model = analysis.video, analysis.model
    ends = [utterance.end_s for utterance in analysis.utterances]
    return {
        # a recording without a known length still needs an axis
        "duration": max([video.duration_s, *ends, 1.0]),
        "model": {
            "name": model.name,
            "inputs": list(model.inputs),
            "tasks": list(model.tasks),
            "sentimentThreshold": model.sentiment_threshold,
            "thresholds": {name: float(value) for name, value in model.thresholds.items()},
            "protocol": model.protocol,
            "caveats": list(model.caveats),
            "facts": [[name, value] for name, value in model.facts.items()],
        },
        "emotions": list(emotion_names(analysis)),
        "notes": list(analysis.notes),
        "utterances": [_utterance(utterance) for utterance in analysis.utterances],
        "attention": [
            {"asks": name.split(ARROW)[0], "on": name.split(ARROW)[1], "rows": [_rounded(row) for row in weights]}
            for name, weights in analysis.attention.items()
        ],
        "tracks": [_track(track) for track in analysis.tracks],
    }


def thinned(times_s: FloatArray, values: FloatArray, max_points: int) -> tuple[FloatArray, FloatArray]:
    """Means over runs of neighbouring samples, so that at most `max_points` stay; a run without any value stays NaN.

    Args:
        times_s: (time,) rising.
        values: (time,) NaN where nothing was measured.
        max_points: at least 1.

    Returns:
        Times and values, each (point,): the mean time of a run and the mean of its values.
    """
    if len(times_s) <= max_points:
        return times_s, values
    starts = np.linspace(0, len(times_s), max_points, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, len(times_s)))
    measured = np.isfinite(values)
    counts = np.add.reduceat(measured.astype(np.float64), starts)
    sums = np.add.reduceat(np.where(measured, values, 0.0), starts)
    means = np.full(max_points, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return np.add.reduceat(times_s, starts) / sizes, means


def _utterance(utterance: UtteranceAnalysis) -> dict[str, Any]:
    sentiment = utterance.sentiment
    return {
        "index": int(utterance.index),
        "start": round(float(utterance.start_s), 3),
        "end": round(max(float(utterance.end_s), float(utterance.start_s)), 3),
        "text": utterance.transcript,
        "sentiment": None if sentiment is None else [sentiment.label, _short(sentiment.probability)],
        "emotions": {name: _short(value) for name, value in utterance.emotions.items()},
        "labels": list(utterance.labels),
        "missing": [[modality, reason] for modality, reason in utterance.missing.items()],
        "contributions": {
            modality: {name: _short(value) for name, value in changes.items()}
            for modality, changes in utterance.contributions.items()
        },
        "degree": None if utterance.sentiment_intensity is None else _short(utterance.sentiment_intensity),
        "degrees": {name: _short(value) for name, value in utterance.emotion_intensities.items()},
    }


def _track(track: Track) -> dict[str, Any]:
    times_s, values = thinned(track.times_s, track.values, MAX_TRACK_POINTS)
    return {
        "name": track.name,
        "unit": track.unit,
        "source": track.source.value,
        "used": bool(track.used_by_model),
        "note": track.note,
        "axis": None if track.axis is None else [float(end) for end in track.axis],
        "t": [round(time, 3) for time in np.asarray(times_s, dtype=np.float64).tolist()],
        "v": _rounded(values),
    }


def _short(value: float) -> float:
    return round(float(value), DECIMALS)


def _rounded(values: FloatArray) -> list[float | None]:
    return [
        round(value, DECIMALS) if np.isfinite(value) else None
        for value in np.asarray(values, dtype=np.float64).tolist()
    ]
