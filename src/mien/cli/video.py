"""The commands for raw video: `mien extract`, `mien analyze` and `mien demo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import options
from mien.cli.guard import guarded, report_failures
from mien.errors import UnknownNameError
from mien.settings import parse_pairs

if TYPE_CHECKING:
    from mien.media.recognition import SpeechSettings
    from mien.video.analysis import Analysis


@dataclass(frozen=True)
class ExtractCall:
    """Arguments and options of `mien extract`."""

    # texts, because a Path would change an address on the web
    videos: Annotated[str, typer.Argument(help="Folder of videos; a file's name is its video_id.")]
    out: Annotated[Path, typer.Option(help="Folder of the Dataset.")]
    labels: Annotated[
        str | None,
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
    language: options.Language = None
    audio_track: options.AudioTrack = None
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

    # texts, because a Path would change an address on the web
    recordings: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING...", help="Videos or sound files, or folders of them with their subfolders."),
    ]
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, analysis.json, utterances.csv, captions.vtt. Default: NAME-report; for "
            "several files or a folder: mien-report/NAME.",
            show_default=False,
        ),
    ] = None
    subtitles: Annotated[
        Path | None, typer.Option(help="SRT or VTT, or a folder of them; then nothing is recognised.")
    ] = None
    model: Annotated[str, typer.Option(help="A shipped checkpoint or the folder of a run.")] = "mosei-text"
    speech_model: options.SpeechModel = "tiny.en"
    language: options.Language = None
    audio_track: options.AudioTrack = None
    trust_model: options.TrustModel = False
    tracks: Annotated[bool, typer.Option("--tracks/--no-tracks", help="Measure voice and face beside it.")] = True
    embed: Annotated[
        bool,
        typer.Option(
            "--embed", help="Put the recording, up to 100 MB, into the report. Off by default: it shows people."
        ),
    ] = False
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


def _speech_settings(call: ExtractCall | AnalyzeCall) -> SpeechSettings:
    from mien.media.languages import parse_language
    from mien.media.recognition import SpeechSettings

    language = "" if call.language is None else parse_language(call.language)
    return SpeechSettings(call.speech_model, call.trust_model, language, call.audio_track)


@guarded
@options.one_object(ExtractCall)
def extract(call: ExtractCall) -> None:
    """Make a Dataset from raw videos and a table of labels. After an interrupt, repeat the command to continue."""
    from mien.cli import progress, render_dataset
    from mien.commands.account import import_account
    from mien.engine.jobs import EngineConfig
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
        speech=_speech_settings(call),
        mapping=parse_pairs(call.mapping or []),
        reader=call.reader,
        labels=tuple(call.label or ()),
        rename_splits=parse_pairs(call.rename_split or []),
        carve=options.parse_shares(call.carve),
        engine=EngineConfig(call.engine, call.engine_address, call.workers),
    )
    with progress.recording_bar("extract") as advance:
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
    from mien.commands.extras import require_analysis_extras, require_extra

    # The checks that take no time come before the import of the rest, which takes a second.
    require_extra(call.engine)
    require_analysis_extras(call.model, recognizes=call.subtitles is None, watches=call.tracks)
    from mien.video.inputs import find_recordings, require_readable_subtitles

    recordings = find_recordings(call.recordings)
    if call.subtitles is not None:
        require_readable_subtitles(call.subtitles, len(recordings.names) + len(recordings.failed))
    elif recordings.names:
        from mien.media.speech_models import find_speech_model

        find_speech_model(call.speech_model, trust_model=call.trust_model)
    if not recordings.names:
        _report_analyses(call, {}, {}, recordings.failed)
    from mien.cli import progress
    from mien.engine.jobs import EngineConfig
    from mien.media.clips import MediaSettings
    from mien.video.analyze import SILENT_CLIP_S, AnalyzeRequest
    from mien.video.analyze import analyze as run_analysis
    from mien.video.page import PageSettings, note_too_large

    request = AnalyzeRequest(
        call.model,
        call.subtitles,
        MediaSettings(_speech_settings(call), silent_clip_s=SILENT_CLIP_S),
        tracks=call.tracks,
        workers=call.workers,
        page=PageSettings(embed=call.embed),
        engine=EngineConfig(call.engine, call.engine_address),
    )
    for path in recordings.names:
        if note := note_too_large(path, request.page):
            progress.print_note(f"{path.name}: {note}")
    with progress.recording_bar("analyze") as advance:
        done, failed = run_analysis(call.recordings, call.out, request, advance)
    _report_analyses(call, done, recordings.folders(call.out), failed)


def _report_analyses(
    call: AnalyzeCall, done: Mapping[Path, Analysis], folders: Mapping[Path, Path], failed: Mapping[Path, str]
) -> None:
    """Print the analyses, and then the failures; exit with code 1 if there is any."""
    from mien.cli import render

    if call.json:
        from mien.video.outputs import to_json

        options.print_json(
            {"analyses": [to_json(each) for each in done.values()], "failed": {str(p): r for p, r in failed.items()}}
        )
    else:
        for path, analysis in done.items():
            render.show_analysis(analysis, folders[path])
    report_failures({str(path): reason for path, reason in failed.items()})


@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html and the other outputs.")] = Path("mien-demo"),
    json: options.Json = False,
) -> None:
    """Analyse the short clip that ships with the package, as `mien analyze` does."""
    from mien.cli import progress, render
    from mien.commands.extras import require_analysis_extras
    from mien.commands.shipped import DEFAULT_MODEL

    require_analysis_extras(DEFAULT_MODEL, recognizes=True, watches=True)
    from mien.video.demo import demo as run_demo
    from mien.video.outputs import to_json

    with progress.recording_bar("analyze") as advance:
        analysis = run_demo(out, advance)
    options.print_result(json, {"analyses": [to_json(analysis)], "failed": {}}, lambda: render.show_demo(analysis, out))
