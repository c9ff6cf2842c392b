"""Cost of analysing a video, with speech recognition and with subtitles, by the length of the video.

    python benchmarks/analyze.py [VIDEO] [--minutes 1,30] [--workers 2] [--json]
    python benchmarks/analyze.py [VIDEO] --against TREE [--repeats 3]   # and `mien --help`, in both checkouts

The video (default: mien's sample) is looped to each length without re-encoding, and analysed by `mien analyze` with the
shipped checkpoint: first with speech recognition, then with the recognised utterances as subtitles. Reported per
analysis: wall and processor seconds per second of video, peak memory of the process and its children, and the ratio of
its processor time to that of decoding sound and pictures of the same file. Wall time is meaningful only on an idle
machine. With four lengths or more: the exponent of the growth, as in scaling.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import av
import harness
import typer
from scaling import curve

HELP_CALLS = 3


def looped(source: Path, target: Path, length_s: float) -> Path:
    """Repeat a video to a given length, without re-encoding.

    Args:
        source: Video to repeat.
        target: File to write.
        length_s: Minimum length in seconds.

    Returns:
        The target.
    """
    with av.open(str(target), "w") as sink:
        streams: dict[int, object] = {}
        shift_s = 0.0
        while shift_s < length_s:
            with av.open(str(source)) as tape:
                chosen = [stream for stream in tape.streams if stream.type in ("audio", "video")]
                if not streams:
                    streams = {stream.index: sink.add_stream_from_template(stream) for stream in chosen}
                end_s = 0.0
                for packet in tape.demux(chosen):
                    if packet.dts is None or packet.pts is None:
                        continue
                    ticks = round(shift_s / packet.time_base)
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    packet.stream = streams[packet.stream.index]
                    sink.mux(packet)
            shift_s += end_s
    return target


def decode(path: Path) -> None:
    """Decode all sound and pictures of a file once, the minimum work of an analysis."""
    for kind in ("audio", "video"):
        with av.open(str(path)) as tape:
            if kind == "video":
                tape.streams.video[0].thread_type = "NONE"
            for _frame in tape.decode(**{kind: 0}):
                pass


def write_subtitles(cues: Iterable[tuple[float, float, str]], target: Path) -> Path:
    """Write a SubRip file.

    Args:
        cues: Start and end in seconds, and text, of each cue.
        target: File to write.

    Returns:
        The target.
    """
    texts = [
        f"{number}\n{clock(start_s)} --> {clock(end_s)}\n{text or '...'}\n"
        for number, (start_s, end_s, text) in enumerate(cues, start=1)
    ]
    target.write_text("\n".join(texts), encoding="utf-8")
    return target


def clock(time_s: float) -> str:
    """Format a time in seconds as SubRip does."""
    hours, rest = divmod(round(time_s * 1000), 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def utterances_of(analysis: Path) -> list[dict[str, Any]]:
    """Read the utterances from an output folder of `mien analyze`."""
    rows: list[dict[str, Any]] = json.loads((analysis / "analysis.json").read_text(encoding="utf-8"))["utterances"]
    return rows


def measure_length(video: Path, minutes: float, more: list[str]) -> list[dict[str, Any]]:
    """Analyse the video, looped to a length, with speech recognition and with subtitles.

    Args:
        video: Video to loop.
        minutes: Length in minutes.
        more: Further options of `mien analyze`.

    Returns:
        Costs of both analyses.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = looped(video, folder / "looped.mp4", 60 * minutes)
        with av.open(str(path)) as tape:
            length_s = float(tape.duration or 0) / 1e6
        decoding_s = harness.process_s(partial(decode, path))
        rows = []
        for words in ("recognised", "subtitles"):
            cost = harness.mien("analyze", path, "--out", folder / words, *more)
            cues = ((row["start_s"], row["end_s"], row["transcript"]) for row in utterances_of(folder / words))
            more = [*more, "--subtitles", str(write_subtitles(cues, folder / f"{words}.srt"))]
            rows.append(
                {
                    "minutes": length_s / 60,
                    "words": words,
                    "wall / video": cost["wall_s"] / length_s,
                    "process s": cost["process_s"],
                    "process / video": cost["process_s"] / length_s,
                    "process / decoding": cost["process_s"] / decoding_s,
                    "peak MiB": cost["peak_mib"],
                }
            )
    return rows


def costs_in(video: Path, more: list[str], tree: Path | None = None) -> dict[str, float]:
    """Measure `mien --help` and one analysis.

    Args:
        video: Video to analyse.
        more: Further options of `mien analyze`.
        tree: Checkout whose package runs; None takes the installed one.

    Returns:
        Name of a cost -> seconds or MiB.
    """
    start_s = min(harness.mien("--help", tree=tree)["wall_s"] for _ in range(HELP_CALLS))
    with tempfile.TemporaryDirectory() as folder:
        cost = harness.mien("analyze", video, "--out", folder, *more, tree=tree)
    return {"help_wall_s": start_s, **{f"analyze_{name}": value for name, value in cost.items()}}


def measure(
    video: Annotated[Path, typer.Argument()] = harness.SAMPLE,
    minutes: str = "1,30",
    workers: int | None = None,
    repeats: int = 3,
    against: Path | None = None,
) -> harness.Report:
    """Measure all lengths, or compare two checkouts.

    Args:
        video: Video to analyse.
        minutes: Comma-separated lengths in minutes.
        workers: Option `--workers` of `mien analyze`; None leaves its default.
        repeats: Turns of a comparison.
        against: Other checkout; None measures the lengths.

    Returns:
        Costs per length, or of both checkouts.
    """
    more = ["--workers", str(workers)] if workers else []
    if against:
        return harness.compare_trees(against, partial(costs_in, video, more), repeats)
    lengths = map(float, minutes.split(","))
    rows = [row for length in lengths for row in measure_length(video, length, more)]
    report = harness.Report({"video": video.name}, {"per second of video": rows})
    if len(rows) >= 8:  # of four lengths
        sizes, costs = ([row[key] for row in rows[::2]] for key in ("minutes", "process s"))
        report.tables["growth"] = [curve("processor seconds over minutes, words recognised", sizes, costs)]
    return report


if __name__ == "__main__":
    harness.main(measure)
