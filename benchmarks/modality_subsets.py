"""One `cim-tuned` for every subset of the modalities against one trained for each: accuracy, seed by seed.

    python benchmarks/modality_subsets.py mosi_2199.npz --out DIR [--seeds 5] [--split test] [--json]

The file is one of `mien import arrays`: three modalities as features, sentiment alone as label; a tenth of the training
videos becomes valid. The one network is trained on all modalities with modality dropout and given each subset by
leaving the other modalities out of every utterance; the others hear only their subset, without modality dropout.
Beside them the ablation: one network for all subsets that was trained without modality dropout. All else is equal:
batches, epochs and patience of `cim`, the epoch chosen on valid, the threshold the run's own. Finished runs in DIR
are not trained again.
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
# those of `cim-tuned` suit its text encoder, which is left out here
DEFAULTS = {name: getattr(TrainSettings(), name) for name in LOOP}


def trained(dataset: Any, folder: Path, inputs: Sequence[Any], seed: int, dropout: float) -> Path:
    """The run of these inputs, trained unless it is there."""
    settings = DEFAULTS | {"encoder": "none", "modality_dropout": dropout, "keep_epochs": False}
    request = mien.TrainRequest("cim-tuned", tuple(inputs), seed=seed, settings=settings)
    return mien.train(dataset, folder, request, resume=True).folder


def accuracy(run: Path, data: Path) -> float:
    """Percentage of the scored utterances (has0) that are judged rightly."""
    table = pd.read_parquet(mien.predict(run, data, data.with_suffix(".parquet")).path)
    table = table[table["sentiment"].notna()]
    threshold = json.loads((run / "decisions.json").read_text(encoding="utf-8"))["sentiment"]
    return 100 * float(((table["probability_positive"] >= threshold) == (table["sentiment"] >= 0)).mean())


def measure(arrays: Path, out: Annotated[Path, typer.Option()], seeds: int = 5, split: str = "test") -> harness.Report:
    """Train and score."""
    data = mien.import_dataset("arrays", [arrays], out / "data", mien.ImportOptions(carve={"valid": 0.1}))
    everything = tuple(data.facts.spaces)
    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(everything, size)]
    found: dict[str, list[tuple[float, float, float]]] = {"+".join(subset): [] for subset in subsets}
    with tempfile.TemporaryDirectory() as folder:
        for name, subset in zip(found, subsets, strict=True):
            videos = list(data.videos(split))
            for video in videos:
                video.utterances = [
                    replace(each, features={m: each.features[m] for m in subset if m in each.features})
                    for each in video.utterances
                ]
            heard = write_dataset(Path(folder) / name, videos, data.facts).folder
            for seed in range(seeds):
                one = trained(data, out / f"whole-{seed}", everything, seed, dropout=0.5)
                own = trained(data, out / f"{name}-{seed}", subset, seed, dropout=0.0)
                plain = trained(data, out / f"{'+'.join(everything)}-{seed}", everything, seed, dropout=0.0)
                found[name].append((accuracy(one, heard), accuracy(own, heard), accuracy(plain, heard)))
    rows = []
    for name, scores in found.items():
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
