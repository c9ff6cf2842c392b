"""Loaded extractors of an extraction, and the cache of the features that they computed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mien.labels import LabelSpace
from mien.media.recognition import Recognizer, Speech, SpeechSettings, load_recognizer, recognize
from mien.media.speech_models import MULTILINGUAL, has_speech_model
from mien.pretrained import sha256_of
from mien.schema import FeatureSpace, Level, Modality, Video
from mien.storage import columns
from mien.storage.files import atomic_file
from mien.storage.runs import require_spaces
from mien.version import __version__
from mien.video.featurise import FaceFrames, LoadedExtractors, load_extractors, observe_frames
from mien.video.languages import count_language
from mien.video.progress import ProgressMeter, Stage

NOTES_KEY = b"mien.notes"
# the measured tasks of an extraction
LISTENING, WATCHING, VOICE = ((stage, "") for stage in (Stage.LISTENING, Stage.WATCHING, Stage.MEASURING_VOICE))
Extracted = tuple[Video, Counter[str]]  # video with features; remark on missing or estimated values -> count


def needs_speech(labelled: Video, *, word_times: bool) -> bool:
    """Return whether the transcripts or word times of a video must come from speech recognition.

    Args:
        labelled: The video with its labelled utterances.
        word_times: Whether the features depend on the times of words.
    """
    return word_times or not all(each.transcript for each in labelled.utterances)


@dataclass
class ExtractionContext:
    """Loaded extractors, and the speech recogniser, which is loaded when it is first used.

    The meter receives the progress of each recording; there is none on a cluster.
    """

    extractors: LoadedExtractors
    speech: SpeechSettings
    recognizer: Recognizer | None = None
    meter: ProgressMeter | None = None

    def needs_speech(self, labelled: Video) -> bool:
        """Return whether the transcripts or word times of a video must come from speech recognition."""
        return needs_speech(labelled, word_times=self.extractors.need_word_times)

    def speech_facts(self) -> dict[str, Any]:
        """Return all that determines the recognised words, besides the media file."""
        return dataclasses.asdict(self.speech) | {"multilingual": has_speech_model(MULTILINGUAL)}

    def recognize(self, path: Path, notes: Counter[str]) -> Speech:
        """Recognise the speech in a media file. Messages, such as on damaged packets, are counted in `notes`."""
        self.recognizer = self.recognizer or load_recognizer(self.speech)
        on_progress = None if self.meter is None else self.meter.in_seconds(path, LISTENING)
        speech = recognize(path, self.recognizer, notes=notes, on_progress=on_progress)
        self.measure(path, LISTENING, 1.0)
        count_language(notes, speech.language)
        return speech

    def observe_frames(self, path: Path) -> FaceFrames | None:
        """Run the visual extractor on the frames of a media file. None if there is no visual extractor."""
        if self.extractors.visual is None:
            return None
        on_progress = None if self.meter is None else self.meter.in_seconds(path, WATCHING)
        seen = observe_frames(path, self.extractors.visual, on_progress)
        self.measure(path, WATCHING, 1.0)
        return seen

    def begin(self, path: Path, labelled: Video) -> None:
        """Report the progress of this recording from now on."""
        if self.meter is not None:
            tasks = (
                (LISTENING, self.needs_speech(labelled)),
                (WATCHING, self.extractors.visual is not None),
                (VOICE, self.extractors.acoustic is not None),
            )
            self.meter.expect(path, [task for task, is_needed in tasks if is_needed])
            self.meter.show(path)

    def measure(self, path: Path, task: tuple[Stage, str], share: float) -> None:
        """Report the share of a task that is done for a recording."""
        if self.meter is not None:
            self.meter.measure(path, task, share)


def load_context(
    names: Mapping[Modality, str], level: Level, speech: SpeechSettings, expected: Mapping[Modality, FeatureSpace]
) -> ExtractionContext:
    """Load the extractors on a cluster worker, and check that they are those of the process that sends the jobs.

    Args:
        names: Modality -> name of the extractor.
        level: Whether to make vectors of words or only of utterances.
        speech: Settings of the speech recogniser.
        expected: Feature spaces of the sender. FeatureSpaceError is raised if those of the worker differ.

    Returns:
        A context for `extract_recording`.
    """
    context = ExtractionContext(load_extractors(names, level), speech)
    require_spaces(expected, context.extractors.spaces)
    return context


@dataclass(frozen=True)
class FeatureCache:
    """Cache with one file of features per video, so that an interrupted or repeated extraction can resume."""

    folder: Path
    context: ExtractionContext
    label_spaces: tuple[LabelSpace, ...]

    def path_of(self, labelled: Video, recording: Path) -> Path:
        """Return the path of a video's cache file in `folder`. Its name is a hash of all that determines the content.

        Args:
            labelled: The video with its labelled utterances.
            recording: Its media file, whose content is hashed.

        Returns:
            The path; the file need not exist.
        """
        facts = {
            "mien": __version__,
            "file": sha256_of(recording),
            "spaces": {str(modality): space.fingerprint for modality, space in self.context.extractors.spaces.items()},
            "speech": self.context.speech_facts() if self.context.needs_speech(labelled) else None,
            "utterances": [(u.index, u.start_s, u.end_s, u.transcript, u.labels) for u in labelled.utterances],
            "labels": [space.to_json() for space in self.label_spaces],
            "video": labelled.id,
            "track": self.context.speech.audio_track,
        }
        text = json.dumps(facts, sort_keys=True, default=lambda labels: labels.tolist())
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self.folder / f"{key}.parquet"

    def write(self, path: Path, extracted: Extracted) -> None:
        """Write a video with its features, and the counts of messages about it, atomically to the path from `path_of`.

        Raises WriteError if the file cannot be written.
        """
        video, notes = extracted
        table = columns.videos_to_table([video], self.context.extractors.spaces, self.label_spaces)
        with atomic_file(path) as aside, columns.open_arrow(aside, "wb") as file:
            pq.write_table(table.replace_schema_metadata({NOTES_KEY: json.dumps(notes)}), file)

    def read(self, path: Path) -> Extracted | None:
        """Read what was extracted from a video, with its messages; None if the file is missing or unreadable."""
        try:
            table = pq.read_table(columns.open_arrow(path))
            notes = Counter(json.loads(table.schema.metadata[NOTES_KEY]))
            return columns.to_video(table, self.context.extractors.spaces, self.label_spaces), notes
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            return None


def cache_beside(out: Path) -> Path:
    """Return the path of the hidden folder, beside the Dataset folder `out`, that caches the features of its videos."""
    out = Path(os.path.abspath(out))
    return out.with_name(f".{out.name}.videos")
