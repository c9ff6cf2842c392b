"""`mien demo`: the main job, a raw video in and a report out, on the clip that comes with the package.

The clip is a public-domain portrait under a moving camera, a synthetic voice and sentences written for it
(tools/make_sample.py in the project's repository): no person said any of it, and the face never moves.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mien.errors import MienError
from mien.video.analysis import Analysis
from mien.video.analyze import Advance, AnalyzeRequest, analyze
from mien.video.page import PageSettings

# The clip stands inside the report, so that the page can be moved and sent.
EMBED_UP_TO_MB = 2.0


def sample_clip() -> Path:
    """The clip that comes with the package; ``sample.srt`` beside it holds what is said in it, and when."""
    return Path(str(files("mien"))) / "sample" / "sample.mp4"


def demo(out: str | Path = "mien-demo", advance: Advance | None = None) -> Analysis:
    """Analyse the sample clip into `out` with the shipped checkpoint: speech recognised, voice and face measured.

    Raises MissingExtraError or MissingWeightsError where an extra is not installed, MienError where the system refuses
    to write.
    """
    clip = sample_clip()
    request = AnalyzeRequest(page=PageSettings(embed_video_up_to_mb=EMBED_UP_TO_MB))
    done, failed = analyze([clip], out, request, advance)
    if failed:
        raise MienError(failed[clip])
    return done[clip]
