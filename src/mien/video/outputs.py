"""The four files of ``mien analyze``, written together.

- `utterances.csv`: one row per utterance, for a spreadsheet or a data frame
- `captions.vtt`: what was said, under what was predicted, as WebVTT cues for any player
- `analysis.json`: the whole analysis, for other programs; its JSON Schema is `analysis.schema.json` in this folder
"""

from __future__ import annotations

import csv
import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DamagedFileError
from mien.reports.table_formats import spreadsheet_cell
from mien.schema import FloatArray
from mien.storage.files import atomic_file, read_json, reporting_damage, to_json_text
from mien.tasks import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY
from mien.version import __version__
from mien.video.analysis import (
    POSITIVE,
    Analysis,
    ModelFacts,
    Track,
    TrackSource,
    UtteranceAnalysis,
    VideoFacts,
    columns,
    row,
)
from mien.video.page import PageSettings, page

ANALYSIS_JSON = "analysis.json"
UTTERANCES_CSV = "utterances.csv"
CAPTIONS_VTT = "captions.vtt"
REPORT_HTML = "report.html"
OUTPUTS = (ANALYSIS_JSON, UTTERANCES_CSV, CAPTIONS_VTT, REPORT_HTML)


def write_outputs(folder: Path, analysis: Analysis, settings: PageSettings | None = None) -> dict[str, Path]:
    """Write every output into `folder`, each aside and renamed; the page last, as the sign that all is there.

    Returns:
        Name -> path, in the order of `OUTPUTS`.

    Raises:
        WriteError: the system refuses; the files not yet reached are as they were.
    """
    paths = {name: folder / name for name in OUTPUTS}
    write_analysis_json(paths[ANALYSIS_JSON], analysis)
    write_utterances_csv(paths[UTTERANCES_CSV], analysis)
    _write_text(paths[CAPTIONS_VTT], captions(analysis))
    _write_text(paths[REPORT_HTML], page(analysis, folder, settings))
    return paths


def write_utterances_csv(path: Path, analysis: Analysis) -> None:
    """UTF-8, comma separated, numbers unrounded; a text that a spreadsheet would run gets an apostrophe in front.

    Raises WriteError.
    """
    with atomic_file(path) as aside, open(aside, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns(analysis))
        for utterance in analysis.utterances:
            writer.writerow([spreadsheet_cell(value) for value in row(analysis, utterance)])


# A cue must last; players drop one that ends where it starts.
SHORTEST_CUE_MS = 1
# WebVTT reads these as markup, and "-->" as a cue's times
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
USE_NOTE = "Predicted expressions, not feelings. Do not use them to judge a person."


def captions(analysis: Analysis) -> str:
    """The whole file: one cue per utterance in start order, labels on the first line, the transcript on the second."""
    head = f"WEBVTT\n\nNOTE\n{_one_line(analysis.video.name)}, analysed by {_one_line(analysis.model.name)}\n{USE_NOTE}"
    cues = [_cue(number, utterance) for number, utterance in enumerate(analysis.utterances, start=1)]
    return "\n\n".join([head, *cues]) + "\n"


def clock(milliseconds: int) -> str:
    """HH:MM:SS.mmm, with more hour digits where needed."""
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{thousandths:03d}"


def _cue(number: int, utterance: UtteranceAnalysis) -> str:
    start_ms = round(utterance.start_s * 1000)
    end_ms = max(round(utterance.end_s * 1000), start_ms + SHORTEST_CUE_MS)
    lines = [f"u{number}", f"{clock(start_ms)} --> {clock(end_ms)}", _labels(utterance)]
    return "\n".join(lines + [text for text in [_one_line(utterance.transcript)] if text])


def _labels(utterance: UtteranceAnalysis) -> str:
    parts = []
    if utterance.sentiment is not None:
        sentiment = utterance.sentiment
        positive = sentiment.label == "positive"
        parts.append(f"{sentiment.label} {sentiment.probability if positive else 1 - sentiment.probability:.2f}")
    parts += [
        f"{_one_line(name)} {utterance.emotions[name]:.2f}" for name in utterance.labels if name in utterance.emotions
    ]
    return f"[{' · '.join(parts) or 'no prediction'}]"


def _one_line(text: str) -> str:
    """Escaped, without the line breaks that would end a cue."""
    return " ".join(text.replace("\0", "").split()).translate(ESCAPES)


FORMAT = "mien-analysis"
FORMAT_VERSION = 1


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The object that analysis.json holds, in plain types; NaN stands as None."""
    video = analysis.video
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mien_version": __version__,
        "video": {
            "name": video.name,
            "duration_s": float(video.duration_s),
            "path": None if video.path is None else video.path.as_posix(),
        },
        "model": dataclasses.asdict(analysis.model),
        "notes": list(analysis.notes),
        "utterances": [_utterance(utterance) for utterance in analysis.utterances],
        "attention": {name: [_array(row) for row in weights] for name, weights in analysis.attention.items()},
        "tracks": [_track(track) for track in analysis.tracks],
    }


def from_json(facts: dict[str, Any]) -> Analysis:
    """Rebuild an analysis from `to_json`'s object. Raises KeyError, TypeError or ValueError where it is none."""
    if (facts["format"], facts["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise ValueError(f"format {facts['format']!r} version {facts['format_version']!r}")
    video, model = facts["video"], facts["model"]
    n_utterances = len(facts["utterances"])
    return Analysis(
        video=VideoFacts(
            name=str(video["name"]),
            duration_s=float(video["duration_s"]),
            path=None if video["path"] is None else Path(video["path"]),
        ),
        model=ModelFacts(
            name=str(model["name"]),
            inputs=tuple(model["inputs"]),
            tasks=tuple(model["tasks"]),
            sentiment_threshold=float(model["sentiment_threshold"]),
            thresholds=_numbers(model["thresholds"]),
            protocol=str(model["protocol"]),
            caveats=tuple(model["caveats"]),
            facts=dict(model["facts"]),
        ),
        utterances=tuple(_utterance_from(row) for row in facts["utterances"]),
        attention={
            name: _from_array(rows).reshape(n_utterances, n_utterances) for name, rows in facts["attention"].items()
        },
        tracks=tuple(_track_from(track) for track in facts["tracks"]),
        notes=tuple(facts["notes"]),
    )


def write_analysis_json(path: Path, analysis: Analysis) -> None:
    """Write aside and rename. Raises WriteError."""
    _write_text(path, _readable(to_json(analysis)) + "\n")


def read_analysis_json(path: Path) -> Analysis:
    """Read what `write_analysis_json` wrote. Raises DataError when missing, DamagedFileError when it is none."""
    facts = read_json(path, "an analysis")
    if facts.get("format") != FORMAT:
        raise DamagedFileError(
            f"Expected 'format': '{FORMAT}' in {path}, but got {facts.get('format')!r}; analyze the video again"
        )
    with reporting_damage(path, "the analysis"):
        return from_json(facts)


def analysis_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of analysis.json."""
    text = resources.files("mien.video").joinpath("analysis.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _utterance(row: UtteranceAnalysis) -> dict[str, Any]:
    sentiment = row.sentiment
    return {
        "index": int(row.index),
        "start_s": float(row.start_s),
        "end_s": float(row.end_s),
        "transcript": row.transcript,
        "sentiment": None
        if sentiment is None
        else {"label": sentiment.label, "probability": float(sentiment.probability)},
        "emotions": _numbers(row.emotions),
        "labels": list(row.labels),
        "missing": list(row.missing),
        "missing_reasons": dict(row.missing),
        "contributions": {modality: _numbers(changes) for modality, changes in row.contributions.items()},
    } | _optional(row)


def _optional(row: UtteranceAnalysis) -> dict[str, Any]:
    """Keys that are there only where the model predicts degrees, or tasks that have no key of their own."""
    facts: dict[str, Any] = {}
    if row.sentiment_intensity is not None:
        facts["sentiment_intensity"] = float(row.sentiment_intensity)
    if row.emotion_intensities:
        facts["emotion_intensities"] = _numbers(row.emotion_intensities)
    if further := row.further_outputs:
        facts["outputs"] = {task: _numbers(values) for task, values in further.items()}
    return facts


def _utterance_from(facts: dict[str, Any]) -> UtteranceAnalysis:
    sentiment = facts["sentiment"]
    outputs = {
        SENTIMENT: {} if sentiment is None else {POSITIVE: float(sentiment["probability"])},
        EMOTION: _numbers(facts["emotions"]),
        SENTIMENT_INTENSITY: {SENTIMENT: float(facts["sentiment_intensity"])} if "sentiment_intensity" in facts else {},
        EMOTION_INTENSITY: _numbers(facts.get("emotion_intensities", {})),
        **{task: _numbers(values) for task, values in facts.get("outputs", {}).items()},
    }
    return UtteranceAnalysis(
        index=int(facts["index"]),
        start_s=float(facts["start_s"]),
        end_s=float(facts["end_s"]),
        transcript=str(facts["transcript"]),
        outputs={task: values for task, values in outputs.items() if values},
        sentiment_label="" if sentiment is None else str(sentiment["label"]),
        labels=tuple(facts["labels"]),
        missing={name: facts["missing_reasons"][name] for name in facts["missing"]},
        contributions={modality: _numbers(changes) for modality, changes in facts["contributions"].items()},
    )


def _track(track: Track) -> dict[str, Any]:
    return {
        "name": track.name,
        "unit": track.unit,
        "source": track.source.value,
        "used_by_model": bool(track.used_by_model),
        "note": track.note,
        "axis": None if track.axis is None else [float(end) for end in track.axis],
        "times_s": _array(track.times_s),
        "values": _array(track.values),
    }


def _track_from(facts: dict[str, Any]) -> Track:
    axis = facts["axis"]
    return Track(
        name=str(facts["name"]),
        unit=str(facts["unit"]),
        source=TrackSource(facts["source"]),
        times_s=_from_array(facts["times_s"]),
        values=_from_array(facts["values"]),
        used_by_model=bool(facts["used_by_model"]),
        note=str(facts["note"]),
        axis=None if axis is None else (float(axis[0]), float(axis[1])),
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def _numbers(named: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in named.items()}


def _array(values: FloatArray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in np.asarray(values, dtype=np.float64).tolist()]


def _from_array(values: list[Any]) -> FloatArray:
    # None becomes NaN
    return np.array(values, dtype=np.float64)


def _readable(facts: Any, indent: str = "") -> str:
    """Indented JSON with every list of plain values on one line: a matrix keeps its rows, a track is two lines."""
    inner = indent + "  "
    if isinstance(facts, dict) and facts:
        items = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_readable(facts[key], inner)}" for key in facts]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(facts, list) and any(isinstance(value, dict | list) for value in facts):
        return "[\n" + ",\n".join(inner + _readable(value, inner) for value in facts) + f"\n{indent}]"
    if isinstance(facts, list | tuple):
        return json.dumps(facts, ensure_ascii=False, allow_nan=False)
    return to_json_text(facts)
