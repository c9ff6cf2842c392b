"""`mien demo`: analyses the sample clip of the package and writes its report.

The clip shows a public-domain portrait under a moving camera. A synthetic voice speaks sentences written for it
(tools/make_sample.py in the project's repository): no person spoke them, and the face never moves.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mien.errors import MienError
from mien.video.analysis import Analysis
from mien.video.analyze import Advance, AnalyzeRequest, analyze
from mien.video.page import PageSettings

# Large enough to embed the clip in the report, so that the page can be moved and sent.
EMBED_UP_TO_MB = 2.0


def sample_clip() -> Path:
    """Path of the package's sample clip; ``sample.srt`` beside it holds its transcripts and times."""
    return Path(str(files("mien"))) / "sample" / "sample.mp4"


def demo(out: str | Path = "mien-demo", advance: Advance | None = None) -> Analysis:
    """Analyse the sample clip with the default model, recognised speech, and tracks of voice and face.

    Args:
        out: Folder of the outputs.
        advance: Called with messages about the progress.

    Returns:
        The analysis of the clip.

    Raises:
        MissingExtraError: An extra is not installed.
        MissingWeightsError: Weights are missing.
        MienError: The analysis fails, or the system refuses to write.
    """
    clip = sample_clip()
    request = AnalyzeRequest(page=PageSettings(embed_video_up_to_mb=EMBED_UP_TO_MB))
    done, failed = analyze([clip], out, request, advance)
    if failed:
        raise MienError(failed[clip])
    return done[clip]
