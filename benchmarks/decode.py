"""Time and memory of decoding segments, on one core, at 1025 x 2049 with 100 objects.

    python benchmarks/decode.py [--size 1025x2049] [--objects 100] [--classes 19] [--things 0.25] [--repeats 5] [--json]

`--things` is the share of pixels of things. Offsets point to the nearest center, with noise of 10 pixels. Seconds are medians of processor
time, of each step and of the whole (`decode`, from logits). Memory is the peak of `tracemalloc` without the inputs, in units of label maps
(int32).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from axialzoo.tasks.segmentation import decode
from axialzoo.tasks.segmentation.centers import find_centers
from axialzoo.tasks.segmentation.grouping import nearest_center
from axialzoo.tasks.segmentation.merge import is_thing, merge_maps
from axialzoo.tasks.segmentation.scoring import class_scores, pixel_classes

GOAL_SECONDS, GOAL_MAPS = 0.5, 10  # grouping; memory of all


def picture(height: int, width: int, objects: int, classes: int, share: float):
    """Return logits, heat map and offsets; the last 8 classes are things."""
    rng = np.random.default_rng(0)
    middles = np.stack([rng.permutation(height)[:objects], rng.permutation(width)[:objects]], 1)
    heat = np.zeros((height, width), np.float32)
    heat[tuple(middles.T)] = rng.uniform(0.5, 1, objects)
    pixels = np.stack(np.mgrid[:height, :width], -1).astype(np.float32)
    nearest = nearest_center(np.zeros((height, width, 2), np.float32), middles, np.ones((height, width), bool)) - 1
    offset = (middles[nearest] - pixels + rng.normal(0, 10, pixels.shape)).astype(np.float32)
    logits = rng.standard_normal((height, width, classes), dtype=np.float32)
    logits[..., -8:] += np.where(np.arange(height) < share * height, 9, -9)[:, None, None].astype(np.float32)
    return logits, heat, offset


def measure(height: int, width: int, objects: int, classes: int, share: float, repeats: int) -> dict[str, float]:
    logits, heat, offset = picture(height, width, objects, classes, share)
    things = tuple(range(classes - 8, classes))
    seconds: dict[str, list[float]] = {}

    def timed(name: str, function, *arguments, **settings):
        start = time.process_time()
        result = function(*arguments, **settings)
        seconds.setdefault(name, []).append(time.process_time() - start)
        return result

    for _ in range(repeats):
        labels, norms = timed("classes", pixel_classes, logits, "softmax")
        where, _ = timed("centers", find_centers, heat)
        thing = is_thing(labels, things, classes)
        groups = timed("grouping", nearest_center, offset, where, thing)
        merged = timed("merge", merge_maps, labels, groups, thing, classes)
        timed("scores", class_scores, logits, merged.map, merged.classes, norms)
        timed("decode", decode, logits, heat, offset, things=things)
    tracemalloc.start()
    result = decode(logits, heat, offset, things=things)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        **{name: statistics.median(values) for name, values in seconds.items()},
        "segments": len(result),
        "maps": peak / result.segmentation.nbytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1025x2049")
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--things", type=float, default=0.25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    figures = measure(height, width, args.objects, args.classes, args.things, args.repeats)
    if args.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        unit = {"segments": "", "maps": f"int32 maps of memory (goal {GOAL_MAPS})"}.get(
            name, "s" + f" (goal {GOAL_SECONDS})" * (name == "grouping")
        )
        print(f"{name:9} {value:8.3f} {unit}")


if __name__ == "__main__":
    main()
