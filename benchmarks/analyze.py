"""How long a video takes to analyse, with recognition and with subtitles, and whether memory grows with its length.

    python benchmarks/analyze.py VIDEO [--minutes 1,30] [--workers 2] [--json]

The video is looped (streams copied, nothing encoded) to each length and analysed by `mien analyze` with the shipped
checkpoint, in a process of its own: first with recognition, then with the utterances that were heard given as
subtitles. Printed per analysis: seconds of work per second of video (wall, and process time of all threads), peak
memory of the process and its children, and the ratio of the process time to merely decoding sound and pictures of the
same file in the same run. The load of the machine stands beside it: wall times count only where it was quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
from machine import machine_facts

SAMPLE_EVERY_S = 0.05


def looped(source: Path, target: Path, length_s: float) -> Path:
    """Copy the packets of `source` again and again until `target` is `length_s` long."""
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


def decode_only(path: Path) -> float:
    """Process seconds of decoding every sound and picture of a file once: the floor of any analysis."""
    started_s = time.process_time()
    with av.open(str(path)) as tape:
        for _frame in tape.decode(audio=0):
            pass
    with av.open(str(path)) as tape:
        tape.streams.video[0].thread_type = "NONE"
        for _frame in tape.decode(video=0):
            pass
    return time.process_time() - started_s


def measure(path: Path, out: Path, more: list[str]) -> dict[str, float]:
    """One analysis in a process of its own."""
    command = [sys.executable, "-m", "mien", "analyze", str(path), "--out", str(out), *more]
    load = os.getloadavg()[0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak_kib = 0
    while process.poll() is None:
        peak_kib = max(peak_kib, memory_kib(process.pid))
        time.sleep(SAMPLE_EVERY_S)
    wall_s = time.perf_counter() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(f"mien analyze ended with {process.returncode} on {path}: {process.stderr.read().decode()}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall_s, "process_s": cpu_s, "peak_memory_mib": peak_kib / 1024, "load_before": load}


def memory_kib(pid: int) -> int:
    """Memory of a process and all its children: its own high-water mark, and what the children hold now."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = [
            int(name) for each in Path(f"/proc/{pid}/task").glob("*/children") for name in each.read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return own + sum(map(memory_kib, children))


def write_subtitles(analysis: Path, target: Path) -> Path:
    """The utterances of an analysis as SubRip."""
    rows = json.loads(analysis.read_text(encoding="utf-8"))["utterances"]
    cues = [
        f"{number}\n{clock(row['start_s'])} --> {clock(row['end_s'])}\n{row['transcript'] or '...'}\n"
        for number, row in enumerate(rows, start=1)
    ]
    target.write_text("\n".join(cues), encoding="utf-8")
    return target


def clock(time_s: float) -> str:
    """Hours, minutes, seconds and milliseconds as SubRip writes them."""
    thousandths = round(time_s * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def measure_length(video: Path, minutes: float, more: list[str]) -> list[dict[str, Any]]:
    """Both analyses of the video looped to a length."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = looped(video, folder / "looped.mp4", 60 * minutes)
        with av.open(str(path)) as tape:
            length_s = float(tape.duration or 0) / 1e6
        heard = measure(path, folder / "heard", more)
        subtitles = write_subtitles(folder / "heard/analysis.json", folder / "heard.srt")
        read = measure(path, folder / "read", [*more, "--subtitles", str(subtitles)])
        report_mib = {kind: (folder / kind / "report.html").stat().st_size / 2**20 for kind in ("heard", "read")}
        decoding_s = decode_only(path)
    return [
        {"minutes": length_s / 60, "words": words}
        | row
        | {
            "real_time_factor_wall": row["wall_s"] / length_s,
            "real_time_factor_process": row["process_s"] / length_s,
            "ratio_to_decoding": row["process_s"] / decoding_s,
            "report_mib": report_mib[kind],
        }
        for words, kind, row in (("recognised", "heard", heard), ("subtitles", "read", read))
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", default="1,30", help="lengths to loop the video to")
    parser.add_argument("--workers", type=int, help="as for mien analyze")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    more = ["--workers", str(arguments.workers)] if arguments.workers else []
    rows = []
    for minutes in (float(text) for text in arguments.minutes.split(",")):
        rows += measure_length(arguments.video, minutes, more)
    if arguments.json:
        print(json.dumps({"analyses": rows, "machine": machine_facts()}, indent=2))
        return
    print("  ".join(f"{name}: {value}" for name, value in machine_facts().items()))
    print("minutes  words       wall/real  process/real  / decoding  peak MiB  report MiB  load before")
    for row in rows:
        factors = f"{row['real_time_factor_wall']:9.3f}  {row['real_time_factor_process']:12.3f}"
        memory = f"{row['peak_memory_mib']:8.0f}  {row['report_mib']:10.2f}"
        others = f"{row['ratio_to_decoding']:10.1f}  {memory}  {row['load_before']:11.1f}"
        print(f"{row['minutes']:7.1f}  {row['words']:10}  {factors}  {others}")


if __name__ == "__main__":
    main()
