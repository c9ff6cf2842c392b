"""Extract the features of one raw video and its clips.

At utterance level, an extractor makes one vector per utterance. At word level, it makes one vector per spoken word, and
the utterance's vector is the mean of its words' vectors, as in the paper.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.errors import FeatureSpaceError, UnknownNameError, UsageError
from mien.features.acoustic.base import AcousticExtractor, word_then_average
from mien.features.extractors import (
    EXTRACTORS,
    load_acoustic_extractor,
    load_text_extractor,
    load_visual_extractor,
)
from mien.features.text.base import TextExtractor, describe_words
from mien.features.text.transcript import TRANSCRIPT, load_transcript
from mien.features.visual.base import FaceObservation, VisualExtractor, average_words, frame_matrix, pool, pool_words
from mien.media.container import MediaFacts, probe
from mien.media.decode import frames, read_audio
from mien.media.word_times import timed_words
from mien.schema import BoolArray, Clip, FeatureSpace, FloatArray, Level, Modality, TimedWord, Utterance, Video
from mien.storage.runs import require_spaces

NO_TEXT = "nothing was understood"
NO_KNOWN_WORD = "no word that the extractor knows"
NO_SOUND = "the file has no sound"
NO_PICTURE = "the file has no picture"
BEYOND_THE_END = "begins after the end of the file"
# Frames are converted to one array per block of this size, because one object per frame needs much memory.
BLOCK_FRAMES = 512

# utterance index -> its spoken words
_Words = Mapping[int, Sequence[TimedWord]]


@dataclass(frozen=True)
class LoadedExtractors:
    """At most one loaded extractor per modality, all used at the same level (utterances or words).

    Raises UsageError if the level is WORD and an extractor cannot make vectors of single words.
    """

    text: TextExtractor | None = None
    acoustic: AcousticExtractor | None = None
    visual: VisualExtractor | None = None
    level: Level = Level.UTTERANCE

    def __post_init__(self) -> None:
        spaces = self.spaces
        for modality, space in self._utterance_spaces().items():
            if modality not in spaces:
                remedy = {Modality.TEXT: "take glove-6b-50d or glove:FILE", Modality.ACOUSTIC: "take covarep-like-74"}
                raise UsageError(
                    f"Expected a {modality} extractor that describes single words for the level word, but got "
                    f"{space.name}; {remedy.get(modality, 'take another')}, or the level utterance"
                )

    @property
    def spaces(self) -> dict[Modality, FeatureSpace]:
        """Feature space of each modality that has an extractor, for vectors of the chosen level."""
        if self.level is Level.UTTERANCE:
            return self._utterance_spaces()
        spaces = {modality: each.word_space for modality, each in self._loaded().items()}
        return {modality: space for modality, space in spaces.items() if space is not None}

    @property
    def need_word_times(self) -> bool:
        """Whether the features depend on word times, which is the case for acoustic and visual vectors of words."""
        return self.level is Level.WORD and not (self.acoustic is None and self.visual is None)

    def _utterance_spaces(self) -> dict[Modality, FeatureSpace]:
        return {modality: each.space for modality, each in self._loaded().items()}

    def _loaded(self) -> dict[Modality, TextExtractor | AcousticExtractor | VisualExtractor]:
        named = {Modality.TEXT: self.text, Modality.ACOUSTIC: self.acoustic, Modality.VISUAL: self.visual}
        return {modality: extractor for modality, extractor in named.items() if extractor is not None}


@dataclass
class ClipFeatures:
    """One video with the features of its utterances.

    Attributes:
        video: The video with its features.
        missing: Reasons for missing features, by utterance index and modality.
        notes: Messages about estimated values, and how often each applies.
    """

    video: Video
    missing: dict[int, dict[Modality, str]]
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class FaceFrames:
    """Vectors that a visual extractor computed from the sampled frames of a video.

    Attributes:
        times_s: Times of the frames (frame,) in seconds, ascending.
        vectors: Vectors (frame, feature) float32, NaN for a frame without a usable face.
    """

    times_s: FloatArray
    vectors: FloatArray


def load_extractors(names: Mapping[Modality, str], level: Level = Level.UTTERANCE) -> LoadedExtractors:
    """Load the named extractors.

    Args:
        names: Modality -> name of the extractor. A modality that is left out gets no extractor.
        level: With UTTERANCE, each utterance gets one vector. With WORD, each word gets a vector, and the vector of an
            utterance is the mean over its words.

    Returns:
        The loaded extractors.

    Raises:
        UnknownNameError: A name belongs to no extractor.
        UsageError: The level is WORD, and an extractor cannot make vectors of single words.
        MissingExtraError: An optional dependency of an extractor (an extra of the package) is not installed.
        MissingWeightsError: Weights that an extractor needs are missing.
    """
    return LoadedExtractors(
        text=load_text_extractor(names[Modality.TEXT]) if Modality.TEXT in names else None,
        acoustic=load_acoustic_extractor(names[Modality.ACOUSTIC]) if Modality.ACOUSTIC in names else None,
        visual=load_visual_extractor(names[Modality.VISUAL]) if Modality.VISUAL in names else None,
        level=level,
    )


def require_extractors(spaces: Mapping[Modality, FeatureSpace]) -> None:
    """Check by name that the feature spaces of a model have extractors. Nothing is loaded.

    Raises FeatureSpaceError if a space has no extractor for raw video.
    """
    for modality, space in spaces.items():
        name = space.name.partition(":")[0]
        if name != TRANSCRIPT and name not in EXTRACTORS[modality]:
            known = ", ".join(sorted(each.name for each in spaces.values()))
            raise FeatureSpaceError(
                f"Expected a model of features that can be made from raw video, but got one of {known}: "
                f"{UnknownNameError(f'{modality.value} extractor', name, EXTRACTORS[modality])}"
            )


def extractors_for(spaces: Mapping[Modality, FeatureSpace]) -> LoadedExtractors:
    """Load the extractors that produce the feature spaces of a model.

    The level of the extractors (utterances or words) is chosen to match these spaces.

    Raises FeatureSpaceError if a space has no extractor for raw video, or if the installed extractor produces a
    different space.
    """
    require_extractors(spaces)
    names = {modality: space.name for modality, space in spaces.items() if space.name != TRANSCRIPT}
    extractors = load_extractors(names)
    if len(names) < len(spaces):
        extractors = dataclasses.replace(extractors, text=load_transcript())
    # Choose the level at which more feature spaces match. The `level` of the spaces cannot decide: an imported Dataset
    # may have word vectors although its utterance vectors are not their mean.
    try:
        by_word = dataclasses.replace(extractors, level=Level.WORD)
    except UsageError:  # an extractor has no vectors of words
        by_word = extractors
    extractors = max(extractors, by_word, key=lambda each: _n_equal_spaces(each.spaces, spaces))
    require_spaces(spaces, extractors.spaces)
    return extractors


def featurise(
    path: Path,
    video_id: str,
    clips: Sequence[Clip],
    extractors: LoadedExtractors,
    seen: FaceFrames | None = None,
    audio_track: int | None = None,
    *,
    on_voice: Callable[[float], None] | None = None,
) -> ClipFeatures:
    """Extract the features of every utterance in every modality that has an extractor.

    If word times are needed but a clip has none, they are estimated by spreading the words over the clip. A clip that
    may not be judged (`Clip.not_judged`) gets no features.

    Args:
        path: The media file.
        video_id: Id of the resulting video.
        clips: The utterances of the video, each with start and end in seconds, a transcript and perhaps word times.
        extractors: Loaded extractors, which determine the modalities and the level.
        seen: Result of `observe_frames` for the same file and visual extractor. If it is None, the frames are observed
            now.
        audio_track: Number of the sound track, from 1; None chooses it, see `mien.media.sound.choose_sound`.
        on_voice: Function that is called with the share of the utterances whose voice has been measured.

    Returns:
        The video with its features, the reason for each missing feature vector, and counts of estimated word times.

    Raises:
        DataError: The file is not a media file.
    """
    facts = probe(path)
    utterances = [
        Utterance(clip.index, clip.start_s, clip.end_s, transcript=clip.transcript, speaker=clip.speaker)
        for clip in clips
    ]
    result = ClipFeatures(Video(video_id, utterances), {clip.index: {} for clip in clips})
    words: _Words | None = None
    if extractors.level is Level.WORD:
        notes = result.notes if extractors.need_word_times else None
        words = {clip.index: timed_words(clip, notes=notes) for clip in clips}
    if extractors.text is not None:
        _featurise_text(result, extractors.text, words)
    if extractors.acoustic is not None:
        channels = {clip.index: clip.channel for clip in clips}

        def read(utterance: Utterance, rate_hz: int) -> FloatArray:
            return read_audio(path, *_span(utterance), rate_hz, track=audio_track, channel=channels[utterance.index])

        _featurise_voice(result, read, facts, extractors.acoustic, words, on_voice)
    if extractors.visual is not None:
        if seen is None:
            seen = observe_frames(path, extractors.visual)
        _featurise_face(result, facts, seen, words)
    for clip, utterance in zip(clips, utterances, strict=True):
        if clip.not_judged:
            _remove_features(result, utterance, clip.not_judged)
    return result


def observe_frames(
    path: Path, extractor: VisualExtractor, on_progress: Callable[[float], None] | None = None
) -> FaceFrames:
    """Run a visual extractor on a video's frames, sampled at the extractor's rate.

    Args:
        path: The media file.
        extractor: Loaded visual extractor.
        on_progress: Function that is called before each frame with the frame's time in seconds. It may raise an error
            to stop. None calls nothing.

    Returns:
        Times (frame,) in seconds and vectors (frame, feature). Both are empty if the file has no pictures.

    Raises:
        DataError: The file is not a media file.
    """
    observer = extractor.start()
    n_features = extractor.word_space.n_features
    times_s: list[float] = []
    blocks: list[FloatArray] = []
    waiting: list[FaceObservation | None] = []
    for frame in frames(path, extractor.rate_hz):
        if on_progress is not None:
            on_progress(frame.time_s)
        times_s.append(frame.time_s)
        waiting.append(observer.see(frame.time_s, frame.image))
        if len(waiting) == BLOCK_FRAMES:
            blocks.append(frame_matrix(waiting, n_features))
            waiting = []
    blocks.append(frame_matrix(waiting, n_features))
    return FaceFrames(np.array(times_s), np.concatenate(blocks))


def _featurise_text(result: ClipFeatures, extractor: TextExtractor, words: _Words | None) -> None:
    utterances = result.video.utterances
    if words is None:
        vectors, present = extractor.utterance_vectors([each.transcript for each in utterances])
        for utterance, vector, is_present in zip(utterances, vectors, present, strict=True):
            _set_features(result, utterance, Modality.TEXT, vector if is_present else None, NO_TEXT)
        return
    assert extractor.word_vectors is not None, "Extractors refuses it at this level"
    for utterance in utterances:
        spoken = words[utterance.index]
        rows, present_words = describe_words(extractor.word_vectors, extractor.space.n_features, spoken)
        mean = rows[present_words].mean(axis=0, dtype=np.float64).astype(np.float32) if present_words.any() else None
        _set_features(result, utterance, Modality.TEXT, mean, NO_KNOWN_WORD if spoken else NO_TEXT)
        _set_word_features(utterance, Modality.TEXT, rows, present_words)


def _featurise_voice(
    result: ClipFeatures,
    read: Callable[[Utterance, int], FloatArray],  # utterance, rate in Hz -> its mono samples
    facts: MediaFacts,
    extractor: AcousticExtractor,
    words: _Words | None,
    on_voice: Callable[[float], None] | None,
) -> None:
    for number, utterance in enumerate(result.video.utterances, start=1):
        spoken = words[utterance.index] if words is not None else None
        silent = np.zeros(0, dtype=np.float32)
        samples = read(utterance, extractor.rate_hz) if facts.has_audio else silent
        if spoken is None:
            vector = extractor.utterance_vector(samples) if facts.has_audio else None
        else:
            assert extractor.frames is not None, "Extractors refuses it at this level"
            mean, rows, present_words = word_then_average(*extractor.frames(samples), _span(utterance)[0], spoken)
            vector = mean if present_words.any() else None
        reason = _reason_unmeasurable(facts, utterance, spoken, is_there=facts.has_audio, otherwise=NO_SOUND)
        if vector is None and reason is None:
            reason = extractor.why_missing(samples) or "no sound in its words"
        _set_features(result, utterance, Modality.ACOUSTIC, vector, reason or "")
        if spoken is not None:
            _set_word_features(utterance, Modality.ACOUSTIC, rows, present_words)
        if on_voice is not None:
            on_voice(number / len(result.video.utterances))


def _featurise_face(result: ClipFeatures, facts: MediaFacts, seen: FaceFrames, words: _Words | None) -> None:
    for utterance in result.video.utterances:
        start_s, end_s = _span(utterance)
        spoken = words[utterance.index] if words is not None else None
        if spoken is None:
            pooled = pool(seen.times_s, seen.vectors, start_s, end_s)
        else:
            rows, present_words = pool_words(seen.times_s, seen.vectors, spoken)
            pooled = average_words(rows, present_words)
        reason = _reason_unmeasurable(facts, utterance, spoken, is_there=facts.has_video, otherwise=NO_PICTURE)
        _set_features(result, utterance, Modality.VISUAL, pooled.vector, reason or pooled.reason)
        if spoken is not None:
            _set_word_features(utterance, Modality.VISUAL, rows, present_words)


def _reason_unmeasurable(
    facts: MediaFacts, utterance: Utterance, spoken: Sequence[TimedWord] | None, *, is_there: bool, otherwise: str
) -> str | None:
    """Return the reason why an utterance cannot be measured, or None if it can be.

    Args:
        facts: Description of the media file. Only its duration is used.
        utterance: Utterance with its start time.
        spoken: Words of the utterance at word level; if the list is empty, nothing can be measured. None at
            utterance level.
        is_there: Whether the file has the stream (sound or picture) that is to be measured.
        otherwise: Reason to return if the file lacks this stream.
    """
    if not is_there:
        return otherwise
    if _span(utterance)[0] >= facts.duration_s:
        return BEYOND_THE_END
    return NO_TEXT if spoken is not None and not spoken else None


def _span(utterance: Utterance) -> tuple[float, float]:
    assert utterance.start_s is not None
    assert utterance.end_s is not None, "utterances are made of clips, which have times"
    return utterance.start_s, utterance.end_s


def _set_features(
    result: ClipFeatures, utterance: Utterance, modality: Modality, vector: FloatArray | None, reason: str
) -> None:
    if vector is None:
        result.missing[utterance.index][modality] = reason
    else:
        utterance.features[modality] = vector


def _remove_features(result: ClipFeatures, utterance: Utterance, reason: str) -> None:
    """Remove all features of an utterance, so that no model judges it and it is no context of other utterances."""
    result.missing[utterance.index] |= dict.fromkeys(utterance.features, reason)
    for features in (utterance.features, utterance.words, utterance.word_present):
        features.clear()


def _set_word_features(utterance: Utterance, modality: Modality, rows: FloatArray, present_words: BoolArray) -> None:
    """Store the vectors `rows` (word, feature) of an utterance's words in the utterance.

    `present_words` (word,) is True where a word has the modality. If the utterance lacks the modality, all its words
    are stored as lacking it.
    """
    if not len(rows):
        return
    mask = present_words & (modality in utterance.features)
    utterance.words[modality] = np.where(mask[:, None], rows, 0).astype(np.float32)
    utterance.word_present[modality] = mask


def _n_equal_spaces(actual: Mapping[Modality, FeatureSpace], expected: Mapping[Modality, FeatureSpace]) -> int:
    """Count the modalities whose feature spaces are equal in both mappings."""
    return sum(
        modality in actual and actual[modality].fingerprint == space.fingerprint for modality, space in expected.items()
    )
