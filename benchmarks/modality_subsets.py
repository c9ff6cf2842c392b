"""One `cim-tuned` for every subset of the modalities against one trained for each: accuracy, seed by seed.

    python benchmarks/modality_subsets.py DATASET --out DIR [--seeds 5] [--split test] [--json]

DATASET has three modalities as features and sentiment labels (CMU-MOSI: mien import arrays mosi_2199.npz --out mosi
--carve valid=0.1). The one network is trained on all modalities with modality dropout and given each subset by leaving
the other modalities out of every utterance; the others hear only their subset, without modality dropout. Beside them
the ablation: one network for all subsets that was trained without modality dropout. All else is equal: the loop's
defaults, the epoch chosen on valid, the threshold the run's own. Finished runs in DIR are not trained again.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.commands.shipped import decisions_of
from mien.commands.train import TrainRequest, train
from mien.schema import FloatArray, Modality
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.runs import Run
from mien.storage.split_columns import SplitColumns
from mien.tasks import SENTIMENT
from mien.training.predictor import load_predictor
from mien.training.settings import TrainSettings

LOOP = ("epochs", "patience", "batch_videos", "warmup", "linear_decay", "threads")
DEFAULTS = {name: getattr(TrainSettings(), name) for name in LOOP}


def trained(dataset: Dataset, folder: Path, inputs: Sequence[Modality], seed: int, dropout: float) -> Run:
    """The run of these inputs, trained unless it is there."""
    settings = DEFAULTS | {"encoder": "none", "modality_dropout": dropout, "keep_epochs": False}
    request = TrainRequest("cim-tuned", tuple(inputs), (SENTIMENT,), seed, settings)
    return train(dataset, folder, request, resume=True)


def correct(run: Run, columns: SplitColumns, heard: Sequence[Modality]) -> FloatArray:
    """Whether each scored utterance (n,) is judged rightly (has0) with these modalities alone."""
    for modality in run.inputs:
        if modality not in heard:
            columns = columns.without(modality)
    predictions = load_predictor(run).predict(columns)
    scored = ~np.isnan(columns.sentiment)
    positive = predictions.outputs[SENTIMENT][:, 0] >= decisions_of(run).at(SENTIMENT)[0]
    return (positive == (columns.sentiment >= 0))[scored].astype(float)


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    columns = dataset.columns(arguments.split)
    everything = tuple(m for m in Modality if m in dataset.facts.spaces)
    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(everything, size)]
    served: dict[str, list[float]] = {"+".join(subset): [] for subset in subsets}
    own: dict[str, list[float]] = {name: [] for name in served}
    undropped: dict[str, list[float]] = {name: [] for name in served}
    for seed in range(arguments.seeds):
        whole = trained(dataset, arguments.out / f"whole-{seed}", everything, seed, dropout=0.5)
        all_there = trained(dataset, arguments.out / f"{'+'.join(everything)}-{seed}", everything, seed, dropout=0.0)
        for name, subset in zip(served, subsets, strict=True):
            mine = trained(dataset, arguments.out / f"{name}-{seed}", subset, seed, dropout=0.0)
            served[name].append(100 * float(correct(whole, columns, subset).mean()))
            own[name].append(100 * float(correct(mine, columns, subset).mean()))
            undropped[name].append(100 * float(correct(all_there, columns, subset).mean()))
    rows = {
        name: {
            "one_for_all": float(np.mean(served[name])),
            "trained_for_it": float(np.mean(own[name])),
            "without_dropout": float(np.mean(undropped[name])),
            "difference": float(np.mean(np.subtract(served[name], own[name]))),
            "difference_sd": float(np.std(np.subtract(served[name], own[name]), ddof=min(1, arguments.seeds - 1))),
        }
        for name in served
    }
    if arguments.json:
        print(json.dumps({"split": arguments.split, "seeds": arguments.seeds, "accuracy_has0": rows}, indent=2))
        return
    columns_told = f"{'one for all':>12} {'trained for it':>15} {'difference':>11}   (s.d. over seeds)"
    print(f"{'inputs':24} {columns_told}   one for all, without modality dropout")
    for name, row in rows.items():
        spread, undropped_score = f"({row['difference_sd']:.2f})", row["without_dropout"]
        compared = f"{row['one_for_all']:12.2f} {row['trained_for_it']:15.2f} {row['difference']:+11.2f}"
        print(f"{name:24} {compared}   {spread:17}   {undropped_score:.2f}")


if __name__ == "__main__":
    main()
