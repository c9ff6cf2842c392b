"""Tracks of voice and face for the report: measured, and plainly apart from what a model predicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.features.face import FRAME_COLUMNS
from mien.features.voice_frames import frame_times_s, high_passed
from mien.features.voice_pitch import prediction_residual, track_pitch
from mien.media import AUDIO_RATE_HZ, audio_chunks, probe
from mien.reports import Source, Track
from mien.reports.page_data import thinned
from mien.schema import FloatArray
from mien.workflows.watching import Seen

# Sound is measured in stretches of this length, so that memory does not grow with the film.
STRETCH_S = 10.0
# a shorter rest at the end has too few periods for a pitch
SHORTEST_STRETCH_S = 0.5
LOUDNESS_STEP_S = 0.1
QUIETEST_DB = -80.0
# of the 100 frames a second, every tenth is shown
PITCH_EVERY = 10
# Longer tracks become means of neighbours, so that the files of a six-hour film stay small: 33 minutes at 10 a second.
MOST_TRACK_POINTS = 20_000
FACE_SHOWN = {
    "mouth_open_inner": "mouth opening",
    "mouth_corner_height_left": "left mouth corner height",
    "brow_inner_height_left": "left inner brow height",
}


def voice_tracks(path: Path, check: Callable[[], None] | None = None) -> tuple[Track, ...]:
    """Loudness in dB below full scale and the pitch of the voice in Hz, every 0.1 s; nothing for a silent film.

    `check` is called for every stretch and may stop the measuring by raising.
    """
    if not probe(path).has_audio:
        return ()
    times_s, levels_db, pitch_times_s, pitch_hz = [], [], [], []
    step = round(LOUDNESS_STEP_S * AUDIO_RATE_HZ)
    for chunk in audio_chunks(path, AUDIO_RATE_HZ, chunk_s=STRETCH_S):
        if check is not None:
            check()
        whole = chunk.samples[: len(chunk.samples) // step * step].reshape(-1, step).astype(np.float64)
        power = np.maximum((whole**2).mean(axis=1), 10 ** (QUIETEST_DB / 10))
        times_s.append(chunk.start_s + (np.arange(len(power)) + 0.5) * LOUDNESS_STEP_S)
        levels_db.append(10 * np.log10(power))
        if len(chunk.samples) >= SHORTEST_STRETCH_S * AUDIO_RATE_HZ:
            heard_s, heard_hz = _pitch(chunk.samples)
            pitch_times_s.append(chunk.start_s + heard_s)
            pitch_hz.append(heard_hz)
    tracks = [Track("loudness", "dB", Source.VOICE, _joined(times_s), _joined(levels_db), note="level of the sound")]
    if pitch_hz:
        note = "fundamental frequency where there is a voice"
        tracks.append(Track("pitch", "Hz", Source.VOICE, _joined(pitch_times_s), _joined(pitch_hz), note=note))
    return tuple(map(bounded, tracks))


def face_tracks(seen: Seen, *, used_by_model: bool) -> tuple[Track, ...]:
    """Whether a face is seen, and a few of its measures, from the frames of the `face` extractor."""
    if not len(seen.times_s):
        return ()
    present: FloatArray = np.asarray(~np.isnan(seen.vectors).any(axis=1), dtype=np.float64)
    note = "the main face is found"
    tracks = [Track("face present", "", Source.FACE, seen.times_s, present, used_by_model, note, (0.0, 1.0))]
    for column, name in FACE_SHOWN.items():
        values = seen.vectors[:, FRAME_COLUMNS.index(column)].astype(np.float64)
        note = "relative to the size of the face"
        tracks.append(Track(name, "", Source.FACE, seen.times_s, values, used_by_model, note))
    return tuple(map(bounded, tracks))


def bounded(track: Track, max_points: int = MOST_TRACK_POINTS) -> Track:
    """The track itself, or means of its neighbouring points where it has too many; its note then says so."""
    if len(track.times_s) <= max_points:
        return track
    n_points = len(track.times_s)
    step_s = float(track.times_s[-1] - track.times_s[0]) / (n_points - 1) * n_points / max_points
    times_s, values = thinned(track.times_s, track.values, max_points)
    note = f"{track.note}; means over {step_s:.2g} s, because the film is long"
    return dataclasses.replace(track, times_s=times_s, values=values, note=note)


def _pitch(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Times and F0 in Hz (point,), NaN without a voice: as `covarep-like-74` has it, without the rest."""
    signal = high_passed(np.asarray(samples, dtype=np.float64))
    pitch = track_pitch(signal, prediction_residual(signal))
    f0_hz = np.where(pitch.voiced, pitch.f0_hz, np.nan).astype(np.float32)
    return frame_times_s(len(f0_hz))[::PITCH_EVERY], f0_hz[::PITCH_EVERY]


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)
