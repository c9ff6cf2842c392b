"""Inject word errors into transcripts, to measure how a system's scores change with worse transcripts.

Injected errors are spread evenly over the words. The errors of a speech recogniser differ: they concentrate on rare
words, words that sound alike and words in noise, and the substituted words make sense (docs/decisions.md).

`retranscriber` recomputes the text inputs of a run from such transcripts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from mien.diagnosis.calibration import PlattScaling, interval_of, mean_trust_scores
from mien.errors import DataError, MienError, UnknownNameError, UsageError
from mien.evaluation.compare import SeedRun
from mien.evaluation.rows import require_same_utterances, validated_predictions, video_numbers
from mien.features.extractors import TEXT_EXTRACTORS, load_text_extractor
from mien.features.text.minilm import clean_text
from mien.metrics.significance import video_weights
from mien.metrics.word_error_rate import split_words
from mien.models import model_entry
from mien.models.batch import InputKind
from mien.schema import Modality
from mien.storage.runs import Run, require_spaces
from mien.storage.split_columns import SplitColumns
from mien.training.predictor import needs_transcripts


class WordError(IntEnum):
    """The kinds of word error: a word is substituted, deleted or inserted."""

    SUBSTITUTION = 0
    DELETION = 1
    INSERTION = 2  # another word is added after the word


# remedy that ends the messages about runs and splits without such transcripts
LEAVE_OUT = "leave out --word-errors"
# probability of each kind, in the order of `WordError`
KIND_SHARES = (0.60, 0.25, 0.15)


def require_rates(rates: Sequence[float]) -> tuple[float, ...]:
    """Check word error rates and return them as a tuple. Raise UsageError if one is outside [0, 1]."""
    for rate in rates:
        if not 0 <= rate <= 1:
            raise UsageError(f"Expected word error rates from 0 to 1, but got {rate}; 0.1 is one word in ten")
    return tuple(rates)


def inject_errors(transcripts: Sequence[str], rate: float, seed: int = 0) -> list[str]:
    """Inject word errors into transcripts.

    With the same seed, the errors of a lower rate are a subset of those of a higher rate. Substitutes and insertions
    are drawn from all words of these transcripts in proportion to their counts. A word error rate that is measured by
    edit distance is a little lower than `rate`, because a deletion beside an insertion counts as one substitution.

    Args:
        transcripts: Transcript of each utterance, (utterance,); another order gives other errors.
        rate: Share of the words to change, in [0, 1].
        seed: Seed of the random numbers.

    Returns:
        Transcripts with errors, (utterance,).

    Raises:
        UsageError: The rate is outside [0, 1].
        DataError: There are fewer than two different words.
    """
    require_rates([rate])
    words = [split_words(text) for text in transcripts]
    pool = [word for each in words for word in each]
    if len({word.casefold() for word in pool}) < 2:
        raise DataError(
            f"Expected transcripts with different words to put errors into, but got {len(pool)} words; {LEAVE_OUT}"
        )
    rng = np.random.default_rng(seed)
    rank = rng.permutation(len(pool))
    kinds = rng.choice(len(WordError), size=len(pool), p=KIND_SHARES)
    substitutes = rng.integers(len(pool), size=len(pool))
    changed = rank < round(rate * len(pool))
    result, start = [], 0
    for text, each in zip(transcripts, words, strict=True):
        positions = range(start, start + len(each))
        start += len(each)
        if not changed[positions.start : positions.stop].any():
            result.append(text)
            continue
        output: list[str] = []
        for position in positions:
            output += (
                _replaced_word(pool, position, WordError(kinds[position]), int(substitutes[position]))
                if changed[position]
                else [pool[position]]
            )
        result.append(" ".join(output))
    return result


def _replaced_word(pool: Sequence[str], position: int, kind: WordError, substitute: int) -> list[str]:
    word = pool[position]
    if kind is WordError.DELETION:
        return []
    if kind is WordError.INSERTION:
        return [word, pool[substitute]]
    while pool[substitute].casefold() == word.casefold():
        substitute = (substitute + 1) % len(pool)
    return [pool[substitute]]


def score_degraded(
    runs: Sequence[SeedRun], clean: Sequence[SeedRun], scalings: Sequence[Mapping[str, PlattScaling]], n_resamples: int
) -> dict[str, dict[str, Any]]:
    """Score predictions from transcripts with errors, and compare the scores with those without errors.

    All scores are means over the runs.

    Args:
        runs: Predictions from transcripts with errors, one entry per run.
        clean: Predictions of the same runs, in the same order, from transcripts without errors.
        scalings: Platt scalings of each run, by output.
        n_resamples: Resamples of the paired bootstrap over videos; 0 gives no intervals.

    Returns:
        Path of a score -> ``value``, ``difference`` from the score without errors, and the 95 % ``interval`` of the
        difference.

    Raises:
        DataError: Rows are unusable, or `runs` and `clean` have different utterances.
    """
    sides = [
        [
            (validated_predictions(run.predictions), run.decisions, scaling)
            for run, scaling in zip(side, scalings, strict=True)
        ]
        for side in (runs, clean)
    ]
    for degraded, undegraded in zip(*sides, strict=True):
        require_same_utterances([degraded[0], undegraded[0]], ["predictions with errors", "predictions without"])
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


# function(columns, new transcripts (utterance,)): returns the columns with text inputs computed from these transcripts
Retranscribe = Callable[[SplitColumns, Sequence[str]], SplitColumns]


def retranscriber(run: Run, columns: SplitColumns, extractor: str | None = None) -> Retranscribe:
    """Return the function that recomputes the text inputs of a run from other transcripts.

    Args:
        run: Finished run whose text inputs are transcripts, or vectors that an available extractor computes.
        columns: Columns of the split, which must have transcripts.
        extractor: Name of the text extractor, for example ``glove:FILE``. If None, the name of the run's feature space
            is used, which must then be the name of an extractor.

    Returns:
        A function that takes the columns of a split and new transcripts (utterance,) and returns columns with the text
        inputs of these transcripts.

    Raises:
        DataError: The run has no text input, takes aligned vectors of single words as input, or needs a text extractor
            that is not available. Or the split has no transcripts, or fewer than two different words.
        UnknownNameError: There is no such extractor.
        FeatureSpaceError: The feature space of the extractor differs from that of the run.
    """
    if Modality.TEXT not in run.inputs:
        raise DataError(
            f"Expected a run that hears text, to see what transcription errors do to it, but got one of "
            f"{', '.join(run.inputs)}; {LEAVE_OUT}"
        )
    if columns.transcripts is None or not any(clean_text(text) for text in columns.transcripts):
        raise DataError(f"Expected transcripts to put errors into, but the scored split has none; {LEAVE_OUT}")
    if len({word.casefold() for text in columns.transcripts for word in split_words(text)}) < 2:
        raise DataError(
            f"Expected transcripts with different words to put errors into, but the scored split has one; {LEAVE_OUT}"
        )
    if needs_transcripts(run.spaces):
        return lambda columns, transcripts: dataclasses.replace(columns, transcripts=list(transcripts))
    if model_entry(run.model).input_kind is InputKind.WORDS:
        raise DataError(
            f"Expected a run that reads transcripts or one text vector an utterance, but {run.model} reads words "
            f"aligned with voice and face, which an inserted or deleted word has not; {LEAVE_OUT}"
        )
    space = run.spaces[Modality.TEXT]
    try:
        loaded = load_text_extractor(extractor or space.name)
    except UnknownNameError:
        if extractor is not None:
            raise
        raise DataError(
            f"Expected text features of an extractor that is at hand ({', '.join(TEXT_EXTRACTORS)}), but got "
            f"{space.name}; name the extractor that made them (--text glove:FILE), or {LEAVE_OUT}"
        ) from None
    require_spaces({Modality.TEXT: space}, {Modality.TEXT: loaded.space})

    def with_vectors(columns: SplitColumns, transcripts: Sequence[str]) -> SplitColumns:
        vectors, present = loaded.utterance_vectors(transcripts)
        return dataclasses.replace(
            columns,
            transcripts=list(transcripts),
            features=columns.features | {Modality.TEXT: vectors},
            present=columns.present | {Modality.TEXT: present},
        )

    return with_vectors


def retranscriber_or_reason(
    run: Run, columns: SplitColumns, extractor: str | None, *, required: bool
) -> Retranscribe | str:
    """Return the function of `retranscriber`, or the reason why there is none.

    Args:
        run: Finished run.
        columns: Columns of the split.
        extractor: Name of the text extractor, see `retranscriber`.
        required: Whether the error of `retranscriber` is raised instead of returned as text.

    Returns:
        The function, or the reason.

    Raises:
        MienError: `required` is set, and `retranscriber` raised this error.
    """
    try:
        return retranscriber(run, columns, extractor)
    except MienError as error:
        if required:
            raise
        # nobody asked for word errors, so that there is nothing to leave out
        return str(error).removesuffix(f"; {LEAVE_OUT}").removesuffix(f", or {LEAVE_OUT}")
