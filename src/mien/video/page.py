"""`report.html`: one file that opens from disk, offline. Script and style come built from `web-src/`.

Everything that comes from a recording travels as JSON inside a data block and reaches the page as text, never as
markup; the content security policy allows the two built-in pieces by their hash and no request but the video's.

What the page's script reads: the analysis with rounded numbers and tracks thinned to what a screen can show.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from mien.schema import FloatArray
from mien.video.analysis import ARROW, Analysis, Track, UtteranceAnalysis, emotion_names

BYTES_PER_MB = 1_000_000
# The page is put together in memory, several times the size of a video inside it, and browsers refuse larger addresses.
MOST_EMBEDDED_MB = 100.0
# What a browser needs to know of a video that stands inside the page.
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
PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How the page is written."""

    # A video up to this size stands inside the page, so that one file can be sent; a larger one stays a file and is
    # found by its path relative to the page. 0: never inside; never more than MOST_EMBEDDED_MB.
    embed_video_up_to_mb: float = 0.0


def page(analysis: Analysis, folder: Path, settings: PageSettings | None = None) -> str:
    """The page's HTML.

    Args:
        analysis: what to show.
        folder: where the page will stand; the video's address is relative to it.
        settings: how to write it; the defaults if None.
    """
    script, style = _asset("report.js"), _asset("report.css")
    settings = settings or PageSettings()
    address = video_address(analysis.video.path, folder, settings)
    note = _too_large(analysis.video.path, settings)
    if note:
        analysis = dataclasses.replace(analysis, notes=(*analysis.notes, note))
    parts = {
        "title": html.escape(analysis.video.name),
        "policy": html.escape(content_policy(script, style)),
        # they stand in a comment, which two dashes would end
        "notices": _asset("LICENSES.txt").replace("--", "- -"),
        "style": style,
        "script": script,
        "data": _data_block(
            json.dumps(page_data(analysis), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        ),
        "video": f'src="{html.escape(address)}"' if address else "",
    }
    # one pass, so that what is filled in is never searched for places itself
    return PLACE.sub(lambda place: parts[place[1]], _asset("page.html"))


def content_policy(script: str, style: str) -> str:
    """Allow exactly this script and this style, a video beside the page or inside it, and nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "media-src 'self' file: data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def video_address(video: Path | None, folder: Path, settings: PageSettings) -> str:
    """The player's source: a data address, an address relative to `folder`, or "" without a video."""
    if video is None:
        return ""
    size_mb = _size_mb(video)
    if size_mb is not None and size_mb <= min(settings.embed_video_up_to_mb, MOST_EMBEDDED_MB):
        kind = MEDIA_TYPES.get(video.suffix.lower(), "video/mp4")
        return f"data:{kind};base64,{base64.b64encode(video.read_bytes()).decode('ascii')}"
    try:
        relative = os.path.relpath(video.resolve(), folder.resolve())
    except ValueError:  # another drive
        return video.resolve().as_uri()
    # "./" keeps a name with a colon from being read as a scheme
    return "./" + quote(Path(relative).as_posix())


def _size_mb(video: Path) -> float | None:
    """None if it is not there: the page says so, and lets the reader choose the file."""
    try:
        return video.stat().st_size / BYTES_PER_MB
    except OSError:
        return None


def _too_large(video: Path | None, settings: PageSettings) -> str:
    """What to say where a video should stand inside the page and cannot; else empty."""
    size_mb = None if video is None else _size_mb(video)
    if size_mb is None or not MOST_EMBEDDED_MB < size_mb <= settings.embed_video_up_to_mb:
        return ""
    return (
        f"the video ({size_mb:,.0f} MB) is too large to stand inside this page (at most {MOST_EMBEDDED_MB:,.0f} MB) "
        "and stays a file of its own: move both together"
    )


def _asset(name: str) -> str:
    return resources.files("mien.video").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _data_block(text: str) -> str:
    """JSON in which nothing can end the element it stands in, nor start another."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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
