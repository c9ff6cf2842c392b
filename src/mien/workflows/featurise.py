"""One raw video and its clips -> a Video with features, and the tracks measured on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.errors import FeatureSpaceError
from mien.features import (
    AcousticExtractor,
    TextExtractor,
    VisualExtractor,
    load_acoustic_extractor,
    load_text_extractor,
    load_visual_extractor,
)
from mien.features.visual import frame_matrix, pool
from mien.media import frames, probe, read_audio
from mien.schema import Clip, FeatureSpace, FloatArray, Level, Modality, Utterance, Video
from mien.tables import require_spaces

NO_TEXT = "nothing was understood"
NO_SOUND = "the file has no sound"
NO_PICTURE = "the file has no picture"


@dataclass(frozen=True)
class Extractors:
    """At most one loaded extractor per modality."""

    text: TextExtractor | None = None
    acoustic: AcousticExtractor | None = None
    visual: VisualExtractor | None = None

    @property
    def spaces(self) -> dict[Modality, FeatureSpace]:
        """What their utterance vectors are; word vectors are not kept."""
        loaded = {Modality.TEXT: self.text, Modality.ACOUSTIC: self.acoustic, Modality.VISUAL: self.visual}
        return {
            modality: dataclasses.replace(each.space, level=Level.UTTERANCE)
            for modality, each in loaded.items()
            if each is not None
        }


@dataclass
class Featurised:
    """One video with its features."""

    video: Video
    # utterance index -> modality -> why it is missing
    missing: dict[int, dict[Modality, str]]
    # visual frames: (frame,) and (frame, feature), NaN without a face; empty without a visual extractor
    frame_times_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    frame_vectors: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))


def load_extractors(names: Mapping[Modality, str]) -> Extractors:
    """Load the named extractors. Raises UnknownNameError, MissingExtraError, MissingWeightsError."""
    return Extractors(
        text=load_text_extractor(names[Modality.TEXT]) if Modality.TEXT in names else None,
        acoustic=load_acoustic_extractor(names[Modality.ACOUSTIC]) if Modality.ACOUSTIC in names else None,
        visual=load_visual_extractor(names[Modality.VISUAL]) if Modality.VISUAL in names else None,
    )


def extractors_for(spaces: Mapping[Modality, FeatureSpace]) -> Extractors:
    """The extractors whose vectors a model was trained on, by the names in its spaces.

    Raises FeatureSpaceError when a space cannot be had from raw video, or today's extractor gives another one.
    """
    known = {space.name for space in spaces.values()}
    try:
        extractors = load_extractors({modality: space.name for modality, space in spaces.items()})
    except LookupError as error:
        raise FeatureSpaceError(
            f"Expected features that can be made from raw video, but got {', '.join(sorted(known))}: {error}"
        ) from error
    require_spaces(spaces, extractors.spaces)
    return extractors


def featurise(path: Path, video_id: str, clips: Sequence[Clip], extractors: Extractors) -> Featurised:
    """Extract every modality of every clip; what cannot be had is missing, with its reason.

    Raises DataError if the file is no media file.
    """
    facts = probe(path)
    utterances = [
        Utterance(index=clip.index, start_s=clip.start_s, end_s=clip.end_s, transcript=clip.transcript)
        for clip in clips
    ]
    result = Featurised(Video(video_id, utterances), {clip.index: {} for clip in clips})
    if extractors.text is not None:
        _add_text(result, extractors.text)
    if extractors.acoustic is not None:
        _add_voice(result, path, clips, extractors.acoustic, has_audio=facts.has_audio)
    if extractors.visual is not None:
        _add_face(result, path, clips, extractors.visual, has_video=facts.has_video)
    return result


def _add_text(result: Featurised, extractor: TextExtractor) -> None:
    vectors, present = extractor.utterance_vectors([each.transcript for each in result.video.utterances])
    for utterance, vector, here in zip(result.video.utterances, vectors, present, strict=True):
        if here:
            utterance.features[Modality.TEXT] = vector
        else:
            result.missing[utterance.index][Modality.TEXT] = NO_TEXT


def _add_voice(
    result: Featurised, path: Path, clips: Sequence[Clip], extractor: AcousticExtractor, *, has_audio: bool
) -> None:
    for clip, utterance in zip(clips, result.video.utterances, strict=True):
        if not has_audio:
            result.missing[clip.index][Modality.ACOUSTIC] = NO_SOUND
            continue
        samples = read_audio(path, clip.start_s, clip.end_s, extractor.rate_hz)
        vector = extractor.utterance_vector(samples)
        if vector is None:
            reason = extractor.why_missing(samples) or "no vector"
            result.missing[clip.index][Modality.ACOUSTIC] = reason
        else:
            utterance.features[Modality.ACOUSTIC] = vector


def _add_face(
    result: Featurised, path: Path, clips: Sequence[Clip], extractor: VisualExtractor, *, has_video: bool
) -> None:
    if not has_video:
        for clip in clips:
            result.missing[clip.index][Modality.VISUAL] = NO_PICTURE
        return
    result.frame_times_s, result.frame_vectors = watch(path, extractor)
    for clip, utterance in zip(clips, result.video.utterances, strict=True):
        pooled = pool(result.frame_times_s, result.frame_vectors, clip.start_s, clip.end_s)
        if pooled.vector is None:
            result.missing[clip.index][Modality.VISUAL] = pooled.reason
        else:
            utterance.features[Modality.VISUAL] = pooled.vector


def watch(path: Path, extractor: VisualExtractor) -> tuple[FloatArray, FloatArray]:
    """Every sampled frame's time (frame,) and vector (frame, feature), NaN without a face."""
    watcher = extractor.start()
    times_s, seen = [], []
    for frame in frames(path, extractor.rate_hz):
        times_s.append(frame.time_s)
        seen.append(watcher.see(frame.time_s, frame.image))
    return np.array(times_s), frame_matrix(seen, extractor.word_space.n_features)
