"""Time and memory of decoding the slots of a mask transformer, on one core, at 1025 x 2049 with 128 slots.

    python benchmarks/mask_decode.py [--size 1025x2049] [--slots 128] [--repeats 5] [--json]

Logits are at stride 4: `objects` has one blob a slot, `noise` is independent at each pixel, so that every slot counts everywhere. Seconds
are medians of processor time, from logits to segments, by the compiled kernel and by numpy alone. Memory is the peak of `tracemalloc` in
units of label maps (int32).
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

from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec.heads.mask_parts import PostprocessConfig
from axialzoo.tasks.segmentation.mask_decode import decode_masks

GOAL_SECONDS, CLASSES, THINGS = 1.0, 133, tuple(range(80))


def logits_of(kind: str, height: int, width: int, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class logits (S, classes + 1) and mask logits (h, w, S)."""
    rng = np.random.default_rng(0)
    classes = rng.standard_normal((slots, CLASSES + 1)).astype(np.float32)
    classes[np.arange(slots), rng.integers(0, CLASSES, slots)] += 12
    masks = rng.standard_normal((height, width, slots)).astype(np.float32)
    if kind == "noise":
        return classes, 3 * masks
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for slot in range(slots):
        middle, radius = rng.uniform(0, 1, 2) * (height, width), rng.uniform(10, 60)
        masks[..., slot] += np.maximum(-4 * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2) / radius**2, -12)
    return classes, masks


def measure(height: int, width: int, slots: int, repeats: int) -> list[dict]:
    rows = []
    for kind in ("objects", "noise"):
        logits = logits_of(kind, (height + 3) // 4, (width + 3) // 4, slots)
        for method in ("pixelwise", "maskwise"):
            config = PostprocessConfig(method, 0.4, 0.5, 0.5)
            for path in ("plain", *(() if kernel() is None else (kernel().isas[-1],))):
                with use_kernel(path):
                    seconds = []
                    for _ in range(repeats):
                        start = time.process_time()
                        result = decode_masks(*logits, (height, width), THINGS, config, stride=4)
                        seconds.append(time.process_time() - start)
                    tracemalloc.start()
                    decode_masks(*logits, (height, width), THINGS, config, stride=4)
                    peak = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                maps = peak / result.segmentation.nbytes
                rows.append({"logits": kind, "method": method, "path": path, "seconds": statistics.median(seconds), "maps": maps})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1025x2049")
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    rows = measure(height, width, args.slots, args.repeats)
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("{logits:8} {method:10} {path:8} {seconds:6.2f} s (goal {goal}) {maps:6.1f} maps".format(**row, goal=GOAL_SECONDS))


if __name__ == "__main__":
    main()
