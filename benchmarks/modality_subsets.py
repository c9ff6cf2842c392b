"""Accuracy of one `cim-tuned` on every subset of the modalities, against one trained for each subset.

    python benchmarks/modality_subsets.py mosi_2199.npz --out DIR [--seeds 5] [--split test] [--json]

The file is one for `mien import arrays`: three modalities as features, sentiment as the only label; a tenth of the
training videos becomes valid. The single network is trained on all modalities with modality dropout, and is scored on
each subset by removing the other modalities from every utterance. The other networks are trained on one subset each,
without modality dropout. A third column is the ablation: a single network trained without modality dropout. All else is
equal: batches, epochs and patience of `cim`, the epoch chosen on valid, and the threshold of the run. Finished runs in
DIR are not trained again.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import harness
import numpy as np
import pandas as pd
import typer

import mien
from mien.storage.dataset import write_dataset
from mien.training.train_settings import TrainSettings

LOOP = ("epochs", "patience", "batch_videos", "warmup", "linear_decay", "threads")
# instead of those of `cim-tuned`, which suit the text encoder that is not used here
DEFAULTS = {name: getattr(TrainSettings(), name) for name in LOOP}


def trained(dataset: Any, folder: Path, inputs: Sequence[Any], seed: int, dropout: float) -> Path:
    """Train one run, or return it if it is finished.

    Args:
        dataset: Dataset to train on.
        folder: Folder of the run.
        inputs: Modalities.
        seed: Seed of the run.
        dropout: Probability of modality dropout.

    Returns:
        Folder of the run.
    """
    settings = DEFAULTS | {"encoder": "none", "modality_dropout": dropout, "keep_epochs": False}
    request = mien.TrainRequest("cim-tuned", tuple(inputs), seed=seed, settings=settings)
    return mien.train(dataset, folder, request, resume=True).folder


def accuracy(run: Path, data: Path) -> float:
    """Compute the accuracy of sentiment (has0) in per cent.

    Args:
        run: Folder of a finished run.
        data: Folder of the Dataset to score.

    Returns:
        Percentage of correct decisions.
    """
    table = pd.read_parquet(mien.predict(run, data, data.with_suffix(".parquet")).path)
    table = table[table["sentiment"].notna()]
    threshold = json.loads((run / "decisions.json").read_text(encoding="utf-8"))["sentiment"]
    return 100 * float(((table["probability_positive"] >= threshold) == (table["sentiment"] >= 0)).mean())


def measure(arrays: Path, out: Annotated[Path, typer.Option()], seeds: int = 5, split: str = "test") -> harness.Report:
    """Train and score all networks.

    Args:
        arrays: File for `mien import arrays`.
        out: Folder of the Dataset and the runs.
        seeds: Number of seeds.
        split: Split to score.

    Returns:
        Accuracies per subset.
    """
    data = mien.import_dataset("arrays", [arrays], out / "data", mien.ImportOptions(carve={"valid": 0.1}))
    everything = tuple(data.facts.spaces)
    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(everything, size)]
    cells: dict[str, list[tuple[float, float, float]]] = {"+".join(subset): [] for subset in subsets}
    with tempfile.TemporaryDirectory() as folder:
        for name, subset in zip(cells, subsets, strict=True):
            videos = list(data.videos(split))
            for video in videos:
                video.utterances = [
                    replace(each, features={m: each.features[m] for m in subset if m in each.features})
                    for each in video.utterances
                ]
            restricted = write_dataset(Path(folder) / name, videos, data.facts).folder
            for seed in range(seeds):
                one = trained(data, out / f"whole-{seed}", everything, seed, dropout=0.5)
                own = trained(data, out / f"{name}-{seed}", subset, seed, dropout=0.0)
                plain = trained(data, out / f"{'+'.join(everything)}-{seed}", everything, seed, dropout=0.0)
                cells[name].append((accuracy(one, restricted), accuracy(own, restricted), accuracy(plain, restricted)))
    rows = []
    for name, scores in cells.items():
        one, own, plain = np.array(scores).T
        rows.append(
            {
                "given": name,
                "one for all": one.mean(),
                "trained for it": own.mean(),
                "difference": (one - own).mean(),
                "s.d. over seeds": (one - own).std(ddof=min(1, seeds - 1)),
                "one for all, without modality dropout": plain.mean(),
            }
        )
    return harness.Report({"split": split, "seeds": seeds}, {"accuracy has0": rows})


if __name__ == "__main__":
    harness.main(measure)
