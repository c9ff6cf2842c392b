"""The commands for raw video: `mien extract`, `mien analyze` and `mien demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options
from mien.cli.guard import guarded, report_failures
from mien.errors import UnknownNameError
from mien.settings import parse_pairs


@dataclass(frozen=True)
class ExtractCall:
    """Arguments and options of `mien extract`."""

    videos: Annotated[Path, typer.Argument(help="Folder of videos; a file's name is its video_id.")]
    out: Annotated[Path, typer.Option(help="Folder of the Dataset.")]
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Table with video_id, start, end, text, split, sentiment, six emotions. Default: in the folder, or "
            "the names of its files."
        ),
    ] = None
    reader: Annotated[
        str, typer.Option(help="Reader of the labels: table, ravdess, crema-d, tess, emodb, nemo; see: mien readers")
    ] = "table"
    level: Annotated[
        str, typer.Option(help="utterance: one vector for each. word: one per spoken word, and their mean.")
    ] = "utterance"
    text: Annotated[
        str | None, typer.Option(help="Text extractor, or none. Default: minilm; glove-6b-50d at word level.")
    ] = None
    acoustic: Annotated[
        str | None,
        typer.Option("--acoustic", "--audio", "--voice", help="Acoustic extractor, or none. Default: covarep-like-74."),
    ] = None
    visual: Annotated[
        str | None, typer.Option("--visual", "--vision", "--face", help="Visual extractor, or none. Default: face.")
    ] = None
    speech_model: options.SpeechModel = "tiny.en"
    trust_model: options.TrustModel = False
    mapping: options.Mapping = None
    label: options.Label = None
    rename_split: options.RenameSplit = None
    carve: options.Carve = None
    engine: options.EngineName = "local"
    engine_address: options.EngineAddress = None
    workers: Annotated[
        int | None, typer.Option(min=1, help="Videos at a time with --engine dask or ray; by default as many as cores.")
    ] = None
    json: options.Json = False


@dataclass(frozen=True)
class AnalyzeCall:
    """Arguments and options of `mien analyze`."""

    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos or sound files.")]
    out: Annotated[Path, typer.Option(help="Folder for report.html, analysis.json, utterances.csv, captions.vtt.")]
    subtitles: Annotated[Path | None, typer.Option(help="SRT or VTT; then nothing is recognised.")] = None
    model: Annotated[str, typer.Option(help="A shipped checkpoint or the folder of a run.")] = "mosei-text"
    speech_model: options.SpeechModel = "tiny.en"
    trust_model: options.TrustModel = False
    tracks: Annotated[bool, typer.Option("--tracks/--no-tracks", help="Measure voice and face beside it.")] = True
    embed_video: Annotated[
        float, typer.Option(metavar="MB", min=0, max=100, help="Put a video up to this size inside the report.")
    ] = 0.0
    engine: options.EngineName = "local"
    engine_address: options.EngineAddress = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads; by default the cores there are, at most 2. With --engine dask or ray: videos at a time. "
            "Same results.",
        ),
    ] = None
    json: options.Json = False


@guarded
@options.one_object(ExtractCall)
def extract(call: ExtractCall) -> None:
    """Make a Dataset from raw videos and a table of labels. After an interrupt, repeat the command to continue."""
    from mien.cli import progress, render_dataset
    from mien.commands.account import import_account
    from mien.engine.jobs import EngineConfig
    from mien.media.recognition import SpeechSettings
    from mien.schema import Level, Modality
    from mien.storage.describe import describe
    from mien.video.extract import DEFAULT_EXTRACTORS, ExtractRequest
    from mien.video.extract import extract as run_extraction

    if call.level not in list(Level):
        raise UnknownNameError("--level", call.level, list(Level))
    level = Level(call.level)
    named = {Modality.TEXT: call.text, Modality.ACOUSTIC: call.acoustic, Modality.VISUAL: call.visual}
    wanted = DEFAULT_EXTRACTORS[level] | {modality: name for modality, name in named.items() if name is not None}
    request = ExtractRequest(
        extractors={modality: name for modality, name in wanted.items() if name != "none"},
        level=level,
        speech=SpeechSettings(call.speech_model, trust_model=call.trust_model),
        mapping=parse_pairs(call.mapping or []),
        reader=call.reader,
        labels=tuple(call.label or ()),
        rename_splits=parse_pairs(call.rename_split or []),
        carve=options.parse_shares(call.carve),
        engine=EngineConfig(call.engine, call.engine_address, call.workers),
    )
    with progress.counter_bar("extract") as advance:
        extraction = run_extraction(call.videos, call.labels, call.out, request, advance)
    for alarm in extraction.dataset.facts.origin.get("alarms", ()):
        progress.print_note(alarm)
    description = describe(extraction.dataset)
    description["account"] = import_account(description)
    facts = description | {"failed": dict(extraction.failed)}
    options.print_result(call.json, facts, lambda: render_dataset.show_import(description))
    report_failures(extraction.failed)


@guarded
@options.one_object(AnalyzeCall)
def analyze(call: AnalyzeCall) -> None:
    """Analyse raw videos: transcript, sentiment and emotions of every utterance, in one report per video."""
    from mien.commands.extras import require_extra, require_run_extras

    require_extra(call.engine)
    require_run_extras(call.model)
    from mien.cli import progress, render
    from mien.engine.jobs import EngineConfig
    from mien.media.clips import MediaSettings
    from mien.media.recognition import SpeechSettings
    from mien.video.analyze import SILENT_CLIP_S, AnalyzeRequest
    from mien.video.analyze import analyze as run_analysis
    from mien.video.outputs import to_json
    from mien.video.page import PageSettings

    request = AnalyzeRequest(
        call.model,
        call.subtitles,
        MediaSettings(SpeechSettings(call.speech_model, trust_model=call.trust_model), silent_clip_s=SILENT_CLIP_S),
        tracks=call.tracks,
        workers=call.workers,
        page=PageSettings(embed_video_up_to_mb=call.embed_video),
        engine=EngineConfig(call.engine, call.engine_address),
    )
    done, failed = run_analysis(call.videos, call.out, request, progress.print_message)
    if call.json:
        options.print_json(
            {"analyses": [to_json(each) for each in done.values()], "failed": {str(p): r for p, r in failed.items()}}
        )
    else:
        for path, analysis in done.items():
            render.show_analysis(analysis, call.out if len(call.videos) == 1 else call.out / path.stem)
    report_failures({str(path): reason for path, reason in failed.items()})


@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html and the other outputs.")] = Path("mien-demo"),
    json: options.Json = False,
) -> None:
    """Analyse the short clip that ships with the package, as `mien analyze` does."""
    from mien.cli import progress, render
    from mien.commands.extras import require_run_extras
    from mien.video.analyze import DEFAULT_MODEL

    require_run_extras(DEFAULT_MODEL)
    from mien.video.demo import demo as run_demo
    from mien.video.outputs import to_json

    analysis = run_demo(out, progress.print_message)
    options.print_result(json, {"analyses": [to_json(analysis)], "failed": {}}, lambda: render.show_demo(analysis, out))
