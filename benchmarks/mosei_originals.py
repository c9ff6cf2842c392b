"""Labelled videos heard and judged, beside their gold labels: an illustration, never a score.

    python benchmarks/mosei_originals.py VIDEOS/ VIDEOS/labels.csv [--json]

Each video is analysed twice: with what the packaged recognition hears, and with subtitles made of the labels' own
segments and texts. Prints a Markdown table with one row per labelled segment; an utterance stands beside a segment if
they overlap most. With --json, the same cells as one object.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import defaultdict
from pathlib import Path

from analyze import clock
from machine import machine_facts

from mien.schema import EMOTIONS
from mien.video.analysis import Analysis, UtteranceAnalysis
from mien.video.analyze import AnalyzeRequest, analyze

Row = dict[str, str]
COLUMNS = (
    "segment",
    "gold",
    "heard",
    "predicted from what was heard",
    "predicted from the label's text",
)


def overlap(row: Row, utterance: UtteranceAnalysis) -> float:
    """Intersection over union in time."""
    start_s, end_s = float(row["start"]), float(row["end"])
    shared = min(end_s, utterance.end_s) - max(start_s, utterance.start_s)
    return max(shared, 0.0) / (max(end_s, utterance.end_s) - min(start_s, utterance.start_s))


def told(analysis: Analysis, row: Row) -> tuple[str, str]:
    """What was heard and predicted where the segment is."""
    found = max(analysis.utterances, key=lambda each: overlap(row, each))
    sentiment = "-" if found.sentiment is None else f"{found.sentiment.label} {found.sentiment.probability:.2f}"
    emotions = ", ".join(f"{name} {found.emotions[name]:.2f}" for name in found.labels) or "no emotion"
    return f"{found.start_s:.1f} - {found.end_s:.1f} s: {found.transcript}", f"{sentiment}; {emotions}"


def gold(row: Row) -> str:
    """Sentiment score and emotions of the label file."""
    emotions = ", ".join(f"{name} {float(row[name]):.2g}" for name in EMOTIONS if float(row[name]) > 0)
    return f"{float(row['sentiment']):+.2g}; {emotions or 'no emotion'}"


def main() -> None:
    """Analyse and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    segments: dict[str, list[Row]] = defaultdict(list)
    with arguments.labels.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            segments[row["video_id"]].append(row)
    table: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        for video_id, rows in segments.items():
            rows.sort(key=lambda row: float(row["start"]))
            path, folder = arguments.videos / f"{video_id}.mp4", Path(name) / video_id
            heard = analyze([path], folder / "heard", AnalyzeRequest(tracks=False))[0][path]
            cues = [
                f"{number}\n{clock(float(row['start']))} --> {clock(float(row['end']))}\n{row['text']}\n"
                for number, row in enumerate((row for row in rows if row["text"]), start=1)
            ]
            read = None
            if cues:
                (folder / "labels.srt").write_text("\n".join(cues), encoding="utf-8")
                request = AnalyzeRequest(subtitles=folder / "labels.srt", tracks=False)
                read = analyze([path], folder / "read", request)[0][path]
            for row in rows:
                said, predicted = told(heard, row)
                given = "the label has no text" if read is None else told(read, row)[1]
                segment = f"{video_id} {float(row['start']):.1f} - {float(row['end']):.1f} s"
                table.append(dict(zip(COLUMNS, (segment, gold(row), said, predicted, given), strict=True)))
    if arguments.json:
        print(json.dumps({"segments": table, "machine": machine_facts()}, indent=2))
        return
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + "---|" * len(COLUMNS))
    for cells in table:
        print(f"| {' | '.join(cells.values())} |")


if __name__ == "__main__":
    main()
