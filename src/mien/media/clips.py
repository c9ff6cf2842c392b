"""Division of a media file into utterances, by speech recognition or by subtitles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

from mien.errors import DataError
from mien.media.channels import CHANNEL_NAMES
from mien.media.container import probe
from mien.media.languages import UNDETERMINED
from mien.media.recognition import (
    NO_SPEECH,
    Recognizer,
    Speech,
    SpeechSettings,
    load_recognizer,
    main_language,
    recognize,
    separator_in,
)
from mien.media.segmentation import SegmentationSettings, fixed_clips, utterances
from mien.media.sound import choose_sound
from mien.media.subtitles import read_subtitles
from mien.schema import Clip

NO_AUDIO = "files without sound"
CONVERSATION = (
    "the two channels hold different speech: each is transcribed by itself, and its utterances have the speaker left "
    "or right"
)
FIXED_CLIPS = "files cut into clips of one length because nobody speaks"


@dataclass(frozen=True)
class MediaSettings:
    """Settings for dividing a media file into utterances."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    # Approximate length in seconds of the clips of a video without speech. If it is 0, such a video has no clips.
    silent_clip_s: float = 0.0


@dataclass(frozen=True)
class Clips:
    """The utterances of one media file, and what was found out about the file.

    Attributes:
        clips: The utterances in time order. None starts or ends outside the file.
        duration_s: Duration of the file in seconds.
        notes: Messages about dropped, corrected or missing data, and how often each applies.
        language: Code like "en" of the language spoken longest, or given in the settings. It is empty for files without
            speech and for subtitles of unknown language, and `mien.media.languages.UNDETERMINED` if it is not clear.
        why_undetermined: Why clips of undetermined language have no transcript; empty if there are none.
    """

    clips: list[Clip]
    duration_s: float
    notes: Counter[str] = field(default_factory=Counter)
    language: str = ""
    why_undetermined: str = ""


def clips_of(
    path: Path,
    subtitles: Path | None = None,
    settings: MediaSettings = MediaSettings(),
    *,
    recognizer: Recognizer | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Clips:
    """Divide a media file into utterances, by its subtitles or by speech recognition.

    A file without audio or speech has no utterances; a message in the result's `notes` then gives the reason. If such a
    file has video, and `settings.silent_clip_s` is above 0, it is divided into clips of equal length instead.

    If the two channels of a file hold different speech, each channel is recognised by itself. Its utterances then have
    a speaker and a channel, and those of one channel can overlap those of the other one.

    Args:
        path: Media file.
        subtitles: SubRip or WebVTT file. If it is None, speech recognition runs.
        settings: Settings of recognition and segmentation.
        recognizer: Loaded recognition model, which several calls can share. If it is None, the model named in
            `settings.speech` is loaded.
        on_progress: Function that is called repeatedly with the number of seconds of audio recognised so far.

    Returns:
        The utterances as clips in time order, the duration and language of the file, and a counter of messages about
        problems.

    Raises:
        DataError: The media file or the subtitle file is unreadable, or no subtitle lies within the file's duration.
        MissingExtraError: PyAV or faster-whisper is not installed.
        MissingWeightsError: The recognition model is missing.
        UnknownNameError: No recognition model has the name in the settings.
        UsageError: The model does not support the language in the settings.
    """
    facts = probe(path)
    notes: Counter[str] = Counter()
    language, why_undetermined, duration_s = settings.speech.language, "", facts.duration_s
    if subtitles is not None:
        clips, notes = read_subtitles(subtitles, duration_s)
        if not clips:
            raise DataError(
                f"Expected subtitles inside the {duration_s:.1f} s of {path}, but got none of {subtitles} there; "
                "check that they belong to this video"
            )
        clips = [replace(clip, language=language) for clip in clips]
    elif not facts.has_audio:
        clips = []
        notes[NO_AUDIO] += 1
    else:
        recognizer = recognizer if recognizer is not None else load_recognizer(settings.speech)
        recognized = _recognized_clips(path, recognizer, duration_s, settings, on_progress)
        clips, notes, duration_s = recognized.clips, recognized.notes, recognized.duration_s
        language, why_undetermined = recognized.language, recognized.why_undetermined
    if not clips and facts.has_video and settings.silent_clip_s > 0:
        clips = fixed_clips(duration_s, settings.silent_clip_s)
        notes[FIXED_CLIPS] += 1
    return Clips(clips, duration_s, notes, language, why_undetermined)


def _recognized_clips(
    path: Path,
    recognizer: Recognizer,
    duration_s: float,
    settings: MediaSettings,
    on_progress: Callable[[float], None] | None,
) -> Clips:
    """Recognise the utterances of a file: of its whole sound, or of each of two channels with different speech."""
    notes: Counter[str] = Counter()
    if not choose_sound(path, recognizer.settings.audio_track).is_conversation:
        speech = recognize(path, recognizer, notes=notes, on_progress=on_progress)
        duration_s = max(duration_s, speech.duration_s)
        clips = spoken_clips(speech, duration_s, settings.segmentation)
        return Clips(clips, duration_s, notes, speech.language, speech.why_undetermined)
    speeches = []
    for channel in range(2):
        progress = None if on_progress is None else partial(_report_half, on_progress, channel * duration_s)
        speeches.append(recognize(path, recognizer, notes=notes, on_progress=progress, channel=channel))
    duration_s = max(duration_s, *(speech.duration_s for speech in speeches))
    clips = [
        replace(clip, speaker=CHANNEL_NAMES[channel], channel=channel)
        for channel, speech in enumerate(speeches)
        for clip in spoken_clips(speech, duration_s, settings.segmentation)
    ]
    clips.sort(key=lambda clip: (clip.start_s, clip.channel))
    del notes[NO_SPEECH]
    notes[CONVERSATION if clips else NO_SPEECH] += 1
    language = main_language([passage for speech in speeches for passage in speech.passages])
    why_undetermined = next((speech.why_undetermined for speech in speeches if speech.why_undetermined), "")
    return Clips(
        [replace(clip, index=index) for index, clip in enumerate(clips)], duration_s, notes, language, why_undetermined
    )


def _report_half(report: Callable[[float], None], before_s: float, seconds: float) -> None:
    """Report the progress in one channel of two, as seconds of the file. `before_s` were processed in the other one."""
    report((before_s + seconds) / 2)


def spoken_clips(speech: Speech, duration_s: float, settings: SegmentationSettings) -> list[Clip]:
    """Divide the recognised speech of a file into utterances. No utterance has words of two languages.

    Args:
        speech: The words, and the passages in which each language is spoken.
        duration_s: Duration of the file in seconds; no clip ends later.
        settings: Pause that ends an utterance, and limits of the duration of an utterance.

    Returns:
        The utterances as clips in time order. A passage of undetermined language is a clip without words.
    """
    clips: list[Clip] = []
    n_before = 0
    for language, group in groupby(speech.passages, key=lambda passage: passage.language):
        passages = list(group)
        n_after = n_before + sum(passage.n_words for passage in passages)
        words, ends = speech.words[n_before:n_after], speech.sentence_ends[n_before:n_after]
        n_before = n_after
        if language == UNDETERMINED:
            clips += [Clip(0, each.start_s, min(each.end_s, duration_s)) for each in passages]
        else:
            clips += utterances(words, ends, duration_s, settings, separator=separator_in(language))
        clips = [replace(clip, language=clip.language or language) for clip in clips]
    # Margins of silence around the words of two languages can overlap.
    for number, (one, two) in enumerate(pairwise(clips)):
        if one.end_s > two.start_s:
            middle_s = (one.end_s + two.start_s) / 2
            clips[number], clips[number + 1] = replace(one, end_s=middle_s), replace(two, start_s=middle_s)
    return [replace(clip, index=index) for index, clip in enumerate(clips)]
