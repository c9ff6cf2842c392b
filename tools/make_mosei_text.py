"""Makes the checkpoint `mosei-text` that ships with the package: src/mien/checkpoints/mosei-text.

    .venv/bin/python tools/make_mosei_text.py train.csv valid.csv [--seeds 5] [--workers 2] [--work mosei-text]

The tables are the official folds of CMU-MOSEI with transcripts. A tenth of the training videos is carved out to choose
epoch, thresholds and seed. The official validation fold is not used for any choice; the scores of the shipped
checkpoint on it are printed at the end. Five seeds, two at a time, take an hour or more on two cores. After an
interrupt, repeat the command to continue.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from mien.commands.evaluate import evaluate
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.shipped import ship_run
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.settings import read_toml
from mien.storage.dataset import open_dataset
from mien.storage.files import to_json_text
from mien.storage.runs import Run
from mien.tasks import PAPER_TASKS

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "experiments" / "mosei_text.toml"
SHIPPED = ROOT / "src" / "mien" / "checkpoints" / "mosei-text"
OPTIONS = ImportOptions(name="CMU-MOSEI", language="en", rename_splits={"valid": "test"}, carve={"valid": 0.1})


def train_seed(dataset: Path, folder: Path, seed: int) -> Run:
    """Train one seed, or continue its interrupted run.

    Args:
        dataset: Folder of the Dataset.
        folder: Folder of all runs.
        seed: Seed of the run.

    Returns:
        The finished run.
    """
    request = TrainRequest(model="cim-tuned", tasks=tuple(PAPER_TASKS), seed=seed, settings=read_toml(SETTINGS))
    return train(open_dataset(dataset), folder / f"seed-{seed}", request, resume=True)


def main() -> None:
    """Import the tables, train all seeds, ship the best one and print its scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs=2, metavar="CSV", help="train and valid")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("mosei-text"), help="folder of the Dataset and the runs")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the checkpoint goes")
    arguments = parser.parse_args()
    dataset = arguments.work / "data"
    if not dataset.exists():
        import_dataset("table", arguments.tables, dataset, OPTIONS)
    with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
        runs = list(pool.map(partial(train_seed, dataset, arguments.work / "runs"), range(arguments.seeds)))
    best = max(runs, key=lambda run: run.outcome["valid_score"])
    shipped = evaluate([ship_run(best, arguments.out).folder], dataset=dataset)
    sys.stdout.write(to_json_text({"seed": best.seed, "scores": shipped.summary["runs"][0]}))


if __name__ == "__main__":
    main()
