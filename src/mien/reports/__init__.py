"""An analysis -> what people and programs read: JSON, a table, captions, a page."""

from mien.reports.analysis import (
    Analysis,
    ModelFacts,
    Sentiment,
    Source,
    Track,
    UtteranceAnalysis,
    VideoFacts,
    emotion_names,
)
from mien.reports.analysis_json import analysis_schema, read_analysis_json, write_analysis_json
from mien.reports.captions import write_captions
from mien.reports.outputs import OUTPUTS, write_outputs
from mien.reports.page import PageSettings, write_page
from mien.reports.utterances_csv import write_utterances_csv

__all__ = [
    "OUTPUTS",
    "Analysis",
    "ModelFacts",
    "PageSettings",
    "Sentiment",
    "Source",
    "Track",
    "UtteranceAnalysis",
    "VideoFacts",
    "analysis_schema",
    "emotion_names",
    "read_analysis_json",
    "write_analysis_json",
    "write_captions",
    "write_outputs",
    "write_page",
    "write_utterances_csv",
]
