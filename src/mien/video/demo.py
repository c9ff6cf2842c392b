"""`mien demo`: analyses the sample clip of the package and writes its report.

The clip shows a public-domain portrait; only the camera moves, not the face. A synthetic voice speaks sentences that
were written for the clip, so no person spoke them. `tools/make_sample.py` in the project's repository makes the clip.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mien.errors import MienError
from mien.video.analysis import Analysis
from mien.video.analyze import AnalyzeRequest, analyze
from mien.video.page import PageSettings
from mien.video.progress import Advance


def sample_clip() -> Path:
    """Return the path of the sample clip. The file ``sample.srt`` beside it contains transcripts with times."""
    return Path(str(files("mien"))) / "sample" / "sample.mp4"


def demo(out: str | Path = "mien-demo", advance: Advance | None = None) -> Analysis:
    """Analyse the sample clip with the default model and speech recognition, and measure voice and face over time.

    Args:
        out: Folder of the outputs.
        advance: Called with the progress; `str()` of it is a line of text.

    Returns:
        The analysis of the clip.

    Raises:
        MissingExtraError: An optional dependency (an extra of the package) is not installed.
        MissingWeightsError: Weights of the model, the speech recogniser or an extractor are missing.
        MienError: The analysis fails, or an output cannot be written.
    """
    clip = sample_clip()
    # The clip shows no living person, and the page can then be moved and sent.
    request = AnalyzeRequest(names_subtitles_beside=False, page=PageSettings(embed=True))
    done, failed = analyze([clip], out, request, advance)
    if failed:
        raise MienError(failed[clip])
    return done[clip]
