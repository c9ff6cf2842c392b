"""How long a video takes to analyse, and whether memory grows with its length.

    python benchmarks/analyze.py VIDEO [--subtitles FILE] [--minutes 1,10] [--json]

The video is looped (streams copied, nothing encoded) to each length and analysed in a process of its own by
`mien analyze` with the shipped checkpoint. Printed per length: seconds of work per second of video (process time of all
threads, and wall), peak memory, and the ratio of the process time to merely decoding sound and pictures of the same
file in the same run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from machine import machine_facts


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


def measure(path: Path, subtitles: Path | None) -> dict[str, float]:
    """One analysis in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "mien", "analyze", str(path), "--out", out]
        command += ["--subtitles", str(subtitles)] if subtitles else []
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak_kib = 0
        while process.poll() is None:
            peak_kib = max(peak_kib, peak_memory_kib(process.pid))
            time.sleep(0.05)
        wall_s = time.perf_counter() - started_s
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"mien analyze failed on {path} with exit code {process.returncode}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall_s, "process_s": cpu_s, "peak_memory_mib": peak_kib / 1024}


def peak_memory_kib(pid: int) -> int:
    """High-water mark of a running process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--subtitles", type=Path)
    parser.add_argument("--minutes", default="1,10", help="lengths to loop the video to")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (float(text) for text in arguments.minutes.split(",")):
            path = looped(arguments.video, Path(folder) / f"{minutes:g}-minutes.mp4", 60 * minutes)
            with av.open(str(path)) as tape:
                length_s = float(tape.duration) / 1e6
            row = {"length_s": length_s} | measure(path, arguments.subtitles)
            row |= {
                "real_time_factor_wall": row["wall_s"] / length_s,
                "real_time_factor_process": row["process_s"] / length_s,
                "ratio_to_decoding": row["process_s"] / decode_only(path),
            }
            rows.append(row)
    if arguments.json:
        print(json.dumps({"lengths": rows, "machine": machine_facts()}, indent=2))
        return
    for row in rows:
        print("  ".join(f"{name} {value:.2f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
