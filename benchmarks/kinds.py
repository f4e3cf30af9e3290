"""Accuracy of kinds of attention: a small network trained with every kind by the same recipe.

    python benchmarks/kinds.py --data FOLDER --out runs/kinds [--epochs 2] [--seeds 3] [--kinds axial,global] [--ship axialzoo/weights]

Trains `axial_resnet_cifar10_xs` on CIFAR-10 with each kind of `axialzoo.spec.KINDS` and each seed, measures it on the test images, and
writes `kinds.json` and `kinds.md` into the folder; images are 24 x 24, the middle of each. Only the kind and the seed differ between
runs, and no kind is tuned. The same command resumes a stopped run and adds further seeds and kinds. `--ship` writes the network of seed 0
of each kind, not the best one, to a folder, as a checkpoint with a card: those that the package ships.

Images per second are those of the inference form, in batches of 32 images of 24 x 24 in PyTorch on one thread, per second of processor
time, which other programs change little: the median of rounds in which the kinds take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from axialzoo.checkpoint import load_checkpoint, save_checkpoint
from axialzoo.files import write_text
from axialzoo.hub import resolve
from axialzoo.runtime import Runner
from axialzoo.spec import KINDS, adapt, get_entry
from axialzoo.spec.cost import cost
from axialzoo.train import evaluate, run, write_metrics
from axialzoo.train.recipe import load_recipe

MODEL = "axial_resnet_cifar10_xs"
SIZE = (24, 24)  # the middle of each image: global attention costs a third of what it does at 32 x 32
PREPROCESSING = replace(load_recipe("cifar10").preprocessing, size=SIZE, crop=0.75)
LICENCE = "Apache-2.0 for the weights as a work of training; the images they were trained on have no published licence (see data)"
ROUNDS, BATCH = 15, 32  # of measuring the speed
RECIPE = {"model": MODEL, "holdout": 0, "progressive_sizes": (), "preprocessing": PREPROCESSING, "batch_size": 64, "eval_every": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's folder")
    parser.add_argument("--out", required=True, type=Path, help="folder of the runs and of the table")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated, of: " + ", ".join(KINDS))
    parser.add_argument("--ship", type=Path, metavar="FOLDER", help="where the networks of seed 0 go, a folder each")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    done = 0
    for seed in range(args.seeds):  # every kind once before any kind twice
        for kind in kinds:
            done += 1
            print(f"run {done} of {len(kinds) * args.seeds}: {kind}, seed {seed}", flush=True)
            measured(kind, seed, args.epochs, args.data, args.out)
            write_table(args.out, args.epochs)
    write_table(args.out, args.epochs, speeds({kind: args.out / f"{kind}-0" / "model" for kind in kinds}))
    if args.ship:
        for kind in kinds:
            print(ship(kind, args.epochs, args.data, args.out, args.ship), flush=True)


def measured(kind: str, seed: int, epochs: int, data: str, out: Path) -> dict[str, Any]:
    """Return the metrics of a run, from its folder if it is finished."""
    folder = out / f"{kind}-{seed}"
    scores = folder / "test.json"
    if scores.exists():
        scores_of_run = json.loads(scores.read_text())
        if scores_of_run["epochs"] != epochs:
            raise SystemExit(f"{folder}: trained for {scores_of_run['epochs']} epochs, asked for {epochs}; choose another --out")
        return scores_of_run
    begun = (folder / "recipe.json").exists()
    model = run("cifar10", data, folder, resume=begun, seed=seed, attention=kind, epochs=epochs, **RECIPE)
    scores_of_run = {"kind": kind, "seed": seed, "epochs": epochs, "top1": evaluate(model, data, framework="torch")["top1"]}
    write_text(scores, json.dumps(scores_of_run) + "\n")
    return scores_of_run


def speeds(models: Mapping[str, Path]) -> dict[str, float]:
    """Return images per second of processor time of each kind's network, measured in turns."""
    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal((BATCH, *SIZE, 3), np.float32)
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    runners = {kind: Runner(load_checkpoint(folder), "torch", compiled=True) for kind, folder in models.items()}
    for number in range(ROUNDS + 1):
        for kind, runner in runners.items():
            started = time.process_time()
            runner.outputs(x)
            if number:  # the first is not counted
                seconds[kind].append(time.process_time() - started)
    return {kind: BATCH / statistics.median(times) for kind, times in seconds.items()}


def ship(kind: str, epochs: int, data: str, out: Path, weights: Path) -> Path:
    """Write the network of seed 0 to the folder that the registry has for its kind, with new metrics and its card."""
    tag = get_entry(MODEL).tag_of_kind(kind)
    if tag is None:
        raise SystemExit(f"{MODEL} has no tag for weights of {kind!r}: register one, in axialzoo/spec/zoo/axial_resnet_cifar.py")
    folder, checkpoint = weights / resolve(f"{MODEL}.{tag}").name, load_checkpoint(out / f"{kind}-0" / "model")
    notes = [
        f"For comparing kinds of attention, not for use: {epochs} epochs of 24 x 24 pixels. `axial_resnet_cifar10` is the one for use.",
        f"Its attention is `{kind}`. It is the network of seed 0, as those of the other kinds are, not the best of its kind's seeds; "
        "`python benchmarks/kinds.py` trains them all.",
    ]
    provenance = {**checkpoint.config.provenance, "licence": "other", "weights_licence": LICENCE, "notes": notes}
    tensors = {name: np.array(array) for name, array in checkpoint.tensors.items()}
    save_checkpoint(folder, replace(checkpoint.config, provenance=provenance), tensors, overwrite=True)
    write_metrics(folder, evaluate(folder, data, framework="torch"), data)
    return folder


def table(runs: Sequence[dict[str, Any]], speed: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row per kind, the best first: mean and deviation over its seeds, cost and speed."""
    rows = []
    for kind in dict.fromkeys(kind_run["kind"] for kind_run in runs):
        mine = [kind_run for kind_run in runs if kind_run["kind"] == kind]
        spec = adapt(get_entry(MODEL).spec, attention=kind)
        tops = [100 * kind_run["top1"] for kind_run in mine]
        rows.append(
            {
                "kind": kind, "seeds": len(mine), "top1": statistics.mean(tops),
                "deviation": statistics.stdev(tops) if len(tops) > 1 else None,
                "parameters": cost(spec).parameters, "multiply_adds": cost(spec, SIZE).multiply_adds,
                "images_per_second": speed.get(kind),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["top1"])


def write_table(out: Path, epochs: int, speed: Mapping[str, float] = MappingProxyType({})) -> None:
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*/test.json"))]
    rows = table(runs, speed)
    write_text(out / "kinds.json", json.dumps({"epochs": epochs, "runs": runs, "table": rows}, indent=2) + "\n")
    write_text(out / "kinds.md", markdown(rows))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, as the documentation has it."""
    lines = ["| attention | top-1, % | seeds | parameters | multiply-adds | images a second |", "|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        spread = "" if row["deviation"] is None else f" ± {row['deviation']:.1f}"
        speed = "-" if row["images_per_second"] is None else f"{row['images_per_second']:,.0f}"
        lines.append(
            f"| `{row['kind']}` | {row['top1']:.1f}{spread} | {row['seeds']} | {row['parameters']:,} | "
            f"{row['multiply_adds'] / 1e6:.2f} M | {speed} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
