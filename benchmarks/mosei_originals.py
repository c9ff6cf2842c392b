"""Predictions for labelled videos next to their gold labels: an illustration, not a score.

    python benchmarks/mosei_originals.py VIDEOS/ VIDEOS/labels.csv [--json]

Each video is analysed twice: with the packaged speech recognition, and with subtitles made of the segments and texts in
the label file. The table has one row per labelled segment, with the utterance that overlaps it most.
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
    """Compute the intersection over union of a labelled segment and an utterance in time.

    Args:
        segment: Row of the label file.
        utterance: Utterance of analysis.json.

    Returns:
        Overlap in [0, 1].
    """
    shared = min(segment.end, utterance["end_s"]) - max(segment.start, utterance["start_s"])
    return max(shared, 0.0) / (max(segment.end, utterance["end_s"]) - min(segment.start, utterance["start_s"]))


def predicted(utterance: dict[str, Any]) -> str:
    """Format the predicted sentiment and emotions of an utterance."""
    sentiment = utterance["sentiment"]
    polarity = f"{sentiment['label']} {sentiment['probability']:.2f}" if sentiment else "-"
    emotions = ", ".join(f"{name} {utterance['emotions'][name]:.2f}" for name in utterance["labels"])
    return f"{polarity}; {emotions or 'no emotion'}"


def gold(segment: Any) -> str:
    """Format the gold sentiment score and emotions of a labelled segment."""
    emotions = ", ".join(f"{name} {getattr(segment, name):.2g}" for name in EMOTIONS if getattr(segment, name) > 0)
    return f"{segment.sentiment:+.2g}; {emotions or 'no emotion'}"


def analysed(video: Path, folder: Path, *more: object) -> list[dict[str, Any]]:
    """Run `mien analyze` on a video.

    Args:
        video: Video file.
        folder: Folder for the outputs.
        *more: Further options of the command.

    Returns:
        The utterances of analysis.json.
    """
    harness.mien("analyze", video, "--out", folder, "--no-tracks", *more)
    return utterances_of(folder)


def measure(videos: Path, labels: Path) -> harness.Report:
    """Analyse every video twice.

    Args:
        videos: Folder of VIDEO_ID.mp4 files.
        labels: CSV file with the labelled segments.

    Returns:
        One row per labelled segment.
    """
    table = pd.read_csv(labels, keep_default_na=False).sort_values("start", kind="stable")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for video_id, group in table.groupby("video_id", sort=False):
            path, folder = videos / f"{video_id}.mp4", Path(name) / str(video_id)
            segments = list(group.itertuples())
            recognised = analysed(path, folder / "heard")
            cues = [(each.start, each.end, each.text) for each in segments if each.text]
            subtitled = []
            if cues:
                subtitled = analysed(path, folder / "read", "--subtitles", write_subtitles(cues, folder / "labels.srt"))
            for segment in segments:
                from_speech = max(recognised, key=lambda each: overlap(segment, each))
                from_text = max(subtitled, key=lambda each: overlap(segment, each)) if subtitled else None
                transcript = f"{from_speech['start_s']:.1f} - {from_speech['end_s']:.1f} s: {from_speech['transcript']}"
                rows.append(
                    {
                        "segment": f"{video_id} {segment.start:.1f} - {segment.end:.1f} s",
                        "gold": gold(segment),
                        "heard": transcript,
                        "predicted from what was heard": predicted(from_speech),
                        "predicted from the label's text": predicted(from_text)
                        if from_text
                        else "the label has no text",
                    }
                )
    return harness.Report({"videos": table["video_id"].nunique()}, {"segments": rows})


if __name__ == "__main__":
    harness.main(measure)
