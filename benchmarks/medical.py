"""The Medical Transformer's table on open data: five U-Nets trained by one recipe on DSB-2018's masks of nuclei, two classes.

    python benchmarks/medical.py --data FOLDER --out runs/medical [--epochs 60] [--size 128] [--batch-size 4] [--seeds 3] [--models ...]

Trains each model with each seed by the recipe `medical_masks`, measures it on the validation pictures, and writes `medical.json` and
`medical.md` into the folder. Nothing but the model and the seed differs between runs, and no model is tuned. Gates are trained after a
sixth of the epochs, as the recipe has it. Finished runs are kept: the same command goes on where it was stopped, in the middle of a run
too, and takes up further seeds and models. Every model has one seed before any has two.

F1 and IoU are of the nuclei: per picture, and over the pixels of all pictures. Images a second are of the inference form, of single
pictures of `--size` in PyTorch on one thread, per second of the processor's time, the median of rounds in which the models take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from axialzoo.checkpoint import load_checkpoint
from axialzoo.files import write_text
from axialzoo.runtime import Runner
from axialzoo.spec import cost, get_entry
from axialzoo.train import evaluate, run

MODELS = ("convolutional_unet", "axial_unet", "gated_axial_unet", "logo_axial_unet", "medical_transformer")
RECIPE, ROUNDS = "medical_masks", 7
METRICS = ("f1", "iou", "f1_pooled", "iou_pooled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of DSB-2018's 256 x 256 pictures")
    parser.add_argument("--out", required=True, type=Path, help="folder of the runs and of the table")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures as the networks see them")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated, of: " + ", ".join(MODELS))
    args = parser.parse_args()
    models, settings = args.models.split(","), {"epochs": args.epochs, "size": args.size, "batch_size": args.batch_size}
    for seed in range(args.seeds):
        for model in models:
            print(f"{model}, seed {seed}", flush=True)
            measured(model, seed, settings, args.data, args.out)
            write_table(args.out, settings)
    write_table(args.out, settings, speeds({model: args.out / f"{model}-0" / "model" for model in models}, args.size))


def measured(model: str, seed: int, settings: Mapping[str, int], data: str, out: Path) -> dict[str, Any]:
    """Return the metrics of one run, from its folder if it is finished."""
    folder = out / f"{model}-{seed}"
    scores = folder / "val.json"
    if scores.exists():
        metrics = json.loads(scores.read_text())
        if {name: metrics[name] for name in settings} != settings:
            raise SystemExit(f"{folder}: expected a run by {settings}, found {metrics}; choose another --out")
        return metrics
    started, epochs = time.process_time(), settings["epochs"]
    changes = {
        "batch_size": settings["batch_size"],
        "eval_every": epochs,
        "gate_start": epochs // 6,
        "preprocessing": {"size": (settings["size"], settings["size"])},
    }
    resume = (folder / "recipe.json").exists()
    trained = run(RECIPE, data, folder, resume=resume, save_every=40, seed=seed, model=model, epochs=epochs, **changes)
    result = evaluate(trained, data, framework="torch", split="val", batch_size=8)
    metrics = {"model": model, "seed": seed, **settings, **{name: result[name] for name in METRICS}}
    write_text(scores, json.dumps({**metrics, "seconds": round(time.process_time() - started)}) + "\n")
    return metrics


def speeds(folders: Mapping[str, Path], side: int) -> dict[str, float]:
    """Return images per second of processor time of each model, measured in turns."""
    torch.set_num_threads(1)
    x = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    seconds: dict[str, list[float]] = {model: [] for model in folders}
    runners = {model: Runner(load_checkpoint(folder), "torch", compiled=True) for model, folder in folders.items()}
    for number in range(ROUNDS + 1):
        for model, runner in runners.items():
            started = time.process_time()
            runner.outputs(x)
            if number:  # the first is not counted
                seconds[model].append(time.process_time() - started)
    return {model: 1 / statistics.median(values) for model, values in seconds.items()}


def table(runs: Sequence[Mapping[str, Any]], speed: Mapping[str, float], side: int) -> list[dict[str, Any]]:
    """Return a row per model, in the order of `MODELS`: means and deviations over its seeds, cost and speed."""
    rows = []
    for model in MODELS:
        model_runs = [run for run in runs if run["model"] == model]
        if not model_runs:
            continue
        figures = cost(get_entry(model).spec, side)
        row: dict[str, Any] = {
            "model": model,
            "seeds": len(model_runs),
            "parameters": figures.parameters,
            "multiply_adds": figures.multiply_adds,
        }
        for name in METRICS:
            values = [100 * run[name] for run in model_runs]
            row[name] = statistics.mean(values)
            row[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append({**row, "images_per_second": speed.get(model)})
    return rows


def write_table(out: Path, settings: Mapping[str, int], speed: Mapping[str, float] = MappingProxyType({})) -> None:
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*/val.json"))]
    rows = table(runs, speed, settings["size"])
    write_text(out / "medical.json", json.dumps({**settings, "runs": runs, "table": rows}, indent=2) + "\n")
    write_text(out / "medical.md", markdown(rows))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, as the documentation has it."""
    lines = [
        "| model | F1 per picture, % | IoU per picture, % | F1 pooled, % | IoU pooled, % "
        "| seeds | parameters | multiply-adds | images a second |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        spreads = {name: "" if row[f"{name}_deviation"] is None else f" ± {row[f'{name}_deviation']:.1f}" for name in METRICS}
        scores = " | ".join(f"{row[name]:.1f}{spreads[name]}" for name in METRICS)
        speed = "-" if row["images_per_second"] is None else f"{row['images_per_second']:.1f}"
        cells = f"{scores} | {row['seeds']} | {row['parameters']:,} | {row['multiply_adds'] / 1e9:.2f} G | {speed}"
        lines.append(f"| `{row['model']}` | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
