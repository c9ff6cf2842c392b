"""`mien demo`: analyses the sample clip of the package and writes its report.

The clip shows a public-domain portrait; only the camera moves, not the face. A synthetic voice speaks sentences that
were written for the clip, so no person spoke them. `tools/make_sample.py` in the project's repository makes the clip.
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
    """Return the path of the sample clip. The file ``sample.srt`` beside it contains transcripts with times."""
    return Path(str(files("mien"))) / "sample" / "sample.mp4"


def demo(out: str | Path = "mien-demo", advance: Advance | None = None) -> Analysis:
    """Analyse the sample clip with the default model and speech recognition, and measure voice and face over time.

    Args:
        out: Folder of the outputs.
        advance: Called with messages about the progress.

    Returns:
        The analysis of the clip.

    Raises:
        MissingExtraError: An optional dependency (an extra of the package) is not installed.
        MissingWeightsError: Weights of the model, the speech recogniser or an extractor are missing.
        MienError: The analysis fails, or an output cannot be written.
    """
    clip = sample_clip()
    request = AnalyzeRequest(page=PageSettings(embed_video_up_to_mb=EMBED_UP_TO_MB))
    done, failed = analyze([clip], out, request, advance)
    if failed:
        raise MienError(failed[clip])
    return done[clip]
