"""From a split's columns to a trained system and its predictions. Nothing here can reach the test split by itself."""

from mien.training.batching import Scaling, VideoSet, fit_scaling, to_video_set
from mien.training.classical import ClassicalPredictor, fit_classical
from mien.training.devices import is_first_process
from mien.training.loop import FitSpec, fit
from mien.training.predictions import VideoPrediction
from mien.training.predictor import NetworkPredictor, Predictor, as_read, load_predictor, reads_transcripts
from mien.training.settings import TrainSettings

__all__ = [
    "ClassicalPredictor",
    "FitSpec",
    "NetworkPredictor",
    "Predictor",
    "Scaling",
    "TrainSettings",
    "VideoPrediction",
    "VideoSet",
    "as_read",
    "fit",
    "fit_classical",
    "fit_scaling",
    "is_first_process",
    "load_predictor",
    "reads_transcripts",
    "to_video_set",
]
