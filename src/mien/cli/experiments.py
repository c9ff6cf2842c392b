"""The commands that import data sets, train systems and use the runs: `mien import` to `mien benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mien.cli import options
from mien.cli.guard import guarded, report_failures
from mien.settings import parse_pairs


@dataclass(frozen=True)
class ImportCall:
    """Arguments and options of `mien import`."""

    reader: Annotated[
        str,
        typer.Argument(
            help="table, arrays, npz, csd, mmsa, mult, meld, meld-features, iemocap, ...; see: mien readers"
        ),
    ]
    out: Annotated[Path, typer.Option(help="Folder of the Dataset; an old Dataset there is replaced.")]
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="SRC...", help="The files to read or their folder; planted: none.")
    ] = None
    text: Annotated[
        str | None, typer.Option(metavar="EXTRACTOR", help="Text features from the transcripts; see: mien extractors")
    ] = None
    mapping: options.Mapping = None
    label: options.Label = None
    rename_split: options.RenameSplit = None
    carve: options.Carve = None
    carve_seed: Annotated[int, typer.Option(min=0, help="Which videos are carved.")] = 0
    unit: options.Unit = None
    words: Annotated[
        bool | None, typer.Option("--words/--no-words", help="Keep word vectors. Default: where the data set has them.")
    ] = None
    name: Annotated[str | None, typer.Option(help="Name of the Dataset; default: the folder's.")] = None
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Language of the words, such as en, fr or pl.")
    ] = None
    workers: Annotated[int, typer.Option(min=1, help="Processes that read videos side by side; csd only.")] = 1
    json: options.Json = False


@guarded
@options.one_object(ImportCall)
def import_(call: ImportCall) -> None:
    """Import a published data set as a Dataset, and count everything that is dropped or corrected."""
    from mien.cli import progress, render_dataset
    from mien.commands.account import import_account
    from mien.commands.import_ import ImportOptions, import_dataset
    from mien.storage.describe import describe as describe_dataset

    wanted = ImportOptions(
        text=call.text,
        mapping=parse_pairs(call.mapping or []),
        labels=tuple(call.label or ()),
        rename_splits=parse_pairs(call.rename_split or []),
        carve=options.parse_shares(call.carve),
        carve_seed=call.carve_seed,
        unit=call.unit,
        words=call.words,
        name=call.name,
        language=call.language or "",
        workers=call.workers,
    )
    with progress.counter_bar(f"import {call.reader}") as advance:
        dataset = import_dataset(call.reader, call.paths or [], call.out, wanted, advance)
    for alarm in dataset.facts.origin.get("alarms", ()):
        progress.print_note(alarm)
    description = describe_dataset(dataset)
    description["account"] = import_account(description)
    options.print_result(call.json, description, lambda: render_dataset.show_import(description))


@guarded
def describe(dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset.")], json: options.Json = False) -> None:
    """Show counts, label distributions, missing modalities, leakage between splits, and feature spaces of a Dataset."""
    from mien.cli import render_dataset
    from mien.storage.dataset import open_dataset
    from mien.storage.describe import describe as describe_dataset

    description = describe_dataset(open_dataset(dataset))
    options.print_result(json, description, lambda: render_dataset.show_description(description))


DatasetOption = Annotated[Path | None, typer.Option(help="Score another Dataset than the one each run was trained on.")]
SplitOption = Annotated[str, typer.Option(help="Split to score.")]
ResamplesOption = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of the video bootstrap; 0: none.")]


class CompareCommand(typer.core.TyperCommand):
    """Command whose option ``--with`` takes several runs: ``--with B1 B2`` means ``--with B1 --with B2``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line. Each word after ``--with``, up to the next option, is a value of ``--with``.

        Args:
            ctx: Context of the command, from click.
            args: Words of the command line.

        Returns:
            Words that click has not parsed.
        """
        repeated: list[str] = []
        in_list = False
        for word in args:
            if word.startswith("--"):
                in_list = word == "--with" or word.startswith("--with=")
            elif in_list and repeated[-1] != "--with":
                repeated.append("--with")
            repeated.append(word)
        return super().parse_args(ctx, repeated)


@dataclass(frozen=True)
class TrainCall:
    """Arguments and options of `mien train`."""

    dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset with train and valid splits.")]
    out: Annotated[Path, typer.Option(help="Folder of the Run.")]
    model: Annotated[str, typer.Option(help="See: mien models")] = "cim"
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated modalities: text, acoustic (audio, voice), visual (video, face); default: all."
        ),
    ] = None
    tasks: Annotated[
        str | None,
        typer.Option(help="Comma-separated labels of the Dataset; default: all. NAME_intensity learns degrees."),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bits (on CPU).")] = 0
    set_: options.Set = None
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings; --set wins over it.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False
    json: options.Json = False


@guarded
@options.one_object(TrainCall)
def train(call: TrainCall) -> None:
    """Train one system on the train and valid splits. A killed training loses at most one epoch (see --resume)."""
    from mien.commands.extras import require_system_extra

    require_system_extra(call.model)
    from mien.settings import read_toml
    from mien.training.accelerators import require_accelerator

    chosen = (read_toml(call.settings) if call.settings else {}) | parse_pairs(call.set_ or [])
    if not call.resume:  # a finished run is shown on any machine
        require_accelerator(chosen.get("accelerator", ""))
    from mien.cli import progress, render
    from mien.commands.train import train as run_training
    from mien.commands.train_plan import TrainRequest, choose_settings
    from mien.models import model_entry
    from mien.schema import MODALITY_ALIASES, Modality
    from mien.training.devices import is_first_process

    inputs = options.parse_names("modality", call.inputs, Modality, MODALITY_ALIASES)
    # the Dataset tells which tasks there are
    tasks = tuple(name.strip() for name in (call.tasks or "").split(",") if name.strip())
    request = TrainRequest(call.model, inputs, tasks, call.seed, chosen)
    training = choose_settings(request, model_entry(call.model))["training"]
    if not is_first_process(training.get("devices", 1)):
        # Several processes run this command; only the first one prints.
        run_training(call.dataset, call.out, request, resume=call.resume)
        return
    with progress.epoch_bar(f"train {call.model} seed {call.seed}", training.get("epochs", 1)) as report:
        run = run_training(
            call.dataset, call.out, request, resume=call.resume, report=report, notify=progress.print_note
        )
    options.print_result(
        call.json, {"run": str(run.folder), **run.identity, **run.outcome}, lambda: render.show_run(run)
    )


@guarded
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs, or shipped names.")],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    protocol: Annotated[str, typer.Option(help="clean, fixed or released (an upper bound).")] = "clean",
    bootstrap: ResamplesOption = 1000,
    json: options.Json = False,
) -> None:
    """Score runs on one split, and show their mean, their standard deviation and a trivial baseline."""
    from mien.commands.extras import require_run_extras

    require_run_extras(*runs)
    from mien.cli import progress, render
    from mien.commands.evaluate import evaluate as run_evaluation

    with progress.counter_bar("evaluate") as advance:
        evaluation = run_evaluation(
            runs, dataset=dataset, split=split, protocol=protocol, n_resamples=bootstrap, advance=advance
        )
    options.print_result(json, evaluation.summary, lambda: render.show_evaluation(evaluation.summary))


@guarded
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A...", help="Runs of system A, one per seed.")],
    against: Annotated[
        list[Path], typer.Option("--with", metavar="RUN_B", help="Runs of system B with the same seeds. Repeatable.")
    ],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    bootstrap: ResamplesOption = 1000,
    json: options.Json = False,
) -> None:
    """Test whether system A is better than B, by a t-test over seeds and a bootstrap over videos (both paired)."""
    from mien.commands.extras import require_run_extras

    require_run_extras(*runs, *against)
    from mien.cli import render
    from mien.commands.evaluate import compare as run_comparison

    comparison = run_comparison(runs, against, dataset=dataset, split=split, n_resamples=bootstrap)
    options.print_result(json, comparison.to_json(), lambda: render.show_comparison(comparison))


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run, or a shipped name.")]


@guarded
def predict(
    run: RunArgument,
    dataset: Annotated[Path, typer.Option(help="Dataset to predict, of any size.")],
    out: Annotated[Path, typer.Option(help="The table of predictions, a Parquet file.")],
    split: Annotated[str | None, typer.Option(help="One split; default: every video.")] = None,
    json: options.Json = False,
) -> None:
    """Predict the utterances of a Dataset and write one table. Memory does not grow with the size of the Dataset."""
    from mien.commands.extras import require_run_extras

    require_run_extras(run)
    from mien.cli import progress, render
    from mien.commands.predict import predict as run_prediction

    with progress.counter_bar("predict") as advance:
        predicted = run_prediction(run, dataset, out, split=split, advance=advance)
    options.print_result(json, predicted.to_json(), lambda: render.show_predicted(predicted))


@guarded
def export(
    run: RunArgument,
    onnx: Annotated[bool, typer.Option("--onnx", help="As an ONNX graph for onnxruntime.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file; default: model.onnx in the run's folder.")] = None,
    json: options.Json = False,
) -> None:
    """Export a run as one file that needs neither mien nor torch. Its outputs are first checked against torch."""
    from mien.commands.extras import require_extra, require_run_extras
    from mien.errors import UsageError

    if not onnx:
        raise UsageError("Expected a format, but got none; say --onnx")
    require_extra("onnx")
    require_run_extras(run)
    from mien.cli import render
    from mien.commands.export import export as run_export

    exported = run_export(run, out)
    options.print_result(json, exported.to_json(), lambda: render.show_exported(exported))


@guarded
def diagnose(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folders of runs that differ in their seed, or a shipped name."),
    ],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    word_errors: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Shares of words to put errors on; default: 0.05,0.1,0.2 where the text can be made anew.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Extractor of the text features, where they do not tell it themselves: glove:FILE."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for diagnosis.json, diagnosis.md and figures.")] = None,
    bootstrap: ResamplesOption = 1000,
    json: options.Json = False,
) -> None:
    """Measure how far predictions can be trusted: calibration, thresholds, abstention, groups, errors in the words."""
    from mien.commands.extras import require_run_extras

    require_run_extras(*runs)
    from mien.cli import progress, render
    from mien.diagnosis.diagnose import diagnose as run_diagnosis

    with progress.counter_bar("diagnose") as advance:
        diagnosis = run_diagnosis(
            runs,
            out,
            dataset=dataset,
            split=split,
            word_errors=None if word_errors is None else options.parse_rates(word_errors),
            text=text,
            n_resamples=bootstrap,
            advance=advance,
        )
    options.print_result(json, diagnosis.summary, lambda: render.show_diagnosis(diagnosis.summary, out))


CommonSet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Setting of the training loop, for all systems alike. Repeatable."),
]


@dataclass(frozen=True)
class BenchmarkCall:
    """Arguments and options of `mien benchmark`."""

    suite: Annotated[str, typer.Argument(metavar="SUITE", help="table4, table7, tasks, or a TOML file of your own.")]
    dataset: Annotated[Path, typer.Argument(help="Folder of a Dataset with train, valid and test splits, or folds.")]
    out: Annotated[Path, typer.Option(help="Folder of the runs, results and tables; repeat the command to go on.")]
    seeds: Annotated[int, typer.Option(min=1, help="Runs per setting, seeds from 0; five or more for a claim.")] = 5
    engine: options.EngineName = "local"
    engine_address: options.EngineAddress = None
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; by default as many as cores, or as a cluster takes.")
    ] = None
    protocol: Annotated[str, typer.Option(help="What is printed: clean, fixed or released (an upper bound).")] = "clean"
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of the videos, behind intervals and tests of all settings.")
    ] = 10_000
    video: Annotated[str | None, typer.Option(help="Draw the attention of this scored video.")] = None
    folds: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Score each group of videos in this column, trained on the other groups."),
    ] = None
    carve: Annotated[
        float, typer.Option(metavar="SHARE", help="With --folds: share of the other groups' videos for valid.")
    ] = 0.1
    figures: Annotated[bool, typer.Option(help="Draw figures and collect example utterances.")] = True
    set_: CommonSet = None
    json: options.Json = False


@guarded
@options.one_object(BenchmarkCall)
def benchmark(call: BenchmarkCall) -> None:
    """Train and score many systems, and compare each with a reference. Repeat it to continue after an interruption."""
    from mien.commands.extras import require_extra

    require_extra(call.engine)
    from mien.training.accelerators import require_accelerator

    settings = parse_pairs(call.set_ or [])
    # a cluster is another machine, and the runs of an existing benchmark may be finished
    if call.engine_address is None and not call.out.exists():
        require_accelerator(settings.get("accelerator", ""))
    from mien.benchmark.benchmark import BenchmarkRequest
    from mien.benchmark.benchmark import benchmark as run_benchmark
    from mien.benchmark.folds import FoldRequest
    from mien.cli import progress, render
    from mien.engine.jobs import EngineConfig
    from mien.errors import UnknownNameError
    from mien.evaluation.protocols import PROTOCOLS

    if call.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", call.protocol, PROTOCOLS)
    engine = EngineConfig(call.engine, call.engine_address, call.workers)
    folds = None if call.folds is None else FoldRequest(call.folds, call.carve)
    request = BenchmarkRequest(call.seeds, engine, call.bootstrap, settings, call.video, folds, call.figures)
    with progress.item_bar("benchmark") as report:
        done = run_benchmark(call.suite, call.dataset, call.out, request, report=report)
    options.print_result(
        call.json, done.results, lambda: render.show_benchmark(done.results, done.folder, call.protocol)
    )
    report_failures(done.failures)
