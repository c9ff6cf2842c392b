"""One raw video and its clips -> a Video with features, and the tracks measured on the way.

At utterance level one vector describes an utterance as its extractor likes. At word level every modality describes
every spoken word, and the utterance is the mean of its words: the paper's rule.
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
from mien.features.extractors import load_acoustic_extractor, load_text_extractor, load_visual_extractor
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
# Observations are put into one array this often, so that hours of video do not stand in memory as single objects.
BLOCK_FRAMES = 512

# utterance index -> its spoken words
_Words = Mapping[int, Sequence[TimedWord]]


@dataclass(frozen=True)
class LoadedExtractors:
    """At most one loaded extractor per modality, all at one level.

    Raises UsageError when an extractor does not describe words and the level is theirs.
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
        """What their vectors are."""
        if self.level is Level.UTTERANCE:
            return self._utterance_spaces()
        spaces = {modality: each.word_space for modality, each in self._loaded().items()}
        return {modality: space for modality, space in spaces.items() if space is not None}

    @property
    def need_word_times(self) -> bool:
        """Whether it matters when a word is said: the text does not care."""
        return self.level is Level.WORD and not (self.acoustic is None and self.visual is None)

    def _utterance_spaces(self) -> dict[Modality, FeatureSpace]:
        return {modality: each.space for modality, each in self._loaded().items()}

    def _loaded(self) -> dict[Modality, TextExtractor | AcousticExtractor | VisualExtractor]:
        named = {Modality.TEXT: self.text, Modality.ACOUSTIC: self.acoustic, Modality.VISUAL: self.visual}
        return {modality: extractor for modality, extractor in named.items() if extractor is not None}


@dataclass
class ClipFeatures:
    """One video with its features."""

    video: Video
    # utterance index -> modality -> why it is missing
    missing: dict[int, dict[Modality, str]]
    # what had to be made up, and how often
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class FaceFrames:
    """What a visual extractor saw in the sampled frames of a video."""

    # (frame,) rising
    times_s: FloatArray
    # (frame, feature) float32, NaN without a face
    vectors: FloatArray


def load_extractors(names: Mapping[Modality, str], level: Level = Level.UTTERANCE) -> LoadedExtractors:
    """Load the named extractors. Raises UnknownNameError, UsageError, MissingExtraError, MissingWeightsError."""
    return LoadedExtractors(
        text=load_text_extractor(names[Modality.TEXT]) if Modality.TEXT in names else None,
        acoustic=load_acoustic_extractor(names[Modality.ACOUSTIC]) if Modality.ACOUSTIC in names else None,
        visual=load_visual_extractor(names[Modality.VISUAL]) if Modality.VISUAL in names else None,
        level=level,
    )


def extractors_for(spaces: Mapping[Modality, FeatureSpace]) -> LoadedExtractors:
    """The extractors whose vectors a model was trained on, by the names and recipes in its spaces, at their level.

    Raises FeatureSpaceError when a space cannot be had from raw video, or today's extractor gives another one.
    """
    text = spaces.get(Modality.TEXT)
    needs_transcripts = text is not None and text.name == TRANSCRIPT
    try:
        extractors = load_extractors({m: s.name for m, s in spaces.items() if not (s is text and needs_transcripts)})
    except UnknownNameError as error:
        known = ", ".join(sorted(space.name for space in spaces.values()))
        raise FeatureSpaceError(
            f"Expected a model of features that can be made from raw video, but got one of {known}: {error}"
        ) from error
    if needs_transcripts:
        extractors = dataclasses.replace(extractors, text=load_transcript())
    # The recipe decides, not the level: an import may keep word vectors beside a mean of another rule.
    try:
        by_word = dataclasses.replace(extractors, level=Level.WORD)
    except UsageError:  # one of them describes no words
        by_word = extractors
    extractors = max(extractors, by_word, key=lambda each: _n_alike(each.spaces, spaces))
    require_spaces(spaces, extractors.spaces)
    return extractors


def featurise(
    path: Path, video_id: str, clips: Sequence[Clip], extractors: LoadedExtractors, seen: FaceFrames | None = None
) -> ClipFeatures:
    """Extract every modality of every clip; what cannot be had is missing, with its reason.

    `seen` is what the visual extractor saw, if its frames were seen before.

    At word level a clip without timed words has its transcript's words spread over it, and a note says so.

    Raises DataError if the file is no media file.
    """
    facts = probe(path)
    utterances = [
        Utterance(index=clip.index, start_s=clip.start_s, end_s=clip.end_s, transcript=clip.transcript)
        for clip in clips
    ]
    result = ClipFeatures(Video(video_id, utterances), {clip.index: {} for clip in clips})
    words: _Words | None = None
    if extractors.level is Level.WORD:
        told = result.notes if extractors.need_word_times else None
        words = {clip.index: timed_words(clip, notes=told) for clip in clips}
    if extractors.text is not None:
        _add_text(result, extractors.text, words)
    if extractors.acoustic is not None:
        _add_voice(result, path, facts, extractors.acoustic, words)
    if extractors.visual is not None:
        if seen is None:
            seen = observe_frames(path, extractors.visual)
        _add_face(result, facts, seen, words)
    return result


def observe_frames(path: Path, extractor: VisualExtractor, check: Callable[[], None] | None = None) -> FaceFrames:
    """Look at every frame that the extractor asks for; `check` is called before each and may stop it by raising.

    Raises DataError if the file is no media file. A file without pictures gives nothing.
    """
    observer = extractor.start()
    n_features = extractor.word_space.n_features
    times_s: list[float] = []
    blocks: list[FloatArray] = []
    waiting: list[FaceObservation | None] = []
    for frame in frames(path, extractor.rate_hz):
        if check is not None:
            check()
        times_s.append(frame.time_s)
        waiting.append(observer.see(frame.time_s, frame.image))
        if len(waiting) == BLOCK_FRAMES:
            blocks.append(frame_matrix(waiting, n_features))
            waiting = []
    blocks.append(frame_matrix(waiting, n_features))
    return FaceFrames(np.array(times_s), np.concatenate(blocks))


def _add_text(result: ClipFeatures, extractor: TextExtractor, words: _Words | None) -> None:
    utterances = result.video.utterances
    if words is None:
        vectors, present = extractor.utterance_vectors([each.transcript for each in utterances])
        for utterance, vector, here in zip(utterances, vectors, present, strict=True):
            _keep(result, utterance, Modality.TEXT, vector if here else None, NO_TEXT)
        return
    assert extractor.word_vectors is not None, "Extractors refuses it at this level"
    for utterance in utterances:
        said = words[utterance.index]
        rows, here = describe_words(extractor.word_vectors, extractor.space.n_features, said)
        mean = rows[here].mean(axis=0, dtype=np.float64).astype(np.float32) if here.any() else None
        _keep(result, utterance, Modality.TEXT, mean, NO_KNOWN_WORD if said else NO_TEXT)
        _keep_words(utterance, Modality.TEXT, rows, here)


def _add_voice(
    result: ClipFeatures, path: Path, facts: MediaFacts, extractor: AcousticExtractor, words: _Words | None
) -> None:
    for utterance in result.video.utterances:
        start_s, end_s = _span(utterance)
        said = words[utterance.index] if words is not None else None
        silent = np.zeros(0, dtype=np.float32)
        samples = read_audio(path, start_s, end_s, extractor.rate_hz) if facts.has_audio else silent
        if said is None:
            vector = extractor.utterance_vector(samples) if facts.has_audio else None
        else:
            assert extractor.frames is not None, "Extractors refuses it at this level"
            mean, rows, here = word_then_average(*extractor.frames(samples), start_s, said)
            vector = mean if here.any() else None
        reason = _unreachable(facts, utterance, said, is_there=facts.has_audio, otherwise=NO_SOUND)
        if vector is None and reason is None:
            reason = extractor.why_missing(samples) or "no sound in its words"
        _keep(result, utterance, Modality.ACOUSTIC, vector, reason or "")
        if said is not None:
            _keep_words(utterance, Modality.ACOUSTIC, rows, here)


def _add_face(result: ClipFeatures, facts: MediaFacts, seen: FaceFrames, words: _Words | None) -> None:
    for utterance in result.video.utterances:
        start_s, end_s = _span(utterance)
        said = words[utterance.index] if words is not None else None
        if said is None:
            pooled = pool(seen.times_s, seen.vectors, start_s, end_s)
        else:
            rows, here = pool_words(seen.times_s, seen.vectors, said)
            pooled = average_words(rows, here)
        reason = _unreachable(facts, utterance, said, is_there=facts.has_video, otherwise=NO_PICTURE)
        _keep(result, utterance, Modality.VISUAL, pooled.vector, reason or pooled.reason)
        if said is not None:
            _keep_words(utterance, Modality.VISUAL, rows, here)


def _unreachable(
    facts: MediaFacts, utterance: Utterance, said: Sequence[TimedWord] | None, *, is_there: bool, otherwise: str
) -> str | None:
    """Why nothing could be measured in an utterance whatever its sound or picture; None if it is for them to say."""
    if not is_there:
        return otherwise
    if _span(utterance)[0] >= facts.duration_s:
        return BEYOND_THE_END
    return NO_TEXT if said is not None and not said else None


def _span(utterance: Utterance) -> tuple[float, float]:
    assert utterance.start_s is not None
    assert utterance.end_s is not None, "utterances are made of clips, which have times"
    return utterance.start_s, utterance.end_s


def _keep(
    result: ClipFeatures, utterance: Utterance, modality: Modality, vector: FloatArray | None, reason: str
) -> None:
    if vector is None:
        result.missing[utterance.index][modality] = reason
    else:
        utterance.features[modality] = vector


def _keep_words(utterance: Utterance, modality: Modality, rows: FloatArray, here: BoolArray) -> None:
    """One row per spoken word in every modality; where the utterance lacks the modality, so do its words."""
    if not len(rows):
        return
    kept = here & (modality in utterance.features)
    utterance.words[modality] = np.where(kept[:, None], rows, 0).astype(np.float32)
    utterance.word_present[modality] = kept


def _n_alike(found: Mapping[Modality, FeatureSpace], expected: Mapping[Modality, FeatureSpace]) -> int:
    """Modalities in which both have the same space."""
    return sum(
        modality in found and found[modality].fingerprint == space.fingerprint for modality, space in expected.items()
    )
