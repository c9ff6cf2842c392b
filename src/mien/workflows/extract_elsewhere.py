"""`mien extract` on a cluster: workers look at the videos, this process keeps what they send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mien.errors import EngineError, FeatureSpaceError
from mien.media import SpeechSettings
from mien.schema import FeatureSpace, Level, Modality, Video
from mien.tables import require_spaces
from mien.workflows.cluster import require_seen
from mien.workflows.engine import Place, work_through
from mien.workflows.extract_video import FATAL, Bench, Made, Shelf, keep, make_video, why_failed
from mien.workflows.featurise import load_extractors

# A worker may have several threads; the networks are made for one.
_ALONE = threading.Lock()


@dataclass(frozen=True)
class VideoJob:
    """A video to look at, and with what."""

    labelled: Video
    path: Path
    # where this process keeps its features
    its_features: Path
    extractors: tuple[tuple[Modality, str], ...]
    level: Level
    speech: SpeechSettings
    # what the extractors are expected to make
    spaces: Mapping[Modality, FeatureSpace]


@dataclass(frozen=True)
class VideoOutcome:
    """What came of it: the features or the reason why not."""

    video_id: str
    its_features: Path
    made: Made | None = None
    failure: str = ""


def make_elsewhere(
    videos: Sequence[Video],
    shelf: Shelf,
    names: Mapping[Modality, str],
    place: Place,
    advance: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """Make and keep what is not kept yet. Returns why videos failed. Raises EngineError, WriteError."""
    jobs = []
    for labelled in videos:
        try:
            path, its_features = shelf.find(labelled)
        except Exception as error:
            if isinstance(error, FATAL):
                raise
            continue  # it will be told when its turn comes in the Dataset
        if not its_features.is_file():
            level, spaces = shelf.bench.extractors.level, shelf.bench.extractors.spaces
            jobs.append(VideoJob(labelled, path, its_features, tuple(names.items()), level, shelf.bench.speech, spaces))
    failed = {}
    done = len(videos) - len(jobs)
    if done and advance is not None:
        advance(done, len(videos))
    with closing(work_through(place, do_video, jobs, _lost)) as outcomes:
        for outcome in outcomes:
            if outcome.made is None:
                failed[outcome.video_id] = outcome.failure
            else:
                keep(outcome.made, outcome.its_features, shelf.bench)
            done += 1
            if advance is not None:
                advance(done, len(videos))
    return failed


def do_video(job: VideoJob) -> VideoOutcome:
    """Look at one video, on a worker. Raises EngineError for what would stop every video."""
    require_seen(job.path)
    with _ALONE:
        try:
            bench = _bench(job.extractors, job.level, job.speech)
            if bench.extractors.spaces != job.spaces:  # a worker may outlive the files that it has loaded
                _bench.cache_clear()
                bench = _bench(job.extractors, job.level, job.speech)
            require_spaces(job.spaces, bench.extractors.spaces)
            return VideoOutcome(job.labelled.id, job.its_features, make_video(job.labelled, job.path, bench))
        except (*FATAL, FeatureSpaceError) as error:
            raise EngineError(f"Expected a worker to be able to extract features, but got: {error}") from error
        except Exception as error:
            return VideoOutcome(job.labelled.id, job.its_features, failure=why_failed(error))


@lru_cache(maxsize=1)
def _bench(extractors: tuple[tuple[Modality, str], ...], level: Level, speech: SpeechSettings) -> Bench:
    """Loaded once per worker."""
    return Bench(load_extractors(dict(extractors), level), speech)


def _lost(job: VideoJob, reason: str) -> VideoOutcome:
    return VideoOutcome(job.labelled.id, job.its_features, failure=reason)
