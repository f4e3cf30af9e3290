"""Batch prediction: speed of two workers against one, and memory over many pictures.

    python benchmarks/engine.py workers --pictures 2000 --runs 3
    python benchmarks/engine.py memory --pictures 1000,10000

The first runs both in turn, several times, and prints the median pictures per second, with the start of the workers; both must write the
same bytes. The second prints the joint peak memory of the main process and its workers.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Write pictures that differ in their first pixels only, because noise takes long to generate."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    folder.mkdir(parents=True)
    for index in range(count):
        pixels[0, :4] = np.frombuffer(index.to_bytes(12, "little"), np.uint8).reshape(4, 3)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "jpeg")
        (folder / f"{index:07}.jpg").write_bytes(stream.getvalue())


def start(folder: Path, model: str, out: Path, workers: int, chunk: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "axialzoo", "predict", str(folder), "--model", model, "--out", str(out), "--json", "--force"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--workers", str(workers), "--chunk", str(chunk)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def peak_memory(process: subprocess.Popen) -> dict[int, int]:
    """Wait for a process, and return its peak resident memory and that of each child, in bytes."""
    peaks: dict[int, int] = {}
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for pid in [process.pid, *map(int, children.read_text().split() if children.exists() else ())]:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:  # it has just ended
                continue
            peak_bytes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
            peaks[pid] = max([peaks.get(pid, 0), *peak_bytes])
        time.sleep(0.02)
    return peaks


def compare_workers(model: str, count: int, side: int, runs: int, chunk: int) -> dict:
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder) / "pictures", count, side)
        outs = {workers: Path(folder) / f"{workers}.jsonl" for workers in rates}
        for _ in range(runs):
            for workers, out in outs.items():
                output, _ = start(Path(folder) / "pictures", model, out, workers, chunk).communicate()
                rates[workers].append(count / json.loads(output)["seconds"])
        files_of_one, files_of_two = ({path.name: path.read_bytes() for path in out.iterdir()} for out in outs.values())
    medians = {workers: statistics.median(values) for workers, values in rates.items()}
    return {
        "pictures": count,
        "a second": medians,
        "ratio": medians[2] / medians[1],
        "bytes are equal": files_of_one == files_of_two,
        "all": rates,
    }


def compare_memory(model: str, counts: list[int], side: int, chunk: int) -> dict:
    peak_bytes = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            make_pictures(Path(folder) / "pictures", count, side)
            with start(Path(folder) / "pictures", model, Path(folder) / "out.jsonl", 2, chunk) as process:
                peaks = peak_memory(process)
        peak_bytes[count] = sum(peaks.values())
    least, most = min(peak_bytes.values()), max(peak_bytes.values())
    return {"peak MiB": {count: round(value / 2**20, 1) for count, value in peak_bytes.items()}, "largest over smallest": most / least}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["workers", "memory"])
    parser.add_argument("--pictures", help="how many; of memory several, with commas between them")
    parser.add_argument("--model", help="default axial_deeplab_nuclei for workers, axial_resnet_cifar10 for memory")
    parser.add_argument("--side", type=int, help="of the pictures, in pixels; default 256 and 32")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=100)
    args = parser.parse_args()
    if args.what == "workers":
        counted = int(args.pictures or 2000)
        report = compare_workers(args.model or "axial_deeplab_nuclei", counted, args.side or 256, args.runs, args.chunk)
    else:
        counts = [int(count) for count in (args.pictures or "1000,10000").split(",")]
        report = compare_memory(args.model or "axial_resnet_cifar10", counts, args.side or 32, args.chunk)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
