"""The recurrence in an exported graph: the same states for other lengths and gaps than those of the export."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from mien.models.layers import run_bidirectional

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Recurrence(nn.Module):
    """`run_bidirectional` as a network."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(5, 3, batch_first=True, bidirectional=True)

    def forward(self, inputs: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        return run_bidirectional(self.gru, inputs, present)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_recurrence_skips_the_gaps_of_videos_of_any_length():
    torch.manual_seed(0)
    network, content = Recurrence().eval(), io.BytesIO()
    example = (torch.randn(1, 7, 5), torch.tensor([[True, True, False, True, True, True, True]]))
    axes = {"inputs": {1: "utterance"}, "present": {1: "utterance"}}
    torch.onnx.export(network, example, content, dynamo=False, input_names=list(axes), dynamic_axes=axes)
    session = onnxruntime.InferenceSession(content.getvalue(), providers=["CPUExecutionProvider"])
    for present in ([1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0, 0, 0, 0], [1], [0]):
        inputs, mask = torch.randn(1, len(present), 5), torch.tensor([present], dtype=torch.bool)
        (states,) = session.run(None, {"inputs": inputs.numpy(), "present": mask.numpy()})
        torch.testing.assert_close(torch.from_numpy(states), network(inputs, mask), atol=1e-6, rtol=0)
        assert (states[~mask.numpy()] == 0).all()
