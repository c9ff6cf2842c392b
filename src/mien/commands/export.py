"""`mien export`: writes a finished Run as one ONNX file that can be used without mien (docs/export.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.commands.shipped import decisions_of, find_run, shipped_names
from mien.errors import UsageError
from mien.schema import EMOTION_OUTPUTS
from mien.storage.files import atomic_file, require_same_kind
from mien.tasks import tasks_to_json
from mien.training.loop import MODEL_FILE
from mien.training.onnx_export import CHECKED_LENGTHS, TOLERANCE, to_onnx
from mien.training.predictor import load_predictor
from mien.version import __version__

ONNX_FORMAT_VERSION = 1
# An ONNX file begins with the tag of its first field, the version of the format.
ONNX_HEAD = b"\x08"


@dataclass(frozen=True)
class Exported:
    """An exported file and its metadata."""

    path: Path
    # the metadata in the file, decoded from JSON
    metadata: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        checked = {"tolerance": TOLERANCE, "lengths": list(CHECKED_LENGTHS)}
        return {"path": str(self.path), "checked_against_torch": checked, "metadata": self.metadata}


def export(run: str | Path, out: str | Path | None = None) -> Exported:
    """Write the network of a run as ONNX, after checking that the ONNX graph gives the outputs of torch.

    Args:
        run: Run folder or name of a shipped checkpoint.
        out: File to write. The default is model.onnx in the run folder. A shipped checkpoint has no default.

    Returns:
        Path and metadata of the file.

    Raises:
        UsageError: The system cannot be exported, `out` is a folder, or `out` is None for a shipped checkpoint.
        ExportError: The outputs of the graph differ from torch's.
        MissingExtraError: onnx or onnxruntime is not installed.
        WriteError: The file cannot be written, or it exists and is not an ONNX file.
        DataError: The folder `run` is not a Run.
        DamagedFileError: A file of the run is damaged.
        UnknownNameError: There is no shipped checkpoint of this name.
    """
    if out is None and str(run) in shipped_names():
        raise UsageError(f"Expected --out for {run}, which comes with the package, but got none; name a file.onnx")
    opened = find_run(str(run))
    path = opened.folder / "model.onnx" if out is None else Path(out)
    if path.is_dir():
        raise UsageError(f"Expected --out to be a file, but got the folder {path}; name a file.onnx")
    require_same_kind(path, ONNX_HEAD)
    # what users of the file need to know about the run; values are stored as JSON
    metadata = {
        "mien.format_version": ONNX_FORMAT_VERSION,
        "mien.version": __version__,
        "mien.model": opened.model,
        "mien.inputs": [str(modality) for modality in opened.inputs],
        "mien.tasks": [str(task) for task in opened.tasks],
        "mien.seed": opened.seed,
        "mien.settings": {name: dict(values) for name, values in opened.settings.items()},
        "mien.feature_spaces": {str(modality): space.to_json() for modality, space in opened.spaces.items()},
        **{f"mien.{key}": value for key, value in tasks_to_json(opened.task_table).items()},
        "mien.outputs": {task.export_name: list(task.outputs) for task in opened.learned_tasks},
        "mien.decisions": decisions_of(opened).to_json(opened.task_table),
        "mien.dataset": {key: value for key, value in opened.dataset.items() if key != "path"},
        "mien.weights_sha256": opened.sha256[str(MODEL_FILE)],
    }
    if any(task.space.is_six_emotions for task in opened.task_table.values()):
        metadata["mien.emotion_outputs"] = list(EMOTION_OUTPUTS)
    content = to_onnx(load_predictor(opened), {key: json.dumps(value) for key, value in metadata.items()})
    with atomic_file(path) as aside:
        aside.write_bytes(content)
    return Exported(path, metadata)
