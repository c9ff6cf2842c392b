"""Predictors: trained systems that compute Predictions and attention weights from the features of videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from mien.errors import DamagedFileError, UsageError
from mien.features.text.transcript import TRANSCRIPT, as_transcripts, transcript_space
from mien.limits import describe_error
from mien.models import build_model, model_entry
from mien.models.batch import InputKind, Outputs
from mien.models.classical.base import ClassicalEntry, ClassicalSpec, Tensors
from mien.models.heads import predicted_values
from mien.schema import FeatureSpace, FloatArray, IntArray, Modality, SentimentValues
from mien.settings import override
from mien.storage.predictions import Predictions
from mien.storage.runs import CARD, Run, require_epoch, require_spaces
from mien.storage.split_columns import SplitColumns, stack_features
from mien.tasks import PAPER_TASKS, Task, spaces_of
from mien.training.batching import Scaling, VideoSet, collate, one_video, to_video_set
from mien.training.buckets import bucketed_batches
from mien.training.checkpoint import load_weights, restore_model
from mien.training.classical import classical_probabilities, load_tensors
from mien.training.devices import torch_threads
from mien.training.loop import MODEL_FILE
from mien.training.validation import PREDICTION_BATCH_VIDEOS


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """Predictions for the utterances of one video, with attention and fusion weights.

    Predictions are probabilities if the task predicts classes, and intensities otherwise. Attention weights tell how
    much one utterance attends to another. Fusion weights tell how much each modality, or each edge of a fusion graph,
    contributes to an utterance. If the system has no such weights, they are empty.
    """

    # task -> probabilities of classes, or intensities (utterance, output)
    outputs: Mapping[str, FloatArray]
    # direction, such as "text->visual" -> weights (utterance, context); see `models.batch.Outputs`
    attention: Mapping[str, FloatArray] = field(default_factory=dict)
    # name -> weight within each utterance (utterance,); see `models.batch.Outputs`
    fusion: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkPredictor:
    """A trained network, with everything that is needed to predict from features."""

    network: nn.Module
    scaling: Scaling
    tasks: tuple[str, ...]
    # feature spaces that the network was trained on; `storage.runs.require_spaces` refuses others
    spaces: dict[Modality, FeatureSpace]
    # input from which the network predicts an utterance, for example vectors, words or transcripts
    input_kind: InputKind = InputKind.CONTEXT
    # all tasks of the label spaces on which the network was trained
    task_table: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    def predict(
        self, columns: SplitColumns, sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> Predictions:
        """Predict the labels of all utterances of one or more videos.

        Args:
            columns: Features and gold labels of the utterances, as arrays.
            sentiment_values: Whether the gold sentiment labels are scores or classes.

        Returns:
            Predictions and gold labels, with the utterances in the same order as in `columns`.

        Raises:
            FeatureSpaceError: The features are of another kind than those on which the network was trained.
            DataError: The network takes transcripts as input, and `columns` has none.
        """
        tasks = self.task_table
        predicted = {task: np.zeros((columns.n_utterances, len(tasks[task].outputs))) for task in self.tasks}
        for outputs, real, rows in self._forward(columns):
            for task, logits in outputs.logits.items():
                predicted[task][rows] = predicted_values(tasks[task], logits)[real].numpy()
        return _to_predictions(columns, predicted, sentiment_values, tasks)

    def attention(self, columns: SplitColumns) -> dict[str, dict[str, FloatArray]]:
        """Compute the attention weights of every video.

        Args:
            columns: Features of the utterances, as arrays.

        Returns:
            Nested dictionary: video id, then direction, then weights (utterance, context). In the direction
            "text->visual", the text of each utterance attends to the visual features of all utterances of the video.
            The weights of one utterance sum to 1. If it has no utterance to attend to, all its weights are 0.
        """
        maps: dict[str, dict[str, FloatArray]] = {}
        id_by_row = {int(start): name for start, name in zip(columns.offsets[:-1], columns.video_ids, strict=True)}
        for outputs, real, rows in self._forward(columns):
            lengths = real.sum(dim=1).tolist()
            first_rows = rows[np.cumsum([0, *lengths[:-1]])]
            for number, (first_row, length) in enumerate(zip(first_rows.tolist(), lengths, strict=True)):
                maps[id_by_row[first_row]] = {
                    name: _without_empty_columns(weights[number, :length].numpy(), length)
                    for name, weights in outputs.attention.items()
                }
        return maps

    def fusion(self, columns: SplitColumns) -> dict[str, FloatArray]:
        """Compute the weights by which the network combines modalities within each utterance.

        Args:
            columns: Features of N utterances, as arrays.

        Returns:
            Weights (N,) by name. A name is a modality ("text") or an edge of a fusion graph ("text->text+visual"). The
            dictionary is empty if the network has no such weights.
        """
        weights_by_name: dict[str, FloatArray] = {}
        for outputs, real, rows in self._forward(columns):
            for name, weights in outputs.fusion.items():
                weights_by_name.setdefault(name, np.zeros(columns.n_utterances))[rows] = weights[real].double().numpy()
        return weights_by_name

    def predict_video(self, features: Mapping[str, FloatArray]) -> VideoPrediction:
        """Predict the labels of the utterances of one video.

        Only the number of features is checked. The function cannot check whether the features come from the extractor
        with which the network was trained.

        Args:
            features: Unscaled features (utterance, feature) by modality. A row of NaN means that the utterance lacks
                the modality. A modality that all utterances lack may be left out.

        Raises:
            DataError: A modality is unknown, its array has the wrong shape, or a row is neither all finite nor all
                NaN.
            UsageError: The network takes words or transcripts as input.
        """
        # A system that can read transcripts may have been trained on text vectors, or without text.
        on_vectors = self.input_kind is InputKind.TRANSCRIPTS and not needs_transcripts(self.spaces)
        _require_vector_input(InputKind.CONTEXT if on_vectors else self.input_kind)
        tasks = self.task_table
        self.network.eval()
        with torch.inference_mode():
            outputs = self.network(one_video(stack_features(features, self.spaces), self.scaling))
        return VideoPrediction(
            {task: predicted_values(tasks[task], logits)[0].numpy() for task, logits in outputs.logits.items()},
            attention={
                name: _without_empty_columns(weights[0].numpy(), weights.shape[1])
                for name, weights in outputs.attention.items()
            },
            fusion={name: weights[0].double().numpy() for name, weights in outputs.fusion.items()},
        )

    def _forward(self, columns: SplitColumns) -> Iterator[tuple[Outputs, torch.Tensor, IntArray]]:
        """Run the network batch by batch.

        Yields:
            ``(outputs, real, rows)`` of each batch: the outputs of the network; a mask (video, utterance), False for
            padding; and the index in `columns` of each utterance that is not padding.
        """
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
    """A fitted classical system (not a neural network), with everything that is needed to predict from features."""

    entry: ClassicalEntry
    tensors: Tensors
    spec: ClassicalSpec
    # feature spaces that the system was fitted on; `storage.runs.require_spaces` refuses others
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)
    # all tasks of the label spaces on which the system was fitted
    task_table: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the predicted tasks."""
        return tuple(task.name for task in self.spec.tasks)

    @property
    def input_kind(self) -> InputKind:
        """Kind of input of the system, for example one vector per utterance or one vector per word."""
        return self.entry.input_kind

    def predict(
        self, columns: SplitColumns, sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> Predictions:
        """Predict the labels of all utterances of one or more videos.

        Args:
            columns: Features and gold labels of the utterances, as arrays.
            sentiment_values: Whether the gold sentiment labels are scores or classes.

        Returns:
            Predictions and gold labels, with the utterances in the same order as in `columns`.

        Raises:
            FeatureSpaceError: The features are of another kind than those on which the system was fitted.
            DamagedFileError: A fitted array that the system needs is missing.
        """
        if columns.spaces:
            require_spaces(self.spaces, columns.spaces)
        outputs = classical_probabilities(self.entry, self.tensors, columns, self.spec)
        return _to_predictions(columns, outputs, sentiment_values, self.task_table)

    def attention(self, columns: SplitColumns) -> dict[str, dict[str, FloatArray]]:
        """Return an empty dictionary for each video id, because a classical system has no attention weights."""
        return {name: {} for name in columns.video_ids}

    def fusion(self, _columns: SplitColumns) -> dict[str, FloatArray]:
        """Return an empty dictionary, because a classical system has no fusion weights."""
        return {}

    def predict_video(self, features: Mapping[str, FloatArray]) -> VideoPrediction:
        """Predict the labels of the utterances of one video from unscaled features (utterance, feature) by modality.

        A row of NaN means that the utterance lacks the modality. The features are checked as in
        `NetworkPredictor.predict_video`.
        """
        _require_vector_input(self.input_kind)
        return VideoPrediction(self.predict(stack_features(features, self.spaces)).outputs)


# a trained system of either kind; every video is predicted independently of the others
Predictor = NetworkPredictor | ClassicalPredictor


def load_predictor(run: Run, epoch: int | None = None) -> Predictor:
    """Load a trained system from the files of its run.

    Args:
        run: Finished run.
        epoch: Epoch whose weights are loaded, counted from 1. A classical system has only epoch 1. If it is None, the
            weights of the epoch that was chosen on the valid split are loaded.

    Returns:
        The network or the classical system, ready to predict.

    Raises:
        DataError: The run did not keep the weights of this epoch.
        DamagedFileError: The weights are damaged or belong to another system.
        FeatureSpaceError: The run used another version of the text encoder.
    """
    path = run.folder / MODEL_FILE if epoch is None else require_epoch(run, epoch)
    entry = model_entry(run.model)
    settings = override(entry.settings, run.settings["model"])
    if isinstance(entry, ClassicalEntry):
        spec = ClassicalSpec(run.inputs, run.learned_tasks, settings, run.seed)
        return ClassicalPredictor(entry, load_tensors(path), spec, dict(run.spaces), run.task_table)
    if needs_transcripts(run.spaces):
        # the run records the sha256 of the encoder's files
        require_spaces({Modality.TEXT: run.spaces[Modality.TEXT]}, {Modality.TEXT: transcript_space()})
    n_features = {modality: space.n_features for modality, space in run.spaces.items()}
    try:
        network = build_model(run.model, n_features, run.learned_tasks, settings)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise DamagedFileError(
            f"Expected sizes of a network in {run.folder / CARD}, but got ones of which none can be built "
            f"({describe_error(error)}); the file was altered since it was written: train the run again"
        ) from error
    weights, _ = load_weights(path)
    scaling = restore_model(network, weights, tuple(run.spaces))
    return NetworkPredictor(network, scaling, run.tasks, dict(run.spaces), entry.input_kind, run.task_table)


def with_model_inputs(columns: SplitColumns, spaces: Mapping[Modality, FeatureSpace]) -> SplitColumns:
    """Return utterances with the text input that a system needs: transcripts or text vectors.

    Args:
        columns: Utterances with text vectors or transcripts.
        spaces: Feature spaces on which the system was trained. They show whether the system needs transcripts.

    Returns:
        If the system needs transcripts, the utterances with transcripts in place of text vectors. Otherwise `columns`,
        unchanged.

    Raises:
        DataError: The system needs transcripts, and `columns` has none.
    """
    return as_transcripts(columns) if needs_transcripts(spaces) else columns


def needs_transcripts(spaces: Mapping[Modality, FeatureSpace]) -> bool:
    """Return whether a system with these feature spaces takes transcripts, instead of text vectors, as input."""
    return Modality.TEXT in spaces and spaces[Modality.TEXT].name == TRANSCRIPT


def _to_predictions(
    columns: SplitColumns, predicted: Mapping[str, FloatArray], values: SentimentValues, tasks: Mapping[str, Task]
) -> Predictions:
    """Combine the predicted values of a system with the gold labels in `columns`.

    `predicted` contains an array (utterance, output) per task. `values` tells whether the gold sentiment labels are
    scores or classes. `tasks` are those of the label spaces on which the system was trained. Labels of another meaning
    count as missing.
    """
    known = {space.name: space for space in columns.label_spaces}
    labels = {
        space.name: columns.labels[space.name]
        if space.name in columns.labels and known[space.name].describes_same(space)
        else np.full((columns.n_utterances, space.n_columns), np.nan)
        for space in spaces_of(tasks)
    }
    return Predictions(
        video_id=np.repeat(np.array(columns.video_ids, dtype=object), columns.lengths),
        index=columns.index,
        labels=labels,
        outputs=predicted,
        sentiment_values=values,
        tasks=tasks,
    )


def _require_vector_input(input_kind: InputKind) -> None:
    """Raise UsageError if the input of a system is words or transcripts instead of one vector per utterance."""
    if input_kind in (InputKind.WORDS, InputKind.TRANSCRIPTS):
        columns = "columns(split, words=True)" if input_kind is InputKind.WORDS else "columns(split)"
        raise UsageError(
            f"Expected a system that reads one vector per utterance, but got one that reads {input_kind.value}; "
            f"give it a Dataset's columns: predict(dataset.{columns})"
        )


def _without_empty_columns(weights: FloatArray, length: int) -> FloatArray:
    """Return the attention weights (utterance, context) of a video without the columns of padding.

    `length` is the number of utterances of the video. If the network does not mask padding, padding may get attention
    weight. In this case, all columns up to the last one with a positive weight are kept.
    """
    if weights.shape[1] == length:
        return weights
    used = np.flatnonzero((weights > 0).any(axis=0))
    return weights[:, : max(length, int(used[-1]) + 1 if len(used) else 0)]
