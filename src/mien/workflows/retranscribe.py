"""The same utterances with other transcripts, as a finished run would read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from mien.errors import DataError, UnknownNameError
from mien.features import TEXT_EXTRACTORS, load_text_extractor
from mien.features.minilm import clean
from mien.features.transcript import REMEDY
from mien.models import Reads, model_entry
from mien.schema import Modality
from mien.tables import Run, SplitColumns, require_spaces
from mien.training import reads_transcripts

# columns and new transcripts (N,) -> the columns as if those had been transcribed
Retranscribe = Callable[[SplitColumns, Sequence[str]], SplitColumns]


def retranscriber(run: Run, columns: SplitColumns, extractor: str | None = None) -> Retranscribe:
    """How the text of a run's columns is made again from transcripts.

    Args:
        run: finished; it reads transcripts, or text vectors of an extractor that is at hand.
        columns: of the split, to see whether it has transcripts.
        extractor: name of the text extractor, for vectors that do not tell it (``glove:FILE``); default: that which the
            run's feature space names.

    Raises:
        DataError: the run hears no text, its words are aligned with other modalities, its vectors cannot be made here,
            or the split has no transcripts.
        FeatureSpaceError: the extractor gives other vectors than the run was trained on.
    """
    if Modality.TEXT not in run.inputs:
        raise DataError(
            f"Expected a run that hears text, to see what transcription errors do to it, but got one of "
            f"{', '.join(run.inputs)}; leave out --word-errors"
        )
    if columns.transcripts is None or not any(clean(text) for text in columns.transcripts):
        raise DataError(f"Expected transcripts to put errors into, but the scored split has none; {REMEDY}")
    if reads_transcripts(run.spaces):
        return lambda columns, transcripts: dataclasses.replace(columns, transcripts=list(transcripts))
    if model_entry(run.model).reads is Reads.WORDS:
        raise DataError(
            f"Expected a run that reads transcripts or one text vector an utterance, but {run.model} reads words "
            "aligned with voice and face, which an inserted or deleted word has not; leave out --word-errors"
        )
    space = run.spaces[Modality.TEXT]
    try:
        loaded = load_text_extractor(extractor or space.name)
    except UnknownNameError:
        if extractor is not None:
            raise
        raise DataError(
            f"Expected text features of an extractor that is at hand ({', '.join(TEXT_EXTRACTORS)}), but got "
            f"{space.name}; name the extractor that made them (--text glove:FILE), or leave out --word-errors"
        ) from None
    require_spaces({Modality.TEXT: space}, {Modality.TEXT: loaded.space})

    def vectors_anew(columns: SplitColumns, transcripts: Sequence[str]) -> SplitColumns:
        vectors, present = loaded.utterance_vectors(transcripts)
        return dataclasses.replace(
            columns,
            transcripts=list(transcripts),
            features=columns.features | {Modality.TEXT: vectors},
            present=columns.present | {Modality.TEXT: present},
        )

    return vectors_anew
