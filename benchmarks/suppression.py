"""Time of non-maximum suppression on one core, with numpy alone: ``python benchmarks/suppression.py``."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import statistics
import time
import tracemalloc

import numpy as np

from axialzoo.tasks.detection.suppression import suppress, suppress_softly


def boxes_of(case: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, scores and classes of a 1333 x 800 picture.

    ``crowded``: around 50 objects of 80 classes, as a network predicts them; ``one class``: around 50 objects of one class;
    ``scattered``: anywhere, of 80 classes; ``apart``: of one class, none near another, the worst case.
    """
    if case in ("crowded", "one class"):
        objects = rng.uniform(0, 1, (50, 4)) * [1100, 650, 200, 150] + [0, 0, 20, 20]
        which = rng.integers(50, size=n)
        left, top, width, height = (objects[which] * rng.normal(1, 0.05, (n, 4))).T
        indices = rng.integers(80, size=50)[which] * (case == "crowded")
    else:
        side = 8 if case == "apart" else 80
        left, top = rng.uniform(0, 1300, n), rng.uniform(0, 780, n)
        width, height = rng.uniform(side / 2, side, (2, n))
        indices = rng.integers(80, size=n) * (case == "scattered")
    return np.stack([left, top, left + np.abs(width), top + np.abs(height)], 1), rng.uniform(size=n), indices


def measure(call, repeats: int) -> tuple[float, float, int]:
    """Return milliseconds (median), peak MiB, and the number of boxes kept."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        survivors = call()
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return 1e3 * statistics.median(times), peak / 2**20, len(survivors[0] if isinstance(survivors, tuple) else survivors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args()
    rows = []
    for case in ("crowded", "one class", "scattered", "apart"):
        data = boxes_of(case, args.boxes, np.random.default_rng(0))
        ways = {
            "greedy, all": lambda data=data: suppress(*data),
            "greedy, best 100": lambda data=data: suppress(*data, limit=100),
            "soft, best 100": lambda data=data: suppress_softly(*data, limit=100),
        }
        for way, call in ways.items():
            milliseconds, mib, survivors = measure(call, args.repeats)
            rows.append({"case": case, "way": way, "ms": milliseconds, "peak_mib": mib, "kept": survivors})
    if args.json:
        print(json.dumps({"boxes": args.boxes, "numpy": np.__version__, "rows": rows}))
        return
    print(f"{args.boxes} boxes, one core, numpy {np.__version__}")
    print("| boxes | way | ms | peak MiB | kept |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['case']} | {row['way']} | {row['ms']:.1f} | {row['peak_mib']:.1f} | {row['kept']} |")


if __name__ == "__main__":
    main()
