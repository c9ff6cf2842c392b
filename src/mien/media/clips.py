"""One call from a media file to its utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import DataError
from mien.media.container import probe
from mien.media.recognition import Recognizer, SpeechSettings, load_recognizer, recognize
from mien.media.segmentation import SegmentationSettings, fixed_clips, utterances
from mien.media.subtitles import read_subtitles
from mien.schema import Clip

NO_AUDIO = "files without sound"
FIXED_CLIPS = "files cut into clips of one length because nobody speaks"


@dataclass(frozen=True)
class MediaSettings:
    """How a media file becomes utterances."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    # a video in which nobody speaks is cut into clips of about this length, 5 for example; 0: it has no clips
    silent_clip_s: float = 0.0


@dataclass(frozen=True)
class Clips:
    """The utterances of one file."""

    # in time order, inside the file
    clips: list[Clip]
    duration_s: float
    # what was lost, corrected or not there, and how often
    notes: Counter[str] = field(default_factory=Counter)
    # code like "en"; empty if it is not known (subtitles) or nothing was said
    language: str = ""


def clips_of(
    path: Path,
    subtitles: Path | None = None,
    settings: MediaSettings = MediaSettings(),
    *,
    recognizer: Recognizer | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Clips:
    """The utterances of a file: its subtitles if given, else what is heard in it.

    A file without sound or speech has no clips and a note that says so, or clips of one length where the settings ask
    for them and there is video.

    Args:
        path: the media file
        subtitles: SubRip or WebVTT; then nothing is recognised
        settings: how it is done
        recognizer: a loaded model to share between files; without one, one is loaded as the settings say
        on_progress: told the seconds that are done

    Raises:
        DataError: the file is no media file, the subtitles are none
        MissingExtraError: PyAV or faster-whisper is not installed
        MissingWeightsError: there is no recognition model
    """
    facts = probe(path)
    notes: Counter[str] = Counter()
    language, duration_s = "", facts.duration_s
    if subtitles is not None:
        clips, notes = read_subtitles(subtitles, duration_s)
        if not clips:
            raise DataError(
                f"Expected subtitles inside the {duration_s:.1f} s of {path}, but got none of {subtitles} there; "
                "check that they belong to this video"
            )
    elif not facts.has_audio:
        clips = []
        notes[NO_AUDIO] += 1
    else:
        recognizer = recognizer if recognizer is not None else load_recognizer(settings.speech)
        speech = recognize(path, recognizer, notes=notes, on_progress=on_progress)
        language, duration_s = speech.language, max(duration_s, speech.duration_s)
        clips = utterances(
            speech.words, speech.sentence_ends, duration_s, settings.segmentation, separator=speech.separator
        )
    if not clips and facts.has_video and settings.silent_clip_s > 0:
        clips = fixed_clips(duration_s, settings.silent_clip_s)
        notes[FIXED_CLIPS] += 1
    return Clips(clips, duration_s, notes, language)
