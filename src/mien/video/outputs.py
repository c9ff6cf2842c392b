"""The four files of ``mien analyze``, written together.

`utterances.csv`: one row per utterance, for a spreadsheet or a data frame.

`captions.vtt`: what was said, under what was predicted, as WebVTT cues for any player.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mien.reports.tables import spreadsheet_cell
from mien.storage.files import written_aside
from mien.video.analysis import Analysis, UtteranceAnalysis, columns, row
from mien.video.analysis_json import write_analysis_json
from mien.video.page import PageSettings, write_page

ANALYSIS_JSON = "analysis.json"
UTTERANCES_CSV = "utterances.csv"
CAPTIONS_VTT = "captions.vtt"
REPORT_HTML = "report.html"
OUTPUTS = (ANALYSIS_JSON, UTTERANCES_CSV, CAPTIONS_VTT, REPORT_HTML)


def write_outputs(folder: Path, analysis: Analysis, page: PageSettings | None = None) -> dict[str, Path]:
    """Write every output into `folder`, each aside and renamed; the page last, as the sign that all is there.

    Returns:
        Name -> path, in the order of `OUTPUTS`.

    Raises:
        WriteError: the system refuses; the files not yet reached are as they were.
    """
    paths = {name: folder / name for name in OUTPUTS}
    write_analysis_json(paths[ANALYSIS_JSON], analysis)
    write_utterances_csv(paths[UTTERANCES_CSV], analysis)
    write_captions(paths[CAPTIONS_VTT], analysis)
    write_page(paths[REPORT_HTML], analysis, page)
    return paths


def write_utterances_csv(path: Path, analysis: Analysis) -> None:
    """UTF-8, comma separated, numbers unrounded; a text that a spreadsheet would run gets an apostrophe in front.

    Raises WriteError.
    """
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="") as handle:
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


def write_captions(path: Path, analysis: Analysis) -> None:
    """Write `captions` aside and rename. Raises WriteError."""
    with written_aside(path) as aside:
        aside.write_text(captions(analysis), encoding="utf-8", newline="\n")


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
