"""Measurements of a recording that precede the prediction: its utterances, the faces in its frames, and its voice.

The measurements do not depend on each other, so a task pool runs them in parallel. The tracks of voice and face that
the report shows are also made here. They do not depend on the predictions of the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mien.engine.threads import TaskPool
from mien.features.acoustic.pitch import frame_times_s, high_passed, prediction_residual, track_pitch
from mien.features.extractors import load_visual_extractor
from mien.features.visual.face import FRAME_COLUMNS
from mien.media.clips import Clips, MediaSettings, clips_of
from mien.media.container import probe
from mien.media.decode import AUDIO_RATE_HZ, audio_chunks
from mien.media.recognition import load_recognizer
from mien.media.subtitles import subtitles_of
from mien.schema import FloatArray
from mien.video.analysis import Track, TrackSource
from mien.video.featurise import FaceFrames, observe_frames
from mien.video.page import FACE_PRESENT, thinned
from mien.video.progress import ProgressMeter, Stage

# Name of the extractor that measures the face tracks. The model may use another visual extractor.
FACE = "face"
# the task that recognises speech
LISTENING = (Stage.LISTENING, "")
# Sound is measured in stretches of this length, so that memory use does not grow with the recording.
STRETCH_S = 10.0
# A shorter remainder at the end has too few periods to track the pitch.
SHORTEST_STRETCH_S = 0.5
LOUDNESS_STEP_S = 0.1
QUIETEST_DB = -80.0
# Every tenth of the 100 pitch frames per second is shown.
PITCH_EVERY = 10
# In longer tracks, neighbouring points are averaged to limit the size of the outputs. At 10 points per second, this
# number is reached after 33 minutes.
MOST_TRACK_POINTS = 20_000
# column of the face extractor's frames -> name of its track
FACE_SHOWN = {
    "mouth_open_inner": "mouth opening",
    "mouth_corner_height_left": "left mouth corner height",
    "brow_inner_height_left": "left inner brow height",
}


@dataclass(frozen=True)
class MeasurementSettings:
    """Settings of the measurements, the same for every recording.

    Attributes:
        subtitles: File with transcripts and times, or folder with one file per recording. If it is None, speech is
            recognised.
        media: Settings for dividing a media file into utterances.
        tracks: Whether to measure voice and face for the report.
        model_sees: Name of the model's visual extractor; empty if it has none.
        names_subtitles_beside: Whether the notes name a subtitle file that lies beside a recording and was not read.
    """

    subtitles: Path | None
    media: MediaSettings
    tracks: bool
    model_sees: str = ""
    names_subtitles_beside: bool = False

    @property
    def audio_track(self) -> int | None:
        """Number of the sound track that is heard, from 1; None: it is chosen."""
        return self.media.speech.audio_track


@dataclass(frozen=True)
class RecordingMeasurements:
    """The measurements of one recording, finished or in progress.

    Attributes:
        settings: Settings of the measurements.
        clips: The utterances of the recording.
        seen: Vectors that each visual extractor makes of the frames, by the name of the extractor.
        voice: Tracks of the voice. If it is None, the report shows no tracks.
    """

    settings: MeasurementSettings
    clips: Future[Clips]
    seen: Mapping[str, Future[FaceFrames]]
    voice: Future[tuple[Track, ...]] | None

    def model_saw(self) -> FaceFrames | None:
        """Wait for and return the vectors of the model's visual extractor; None if the model does not use the face."""
        name = self.settings.model_sees
        return self.seen[name].result() if name else None

    def tracks(self) -> tuple[Track, ...]:
        """Wait for the tracks of voice and face, and return them. The tuple is empty if the settings exclude tracks."""
        if self.voice is None:
            return ()
        return (
            *self.voice.result(),
            *face_tracks(self.seen[FACE].result(), used_by_model=self.settings.model_sees == FACE),
        )

    def cancel(self) -> None:
        """Cancel the measurements that have not started."""
        for measuring in (self.clips, *self.seen.values(), self.voice):
            if measuring is not None:
                measuring.cancel()


class MeasurementPool:
    """Measures recordings on a task pool, with a speech recogniser and extractors that are loaded once."""

    def __init__(self, pool: TaskPool, settings: MeasurementSettings, meter: ProgressMeter | None = None) -> None:
        self._pool = pool
        self._meter = meter
        self._settings = settings
        speech, names = settings.media.speech, {settings.model_sees, FACE if settings.tracks else ""} - {""}
        recognizes = settings.subtitles is None
        self._recognizer = pool.submit_loading(partial(load_recognizer, speech)) if recognizes else None
        self._extractors = {name: pool.submit_loading(partial(load_visual_extractor, name)) for name in sorted(names)}

    def require_loaded(self) -> None:
        """Wait until the recogniser and the extractors are loaded. Raise their errors, such as MissingWeightsError."""
        for loading in (self._recognizer, *self._extractors.values()):
            if loading is not None:
                loading.result()

    def observe(self, path: Path) -> RecordingMeasurements:
        """Start the measurements of a recording on the pool, the slowest first, and return without waiting for them."""
        submit, check = self._pool.submit, self._pool.check
        measuring_voice = partial(voice_tracks, path, check, self._settings.audio_track)
        if self._meter is not None:
            listening = [] if self._recognizer is None else [LISTENING]
            self._meter.expect(path, [*listening, *((Stage.WATCHING, name) for name in self._extractors)])
        return RecordingMeasurements(
            self._settings,
            clips=submit(partial(self._recording_clips, path)),
            seen={name: submit(partial(self._observe_frames, path, name)) for name in self._extractors},
            voice=submit(measuring_voice) if self._settings.tracks else None,
        )

    def _recording_clips(self, path: Path) -> Clips:
        recognizer = None if self._recognizer is None else self._recognizer.result()
        settings = self._settings
        on_progress = self._progress_of(path, LISTENING)
        subtitles = None if settings.subtitles is None else subtitles_of(path, settings.subtitles)
        clips = clips_of(path, subtitles, settings.media, recognizer=recognizer, on_progress=on_progress)
        if self._meter is not None and recognizer is not None:
            self._meter.measure(path, LISTENING, 1.0)
        return clips

    def _observe_frames(self, path: Path, name: str) -> FaceFrames:
        task = (Stage.WATCHING, name)
        frames = observe_frames(path, self._extractors[name].result(), self._progress_of(path, task))
        if self._meter is not None:
            self._meter.measure(path, task, 1.0)
        return frames

    def _progress_of(self, path: Path, task: tuple[Stage, str]) -> Callable[[float], None]:
        """Return a function that takes the processed seconds of a recording. It raises CancelledError to stop."""
        measure = None if self._meter is None else self._meter.in_seconds(path, task)

        def report(seconds: float) -> None:
            self._pool.check()
            if measure is not None:
                measure(seconds)

        return report


def voice_tracks(path: Path, check: Callable[[], None], audio_track: int | None = None) -> tuple[Track, ...]:
    """Measure the loudness and the pitch of the voice every 0.1 s.

    Args:
        path: The media file.
        check: Function that is called before each piece of sound and may raise an error to stop the measurement.
        audio_track: Number of the sound track, from 1; None chooses it.

    Returns:
        A track of the loudness in dB relative to full scale, and a track of the pitch in Hz. The pitch is NaN where
        there is no voice. A file without sound has no tracks. A recording of less than 0.5 s has no pitch track.
    """
    if not probe(path).has_audio:
        return ()
    times_s, levels_db, pitch_times_s, pitch_hz = [], [], [], []
    step = round(LOUDNESS_STEP_S * AUDIO_RATE_HZ)
    for chunk in audio_chunks(path, AUDIO_RATE_HZ, chunk_s=STRETCH_S, track=audio_track):
        check()
        windows = chunk.samples[: len(chunk.samples) // step * step].reshape(-1, step).astype(np.float64)
        power = np.maximum((windows**2).mean(axis=1), 10 ** (QUIETEST_DB / 10))
        times_s.append(chunk.start_s + (np.arange(len(power)) + 0.5) * LOUDNESS_STEP_S)
        levels_db.append(10 * np.log10(power))
        if len(chunk.samples) >= SHORTEST_STRETCH_S * AUDIO_RATE_HZ:
            voice_s, voice_hz = _voice_pitch(chunk.samples)
            pitch_times_s.append(chunk.start_s + voice_s)
            pitch_hz.append(voice_hz)
    tracks = [
        Track(
            "loudness",
            "dB",
            TrackSource.VOICE,
            _concatenated(times_s),
            _concatenated(levels_db),
            note="level of the sound",
        )
    ]
    if pitch_hz:
        note = "fundamental frequency where there is a voice"
        tracks.append(
            Track("pitch", "Hz", TrackSource.VOICE, _concatenated(pitch_times_s), _concatenated(pitch_hz), note=note)
        )
    return tuple(map(bounded, tracks))


def face_tracks(seen: FaceFrames, *, used_by_model: bool) -> tuple[Track, ...]:
    """Make the tracks of the face: whether a face is present, and the measures of the face listed in `FACE_SHOWN`.

    Args:
        seen: Vectors that the extractor `face` made of the frames.
        used_by_model: Whether the model uses these vectors as input. Each track stores this.

    Returns:
        The tracks, or an empty tuple if there are no frames.
    """
    if not len(seen.times_s):
        return ()
    present: FloatArray = np.asarray(~np.isnan(seen.vectors).any(axis=1), dtype=np.float64)
    note = "the main face is found"
    tracks = [Track(FACE_PRESENT, "", TrackSource.FACE, seen.times_s, present, used_by_model, note, (0.0, 1.0))]
    for column, name in FACE_SHOWN.items():
        values = seen.vectors[:, FRAME_COLUMNS.index(column)].astype(np.float64)
        note = "relative to the size of the face"
        tracks.append(Track(name, "", TrackSource.FACE, seen.times_s, values, used_by_model, note))
    return tuple(map(bounded, tracks))


def bounded(track: Track, max_points: int = MOST_TRACK_POINTS) -> Track:
    """Reduce a track with too many points to means of neighbouring points, and mention this in the track's note.

    Args:
        track: A track of any length.
        max_points: Largest number of points of the result, at least 1.

    Returns:
        The track itself if it is short enough, else the reduced one.
    """
    if len(track.times_s) <= max_points:
        return track
    n_points = len(track.times_s)
    step_s = float(track.times_s[-1] - track.times_s[0]) / (n_points - 1) * n_points / max_points
    times_s, values = thinned(track.times_s, track.values, max_points)
    note = f"{track.note}; means over {step_s:.2g} s, because the film is long"
    return dataclasses.replace(track, times_s=times_s, values=values, note=note)


def _voice_pitch(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the pitch of a voice as the extractor `covarep-like-74` does.

    Args:
        samples: Sound (sample,).

    Returns:
        Times in seconds and fundamental frequency in Hz, each (point,). The frequency is NaN where there is no voice.
    """
    signal = high_passed(np.asarray(samples, dtype=np.float64))
    pitch = track_pitch(signal, prediction_residual(signal))
    f0_hz = np.where(pitch.voiced, pitch.f0_hz, np.nan).astype(np.float32)
    return frame_times_s(len(f0_hz))[::PITCH_EVERY], f0_hz[::PITCH_EVERY]


def _concatenated(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)
