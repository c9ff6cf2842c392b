"""`utterances.csv`: one row per utterance, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mien.reports.analysis import Analysis, UtteranceAnalysis, emotion_names
from mien.tables.files import written_aside

SEPARATOR = "; "
INTENSITY = "_intensity"
# A spreadsheet runs a cell that starts like this as a formula, and transcripts are other people's words.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def columns(analysis: Analysis) -> list[str]:
    """Names of the columns: facts, sentiment, emotions, degrees if there are any, what was decided, what is missing."""
    return [
        *("index", "start_s", "end_s", "transcript", "sentiment", "sentiment_probability"),
        *emotion_names(analysis),
        *_intensity_columns(analysis),
        *("labels", "missing", "missing_reasons"),
    ]


def row(analysis: Analysis, utterance: UtteranceAnalysis) -> list[Any]:
    """The cells of one utterance in the order of `columns`; None where there is nothing."""
    sentiment = utterance.sentiment
    reasons = [f"{modality}: {reason}" for modality, reason in utterance.missing.items()]
    return [
        utterance.index,
        utterance.start_s,
        utterance.end_s,
        utterance.transcript,
        sentiment.label if sentiment else None,
        sentiment.probability if sentiment else None,
        *(utterance.emotions.get(name) for name in emotion_names(analysis)),
        *(_intensity(utterance, name) for name in _intensity_columns(analysis)),
        SEPARATOR.join(utterance.labels),
        SEPARATOR.join(utterance.missing),
        SEPARATOR.join(reasons),
    ]


def _intensity_columns(analysis: Analysis) -> list[str]:
    """Only what the model predicts."""
    rows = analysis.utterances
    emotions = dict.fromkeys(name for utterance in rows for name in utterance.emotion_intensities)
    of_sentiment = ["sentiment"] if any(utterance.sentiment_intensity is not None for utterance in rows) else []
    return [name + INTENSITY for name in (*of_sentiment, *emotions)]


def _intensity(utterance: UtteranceAnalysis, column: str) -> float | None:
    name = column.removesuffix(INTENSITY)
    return utterance.sentiment_intensity if name == "sentiment" else utterance.emotion_intensities.get(name)


def write_utterances_csv(path: Path, analysis: Analysis) -> None:
    """UTF-8, comma separated, numbers unrounded; a text that a spreadsheet would run gets an apostrophe in front.

    Raises WriteError.
    """
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns(analysis))
        for utterance in analysis.utterances:
            writer.writerow([spreadsheet_cell(value) for value in row(analysis, utterance)])


def spreadsheet_cell(value: Any) -> Any:
    """The value, a text that a spreadsheet would run with an apostrophe in front."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value
