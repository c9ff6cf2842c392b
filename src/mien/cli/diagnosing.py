"""`mien diagnose`: whether and when a run's answers may be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.guard import guarded
from mien.cli.options import Json, parse_rates, print_json
from mien.cli.runs import DatasetOption, ResamplesOption, SplitOption


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
    json: Json = False,
) -> None:
    """May this run's answers be trusted, and when? Calibration, thresholds, abstention, groups, word errors."""
    from mien.cli import progress
    from mien.cli.render_diagnosis import show_diagnosis
    from mien.workflows.diagnose import diagnose as run_diagnosis

    with progress.counting("diagnose") as advance:
        diagnosis = run_diagnosis(
            runs,
            out,
            dataset=dataset,
            split=split,
            word_errors=None if word_errors is None else parse_rates(word_errors),
            text=text,
            n_resamples=bootstrap,
            advance=advance,
        )
    if json:
        print_json(diagnosis.summary)
    else:
        show_diagnosis(diagnosis.summary, out)
