"""Writes the four output files of ``mien analyze``.

- `utterances.csv`: one row per utterance, for a spreadsheet or a data frame
- `captions.vtt`: predicted labels and transcripts as WebVTT cues, for a video player
- `analysis.json`: the complete analysis, for other programs; its JSON Schema is `analysis.schema.json` in this folder
- `report.html`: the page of `mien.video.page`
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DamagedFileError
from mien.printable import printable, printable_json
from mien.reports.table_formats import to_csv
from mien.schema import EMOTION, SENTIMENT, FloatArray
from mien.storage.files import atomic_file, read_json, refuse_links, reporting_damage, to_json_text
from mien.storage.folders import FolderKind, require_creatable, require_own_outputs
from mien.task_kinds import LEVELS
from mien.tasks import EMOTION_INTENSITY, SENTIMENT_INTENSITY
from mien.version import __version__
from mien.video.analysis import (
    Analysis,
    Answer,
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


def require_output_folders(folders: Iterable[Path], shared: Path | None = None) -> None:
    """Check that the outputs can be written to their folders, and that no file of the user would be replaced there.

    Args:
        folders: Folder of the outputs of each recording; they need not exist.
        shared: Folder that holds these folders as subfolders; None if there are none.

    Raises:
        WriteError: A folder holds a file that has the name of an output but was not written by mien. Or it cannot be
            made or written to, or a subfolder is a symbolic link.
    """
    for folder in folders:
        if shared is not None:
            refuse_links(shared, folder.relative_to(shared))
        require_creatable(folder)
        require_own_outputs(folder, FolderKind(ANALYSIS_JSON, FORMAT, OUTPUTS))


def write_outputs(folder: Path, analysis: Analysis, settings: PageSettings | None = None) -> dict[str, Path]:
    """Write all output files, each atomically. The report page is written last, when the other files exist.

    Args:
        folder: Folder of the files; existing files of the same names are replaced.
        analysis: The analysis to write.
        settings: Settings of the report page; None uses the defaults.

    Returns:
        File name -> path, in the order of `OUTPUTS`.

    Raises:
        WriteError: A file cannot be written. The files after it in the order of `OUTPUTS` are unchanged.
    """
    paths = {name: folder / name for name in OUTPUTS}
    write_analysis_json(paths[ANALYSIS_JSON], analysis)
    write_utterances_csv(paths[UTTERANCES_CSV], analysis)
    _write_text(paths[CAPTIONS_VTT], captions(analysis))
    _write_text(paths[REPORT_HTML], page(analysis, folder, settings))
    return paths


def write_utterances_csv(path: Path, analysis: Analysis) -> None:
    """Write `utterances.csv`: a header and one row per utterance, in UTF-8, with unrounded numbers.

    `mien.reports.table_formats.spreadsheet_cell` changes texts that a spreadsheet would run as a formula.

    Args:
        path: The file, written atomically.
        analysis: The analysis with the utterances.

    Raises:
        WriteError: The file cannot be written.
    """
    _write_text(path, to_csv(columns(analysis), [row(analysis, utterance) for utterance in analysis.utterances]))


# Players drop a cue of zero duration.
SHORTEST_CUE_MS = 1
# WebVTT interprets these characters as markup, and "-->" as the times of a cue.
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
USE_NOTE = "Predicted expressions, not feelings. Do not use them to judge a person."


def captions(analysis: Analysis) -> str:
    """Return the text of `captions.vtt`: one cue with labels and transcript per utterance, ordered by start time."""
    head = f"WEBVTT\n\nNOTE\n{_cue_text(analysis.video.name)}, analysed by {_cue_text(analysis.model.name)}\n{USE_NOTE}"
    cues = [_cue(number, utterance) for number, utterance in enumerate(analysis.utterances, start=1)]
    return "\n\n".join([head, *cues]) + "\n"


def clock(milliseconds: int) -> str:
    """Format a time as HH:MM:SS.mmm. From 100 hours on, the hours have more than two digits."""
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{thousandths:03d}"


def _cue(number: int, utterance: UtteranceAnalysis) -> str:
    start_ms = round(utterance.start_s * 1000)
    end_ms = max(round(utterance.end_s * 1000), start_ms + SHORTEST_CUE_MS)
    lines = [f"u{number}", f"{clock(start_ms)} --> {clock(end_ms)}", _cue_labels(utterance)]
    text = _cue_text(utterance.transcript)
    if text and utterance.speaker is not None:
        text = f"<v {_cue_text(utterance.speaker)}>{text}"
    return "\n".join(lines + [text] * bool(text))


def _cue_labels(utterance: UtteranceAnalysis) -> str:
    parts = []
    if utterance.sentiment is not None:
        parts.append(f"{utterance.sentiment.label} {utterance.sentiment.probability:.2f}")
    if (emotion := utterance.answers.get(EMOTION)) is not None:
        parts.append(f"{_cue_text(emotion.label)} {emotion.probability:.2f}")
    parts += [
        f"{_cue_text(name)} {utterance.emotions[name]:.2f}" for name in utterance.labels if name in utterance.emotions
    ]
    reason = f"no prediction: {utterance.not_judged}" if utterance.not_judged else "no prediction"
    return f"[{' · '.join(parts) or _cue_text(reason)}]"


def _cue_text(text: str) -> str:
    """Escape a text for WebVTT and remove its line breaks, because an empty line would end the cue."""
    return " ".join(printable(text).split()).translate(ESCAPES)


FORMAT = "mien-analysis"
# In version 1, the probability of sentiment was that of "positive", whatever the label was.
FORMAT_VERSION = 2


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Convert an analysis to the JSON object of `analysis.json`. NaN becomes None."""
    video = analysis.video
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mien_version": __version__,
        "video": {
            "name": video.name,
            "duration_s": float(video.duration_s),
            "path": None if video.path is None else video.path.as_posix(),
            **({"language": video.language} if video.language else {}),
        },
        "model": dataclasses.asdict(analysis.model),
        "notes": list(analysis.notes),
        "utterances": [_utterance_to_json(utterance) for utterance in analysis.utterances],
        "attention": {name: [_array_to_json(row) for row in weights] for name, weights in analysis.attention.items()},
        "tracks": [_track_to_json(track) for track in analysis.tracks],
    }


def from_json(facts: dict[str, Any]) -> Analysis:
    """Rebuild an analysis from the object that `to_json` returned.

    Raises KeyError, TypeError or ValueError if the object is invalid.
    """
    if facts["format"] != FORMAT or facts["format_version"] not in (1, FORMAT_VERSION):
        raise ValueError(f"format {facts['format']!r} version {facts['format_version']!r}")
    video, model = facts["video"], facts["model"]
    n_utterances = len(facts["utterances"])
    return Analysis(
        video=VideoFacts(
            name=str(video["name"]),
            duration_s=float(video["duration_s"]),
            path=None if video["path"] is None else Path(video["path"]),
            language=str(video.get("language", "")),
        ),
        model=ModelFacts(
            name=str(model["name"]),
            inputs=tuple(model["inputs"]),
            tasks=tuple(model["tasks"]),
            sentiment_threshold=float(model["sentiment_threshold"]),
            thresholds=_floats_by_name(model["thresholds"]),
            ranges={task: (float(low), float(high)) for task, (low, high) in model.get("ranges", {}).items()},
            protocol=str(model["protocol"]),
            caveats=tuple(model["caveats"]),
            facts=dict(model["facts"]),
        ),
        utterances=tuple(_utterance_from_json(row) for row in facts["utterances"]),
        attention={
            name: _array_from_json(rows).reshape(n_utterances, n_utterances)
            for name, rows in facts["attention"].items()
        },
        tracks=tuple(_track_from_json(track) for track in facts["tracks"]),
        notes=tuple(facts["notes"]),
    )


def write_analysis_json(path: Path, analysis: Analysis) -> None:
    """Write `analysis.json` atomically.

    Args:
        path: The file.
        analysis: The analysis to write.

    Raises:
        WriteError: The file cannot be written.
    """
    _write_text(path, printable_json(_indented_json(to_json(analysis))) + "\n")


def read_analysis_json(path: Path) -> Analysis:
    """Read a file that `write_analysis_json` wrote.

    Raises DataError if the file is missing, and DamagedFileError if its content is invalid.
    """
    facts = read_json(path, "an analysis")
    if facts.get("format") != FORMAT:
        raise DamagedFileError(
            f"Expected 'format': '{FORMAT}' in {path}, but got {facts.get('format')!r}; analyze the video again"
        )
    with reporting_damage(path, "the analysis"):
        return from_json(facts)


def analysis_schema() -> dict[str, Any]:
    """Load the JSON Schema (draft 2020-12) of analysis.json."""
    text = resources.files("mien.video").joinpath("analysis.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _utterance_to_json(row: UtteranceAnalysis) -> dict[str, Any]:
    sentiment = row.sentiment
    return {
        "index": int(row.index),
        "start_s": float(row.start_s),
        "end_s": float(row.end_s),
        "transcript": row.transcript,
        "sentiment": None if sentiment is None else _answer_to_json(sentiment),
        "emotions": _floats_by_name(row.emotions),
        "labels": list(row.labels),
        "missing": list(row.missing),
        "missing_reasons": dict(row.missing),
        "contributions": {modality: _floats_by_name(changes) for modality, changes in row.contributions.items()},
    } | _optional_keys(row)


def _answer_to_json(answer: Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "probability": float(answer.probability),
        "probabilities": _floats_by_name(answer.probabilities),
    }


def _answer_from_json(facts: dict[str, Any]) -> Answer:
    if "probabilities" in facts:
        return Answer(str(facts["label"]), _floats_by_name(facts["probabilities"]))
    positive = float(facts["probability"])  # format version 1
    return Answer(str(facts["label"]), {LEVELS[0]: 1 - positive, LEVELS[-1]: positive})


def _optional_keys(row: UtteranceAnalysis) -> dict[str, Any]:
    """Return the optional entries of an utterance's JSON, such as predicted intensities.

    The keys `answers`, `outputs` and `further_labels` contain the tasks that have no separate key. An entry is absent
    if the model does not predict it.
    """
    facts: dict[str, Any] = {}
    if row.speaker is not None:
        facts["speaker"] = row.speaker
    if row.not_judged:
        facts["not_judged"] = row.not_judged
    if row.language:
        facts["language"] = row.language
    if row.sentiment_intensity is not None:
        facts["sentiment_intensity"] = float(row.sentiment_intensity)
    if row.emotion_intensities:
        facts["emotion_intensities"] = _floats_by_name(row.emotion_intensities)
    if answers := row.further_answers:
        facts["answers"] = {task: _answer_to_json(answer) for task, answer in answers.items()}
    if row.further_labels:
        facts["further_labels"] = {task: list(names) for task, names in row.further_labels.items()}
    if further := row.further_outputs:
        facts["outputs"] = {task: _floats_by_name(values) for task, values in further.items()}
    return facts


def _utterance_from_json(facts: dict[str, Any]) -> UtteranceAnalysis:
    sentiment = facts["sentiment"]
    outputs = {
        EMOTION: _floats_by_name(facts["emotions"]),
        SENTIMENT_INTENSITY: {SENTIMENT: float(facts["sentiment_intensity"])} if "sentiment_intensity" in facts else {},
        EMOTION_INTENSITY: _floats_by_name(facts.get("emotion_intensities", {})),
        **{task: _floats_by_name(values) for task, values in facts.get("outputs", {}).items()},
    }
    answers = {} if sentiment is None else {SENTIMENT: sentiment}
    answers |= facts.get("answers", {})
    return UtteranceAnalysis(
        index=int(facts["index"]),
        start_s=float(facts["start_s"]),
        end_s=float(facts["end_s"]),
        transcript=str(facts["transcript"]),
        outputs={task: values for task, values in outputs.items() if values},
        answers={task: _answer_from_json(answer) for task, answer in answers.items()},
        labels=tuple(facts["labels"]),
        further_labels={task: tuple(names) for task, names in facts.get("further_labels", {}).items()},
        missing={name: facts["missing_reasons"][name] for name in facts["missing"]},
        contributions={modality: _floats_by_name(changes) for modality, changes in facts["contributions"].items()},
        speaker=facts.get("speaker"),
        not_judged=str(facts.get("not_judged", "")),
        language=str(facts.get("language", "")),
    )


def _track_to_json(track: Track) -> dict[str, Any]:
    return {
        "name": track.name,
        "unit": track.unit,
        "source": track.source.value,
        "used_by_model": bool(track.used_by_model),
        "note": track.note,
        "axis": None if track.axis is None else [float(end) for end in track.axis],
        "times_s": _array_to_json(track.times_s),
        "values": _array_to_json(track.values),
    }


def _track_from_json(facts: dict[str, Any]) -> Track:
    axis = facts["axis"]
    return Track(
        name=str(facts["name"]),
        unit=str(facts["unit"]),
        source=TrackSource(facts["source"]),
        times_s=_array_from_json(facts["times_s"]),
        values=_array_from_json(facts["values"]),
        used_by_model=bool(facts["used_by_model"]),
        note=str(facts["note"]),
        axis=None if axis is None else (float(axis[0]), float(axis[1])),
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def _floats_by_name(named: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in named.items()}


def _array_to_json(values: FloatArray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in np.asarray(values, dtype=np.float64).tolist()]


def _array_from_json(values: list[Any]) -> FloatArray:
    # NumPy converts None to NaN.
    return np.array(values, dtype=np.float64)


def _indented_json(facts: Any, indent: str = "") -> str:
    """Format indented JSON. A list of numbers or texts, such as a row of a matrix, is written on one line."""
    inner = indent + "  "
    if isinstance(facts, dict) and facts:
        items = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_indented_json(facts[key], inner)}" for key in facts]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(facts, list) and any(isinstance(value, dict | list) for value in facts):
        return "[\n" + ",\n".join(inner + _indented_json(value, inner) for value in facts) + f"\n{indent}]"
    if isinstance(facts, list | tuple):
        return json.dumps(facts, ensure_ascii=False, allow_nan=False)
    return to_json_text(facts)
