"""Tasks whose answer depends on relative position, on distance, or on content alone, learned with several kinds of attention.

    python benchmarks/positions.py --out runs/positions [--steps 250] [--seeds 3] [--kinds axial,axial_none] [--tasks distance]

A picture is a map of 8 x 8 symbols, drawn anew for each step. Two marks lie in one row, among noise:

    content            Are the marks of the same colour?              chance 50 %
    relative position  Is the mark of the first colour on the left?   chance 50 %
    distance           How many columns apart are they, 1 to 6?       chance 17 %

The network has two blocks of attention and no other operation that sees more than one position: a 1x1 convolution before, the mean
over the map and a linear layer after. So it knows positions by its attention alone. Only the kind and the seed differ between runs of a
task, and no kind is tuned. Accuracy is measured on 2,048 new pictures. The same command resumes a stopped series; it writes
`positions.json` and `positions.md` into the folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from axialzoo.files import write_text
from axialzoo.spec import Backbone, Model, Stage, Stem, StemConv, adapt, num_parameters
from axialzoo.spec.block import axial_block
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.torch import build

SIDE, NOISE, COLOURS, FARTHEST = 8, 4, 4, 6
KINDS = ("axial_none", "axial_absolute", "axial_sinusoidal", "axial_query", "axial_query_key", "axial", "gated_axial", "global")
BATCH, TEST, LEARNING_RATE, WARMUP = 32, 2048, 3e-3, 0.1
Task = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def content(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return maps of symbols (N, H, W) and whether their two marks have the same colour."""
    same, first = rng.integers(0, 2, count), rng.integers(0, COLOURS, count)
    other = (first + rng.integers(1, COLOURS, count)) % COLOURS
    return with_marks(pairs(count, rng), first, np.where(same == 1, first, other), rng), same


def relative_position(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return maps of symbols (N, H, W) and whether the mark of colour 0 is on the left of that of colour 1."""
    left, columns = rng.integers(0, 2, count), np.sort(pairs(count, rng))
    return with_marks(columns, 1 - left, left, rng), left


def distance(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return maps of symbols (N, H, W) and the distance of their marks, which have one colour, less 1."""
    apart, zeros = rng.integers(1, FARTHEST + 1, count), np.zeros(count, int)
    left = rng.integers(0, SIDE - apart)
    return with_marks(np.stack([left, left + apart], 1), zeros, zeros, rng), apart - 1


def pairs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return two different columns for each map: (N, 2)."""
    first = rng.integers(0, SIDE, count)
    return np.stack([first, (first + rng.integers(1, SIDE, count)) % SIDE], 1)


def with_marks(columns: np.ndarray, first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return maps of noise with two marks of these colours in one row."""
    maps, rows = rng.integers(0, NOISE, (len(columns), SIDE, SIDE)), rng.integers(0, SIDE, len(columns))
    for column, colour in zip(columns.T, (first, second)):
        maps[np.arange(len(columns)), rows, column] = NOISE + colour
    return maps


TASKS: Mapping[str, tuple[Task, int]] = {
    "content": (content, 2),
    "relative position": (relative_position, 2),
    "distance": (distance, FARTHEST),
}


def network(kind: str, classes: int) -> Model:
    """Return a network that sees beyond a position by attention alone."""
    stages = (Stage((axial_block(16, 32, SIDE), axial_block(16, 32, SIDE))),)
    backbone = Backbone(Stem((StemConv(32, kernel=1),)), stages, in_channels=NOISE + COLOURS)
    return adapt(Model(backbone, Classifier(classes), (SIDE, SIDE)), attention=kind)


def as_input(maps: np.ndarray) -> Tensor:
    """Return one channel per symbol: (N, H, W) to (N, symbols, H, W)."""
    return F.one_hot(torch.from_numpy(maps), NOISE + COLOURS).permute(0, 3, 1, 2).float()


def measured(task: str, kind: str, seed: int, steps: int, out: Path) -> None:
    """Train a network and write its accuracy into the folder, if it is not there yet."""
    path = out / f"{task.replace(' ', '_')}-{kind}-{seed}.json"
    if path.exists():
        if (before := json.loads(path.read_text())["steps"]) != steps:
            raise SystemExit(f"{path}: trained for {before} steps, asked for {steps}; choose another --out")
        return
    draw, classes = TASKS[task]
    torch.manual_seed(seed)
    rng, model, started = np.random.default_rng(seed), build(network(kind, classes)).train(), time.process_time()
    losses = fit(model, draw, steps, rng)
    top1 = accuracy(model, *draw(TEST, np.random.default_rng(1000 + seed)))
    row = {"task": task, "kind": kind, "seed": seed, "steps": steps, "top1": top1, "loss": losses[-1]}
    write_text(path, json.dumps({**row, "seconds": round(time.process_time() - started, 1)}) + "\n")
    print(f"{task}, {kind}, seed {seed}: {100 * top1:.1f} %", flush=True)


def fit(model: nn.Module, draw: Task, steps: int, rng: np.random.Generator) -> list[float]:
    """Train with AdamW, the learning rate linear from 0 and to 0, and return the losses."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=1e-2), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min((step + 1) / (WARMUP * steps), (steps - step) / (steps - WARMUP * steps))
        maps, labels = draw(BATCH, rng)
        loss = F.cross_entropy(model(as_input(maps)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def accuracy(model: nn.Module, maps: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of maps whose most likely class is right."""
    with torch.no_grad():
        logits = torch.cat([model.eval()(as_input(part)) for part in np.array_split(maps, 8)])
    return float((logits.argmax(1).numpy() == labels).mean())


def write_table(out: Path) -> None:
    """Write the runs in the folder and their table."""
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*-*-*.json"))]
    write_text(out / "positions.json", json.dumps({"runs": runs}, indent=2) + "\n")
    write_text(out / "positions.md", markdown(runs))


def markdown(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown: a row for each kind, a column for each task."""
    lines = [f"| attention | {', % | '.join(TASKS)}, % | parameters |", "|---" + "|--:" * (len(TASKS) + 1) + "|"]
    for kind in (kind for kind in KINDS if any(run["kind"] == kind for run in runs)):
        cells = []
        for task in TASKS:
            tops = [100 * run["top1"] for run in runs if (run["kind"], run["task"]) == (kind, task)]
            spread = f" ± {statistics.stdev(tops):.1f}" if len(tops) > 1 else ""
            cells.append(f"{statistics.mean(tops):.1f}{spread}" if tops else "-")
        lines.append(f"| `{kind}` | {' | '.join(cells)} | {num_parameters(network(kind, 2)):,} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder of the runs and of the table")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated, of: " + ", ".join(KINDS))
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated, of: " + ", ".join(TASKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in range(args.seeds):  # every kind once before any kind twice
        for task in args.tasks.split(","):
            for kind in args.kinds.split(","):
                measured(task, kind, seed, args.steps, args.out)
                write_table(args.out)


if __name__ == "__main__":
    sys.exit(main())
