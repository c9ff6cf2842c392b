"""Exports a trained network as one ONNX graph, which computes predictions from the raw features of one video.

The tensors of the graph are listed below, where u is the number of utterances of the video (1 or more).

- Inputs: each modality m of the run has two tensors. ``m`` (u, feature) float32 holds the unscaled features.
  ``m_present`` (u,) bool is False where an utterance lacks the modality; its features may then have any values.
- Outputs: each task has one tensor, whose name is the `export_name` of the task. Its shape is (u, output),
  or (u,) if the task has one output. A network with attention also has ``attention_m_to_n`` (u, context) for each
  direction, from modality m to modality n. A network with fusion weights also has ``fusion_NAME`` (u,).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import ExportError, MissingExtraError, UsageError
from mien.models import MODELS, ModelEntry
from mien.models.batch import Batch, InputKind, Outputs
from mien.models.heads import activated
from mien.schema import FloatArray
from mien.tasks import Task
from mien.training.predictor import NetworkPredictor, Predictor

Values = TypeVar("Values", Tensor, FloatArray)

OPSET = 17
TRACEABLE = (InputKind.CONTEXT, InputKind.UTTERANCE)
# Largest allowed difference between an output of the graph and that of torch. The two round in a different order.
TOLERANCE = 1e-5
CHECKED_LENGTHS = (1, 2, 10, 98)
# share of the utterances that lack a modality, in the random videos that test missing modalities
MISSING_SHARE = 0.4
TRACED_UTTERANCES = 3


def to_onnx(predictor: Predictor, metadata: Mapping[str, str]) -> bytes:
    """Export a network as an ONNX graph, and check that onnxruntime computes the same outputs as torch.

    Args:
        predictor: Trained system; only a network can be exported.
        metadata: Keys and values to store in the metadata (`metadata_props`) of the file.

    Returns:
        Content of the .onnx file.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        UsageError: The system cannot be exported.
        ExportError: torch cannot export the network, or the outputs of the graph differ from those of torch.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(str(error.name), "onnx") from error
    network = _require_exportable(predictor)
    model = onnx.load_model_from_string(_trace(ExportedNetwork(network)))
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    require_equal(session, network)
    return content


def exportable() -> list[str]:
    """Return the names of the systems in `MODELS` that can be exported."""
    return [name for name, entry in MODELS.items() if isinstance(entry, ModelEntry) and entry.input_kind in TRACEABLE]


def require_equal(session: Any, predictor: NetworkPredictor) -> None:
    """Check that an exported graph and its network give the same outputs for random videos.

    The videos have different numbers of utterances. Some videos have all modalities. In others, some or all utterances
    lack modalities.

    Args:
        session: onnxruntime session of the graph.
        predictor: The exported network.

    Raises:
        ExportError: The graph fails, or an output differs by more than `TOLERANCE`.
    """
    rng = np.random.default_rng(0)
    for n_utterances in CHECKED_LENGTHS:
        for missing in (0.0, MISSING_SHARE, 1.0):
            features = _random_features(predictor, n_utterances, missing, rng)
            try:
                actual = run_graph(session, features)
            except Exception as error:  # onnxruntime's errors have no more specific base class
                raise ExportError(
                    f"Expected a graph for any number of utterances, but got {_first_line(error)} for a video of "
                    f"{n_utterances}; let the network's forward work on tensors whatever their size"
                ) from error
            expected = predictor.predict_video(features)
            named = _graph_outputs(expected.outputs, predictor.task_table, expected.attention, expected.fusion)
            for name, values in named.items():
                # The released network also attends to padding. These columns come last, and the predictor removes them.
                actual_values = actual[name][:, : values.shape[1]] if values.ndim == 2 else actual[name]
                difference = float(np.abs(actual_values - values).max())
                if not difference <= TOLERANCE:
                    raise ExportError(
                        f"Expected the graph's {name} within {TOLERANCE:g} of torch's, but got a difference of "
                        f"{difference:.2g} for a video of {n_utterances} utterances; please report it with the run"
                    )


def run_graph(session: Any, features: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Run an exported graph on one video.

    Args:
        session: onnxruntime session of the graph.
        features: Unscaled features (utterance, feature) by modality. A row of NaN means that the utterance lacks the
            modality.

    Returns:
        Outputs of the graph by name.
    """
    inputs: dict[str, Any] = {name: rows.astype(np.float32) for name, rows in features.items()}
    inputs |= {f"{name}_present": np.logical_not(np.isnan(rows).all(axis=1)) for name, rows in features.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


class ExportedNetwork(nn.Module):
    """Torch module that `to_onnx` exports. It scales the features, runs the network and applies the output activations.

    The exporter requires that the inputs are positional arguments and the outputs a tuple of tensors.
    """

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.network = predictor.network.eval()
        self.scaling = predictor.scaling
        self.modalities = tuple(predictor.spaces)
        self.task_table = predictor.task_table

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs for one video, in the order in which `named` returns them.

        The arguments are first the unscaled features (utterance, feature) of each modality, then for each modality a
        mask (utterance,), True where the utterance has the modality.
        """
        return tuple(self.named(*tensors).values())

    def named(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Compute the outputs for one video, by their names in the graph. The arguments are those of `forward`."""
        n = len(self.modalities)
        rows = dict(zip(self.modalities, tensors[:n], strict=True))
        present = dict(zip(self.modalities, tensors[n:], strict=True))
        features = {}
        for modality, matrix in rows.items():
            scaled = (matrix - self.scaling.mean[modality]) / self.scaling.scale[modality]
            features[modality] = scaled.where(present[modality].unsqueeze(-1), 0.0).unsqueeze(0)
        real = torch.ones_like(tensors[n]).unsqueeze(0)
        batch = Batch(features, {m: mask.unsqueeze(0) for m, mask in present.items()}, real.sum(dim=1), real)
        outputs: Outputs = self.network(batch)
        predicted = {task: activated(self.task_table[task], logits[0]) for task, logits in outputs.logits.items()}
        attention = {name: weights[0] for name, weights in outputs.attention.items()}
        fusion = {name: weights[0] for name, weights in outputs.fusion.items()}
        return _graph_outputs(predicted, self.task_table, attention, fusion)


def _graph_outputs(
    outputs: Mapping[str, Values],
    tasks: Mapping[str, Task],
    attention: Mapping[str, Values],
    fusion: Mapping[str, Values],
) -> dict[str, Values]:
    """Combine predictions, attention weights and fusion weights in one dictionary, by their names in the graph.

    If a task has only one output, its predictions (utterance, 1) get the shape (utterance,).
    """
    named = {tasks[task].export_name: values for task, values in outputs.items()}
    named = {name: values.squeeze(-1) if values.shape[-1] == 1 else values for name, values in named.items()}
    named |= {"attention_" + name.replace("->", "_to_"): weights for name, weights in attention.items()}
    return named | {f"fusion_{name}": weights for name, weights in fusion.items()}


def _require_exportable(predictor: Predictor) -> NetworkPredictor:
    input_kind = predictor.input_kind
    if not isinstance(predictor, NetworkPredictor) or input_kind not in TRACEABLE:
        kind = "a system without a network" if input_kind in TRACEABLE else f"a system that reads {input_kind}"
        raise UsageError(
            f"Expected a network over whole utterances ({', '.join(exportable())}), but got {kind}; "
            "use it from Python: mien.load_model"
        )
    return predictor


def _trace(graph: ExportedNetwork) -> bytes:
    """Convert the module to ONNX by tracing it, and return the content of the .onnx file without metadata."""
    modalities = graph.modalities
    inputs = [torch.randn(TRACED_UTTERANCES, len(graph.scaling.mean[m])) for m in modalities]
    inputs += [torch.ones(TRACED_UTTERANCES, dtype=torch.bool) for _ in modalities]
    names = [*map(str, modalities), *(f"{m}_present" for m in modalities)]
    try:
        with TemporaryDirectory() as folder, torch.no_grad(), _ignored_exporter_warnings():
            path = Path(folder) / "graph.onnx"
            outputs = graph.named(*inputs)
            axes = {name: {0: "utterance"} for name in (*names, *outputs)}
            for name in outputs:
                if name.startswith("attention_"):
                    axes[name][1] = "context"
            torch.onnx.export(
                graph,
                tuple(inputs),
                path,
                input_names=names,
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
                # The newer exporter (torch.export) would fix branches that depend on whether a modality is present.
                dynamo=False,
            )
            return path.read_bytes()
    except RuntimeError as error:
        raise ExportError(
            f"Expected a network that torch.onnx can trace, but got {_first_line(error)}; "
            f"these can be exported: {', '.join(exportable())}"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


@contextmanager
def _ignored_exporter_warnings() -> Iterator[None]:
    """Context manager that suppresses known warnings of torch, for example about the legacy exporter."""
    with warnings.catch_warnings():
        for message in (
            "You are using the legacy TorchScript-based ONNX export",
            "The feature will be removed",
            "Exporting a model to ONNX with a batch_size other than 1",
            "Constant folding - Only steps=1 can be constant folded",
            "Converting a tensor to a Python boolean might cause the trace to be incorrect",
        ):
            warnings.filterwarnings("ignore", message=message)
        yield


def _random_features(
    predictor: NetworkPredictor, n_utterances: int, missing: float, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Draw normally distributed features by modality, with the mean and standard deviation of the train split.

    A row is set to NaN, which means that the utterance lacks the modality, with the probability `missing`.
    """
    features = {}
    for modality, mean in predictor.scaling.mean.items():
        noise = rng.normal(size=(n_utterances, len(mean)))
        rows = mean.numpy() + predictor.scaling.scale[modality].numpy() * noise
        rows[rng.random(n_utterances) < missing] = np.nan
        features[str(modality)] = rows.astype(np.float32)
    return features
