"""What a video is asked before anything is predicted: who says what when, what is seen, how the voice sounds.

The questions do not wait for each other, so a crew works on them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from mien.features import VisualExtractor, load_visual_extractor
from mien.media import Clips, MediaSettings, Recognizer, clips_of, load_recognizer
from mien.reports import Track
from mien.workflows.crew import Crew
from mien.workflows.evidence import face_tracks, voice_tracks
from mien.workflows.watching import Seen, watch

T = TypeVar("T")
# The extractor behind the face tracks, whatever the model reads.
FACE = "face"


@dataclass(frozen=True)
class Questions:
    """What is asked about every video."""

    subtitles: Path | None
    media: MediaSettings
    # measure voice and face for the report
    tracks: bool
    # name of the visual extractor that the model reads; empty without
    model_sees: str = ""

    @property
    def eyes(self) -> set[str]:
        """Names of the visual extractors that look at the video."""
        return {self.model_sees, FACE if self.tracks else ""} - {""}


@dataclass(frozen=True)
class Observed:
    """The answers about one video, as far as they are there."""

    questions: Questions
    clips: Future[Clips]
    # by the visual extractors' names
    seen: Mapping[str, Future[Seen]]
    voice: Future[tuple[Track, ...]] | None

    def model_saw(self) -> Seen | None:
        """What the model's visual extractor saw; None if it has none."""
        name = self.questions.model_sees
        return self.seen[name].result() if name else None

    def tracks(self) -> tuple[Track, ...]:
        """Voice and face as measured; none if they were not asked for."""
        if self.voice is None:
            return ()
        return (
            *self.voice.result(),
            *face_tracks(self.seen[FACE].result(), used_by_model=self.questions.model_sees == FACE),
        )

    def forget(self) -> None:
        """Do not begin what nobody waits for any more."""
        for answer in (self.clips, *self.seen.values(), self.voice):
            if answer is not None:
                answer.cancel()


@dataclass(frozen=True)
class Observer:
    """Asks a crew about videos, with what is loaded once for all of them."""

    crew: Crew
    questions: Questions
    # None with subtitles
    recognizer: Future[Recognizer] | None
    eyes: Mapping[str, Future[VisualExtractor]] = field(default_factory=dict)

    def require_loaded(self) -> None:
        """Wait until all is loaded. Raises MissingExtraError, MissingWeightsError, what loading raises."""
        for loading in (self.recognizer, *self.eyes.values()):
            if loading is not None:
                loading.result()

    def observe(self, path: Path) -> Observed:
        """Begin with a video, the longest work first."""
        start, asked = self.crew.start, self.questions
        return Observed(
            asked,
            clips=start(partial(self._listen, path)),
            seen={name: start(partial(self._watch, path, name)) for name in sorted(self.eyes)},
            voice=start(partial(voice_tracks, path, self.crew.check)) if asked.tracks else None,
        )

    def _listen(self, path: Path) -> Clips:
        asked = self.questions
        recognizer = self.recognizer.result() if self.recognizer is not None else None
        return clips_of(
            path, asked.subtitles, asked.media, recognizer=recognizer, on_progress=lambda _s: self.crew.check()
        )

    def _watch(self, path: Path, name: str) -> Seen:
        return watch(path, self.eyes[name].result(), self.crew.check)


def ready_observer(
    crew: Crew, questions: Questions, recognizer: Recognizer | None, eyes: Mapping[str, VisualExtractor]
) -> Observer:
    """The observer of what was loaded before."""
    return Observer(
        crew,
        questions,
        recognizer=None if recognizer is None else _there(recognizer),
        eyes={name: _there(extractor) for name, extractor in eyes.items()},
    )


def observer(crew: Crew, questions: Questions) -> Observer:
    """Begin to load what the questions need."""
    hears = questions.subtitles is None
    return Observer(
        crew,
        questions,
        recognizer=crew.load(partial(load_recognizer, questions.media.speech)) if hears else None,
        eyes={name: crew.load(partial(load_visual_extractor, name)) for name in sorted(questions.eyes)},
    )


def _there(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future
