"""Long life: predictions of random sizes, loads and workers in one process, with its memory, open files and threads on the way.

    python benchmarks/soak.py --size 1      10,000 predictions, 500 loads, 200 workers (hours on a small machine)
    python benchmarks/soak.py --size 0.05   a twentieth of each

Of each kind of work a tenth comes first and does not count: caches fill, the allocator takes what it needs. Then the mean of the first
fifth is compared with that of the last. It ends with 1 where memory, files or threads have grown by more than --most.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MODEL = "axial_resnet_cifar10_xs"
KINDS = {"predictions": 10_000, "loads": 500, "workers": 200}
MEASURES = 50  # at most, of each kind of work


def measure(process: psutil.Process) -> dict[str, float]:
    """Return memory of its own, open files and threads of a process, and its children."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free but kept is no growth
    return {
        "memory_mib": process.memory_full_info().uss / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "children": len(process.children()),
    }


def predictions() -> Callable[[random.Random], object]:
    """Return work on pictures of random sizes, in one runner."""
    import axialzoo

    runner = axialzoo.load_runner(MODEL, framework="torch")

    def work(draw: random.Random) -> object:
        height, width = draw.randrange(16, 65), draw.randrange(16, 65)
        pixels = np.random.default_rng(draw.randrange(1 << 30)).standard_normal((draw.choice((1, 2, 4)), height, width, 3), np.float32)
        return runner.outputs(pixels)

    return work


def loads() -> Callable[[random.Random], object]:
    """Return work that loads a model, predicts once and drops it."""
    import axialzoo

    def work(draw: random.Random) -> object:
        runner = axialzoo.load_runner(draw.choice((MODEL, "axial_resnet_cifar10")), framework="torch")
        return runner.outputs(np.zeros((1, 32, 32, 3), np.float32))

    return work


def workers() -> Callable[[random.Random], object]:
    """Return work that starts a worker process, asks it, and ends it, now and then by a kill."""
    from axialzoo.runtime.ipc import WorkerError, WorkerProcess

    def work(draw: random.Random) -> object:
        worker = WorkerProcess("axialzoo.runtime.worker", "torch")
        with contextlib.suppress(WorkerError):  # it has no model and says so
            worker.ask({"do": "outputs", "precision": "float32"}, {"x": np.zeros(draw.randrange(1, 1 << 16))})
        return worker.kill() if draw.random() < 0.3 else worker.close()

    return work


def soak(name: str, count: int, seed: int) -> dict[str, object]:
    """Do one kind of work `count` times, and return what grew."""
    work, draw, process = globals()[name](), random.Random(seed), psutil.Process()
    for _ in range(max(count // 10, 2)):
        work(draw)
    every, rows, started = max(count // MEASURES, 1), [], time.monotonic()
    for index in range(count):
        work(draw)
        if index % every == 0:
            rows.append(measure(process))
    part = max(len(rows) // 5, 1)
    ratio = {key: mean(row[key] for row in rows[-part:]) / max(mean(row[key] for row in rows[:part]), 1e-9) for key in rows[0]}
    growth = {key: value - 1 for key, value in ratio.items() if key != "children"}
    growth["children"] = rows[-1]["children"] - rows[0]["children"]
    ends = {key: [round(rows[0][key], 1), round(rows[-1][key], 1)] for key in rows[0]}
    return {"work": name, "count": count, "seconds": round(time.monotonic() - started, 1), "first_and_last": ends,
            "growth": {key: round(value, 4) for key, value in growth.items()}}  # fmt: skip


def main() -> int:
    """Run each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=0.05, help="share of the whole soak")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--most", type=float, default=0.02, help="growth that passes")
    parser.add_argument("--seed", type=int, default=0)
    said, grown = parser.parse_args(), False
    for name in said.kinds:
        row = soak(name, max(int(KINDS[name] * said.size), 5), said.seed)
        grown |= any(value > said.most for value in row["growth"].values())
        print(json.dumps(row), flush=True)
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
