"""One labelled video of `mien extract`: its features made, kept beside the Dataset, and found there again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mien.engine.threads import one_thread_each, one_torch_thread
from mien.errors import DataError, EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError
from mien.media.recognition import Recognizer, Speech, SpeechSettings, load_recognizer, recognize
from mien.media.word_times import heard_inside, timed_words
from mien.pretrained import sha256_of
from mien.schema import Clip, Level, Utterance, Video
from mien.storage import columns
from mien.storage.files import written_aside
from mien.version import __version__
from mien.video.featurise import Extractors, featurise

NOTES_KEY = b"mien.notes"
# These concern every video: going on with the next one would fail in the same way.
FATAL = (EngineError, MissingExtraError, MissingWeightsError, UsageError, WriteError)


@dataclass
class Bench:
    """What every video needs; recognition is loaded when a transcript or a word's time is first missing."""

    extractors: Extractors
    speech: SpeechSettings
    recognizer: Recognizer | None = None

    def must_hear(self, labelled: Video) -> bool:
        """Whether a transcript or the times of words are missing."""
        return self.extractors.need_word_times or not all(each.transcript for each in labelled.utterances)

    def hear(self, path: Path, notes: Counter[str]) -> Speech:
        """Everything said in a file."""
        self.recognizer = self.recognizer or load_recognizer(self.speech)
        return recognize(path, self.recognizer, notes=notes)


@dataclass(frozen=True)
class Shelf:
    """Where videos come from, and where their features are kept."""

    # name without suffix -> files
    files: Mapping[str, list[Path]]
    cache: Path
    bench: Bench

    def find(self, labelled: Video) -> tuple[Path, Path]:
        """A video's file, and that of its features, there or not. Raises DataError without exactly one video."""
        path = _only_file(labelled.id, self.files)
        return path, self.cache / f"{key_of(labelled, path, self.bench)}.parquet"


# a video with its features, and what was missing or made up in it
Made = tuple[Video, Counter[str]]


def find_or_make(labelled: Video, shelf: Shelf) -> Made:
    """A video's features as they were kept, else made and kept. Raises DataError and `FATAL`."""
    path, its_features = shelf.find(labelled)
    made = kept(its_features, shelf.bench)
    if made is None:
        made = make_video(labelled, path, shelf.bench)
        keep(made, its_features, shelf.bench)
    return made


def make_video(labelled: Video, path: Path, bench: Bench) -> Made:
    """Extract a video's features. Raises DataError for what is wrong with it, and `FATAL`."""
    clips = [_clip(labelled.id, each) for each in labelled.utterances]
    notes: Counter[str] = Counter()
    # on one thread: sums on several round differently, and a worker of a cluster has one
    with one_thread_each(), one_torch_thread() if "torch" in sys.modules else nullcontext():
        if bench.must_hear(labelled):
            clips = _with_words(clips, bench.hear(path, notes), bench.extractors.level, notes)
        featurised = featurise(path, labelled.id, clips, bench.extractors)
    for utterance, gold in zip(featurised.video.utterances, labelled.utterances, strict=True):
        utterance.sentiment, utterance.emotions = gold.sentiment, gold.emotions
    notes.update(featurised.notes)
    notes.update(
        f"{modality} missing: {_kind(reason)}"
        for reasons in featurised.missing.values()
        for modality, reason in reasons.items()
    )
    return featurised.video, notes


def why_failed(error: Exception) -> str:
    """The reason for which a video is left out. A file nobody foresaw shall not cost the hours spent on the others."""
    if isinstance(error, DataError):
        return str(error)
    return f"Expected a readable video, but got {type(error).__name__}: {error}"


def keep(made: Made, path: Path, bench: Bench) -> None:
    """Keep a video's features for a later call. Raises WriteError."""
    video, notes = made
    table = columns.to_table([video], bench.extractors.spaces)
    with written_aside(path) as aside:
        pq.write_table(table.replace_schema_metadata({NOTES_KEY: json.dumps(notes)}), aside)


def kept(path: Path, bench: Bench) -> Made | None:
    """What an earlier call kept of a video; None if it kept nothing, or something that cannot be read."""
    try:
        table = pq.read_table(path)
        notes = Counter(json.loads(table.schema.metadata[NOTES_KEY]))
        return columns.to_video(table, bench.extractors.spaces), notes
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def key_of(labelled: Video, path: Path, bench: Bench) -> str:
    """Name of what is kept of a video: it changes with everything that changes its features."""
    facts = {
        "mien": __version__,
        "file": sha256_of(path),
        "spaces": {str(modality): space.fingerprint for modality, space in bench.extractors.spaces.items()},
        "speech": dataclasses.asdict(bench.speech) if bench.must_hear(labelled) else None,
        "utterances": [
            (
                u.index,
                u.start_s,
                u.end_s,
                u.transcript,
                u.sentiment,
                None if u.emotions is None else u.emotions.tolist(),
            )
            for u in labelled.utterances
        ],
        "video": labelled.id,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _only_file(video_id: str, files: Mapping[str, list[Path]]) -> Path:
    paths = files.get(video_id, [])
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "no file of this name in the folder"
        raise DataError(f"Expected one file named like the video {video_id}, but got {found}; leave exactly one there")
    return paths[0]


def _kind(reason: str) -> str:
    """A reason without its numbers, so that like ones are counted together."""
    return "".join("#" if character.isdigit() else character for character in reason)


def _clip(video_id: str, utterance: Utterance) -> Clip:
    start_s, end_s = utterance.start_s, utterance.end_s
    if start_s is None or end_s is None or start_s < 0:
        raise DataError(
            f"Expected start and end in seconds of utterance {utterance.index} of {video_id}, but got {start_s} and "
            f"{end_s}; correct the labels"
        )
    return Clip(utterance.index, start_s, end_s, utterance.transcript)


def _with_words(clips: Sequence[Clip], speech: Speech, level: Level, notes: Counter[str]) -> list[Clip]:
    """Clips without text take the words whose middle they hold; at word level the others' words get their times."""
    told = []
    for clip in clips:
        if not clip.transcript:
            words = heard_inside(speech.words, clip.start_s, clip.end_s)
            text = speech.separator.join(word.text for word in words)
            told.append(dataclasses.replace(clip, transcript=text, words=words))
        elif level is Level.WORD:
            told.append(dataclasses.replace(clip, words=timed_words(clip, speech.words, notes)))
        else:
            told.append(clip)
    return told
