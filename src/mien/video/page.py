"""Make `report.html`, one file that opens from disk without a network. Its script and style are built from `web-src/`.

The data of a recording are stored as JSON in one element of the page. The script inserts them as text, never as markup.
The content security policy allows only the script and the style of the page, by their hashes, and no request except for
the video.

The data are the analysis with rounded numbers. Long tracks are reduced to as many points as a screen can show.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from mien.printable import printable
from mien.schema import FloatArray
from mien.tasks import EMOTION_INTENSITY, SENTIMENT_INTENSITY
from mien.video.analysis import ARROW, Analysis, Track, UtteranceAnalysis, emotion_names, further_summary

BYTES_PER_MB = 1_000_000
# Building the page needs memory of several times the embedded video's size, and browsers refuse longer data addresses.
MOST_EMBEDDED_MB = 100.0
# name of the track that is 1 where a face is found
FACE_PRESENT = "face present"
# A player may show nothing at the very end of a recording.
LAST_FRAME_S = 0.2
# File suffix -> media type that the data address of an embedded video declares.
MEDIA_TYPES = {
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "video/ogg",
    ".ogv": "video/ogg",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}
# a placeholder of the template
PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Settings of the report page."""

    # Whether the page contains the video, so that it can be sent as one file. It is off by default, because a recording
    # of people should not be copied unless the user asks for it. A video of more than MOST_EMBEDDED_MB is not embedded;
    # the page then refers to it by a relative path and says so.
    embed: bool = False


def page(analysis: Analysis, folder: Path, settings: PageSettings | None = None) -> str:
    """Return the HTML of the report page of an analysis.

    Args:
        analysis: The analysis to show.
        folder: Folder that will contain the page. The address of the video is relative to this folder.
        settings: Whether the video is embedded in the page; None uses the default.

    Returns:
        The text of `report.html`.
    """
    script, style = _asset_text("report.js"), _asset_text("report.css")
    settings = settings or PageSettings()
    address = video_address(analysis.video.path, folder, settings)
    note = note_too_large(analysis.video.path, settings)
    if note:
        analysis = dataclasses.replace(analysis, notes=(*analysis.notes, note))
    parts = {
        "title": html.escape(printable(analysis.video.name)),
        "policy": html.escape(content_policy(script, style)),
        # inserted into a comment, which two dashes would end
        "notices": _asset_text("LICENSES.txt").replace("--", "- -"),
        "style": style,
        "script": script,
        "data": _data_block(
            json.dumps(
                _printable_texts(page_data(analysis)), ensure_ascii=False, separators=(",", ":"), allow_nan=False
            )
        ),
        "video": f'src="{html.escape(address)}{poster_fragment(analysis)}"' if address else "",
    }
    # one pass, so that placeholders inside inserted text are not replaced
    return PLACE.sub(lambda place: parts[place[1]], _asset_text("page.html"))


def poster_fragment(analysis: Analysis) -> str:
    """Return a media fragment such as ``#t=12.3``, at which a player shows a frame before anyone presses play.

    No picture is stored in the page, because a picture shows a person. The moment is in the middle of the longest
    stretch in which a face is found, inside an utterance if there is one. Without a face track, it is the middle of the
    first utterance, and without utterances a tenth of the duration: many recordings begin with a black frame.
    """
    duration_s = analysis.video.duration_s
    spans = [(each.start_s, each.end_s) for each in analysis.utterances]
    track = next((each for each in analysis.tracks if each.name == FACE_PRESENT), None)
    moment_s = None if track is None else _middle_of_longest(track, spans)
    if moment_s is None:
        moment_s = sum(spans[0]) / 2 if spans else duration_s / 10
    return f"#t={min(moment_s, max(duration_s - LAST_FRAME_S, 0.0)):.2f}"


def _middle_of_longest(track: Track, spans: Sequence[tuple[float, float]]) -> float | None:
    """Return the middle in seconds of the longest stretch of a track with values above one half; None without any.

    Args:
        track: Track of the presence of a face, from 0 to 1.
        spans: Start and end in seconds of the utterances. Stretches outside of them count only if no other is left.
    """
    present = track.values > 0.5
    spoken = np.zeros(len(present), dtype=bool)
    for start_s, end_s in spans:
        spoken |= (track.times_s >= start_s) & (track.times_s <= end_s)
    present = present & spoken if (present & spoken).any() else present
    if not present.any():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(int)))
    starts, stops = edges[::2], edges[1::2] - 1
    lengths_s = track.times_s[stops] - track.times_s[starts]
    longest = int(lengths_s.argmax())
    return float(track.times_s[starts[longest]] + lengths_s[longest] / 2)


def content_policy(script: str, style: str) -> str:
    """Return the content security policy. It allows one script, one style sheet, embedded images and the video.

    Args:
        script: Text of the page's script.
        style: Text of the page's style sheet.

    Returns:
        The policy, not escaped for HTML.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_policy_hash(script)}",
            f"style-src {_policy_hash(style)}",
            "img-src data:",
            "media-src 'self' file: data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def video_address(video: Path | None, folder: Path, settings: PageSettings) -> str:
    """Return the address (URL) of the video that the player of the page shows.

    Args:
        video: The media file, or None if the page has no player.
        folder: Folder that will contain the page.
        settings: Whether the video is embedded.

    Returns:
        A data URL if the video is embedded, else a URL relative to `folder`, or an absolute one if the video is on
        another drive. The text is empty if `video` is None.
    """
    if video is None:
        return ""
    size_mb = _file_size_mb(video)
    if settings.embed and size_mb is not None and size_mb <= MOST_EMBEDDED_MB:
        kind = MEDIA_TYPES.get(video.suffix.lower(), "video/mp4")
        return f"data:{kind};base64,{base64.b64encode(video.read_bytes()).decode('ascii')}"
    try:
        relative = os.path.relpath(video.resolve(), folder.resolve())
    except ValueError:  # another drive
        return video.resolve().as_uri()
    # "./" keeps a name with a colon from being read as a scheme
    return "./" + quote(os.fsencode(Path(relative).as_posix()))


def _file_size_mb(video: Path) -> float | None:
    """Return the size of a file in MB.

    Return None if the file does not exist; in that case the page has a button to choose the file.
    """
    try:
        return video.stat().st_size / BYTES_PER_MB
    except OSError:
        return None


def note_too_large(video: Path | None, settings: PageSettings) -> str:
    """Tell whether a video is too large to be embedded.

    Args:
        video: Media file; None if there is none.
        settings: Settings of the page.

    Returns:
        A note if the video should be embedded but is larger than `MOST_EMBEDDED_MB`, else an empty text.
    """
    size_mb = None if video is None or not settings.embed else _file_size_mb(video)
    if size_mb is None or size_mb <= MOST_EMBEDDED_MB:
        return ""
    return (
        f"the video ({size_mb:,.0f} MB) is too large to stand inside the page (at most {MOST_EMBEDDED_MB:,.0f} MB) "
        "and stays a file of its own: move both together"
    )


def _asset_text(name: str) -> str:
    return resources.files("mien.video").joinpath("assets", name).read_text(encoding="utf-8")


def _policy_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _printable_texts(facts: Any) -> Any:
    """Return JSON values whose texts show control characters as escapes."""
    if isinstance(facts, str):
        return printable(facts)
    if isinstance(facts, dict):
        return {printable(key): _printable_texts(value) for key, value in facts.items()}
    return [_printable_texts(value) for value in facts] if isinstance(facts, list | tuple) else facts


def _data_block(text: str) -> str:
    """Escape the markup characters of a JSON text, so that it cannot close its HTML element or open another."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# Largest number of points of a track on the page; analysis.json contains more.
MAX_TRACK_POINTS = 2000
DECIMALS = 4


def page_data(analysis: Analysis) -> dict[str, Any]:
    """Return the data of the page as one JSON object. `web-src/src/types.ts` defines its type."""
    video, model = analysis.video, analysis.model
    ends = [utterance.end_s for utterance in analysis.utterances]
    return {
        # at least 1 s, because a recording of unknown length needs a time axis too
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
        "ranges": {
            "sentiment": list(model.range_of(SENTIMENT_INTENSITY)),
            "emotion": list(model.range_of(EMOTION_INTENSITY)),
        },
        "emotions": list(emotion_names(analysis)),
        "notes": list(analysis.notes),
        "utterances": [_utterance_data(utterance) for utterance in analysis.utterances],
        "attention": [
            {"asks": name.split(ARROW)[0], "on": name.split(ARROW)[1], "rows": [_rounded_list(row) for row in weights]}
            for name, weights in analysis.attention.items()
        ],
        "tracks": [_track_data(track) for track in analysis.tracks],
    }


def thinned(times_s: FloatArray, values: FloatArray, max_points: int) -> tuple[FloatArray, FloatArray]:
    """Average neighbouring samples so that at most `max_points` remain.

    Args:
        times_s: Times (time,) in seconds, ascending.
        values: Measured values (time,), NaN where nothing was measured.
        max_points: Largest number of points, at least 1.

    Returns:
        Times and values, each (point,). Every point is the mean of a group of neighbouring samples. Its value is NaN if
        the group has no measured value. Arrays with at most `max_points` samples are returned unchanged.
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


def _utterance_data(utterance: UtteranceAnalysis) -> dict[str, Any]:
    sentiment = utterance.sentiment
    return {
        "index": int(utterance.index),
        "start": round(float(utterance.start_s), 3),
        "end": round(max(float(utterance.end_s), float(utterance.start_s)), 3),
        "text": utterance.transcript,
        "sentiment": None if sentiment is None else [sentiment.label, _rounded_number(sentiment.probability)],
        "classes": {}
        if sentiment is None
        else {name: _rounded_number(value) for name, value in sentiment.probabilities.items()},
        "further": further_summary(utterance),
        "emotions": {name: _rounded_number(value) for name, value in utterance.emotions.items()},
        "labels": list(utterance.labels),
        "missing": [[modality, reason] for modality, reason in utterance.missing.items()],
        "speaker": utterance.speaker,
        "notJudged": utterance.not_judged,
        "contributions": {
            modality: {name: _rounded_number(value) for name, value in changes.items()}
            for modality, changes in utterance.contributions.items()
        },
        "degree": None if utterance.sentiment_intensity is None else _rounded_number(utterance.sentiment_intensity),
        "degrees": {name: _rounded_number(value) for name, value in utterance.emotion_intensities.items()},
    }


def _track_data(track: Track) -> dict[str, Any]:
    times_s, values = thinned(track.times_s, track.values, MAX_TRACK_POINTS)
    return {
        "name": track.name,
        "unit": track.unit,
        "source": track.source.value,
        "used": bool(track.used_by_model),
        "note": track.note,
        "axis": None if track.axis is None else [float(end) for end in track.axis],
        "t": [round(time, 3) for time in np.asarray(times_s, dtype=np.float64).tolist()],
        "v": _rounded_list(values),
    }


def _rounded_number(value: float) -> float:
    return round(float(value), DECIMALS)


def _rounded_list(values: FloatArray) -> list[float | None]:
    return [
        round(value, DECIMALS) if np.isfinite(value) else None
        for value in np.asarray(values, dtype=np.float64).tolist()
    ]
