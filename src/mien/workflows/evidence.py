"""Tracks of voice and face for the report: measured, and plainly apart from what a model predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.features.covarep_like import COLUMNS, frame_features
from mien.features.face import FRAME_COLUMNS
from mien.media import AUDIO_RATE_HZ, audio_chunks, probe
from mien.reports import Source, Track
from mien.schema import FloatArray

# Sound is measured in stretches of this length, so that memory does not grow with the film.
STRETCH_S = 10.0
LOUDNESS_STEP_S = 0.1
QUIETEST_DB = -80.0
FACE_SHOWN = {
    "mouth_open_inner": "mouth opening",
    "mouth_corner_height_left": "left mouth corner height",
    "brow_inner_height_left": "left inner brow height",
}


def voice_tracks(path: Path) -> tuple[Track, ...]:
    """Loudness in dB below full scale every 0.1 s, and the pitch of the voice in Hz; nothing for a silent film."""
    if not probe(path).has_audio:
        return ()
    times_s, levels_db, pitch_times_s, pitch_hz = [], [], [], []
    step = round(LOUDNESS_STEP_S * AUDIO_RATE_HZ)
    f0, voiced = COLUMNS.index("F0"), COLUMNS.index("VUV")
    for chunk in audio_chunks(path, AUDIO_RATE_HZ, chunk_s=STRETCH_S):
        whole = chunk.samples[: len(chunk.samples) // step * step].reshape(-1, step).astype(np.float64)
        power = np.maximum((whole**2).mean(axis=1), 10 ** (QUIETEST_DB / 10))
        times_s.append(chunk.start_s + (np.arange(len(power)) + 0.5) * LOUDNESS_STEP_S)
        levels_db.append(10 * np.log10(power))
        if len(chunk.samples) >= AUDIO_RATE_HZ // 2:
            frame_times_s, values = frame_features(chunk.samples)
            keep = slice(None, None, 10)
            pitch_times_s.append(chunk.start_s + frame_times_s[keep])
            pitch_hz.append(np.where(values[keep, voiced] > 0, values[keep, f0], np.nan))
    tracks = [Track("loudness", "dB", Source.VOICE, _joined(times_s), _joined(levels_db), note="level of the sound")]
    if pitch_hz:
        note = "fundamental frequency where there is a voice"
        tracks.append(Track("pitch", "Hz", Source.VOICE, _joined(pitch_times_s), _joined(pitch_hz), note=note))
    return tuple(tracks)


def face_tracks(times_s: FloatArray, vectors: FloatArray, *, used_by_model: bool) -> tuple[Track, ...]:
    """Whether a face is seen, and a few of its measures, from the frames of the `face` extractor."""
    if not len(times_s):
        return ()
    present: FloatArray = np.asarray(~np.isnan(vectors).any(axis=1), dtype=np.float64)
    tracks = [
        Track("face present", "", Source.FACE, times_s, present, used_by_model, "the main face is found", (0.0, 1.0))
    ]
    for column, name in FACE_SHOWN.items():
        values = vectors[:, FRAME_COLUMNS.index(column)].astype(np.float64)
        note = "relative to the size of the face"
        tracks.append(Track(name, "", Source.FACE, times_s, values, used_by_model, note))
    return tuple(tracks)


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)
