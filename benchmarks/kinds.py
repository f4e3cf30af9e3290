"""What positions and a global view are worth: one small network trained with every kind of attention by one recipe.

    python benchmarks/kinds.py --data FOLDER --out runs/kinds [--epochs 2] [--seeds 3] [--kinds axial,global]

Trains `axial_resnet_cifar10_xs` on CIFAR-10 with each kind of `axialzoo.spec.KINDS` and each seed, measures it on the test images, and
writes `kinds.json` and `kinds.md` into the folder; images are 24 x 24, the middle of each. Nothing but the kind and the seed differs
between runs, and no kind is tuned. What is finished is kept: the same command goes on where it was stopped, in the middle of a run too,
and takes up further seeds and kinds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from axialzoo.files import write_text
from axialzoo.spec import KINDS, adapt, entry
from axialzoo.spec.cost import cost
from axialzoo.train import evaluate, run
from axialzoo.train.recipe import load_recipe

MODEL = "axial_resnet_cifar10_xs"
SIZE = (24, 24)  # the middle of each image: global attention costs a third of what it does at 32 x 32
PREPROCESSING = replace(load_recipe("cifar10").preprocessing, size=SIZE, crop=0.75)
RECIPE = {"model": MODEL, "holdout": 0, "sizes": (), "preprocessing": PREPROCESSING, "batch_size": 64, "score_every": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's folder")
    parser.add_argument("--out", required=True, type=Path, help="folder of the runs and of the table")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated, of: " + ", ".join(KINDS))
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    done = 0
    for seed in range(args.seeds):  # every kind once before any kind twice
        for kind in kinds:
            done += 1
            print(f"run {done} of {len(kinds) * args.seeds}: {kind}, seed {seed}", flush=True)
            measured(kind, seed, args.epochs, args.data, args.out)
            write_table(args.out, args.epochs)


def measured(kind: str, seed: int, epochs: int, data: str, out: Path) -> dict[str, Any]:
    """The figures of one run, from its folder where it is finished."""
    folder = out / f"{kind}-{seed}"
    scores = folder / "test.json"
    if scores.exists():
        found = json.loads(scores.read_text())
        if found["epochs"] != epochs:
            raise SystemExit(f"{folder}: trained for {found['epochs']} epochs, asked for {epochs}; choose another --out")
        return found
    begun = (folder / "recipe.json").exists()
    model = run("cifar10", data, folder, resume=begun, seed=seed, attention=kind, epochs=epochs, **RECIPE)
    about = json.loads((model / "config.json").read_text())["provenance"]
    test = evaluate(model, data, framework="torch")
    speed = test["images"] / test["seconds"]
    found = {"kind": kind, "seed": seed, "epochs": epochs, "top1": test["top1"], "images_per_second": speed}
    found["train_seconds"] = about["seconds"]
    write_text(scores, json.dumps(found) + "\n")
    return found


def table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a kind, the best first: mean and deviation over its seeds, what it costs, how fast it is."""
    rows = []
    for kind in dict.fromkeys(one["kind"] for one in runs):
        mine = [one for one in runs if one["kind"] == kind]
        spec = adapt(entry(MODEL).spec, attention=kind)
        tops = [100 * one["top1"] for one in mine]
        rows.append(
            {
                "kind": kind, "seeds": len(mine), "top1": statistics.mean(tops),
                "deviation": statistics.stdev(tops) if len(tops) > 1 else None,
                "parameters": cost(spec).parameters, "multiply_adds": cost(spec, SIZE).multiply_adds,
                "images_per_second": statistics.median(one["images_per_second"] for one in mine),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["top1"])


def write_table(out: Path, epochs: int) -> None:
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*/test.json"))]
    rows = table(runs)
    write_text(out / "kinds.json", json.dumps({"epochs": epochs, "runs": runs, "table": rows}, indent=2) + "\n")
    lines = ["| attention | top-1, % | seeds | parameters | multiply-adds | images a second |", "|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
        lines.append(
            f"| `{row['kind']}` | {row['top1']:.2f}{spread} | {row['seeds']} | {row['parameters']:,} | "
            f"{row['multiply_adds'] / 1e6:.2f} M | {row['images_per_second']:.0f} |"
        )
    write_text(out / "kinds.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
