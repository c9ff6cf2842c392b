"""Transcripts with errors put in: what would a system say if it had been given a worse transcript?

These are injected errors, spread evenly over the words. A recogniser mistakes rare words and words that sound alike or
are in noise, and its substitutes make sense (docs/decisions.md).

The same utterances with other transcripts, as a finished run would read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from mien.diagnosis.calibration import PlattScaling, interval_of, mean_trust_scores
from mien.errors import DataError, UnknownNameError, UsageError
from mien.evaluation.compare import SeedRun
from mien.evaluation.rows import require_same_utterances, validated_predictions, video_numbers
from mien.features.extractors import TEXT_EXTRACTORS, load_text_extractor
from mien.features.text.minilm import clean_text
from mien.features.text.transcript import REMEDY
from mien.metrics.significance import video_weights
from mien.metrics.word_error_rate import split_words
from mien.models import model_entry
from mien.models.batch import InputKind
from mien.schema import Modality
from mien.storage.runs import Run, require_spaces
from mien.storage.split_columns import SplitColumns
from mien.training.predictor import needs_transcripts


class WordError(IntEnum):
    """What happens to a word."""

    SUBSTITUTION = 0
    DELETION = 1
    INSERTION = 2  # of another word behind it


# how often each kind is drawn, in the order of `WordError`
KIND_SHARES = (0.60, 0.25, 0.15)


def require_rates(rates: Sequence[float]) -> tuple[float, ...]:
    """The same word error rates. Raises UsageError where one is not in [0, 1]."""
    for rate in rates:
        if not 0 <= rate <= 1:
            raise UsageError(f"Expected word error rates from 0 to 1, but got {rate}; 0.1 is one word in ten")
    return tuple(rates)


def inject_errors(transcripts: Sequence[str], rate: float, seed: int = 0) -> list[str]:
    """The same transcripts with errors at `rate` of their words, the same ones for the same seed.

    Which words are hit, and by what, is drawn once for the seed: the errors of a lower rate are among those of a higher
    one. Substitutes and insertions are drawn from all words of these transcripts, as often as they occur. The rate that
    an edit distance measures is a little lower, because a deletion beside an insertion counts as one substitution.

    Args:
        transcripts: (utterance,) in an order that is part of the draw.
        rate: in [0, 1].
        seed: of the draw.

    Raises:
        UsageError: the rate is not in [0, 1].
        DataError: there are not two different words.
    """
    require_rates([rate])
    words = [split_words(text) for text in transcripts]
    pool = [word for each in words for word in each]
    if len({word.casefold() for word in pool}) < 2:
        raise DataError(
            f"Expected transcripts with different words to put errors into, but got {len(pool)} words; "
            "import again with transcripts (mien import table --map text=COLUMN)"
        )
    rng = np.random.default_rng(seed)
    rank = rng.permutation(len(pool))
    kinds = rng.choice(len(WordError), size=len(pool), p=KIND_SHARES)
    others = rng.integers(len(pool), size=len(pool))
    hit = rank < round(rate * len(pool))
    result, first = [], 0
    for text, each in zip(transcripts, words, strict=True):
        places = range(first, first + len(each))
        first += len(each)
        if not hit[places.start : places.stop].any():
            result.append(text)
            continue
        heard: list[str] = []
        for place in places:
            heard += _heard(pool, place, WordError(kinds[place]), int(others[place])) if hit[place] else [pool[place]]
        result.append(" ".join(heard))
    return result


def _heard(pool: Sequence[str], place: int, kind: WordError, other: int) -> list[str]:
    word = pool[place]
    if kind is WordError.DELETION:
        return []
    if kind is WordError.INSERTION:
        return [word, pool[other]]
    while pool[other].casefold() == word.casefold():
        other = (other + 1) % len(pool)
    return [pool[other]]


def score_degraded(
    runs: Sequence[SeedRun],
    clean: Sequence[SeedRun],
    scalings: Sequence[Mapping[str, PlattScaling]],
    n_resamples: int,
) -> dict[str, dict[str, Any]]:
    """Scores with errors in the transcripts, and their differences from those without, means over the runs.

    Args:
        runs: predictions from transcripts with errors.
        clean: the same runs' predictions without.
        scalings: of every run.
        n_resamples: of the paired bootstrap over videos; 0: no intervals.

    Returns:
        Path -> ``value``, ``difference`` and its 95 % ``interval``.
    """
    sides = [
        [
            (validated_predictions(run.predictions), run.decisions, scaling)
            for run, scaling in zip(side, scalings, strict=True)
        ]
        for side in (runs, clean)
    ]
    for one, other in zip(*sides, strict=True):
        require_same_utterances([one[0], other[0]], ["predictions with errors", "predictions without"])
    after, before = (mean_trust_scores(side) for side in sides)
    summary: dict[str, dict[str, Any]] = {
        path: {"value": float(value), "difference": float(value - before[path]), "interval": None}
        for path, value in after.items()
    }
    if n_resamples:
        weights = video_weights(video_numbers(sides[0][0][0])[1], n_resamples)
        drawn, drawn_before = (mean_trust_scores(side, weights) for side in sides)
        for path, values in drawn.items():
            summary[path]["interval"] = interval_of(values - drawn_before[path])
    return summary


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
    if columns.transcripts is None or not any(clean_text(text) for text in columns.transcripts):
        raise DataError(f"Expected transcripts to put errors into, but the scored split has none; {REMEDY}")
    if needs_transcripts(run.spaces):
        return lambda columns, transcripts: dataclasses.replace(columns, transcripts=list(transcripts))
    if model_entry(run.model).input_kind is InputKind.WORDS:
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
