"""The four files of ``mien analyze``, written together."""

from __future__ import annotations

from pathlib import Path

from mien.reports.analysis import Analysis
from mien.reports.analysis_json import write_analysis_json
from mien.reports.captions import write_captions
from mien.reports.page import PageSettings, write_page
from mien.reports.utterances_csv import write_utterances_csv

ANALYSIS_JSON = "analysis.json"
UTTERANCES_CSV = "utterances.csv"
CAPTIONS_VTT = "captions.vtt"
REPORT_HTML = "report.html"
OUTPUTS = (ANALYSIS_JSON, UTTERANCES_CSV, CAPTIONS_VTT, REPORT_HTML)


def write_outputs(folder: Path, analysis: Analysis, page: PageSettings | None = None) -> dict[str, Path]:
    """Write every output into `folder`, each aside and renamed; the page last, as the sign that all is there.

    Returns:
        Name -> path, in the order of `OUTPUTS`.

    Raises:
        WriteError: the system refuses; the files not yet reached are as they were.
    """
    paths = {name: folder / name for name in OUTPUTS}
    write_analysis_json(paths[ANALYSIS_JSON], analysis)
    write_utterances_csv(paths[UTTERANCES_CSV], analysis)
    write_captions(paths[CAPTIONS_VTT], analysis)
    write_page(paths[REPORT_HTML], analysis, page)
    return paths
