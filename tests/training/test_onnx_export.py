"""The ONNX graph, run by the real onnxruntime, beside torch."""

from __future__ import annotations

import itertools

import numpy as np
import onnxruntime
import pytest
import torch
from tests.training.predictors import BOTH, features, untrained
from torch import nn

from mien.errors import ExportError, UsageError
from mien.models import MODELS
from mien.models.batch import Outputs
from mien.models.heads import make_heads
from mien.schema import FeatureSpace, Modality
from mien.storage.split_columns import stack_features
from mien.tasks import EMOTION, EMOTION_INTENSITY, PAPER_TASKS, SENTIMENT, SENTIMENT_INTENSITY
from mien.training.batching import Scaling
from mien.training.onnx_export import exportable, require_equal, run_graph, to_onnx
from mien.training.predictor import NetworkPredictor

SUBSETS = [inputs for size in (1, 2, 3) for inputs in itertools.combinations(Modality, size)]
LENGTHS = (1, 2, 10, 98)
# as docs/export.md names them
OUTPUTS = {
    SENTIMENT: "sentiment_probability",
    EMOTION: "emotion_probabilities",
    SENTIMENT_INTENSITY: "sentiment_intensity",
    EMOTION_INTENSITY: "emotion_intensities",
}


def session_of(predictor):
    return onnxruntime.InferenceSession(to_onnx(predictor, {"key": "value"}))


def assert_same(session, predictor, rows):
    """The graph against the batched path over columns, which shares nothing with the traced one but the parameters."""
    columns = stack_features(rows, predictor.spaces)
    found, expected = run_graph(session, rows), predictor.predict(columns)
    for task, said in expected.outputs.items():
        values = found.pop(OUTPUTS[task])
        assert values.shape == (said.shape if said.shape[1] > 1 else said.shape[:1])
        np.testing.assert_allclose(values.reshape(said.shape), said, atol=1e-5)
    (attention,) = predictor.attention(columns).values()
    for direction, weights in attention.items():
        other = found.pop("attention_" + direction.replace("->", "_to_"))
        np.testing.assert_allclose(other[:, : weights.shape[1]], weights, atol=1e-5)
    for name, weights in predictor.fusion(columns).items():
        np.testing.assert_allclose(found.pop(f"fusion_{name}"), weights, atol=1e-5)
    assert not found


@pytest.mark.parametrize(
    ("inputs", "tasks"),
    [
        *((inputs, BOTH) for inputs in SUBSETS),
        (tuple(Modality), (SENTIMENT,)),
        ((Modality.TEXT,), (EMOTION,)),
        (tuple(Modality), tuple(PAPER_TASKS)),
    ],
    ids="+".join,
)
def test_cim_of_any_inputs_and_tasks(inputs, tasks):
    predictor = untrained("cim", inputs, tasks)
    session = session_of(predictor)
    for seed, n in enumerate(LENGTHS):
        for missing in (0.0, 0.5, 1.0):
            assert_same(session, predictor, features(inputs, n, missing, seed))


@pytest.mark.parametrize("name", [name for name in exportable() if name != "cim"])
def test_every_other_network_that_is_named_as_exportable(name):
    predictor = untrained(name, MODELS[name].modalities)
    session = session_of(predictor)
    for seed, n in enumerate((*LENGTHS, 120)):
        for missing in (0.0, 0.5):
            assert_same(session, predictor, features(predictor.spaces, n, missing, seed))


def test_what_stands_in_a_missing_row_does_not_matter():
    predictor = untrained("cim")
    session = session_of(predictor)
    rows = features(Modality, 5, seed=1)
    inputs = rows | {f"{name}_present": np.ones(5, dtype=bool) for name in rows}
    inputs["text_present"][2] = False
    outputs = []
    for filler in (0, 1e30, np.nan):
        rows["text"][2] = filler
        outputs.append(session.run(None, inputs))
    for one, *others in zip(*outputs, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_the_file_says_what_goes_in_and_out():
    session = session_of(untrained("cim", (Modality.TEXT, Modality.VISUAL)))
    assert {each.name: (each.shape, each.type) for each in session.get_inputs()} == {
        "text": (["utterance", 7], "tensor(float)"),
        "visual": (["utterance", 3], "tensor(float)"),
        "text_present": (["utterance"], "tensor(bool)"),
        "visual_present": (["utterance"], "tensor(bool)"),
    }
    names = ["sentiment_probability", "emotion_probabilities", "attention_text_to_visual", "attention_visual_to_text"]
    assert [each.name for each in session.get_outputs()] == names
    assert session.get_modelmeta().custom_metadata_map == {"key": "value"}


@pytest.mark.parametrize("name", ["mfn", "graph-mfn", "ef-lstm", "mv-lstm", "marn"])
def test_a_network_of_words_is_refused_with_the_names_of_those_that_can(name):
    with pytest.raises(UsageError, match=r"\(cim, cim-released, .*\), but got a system that reads words"):
        to_onnx(untrained(name), {})


class Counting(nn.Module):
    """Takes the number of utterances into Python, so that a trace holds it fixed."""

    def __init__(self):
        super().__init__()
        self.heads = make_heads(7, (PAPER_TASKS[SENTIMENT],))

    def forward(self, batch):
        rows = batch.features[Modality.TEXT]
        share = torch.full_like(rows, 1 / int(rows.shape[1]))
        return Outputs({SENTIMENT: self.heads[SENTIMENT](rows * share)})


class Unrolled(Counting):
    def forward(self, batch):
        rows = batch.features[Modality.TEXT]
        logits = torch.stack([self.heads[SENTIMENT](rows[:, i]) for i in range(int(rows.shape[1]))], dim=1)
        return Outputs({SENTIMENT: logits})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Counting, r"Expected the graph's sentiment_probability within 1e-05 of torch's, but got a difference of"),
        (Unrolled, r"Expected a graph for any number of utterances, but got .* for a video of 1"),
    ],
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_graph_that_says_something_else_is_not_written(kind, message):
    ones = {Modality.TEXT: torch.ones(7)}
    spaces = {Modality.TEXT: FeatureSpace(Modality.TEXT, "made-up", 7)}
    with pytest.raises(ExportError, match=message):
        to_onnx(NetworkPredictor(kind(), Scaling(ones, ones), (SENTIMENT,), spaces), {})


def test_the_check_itself_finds_other_weights():
    session = session_of(untrained("cim", (Modality.TEXT,)))
    other = untrained("cim", (Modality.TEXT,))
    with torch.no_grad():
        other.network.heads["emotion"].bias[3] += 1e-3
    with pytest.raises(ExportError, match="Expected the graph's emotion_probabilities within 1e-05"):
        require_equal(session, other)
