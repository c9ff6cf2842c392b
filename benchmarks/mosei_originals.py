"""HasLabels videos heard and judged, beside their gold labels: an illustration, never a score.

    python benchmarks/mosei_originals.py VIDEOS/ VIDEOS/labels.csv [--json]

Each video is analysed twice: with what the packaged recognition hears, and with subtitles made of the labels' own
segments and texts. One row per labelled segment; an utterance stands beside a segment if they overlap most.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import harness
import pandas as pd
from analyze import utterances_of, write_subtitles

EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")


def overlap(segment: Any, utterance: dict[str, Any]) -> float:
    """Intersection over union in time."""
    shared = min(segment.end, utterance["end_s"]) - max(segment.start, utterance["start_s"])
    return max(shared, 0.0) / (max(segment.end, utterance["end_s"]) - min(segment.start, utterance["start_s"]))


def predicted(utterance: dict[str, Any]) -> str:
    """Sentiment and emotions of an utterance."""
    sentiment = utterance["sentiment"]
    judged = f"{sentiment['label']} {sentiment['probability']:.2f}" if sentiment else "-"
    emotions = ", ".join(f"{name} {utterance['emotions'][name]:.2f}" for name in utterance["labels"])
    return f"{judged}; {emotions or 'no emotion'}"


def gold(segment: Any) -> str:
    """Sentiment score and emotions of the label file."""
    found = ", ".join(f"{name} {getattr(segment, name):.2g}" for name in EMOTIONS if getattr(segment, name) > 0)
    return f"{segment.sentiment:+.2g}; {found or 'no emotion'}"


def analysed(video: Path, folder: Path, *more: object) -> list[dict[str, Any]]:
    """The utterances that `mien analyze` finds."""
    harness.mien("analyze", video, "--out", folder, "--no-tracks", *more)
    return utterances_of(folder)


def measure(videos: Path, labels: Path) -> harness.Report:
    """Analyse every video twice."""
    table = pd.read_csv(labels, keep_default_na=False).sort_values("start", kind="stable")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for video_id, group in table.groupby("video_id", sort=False):
            path, folder = videos / f"{video_id}.mp4", Path(name) / str(video_id)
            segments = list(group.itertuples())
            heard = analysed(path, folder / "heard")
            cues = [(each.start, each.end, each.text) for each in segments if each.text]
            read = []
            if cues:
                read = analysed(path, folder / "read", "--subtitles", write_subtitles(cues, folder / "labels.srt"))
            for segment in segments:
                found = max(heard, key=lambda each: overlap(segment, each))
                given = max(read, key=lambda each: overlap(segment, each)) if read else None
                said = f"{found['start_s']:.1f} - {found['end_s']:.1f} s: {found['transcript']}"
                rows.append(
                    {
                        "segment": f"{video_id} {segment.start:.1f} - {segment.end:.1f} s",
                        "gold": gold(segment),
                        "heard": said,
                        "predicted from what was heard": predicted(found),
                        "predicted from the label's text": predicted(given) if given else "the label has no text",
                    }
                )
    return harness.Report({"videos": table["video_id"].nunique()}, {"segments": rows})


if __name__ == "__main__":
    harness.main(measure)
