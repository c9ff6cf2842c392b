"""Run one small TensorFlow Lite network with ai-edge-litert, on one thread: its sums then have one order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from mien.errors import DamagedFileError, MissingExtraError
from mien.schema import FloatArray

# one input, with its batch axis -> the network's outputs in its own order
TfliteNet = Callable[[np.ndarray], list[FloatArray]]


def load_tflite(content: bytes, what: str) -> TfliteNet:
    """The network as one call; not to be shared between threads.

    Raises MissingExtraError without ai-edge-litert, DamagedFileError if the bytes are no network.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", "media") from error
    try:
        with _quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DamagedFileError(
            f"Expected {what} to be a TensorFlow Lite network, but got {error}; get the file again"
        ) from error
    into = interpreter.get_input_details()[0]["index"]
    outputs = [details["index"] for details in interpreter.get_output_details()]

    def run(values: np.ndarray) -> list[FloatArray]:
        interpreter.set_tensor(into, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """LiteRT announces its delegate on file descriptor 2 and has no setting for it; a progress bar lives there."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error: nothing to keep quiet
        yield
        return
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(silence)
        os.close(kept)
