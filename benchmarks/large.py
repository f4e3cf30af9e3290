"""Memory and time of a large picture on a CPU, whole and by sliding window, from the picture to its segments.

    python benchmarks/large.py [--model axial_deeplab_s] [--size 1025x2049] [--span 65] [--tile 513x513] [--overlap 128]
                               [--runs torch,plain,jax,tensorflow] [--ways whole,tiles] [--threads 1] [--json]

Weights are random, with a fixed seed; the picture is noise. Every run has its own process: PyTorch in its inference form, as `load_runner`
loads it; PyTorch in its plain form, as in training; and Keras on its back ends. Memory is the peak resident size from loading the weights
to the result, minus the size after the imports. Time is the wall and the processor time of `predict`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.spec.model import size_pair  # noqa: E402

AIMS = {"whole": 6.0, "tiles": 1.5}  # GiB
RUNS = ("torch", "plain", "jax", "tensorflow", "keras-torch")


def measure(run: str, folder: Path, size: tuple[int, int], tta: dict[str, Any]) -> dict[str, Any]:
    """Measure one run in this process."""
    from axialzoo.runtime import load_runner
    from axialzoo.runtime.local import InProcessModel

    framework = "torch" if run in ("torch", "plain") else "keras"
    importlib.import_module(f"axialzoo.{framework}")  # the measurement leaves out the imports
    if framework == "torch":
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    before, seconds = reset_peak(), 0.0
    runner = load_runner(folder, framework, optimize=run != "plain")
    network = InProcessModel.outputs

    def timed(self: InProcessModel, x: np.ndarray) -> Any:
        nonlocal seconds
        start = time.perf_counter()
        outputs = network(self, x)
        seconds += time.perf_counter() - start
        return outputs

    InProcessModel.outputs = timed
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    start, processor = time.perf_counter(), time.process_time()
    result = runner.predict(picture, **tta)
    figures = {"seconds": time.perf_counter() - start, "network_seconds": seconds, "cpu_seconds": time.process_time() - processor}
    peak = (resident("VmHWM") - before) / 2**30
    return {"gib": round(peak, 3), **{name: round(value, 1) for name, value in figures.items()}, "segments": len(result.summary())}


def write_random(folder: Path, model: str, span: int) -> None:
    """Write a new checkpoint of `model` that takes pictures at their own size."""
    from dataclasses import replace

    import torch

    from axialzoo.spec import get_entry
    from axialzoo.torch import create_model, save_model

    torch.manual_seed(0)
    save_model(create_model(model, span=span), folder, preprocessing=replace(get_entry(model).preprocessing, resize="none"))


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
    parser.add_argument("--model", default="axial_deeplab_s")
    parser.add_argument("--size", default="1025x2049")
    parser.add_argument("--span", type=int, default=65)
    parser.add_argument("--tile", default="513x513")
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--runs", default="torch,plain,jax", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--ways", default="whole,tiles")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inside", nargs=3, metavar=("RUN", "WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run, way, folder = options.inside
        tta = {"tile": options.tile, "overlap": options.overlap} if way == "tiles" else {}
        print(json.dumps(measure(run, Path(folder), size_pair(options.size), tta)))
        return
    unknown = sorted(set(options.runs.split(",")) - set(RUNS)) + sorted(set(options.ways.split(",")) - set(AIMS))
    if unknown:
        parser.error(f"--runs are of {', '.join(RUNS)}, --ways of {', '.join(AIMS)}; found {', '.join(unknown)}")
    from benchmarks.peak import machine  # here, because measured processes start without PyTorch

    conditions, results = machine(options.threads), dict[str, dict[str, Any]]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        write_random(folder, options.model, options.span)
        for run in options.runs.split(","):
            backend = {"plain": "torch", "keras-torch": "torch"}.get(run, run)
            threads = {"OMP_NUM_THREADS": str(options.threads), "TF_NUM_INTRAOP_THREADS": str(options.threads)}
            environment = {**os.environ, **threads, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            for way in options.ways.split(","):
                command = [sys.executable, __file__, "--size", options.size, "--tile", options.tile, "--overlap", str(options.overlap)]
                command += ["--inside", run, way, str(folder)]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
                figures = json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {"failed": f"exit code {done.returncode}"}
                results.setdefault(run, {})[way] = figures
                if not options.json:
                    print(line(run, way, figures), flush=True)
    if options.json:
        settings = {key: getattr(options, key) for key in ("model", "size", "span", "tile")}
        print(json.dumps({**conditions, "load after": os.getloadavg(), **settings, "results": results, "aims": AIMS}))


def line(run: str, way: str, figures: dict[str, Any]) -> str:
    if "failed" in figures:
        return f"{run:12} {way:6} {figures['failed']}"
    times = f"{figures['seconds']:7.1f} s ({figures['cpu_seconds']:.1f} s of the processor)"
    return f"{run:12} {way:6} {figures['gib']:6.2f} GiB (aim {AIMS[way]}) {times}, {figures['segments']} segments"


if __name__ == "__main__":
    main()
