"""Loading of a checkpoint folder into a built model: peak memory relative to the weights, time relative to copying the file.

    python benchmarks/load.py [--model axial_resnet50_l] [--frameworks torch,keras] [--backends tensorflow,jax,torch] [--json]

Each framework runs in a process of its own. Memory is the highest resident size during the load less that of the built
model just before, mapped pages of the file included; time is that of reading the file into memory and copying it once,
and of the load with every check (header, names, shapes, dtypes, digest, values), in turn; what is printed are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.checkpoint import default_config, load_checkpoint, save_checkpoint  # noqa: E402
from axialzoo.spec import get_entry, parameters  # noqa: E402

MEMORY, TIME = 1.3, 1.5  # what is aimed at


def write_random(folder: Path, model: str) -> None:
    """Write a checkpoint of `model` with random weights."""
    spec, rng = get_entry(model).spec, np.random.default_rng(0)
    save_checkpoint(folder, default_config(spec, model), {p.name: rng.random(p.shape, np.float32) for p in parameters(spec)})


def measure(framework: str, folder: Path, model: str, repeats: int) -> dict[str, object]:
    """Measure one framework in this process."""
    if framework == "torch":
        from axialzoo.torch import build, load_tensors
    else:
        from axialzoo.keras import build, load_tensors
    built = build(get_entry(model).spec)
    path = folder / "model.safetensors"
    size = path.stat().st_size

    def load() -> None:
        checkpoint = load_checkpoint(folder)
        load_tensors(built, checkpoint.tensors, verified=True)

    def unverified() -> None:
        load_tensors(built, load_checkpoint(folder, verify=False).tensors, verified=True)

    def read_and_copy() -> None:
        np.frombuffer(path.read_bytes(), np.uint8).copy()

    before = reset_peak()
    load()
    peak = resident("VmHWM") - before
    times: dict[str, list[float]] = {"load": [], "unverified": [], "read_and_copy": []}
    for _ in range(repeats):
        for name, action in (("read_and_copy", read_and_copy), ("load", load), ("unverified", unverified)):
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    return {
        "model": model,
        "weights_mib": round(size / 2**20, 1),
        "peak_mib": round(peak / 2**20, 1),
        "memory_ratio": round(peak / size, 3),
        "read_and_copy_s": round(seconds["read_and_copy"], 4),
        "load_s": round(seconds["load"], 4),
        "time_ratio": round(seconds["load"] / seconds["read_and_copy"], 3),
        "time_ratio_without_digest_and_values": round(seconds["unverified"] / seconds["read_and_copy"], 3),
    }


def reset_peak() -> int:
    """Reset the peak resident size, and return the present size in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: memory is measured on Linux only")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="axial_resnet50_l")
    parser.add_argument("--frameworks", default="torch,keras")
    parser.add_argument("--backends", default="tensorflow,jax,torch", help="of Keras")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inside", nargs=2, metavar=("FRAMEWORK", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.inside[0], Path(options.inside[1]), options.model, options.repeats)))
        return
    runs = [("torch", "")] if "torch" in options.frameworks.split(",") else []
    runs += [("keras", backend) for backend in options.backends.split(",")] if "keras" in options.frameworks.split(",") else []
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_random(Path(folder), options.model)
        for framework, backend in runs:
            environment = {**os.environ, "KERAS_BACKEND": backend or "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, __file__, "--model", options.model, "--repeats", str(options.repeats), "--inside", framework, folder]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            results[f"{framework} {backend}".strip()] = json.loads(done.stdout.splitlines()[-1])
    if options.json:
        print(json.dumps({"results": results, "aims": {"memory_ratio": MEMORY, "time_ratio": TIME}}))
        return
    print(f"{'':18} {'weights':>9} {'peak':>9} {'ratio':>6} {'read+copy':>10} {'load':>8} {'ratio':>6} {'unchecked':>10}")
    for name, row in results.items():
        print(
            f"{name:18} {row['weights_mib']:5} MiB {row['peak_mib']:5} MiB {row['memory_ratio']:6.2f} {row['read_and_copy_s']:8.3f} s "
            f"{row['load_s']:6.3f} s {row['time_ratio']:6.2f} {row['time_ratio_without_digest_and_values']:10.2f}"
        )
    print(f"aims: memory at most {MEMORY}, time at most {TIME}; unchecked: the time ratio without digest and values")


if __name__ == "__main__":
    main()
