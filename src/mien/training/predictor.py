"""Everything after training knows only predictors: columns of videos in, Predictions and attention out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from mien.errors import UsageError
from mien.features.text.transcript import TRANSCRIPT, as_transcripts, transcript_space
from mien.models import build_model, model_entry
from mien.models.batch import InputKind, Outputs
from mien.models.classical.base import ClassicalEntry, ClassicalSpec, Tensors
from mien.models.heads import predicted_values
from mien.schema import FeatureSpace, FloatArray, IntArray, Modality, SentimentValues
from mien.settings import override
from mien.storage.predictions import Predictions
from mien.storage.runs import Run, require_epoch, require_spaces
from mien.storage.split_columns import SplitColumns, stack_features
from mien.tasks import TASKS
from mien.training.batching import Scaling, VideoSet, bucketed_batches, collate, one_video, to_video_set
from mien.training.checkpoint import load_weights, restore_model
from mien.training.classical import classical_probabilities, load_tensors
from mien.training.devices import torch_threads
from mien.training.loop import MODEL_FILE
from mien.training.validation import PREDICTION_BATCH_VIDEOS


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """What a system says about the utterances of one video, and what it looked at."""

    # task -> (utterance, output) in the order of its outputs (`tasks.TASKS`): probabilities of classes, or degrees
    outputs: Mapping[str, FloatArray]
    # "text->visual": weights (utterance, context), see `models.batch.Outputs`
    attention: Mapping[str, FloatArray] = field(default_factory=dict)
    # weights inside each utterance (utterance,), by name
    fusion: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkPredictor:
    """What everything after training knows of a network."""

    network: nn.Module
    scaling: Scaling
    tasks: tuple[str, ...]
    # the spaces it was trained on; features of others are refused by `storage.runs.require_spaces`
    spaces: dict[Modality, FeatureSpace]
    # what its columns must hold beside the features
    input_kind: InputKind = InputKind.CONTEXT

    def predict(
        self, columns: SplitColumns, sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> Predictions:
        """Probabilities and intensities of every utterance of the columns, in their order, beside the gold labels."""
        said = {task: np.zeros((columns.n_utterances, len(TASKS[task].outputs))) for task in self.tasks}
        for outputs, real, rows in self._forward(columns):
            for task, logits in outputs.logits.items():
                said[task][rows] = predicted_values(task, logits)[real].numpy()
        return _beside_labels(columns, said, sentiment_values)

    def attention(self, columns: SplitColumns) -> dict[str, dict[str, FloatArray]]:
        """Per video id and direction ("text->visual") the weights (utterance, context); rows sum to 1 where defined."""
        found: dict[str, dict[str, FloatArray]] = {}
        starts = {int(start): name for start, name in zip(columns.offsets[:-1], columns.video_ids, strict=True)}
        for outputs, real, rows in self._forward(columns):
            lengths = real.sum(dim=1).tolist()
            firsts = rows[np.cumsum([0, *lengths[:-1]])]
            for number, (first, length) in enumerate(zip(firsts.tolist(), lengths, strict=True)):
                found[starts[first]] = {
                    name: _without_empty_columns(weights[number, :length].numpy(), length)
                    for name, weights in outputs.attention.items()
                }
        return found

    def fusion(self, columns: SplitColumns) -> dict[str, FloatArray]:
        """Weights inside each utterance (N,), by name (see `Outputs.fusion`); nothing for systems without any."""
        found: dict[str, FloatArray] = {}
        for outputs, real, rows in self._forward(columns):
            for name, weights in outputs.fusion.items():
                found.setdefault(name, np.zeros(columns.n_utterances))[rows] = weights[real].double().numpy()
        return found

    def predict_video(self, features: Mapping[str, FloatArray]) -> VideoPrediction:
        """One video from its features as they come from the extractors, (utterance, feature) by modality, in one pass.

        A row of NaN, or a modality that is not given, is missing. Nothing but the width tells whether the features are
        of the space that the system was trained on. Raises DataError, and UsageError for a system of words.
        """
        # One that could read transcripts may have been trained on text vectors, or without any text.
        on_vectors = self.input_kind is InputKind.TRANSCRIPTS and not needs_transcripts(self.spaces)
        _require_vectors(InputKind.CONTEXT if on_vectors else self.input_kind)
        self.network.eval()
        with torch.inference_mode():
            outputs = self.network(one_video(stack_features(features, self.spaces), self.scaling))
        return VideoPrediction(
            {task: predicted_values(task, logits)[0].numpy() for task, logits in outputs.logits.items()},
            attention={
                name: _without_empty_columns(weights[0].numpy(), weights.shape[1])
                for name, weights in outputs.attention.items()
            },
            fusion={name: weights[0].double().numpy() for name, weights in outputs.fusion.items()},
        )

    def _forward(self, columns: SplitColumns) -> Iterator[tuple[Outputs, torch.Tensor, IntArray]]:
        columns = with_model_inputs(columns, self.spaces)
        if columns.spaces:
            require_spaces(self.spaces, columns.spaces)
        videos: VideoSet = to_video_set(columns, self.scaling, self.input_kind)
        self.network.eval()
        with torch.inference_mode():
            for numbers in bucketed_batches(columns.lengths, PREDICTION_BATCH_VIDEOS, None):
                batch, rows = collate(videos, numbers)
                with torch_threads(1):
                    outputs = self.network(batch)
                yield outputs, batch.real, rows.numpy()


@dataclass(frozen=True)
class ClassicalPredictor:
    """What everything after training knows of a classical system."""

    entry: ClassicalEntry
    tensors: Tensors
    spec: ClassicalSpec
    # the spaces it was fitted on; features of others are refused by `storage.runs.require_spaces`
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it predicts."""
        return self.spec.tasks

    @property
    def input_kind(self) -> InputKind:
        """What its columns must hold beside the features."""
        return self.entry.input_kind

    def predict(
        self, columns: SplitColumns, sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> Predictions:
        """Probabilities for every utterance of the columns, in their order, beside the gold labels.

        Raises FeatureSpaceError, and DamagedFileError when the stored arrays are not this system's.
        """
        if columns.spaces:
            require_spaces(self.spaces, columns.spaces)
        said = classical_probabilities(self.entry, self.tensors, columns, self.spec)
        return _beside_labels(columns, said, sentiment_values)

    def attention(self, columns: SplitColumns) -> dict[str, dict[str, FloatArray]]:
        """Nothing for any video: a classical system looks at each utterance alone."""
        return {name: {} for name in columns.video_ids}

    def fusion(self, _columns: SplitColumns) -> dict[str, FloatArray]:
        """Nothing: what weights a system has are the same for all utterances."""
        return {}

    def predict_video(self, features: Mapping[str, FloatArray]) -> VideoPrediction:
        """One video from its features, see `NetworkPredictor.predict_video`."""
        _require_vectors(self.input_kind)
        return VideoPrediction(self.predict(stack_features(features, self.spaces)).outputs)


# a trained system of either kind; the videos of the columns are judged each by itself
Predictor = NetworkPredictor | ClassicalPredictor


def load_predictor(run: Run, epoch: int | None = None) -> Predictor:
    """The run's chosen weights, or those after `epoch` if the run kept its epochs (a classical system: 1), to predict.

    Raises DataError when that epoch was not kept, DamagedFileError when the weights are cut, altered or of another
    system.
    """
    path = run.folder / MODEL_FILE if epoch is None else require_epoch(run, epoch)
    entry = model_entry(run.model)
    settings = override(entry.settings, run.settings["model"])
    if isinstance(entry, ClassicalEntry):
        spec = ClassicalSpec(run.inputs, run.tasks, settings, run.seed)
        return ClassicalPredictor(entry, load_tensors(path), spec, dict(run.spaces))
    if needs_transcripts(run.spaces):
        # the encoder's files, whose sha256 the run has recorded
        require_spaces({Modality.TEXT: run.spaces[Modality.TEXT]}, {Modality.TEXT: transcript_space()})
    n_features = {modality: space.n_features for modality, space in run.spaces.items()}
    network = build_model(run.model, n_features, run.tasks, settings)
    weights, _ = load_weights(path)
    scaling = restore_model(network, weights, tuple(run.spaces))
    return NetworkPredictor(network, scaling, run.tasks, dict(run.spaces), entry.input_kind)


def with_model_inputs(columns: SplitColumns, spaces: Mapping[Modality, FeatureSpace]) -> SplitColumns:
    """The columns as a system of these spaces takes them: with transcripts instead of text vectors if it reads them.

    Raises DataError where the columns have none.
    """
    return as_transcripts(columns) if needs_transcripts(spaces) else columns


def needs_transcripts(spaces: Mapping[Modality, FeatureSpace]) -> bool:
    """Whether a system of these spaces reads what was said itself."""
    return Modality.TEXT in spaces and spaces[Modality.TEXT].name == TRANSCRIPT


def _beside_labels(columns: SplitColumns, said: Mapping[str, FloatArray], values: SentimentValues) -> Predictions:
    return Predictions(
        video_id=np.repeat(np.array(columns.video_ids, dtype=object), columns.lengths),
        index=columns.index,
        sentiment=columns.sentiment,
        emotions=columns.emotions,
        outputs=said,
        sentiment_values=values,
    )


def _require_vectors(input_kind: InputKind) -> None:
    """Raise UsageError for a system of words or transcripts: vectors of whole utterances tell it nothing."""
    if input_kind in (InputKind.WORDS, InputKind.TRANSCRIPTS):
        columns = "columns(split, words=True)" if input_kind is InputKind.WORDS else "columns(split)"
        raise UsageError(
            f"Expected a system that reads one vector per utterance, but got one that reads {input_kind.value}; "
            f"give it a Dataset's columns: predict(dataset.{columns})"
        )


def _without_empty_columns(weights: FloatArray, length: int) -> FloatArray:
    """The real utterances, and behind them the padded slots that a network without a padding mask looks at."""
    if weights.shape[1] == length:
        return weights
    used = np.flatnonzero((weights > 0).any(axis=0))
    return weights[:, : max(length, int(used[-1]) + 1 if len(used) else 0)]
