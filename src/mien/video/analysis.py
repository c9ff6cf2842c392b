"""Data types for the analysis of one video, from which all outputs of ``mien analyze`` are written.

They contain numbers, texts and numpy arrays. `Analysis` validates its content when it is created, so the functions that
write the outputs do not check it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.schema import EMOTION, SENTIMENT, FloatArray
from mien.tasks import EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT_INTENSITY

# separates target and context modality in the names of attention matrices: "text->visual"
ARROW = "->"
# class of sentiment whose probability the page draws over time
POSITIVE = "positive"
# separates several values in one cell of a table
SEPARATOR = "; "


class TrackSource(StrEnum):
    """What a track measures: the voice or the face."""

    VOICE = "voice"
    FACE = "face"


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Name, duration and path of the analysed recording.

    Attributes:
        name: Title of the report, usually the name of the file.
        duration_s: Duration in seconds.
        path: Media file that the player in the report plays. If it is None, the report has no player.
        language: Code of the language spoken longest, "und" if it is not clear; empty if unknown.
    """

    name: str
    duration_s: float
    path: Path | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Description of the model that made the predictions.

    Attributes:
        name: Name of the model.
        inputs: Modalities that the model uses: "text", "acoustic", "visual".
        tasks: Names of the tasks that the model predicts.
        sentiment_threshold: If the model has two classes of sentiment, an utterance is positive if its probability of
            positive sentiment is at least this number.
        thresholds: For each emotion, the lowest probability at which an utterance gets it as a label.
        ranges: Task that predicts intensities -> smallest and largest one; the paper's ranges where it is missing.
        protocol: One sentence on how the thresholds were chosen.
        caveats: Limits of the predictions that a reader must know. An example is that a model uses words only.
        facts: Further rows of the model's table. For example, the key "Trained on" has the value "CMU-MOSEI, official
            train split".
    """

    name: str
    inputs: tuple[str, ...]
    tasks: tuple[str, ...]
    sentiment_threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    protocol: str = ""
    caveats: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def range_of(self, task: str) -> tuple[float, float]:
        """Return the smallest and the largest intensity that `sentiment_intensity` or `emotion_intensity` predicts."""
        return self.ranges[task] if task in self.ranges else PAPER_TASKS[task].range


@dataclass(frozen=True, slots=True)
class Answer:
    """Predicted class of an utterance, one of several that exclude each other.

    Attributes:
        label: Predicted class.
        probabilities: Probability of each class; their sum is 1.
    """

    label: str
    probabilities: Mapping[str, float]

    @property
    def probability(self) -> float:
        """Probability of the predicted class."""
        return self.probabilities[self.label]


@dataclass(frozen=True, slots=True)
class UtteranceAnalysis:
    """One utterance with its predictions.

    Attributes:
        index: Index of the utterance in its video.
        start_s: Start of the utterance in seconds.
        end_s: End of the utterance in seconds.
        transcript: Spoken text; empty if there is none.
        answers: Predicted class of each task whose classes exclude each other, such as negative and positive sentiment.
            Like `outputs` and `labels`, it is empty if all modalities are missing.
        outputs: Predicted probability or intensity by task and output for the other tasks, without the emotion output
            `none`.
        labels: Emotions whose probabilities reach their thresholds.
        further_labels: For each further task with several labels, those whose probabilities reach their thresholds.
        missing: Modalities that the model uses but the utterance lacks, with the reasons.
        speaker: Name or number of the person who speaks; None if unknown.
        not_judged: Why no prediction was made although something was heard or read; empty if one was made.
        language: Code of the language of its words, "und" if it is not clear; empty if unknown.
        contributions: Influence of each modality on each output (see `mien.tasks.output_name`): the probability with
            all modalities minus the probability without this modality. Empty for a model of one modality.
    """

    index: int
    start_s: float
    end_s: float
    transcript: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    further_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    contributions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    speaker: str | None = None
    not_judged: str = ""
    language: str = ""

    @property
    def sentiment(self) -> Answer | None:
        """Predicted class of sentiment. None if the model does not predict classes of sentiment."""
        return self.answers.get(SENTIMENT)

    @property
    def emotions(self) -> Mapping[str, float]:
        """Predicted probability by emotion. Empty if the model does not predict emotions."""
        return self.outputs.get(EMOTION, {})

    @property
    def sentiment_intensity(self) -> float | None:
        """Predicted intensity of sentiment, in [-3, 3] for CMU-MOSEI; None if the model does not predict it."""
        return self.outputs.get(SENTIMENT_INTENSITY, {}).get(SENTIMENT)

    @property
    def emotion_intensities(self) -> Mapping[str, float]:
        """Predicted intensity by emotion, in [0, 3] for CMU-MOSEI. Empty if the model predicts no such intensities."""
        return self.outputs.get(EMOTION_INTENSITY, {})

    @property
    def further_answers(self) -> dict[str, Answer]:
        """Task -> predicted class, for tasks other than sentiment."""
        return {task: answer for task, answer in self.answers.items() if task != SENTIMENT}

    @property
    def further_outputs(self) -> dict[str, Mapping[str, float]]:
        """Predicted values by task and output, for all of `outputs` except emotions and their intensities."""
        paper = (EMOTION, SENTIMENT_INTENSITY, EMOTION_INTENSITY)
        return {task: values for task, values in self.outputs.items() if task not in paper}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A quantity measured over time, such as the pitch of the voice. The report shows it beside the predictions.

    Attributes:
        name: Name of the quantity.
        unit: Unit of the values.
        source: Whether the voice or the face is measured.
        times_s: Times (time,) in seconds, ascending; equal times are allowed.
        values: Values (time,), NaN where nothing could be measured. An example is the pitch in a pause.
        used_by_model: Whether the model uses the quantity as input.
        note: How the quantity was measured, in one sentence.
        axis: Lower and upper end of the axis. If it is None, the axis has the range of the values.
    """

    name: str
    unit: str
    source: TrackSource
    times_s: FloatArray
    values: FloatArray
    used_by_model: bool = False
    note: str = ""
    axis: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.times_s.ndim != 1 or self.times_s.shape != self.values.shape:
            raise DataError(
                f"Expected as many times as values in the track {self.name!r}, but got shapes {self.times_s.shape} and "
                f"{self.values.shape}; measure it again"
            )
        if len(self.times_s) and not (np.isfinite(self.times_s).all() and (np.diff(self.times_s) >= 0).all()):
            raise DataError(
                f"Expected finite, rising times in the track {self.name!r}, but got others; sort it by time"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Complete result of ``mien analyze`` for one video.

    Attributes:
        video: Name, duration and path of the recording.
        model: Description of the model.
        utterances: The utterances with their predictions, ordered by start time.
        attention: Attention weights (utterance, context utterance) by name, such as "text->visual". There, element
            (i, j) is the weight with which the text of utterance i attends to the visual features of utterance j.
            Each row sums to 1. A row is NaN if utterance i lacks the modality named first, or if no utterance has the
            other one. "text->text" is self-attention.
        tracks: Measurements of voice and face over time.
        notes: Remarks on this recording, such as skipped parts and the reasons.
    """

    video: VideoFacts
    model: ModelFacts
    utterances: tuple[UtteranceAnalysis, ...]
    attention: Mapping[str, FloatArray] = field(default_factory=dict)
    tracks: tuple[Track, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_probabilities(self)
        _require_intensities(self)
        starts = [utterance.start_s for utterance in self.utterances]
        if starts != sorted(starts):
            raise DataError("Expected the utterances in start order, but got others; sort them by start_s")
        shape = (len(starts), len(starts))
        for name, weights in self.attention.items():
            if name.count(ARROW) != 1 or not all(name.split(ARROW)):
                raise DataError(f"Expected attention under a name like 'text->visual', but got {name!r}; rename it")
            if weights.shape != shape:
                raise DataError(
                    f"Expected attention {name} of shape {shape}, one row and column per utterance, but got "
                    f"{weights.shape}; take the rows of the real utterances"
                )

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per utterance and the columns of `utterances.csv`."""
        import pandas as pd

        return pd.DataFrame([row(self, utterance) for utterance in self.utterances], columns=columns(self))


def emotion_names(analysis: Analysis) -> tuple[str, ...]:
    """Return the names of the emotions in an analysis.

    Emotions with a threshold come first. The others follow in the order in which they occur in the predictions.
    """
    names: dict[str, None] = dict.fromkeys(analysis.model.thresholds)
    for utterance in analysis.utterances:
        names |= dict.fromkeys(utterance.emotions)
    return tuple(names)


def columns(analysis: Analysis) -> list[str]:
    """Return the names of the columns of the table that shows an analysis.

    The columns are index, times, transcript, sentiment, emotions, other outputs, labels, missing modalities, speaker,
    why there is no prediction, and language.
    """
    names = [
        *("index", "start_s", "end_s", "transcript", "sentiment", "sentiment_probability"),
        *emotion_names(analysis),
        *dict.fromkeys(name for utterance in analysis.utterances for name in _named_values(utterance)),
        *("labels", "missing", "missing_reasons", "speaker", "not_judged", "language"),
    ]
    return list(dict.fromkeys(names))


def row(analysis: Analysis, utterance: UtteranceAnalysis) -> list[Any]:
    """Return the table row of one utterance.

    Args:
        analysis: The analysis, which determines the columns.
        utterance: One of its utterances.

    Returns:
        Cells in the order of `columns`; None where the utterance has no value.
    """
    sentiment = utterance.sentiment
    cells = {
        "index": utterance.index,
        "start_s": utterance.start_s,
        "end_s": utterance.end_s,
        "transcript": utterance.transcript,
        "sentiment": sentiment.label if sentiment else None,
        "sentiment_probability": sentiment.probability if sentiment else None,
        **utterance.emotions,
        **_named_values(utterance),
        "labels": SEPARATOR.join(utterance.labels),
        "missing": SEPARATOR.join(utterance.missing),
        "missing_reasons": SEPARATOR.join(f"{modality}: {reason}" for modality, reason in utterance.missing.items()),
        "speaker": utterance.speaker,
        "not_judged": utterance.not_judged,
        "language": utterance.language,
    }
    return [cells.get(name) for name in columns(analysis)]


def further_summary(utterance: UtteranceAnalysis) -> list[str]:
    """Return one short text per further task of an utterance: the class, labels or value, such as "topic art 0.81".

    Probabilities are those of the printed class or label.
    """
    texts = [f"{task} {answer.label} {answer.probability:.2f}" for task, answer in utterance.further_answers.items()]
    for task, values in utterance.further_outputs.items():
        if task in utterance.further_labels:
            present = [f"{name} {values[name]:.2f}" for name in utterance.further_labels[task]]
            texts.append(f"{task} {', '.join(present) or '-'}")
        else:
            texts += [f"{_value_name(task, output)} {value:.2f}" for output, value in values.items()]
    return texts


def _value_name(task: str, output: str) -> str:
    return task if output == task else f"{task}_{output}"


def _named_values(utterance: UtteranceAnalysis) -> dict[str, float | str]:
    """Return the predictions other than those of sentiment and emotions, by column name.

    The intensities come first, then the classes and the outputs of further tasks.
    """
    named: dict[str, float | str] = {}
    for task in (SENTIMENT_INTENSITY, EMOTION_INTENSITY):
        named |= {f"{name}_intensity": value for name, value in utterance.outputs.get(task, {}).items()}
    for task, answer in utterance.further_answers.items():
        named |= {task: answer.label, f"{task}_probability": answer.probability}
    for task, values in utterance.further_outputs.items():
        if task in utterance.further_labels:
            named[task] = SEPARATOR.join(utterance.further_labels[task])
        named |= {_value_name(task, output): value for output, value in values.items()}
    return named


def _require_finite(analysis: Analysis) -> None:
    times: Iterable[tuple[str, float]] = [
        ("the video's duration", analysis.video.duration_s),
        *((f"the start of utterance {row.index}", row.start_s) for row in analysis.utterances),
        *((f"the end of utterance {row.index}", row.end_s) for row in analysis.utterances),
    ]
    for what, seconds in times:
        if not (np.isfinite(seconds) and seconds >= 0):
            raise DataError(f"Expected {what} to be seconds from 0 on, but got {seconds}; segment the video again")


def _require_probabilities(analysis: Analysis) -> None:
    model = analysis.model
    named = [("the sentiment threshold", model.sentiment_threshold)]
    named += [(f"the threshold of {name}", value) for name, value in model.thresholds.items()]
    for row in analysis.utterances:
        for task, answer in row.answers.items():
            named += [(f"the {task} of utterance {row.index}", value) for value in answer.probabilities.values()]
        named += [(f"{name} of utterance {row.index}", value) for name, value in row.emotions.items()]
    for what, value in named:
        if not 0 <= value <= 1:
            raise DataError(
                f"Expected {what} to be a probability in [0, 1], but got {value}; leave out what the model did not say"
            )


def _require_intensities(analysis: Analysis) -> None:
    for row in analysis.utterances:
        named = [(f"{name} intensity", value, EMOTION_INTENSITY) for name, value in row.emotion_intensities.items()]
        if row.sentiment_intensity is not None:
            named.append(("sentiment intensity", row.sentiment_intensity, SENTIMENT_INTENSITY))
        for what, value, task in named:
            low, high = analysis.model.range_of(task)
            if not low <= value <= high:
                raise DataError(
                    f"Expected the {what} of utterance {row.index} in [{low:g}, {high:g}], but got {value}; "
                    "leave out what the model did not say"
                )
