"""Whole models against the authors' code and against networks of similar cost, in PyTorch on the CPU, float32, with the same weights.

    git clone https://github.com/csrhddlam/axial-deeplab peer
    python benchmarks/peers.py --peer peer [--cases 50_s:1,50_s:8] [--train] [--compiled] [--threads 1] [--seconds 20] [--out FILE.json]

A case is a model of theirs, the batch, and the side of the images where it is not 224: `26_s:1:896` gives both position tables of that
reach. Each model runs in turn, in one process; what is printed are medians of wall time and of the processor's, the peak of the memory
allocated during one call, and how many times as long each takes as our inference form (with --train as our model as it trains), by both
times: other work on the machine disturbs the processor's less. Outputs are compared first. GFLOP/s are of multiply-adds by
`axialzoo.spec.cost` (ours and theirs are the same network; a training step counts three times), and beside them stands their share of the
rate that torch.mm reaches on 2048 x 2048 x 2048. With --compiled their model under torch.compile too. Where timm is installed its
ResNet-50 and ViT-S run beside, at 224.

Part of the peers' time is the allocator's, which gives memory back and asks for it again; to see it, set
MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_MMAP_THRESHOLD_=4000000000 for all of them: the JSON says which it was. --plot draws the JSON
files of --from, of one run or several, without measuring anything.

    python benchmarks/peers.py --from inference.json training.json --plot peers.png
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.spec import Model, get_entry  # noqa: E402
from axialzoo.spec.cost import cost  # noqa: E402
from axialzoo.torch import build, create_model, load_tensors, optimize_for_inference  # noqa: E402
from benchmarks.attention import peak_bytes, peer_layer  # noqa: E402
from benchmarks.kernel import difference, interleaved, show_all, training_step  # noqa: E402
from benchmarks.peak import machine, peak_rates  # noqa: E402
from converters.axial_deeplab import import_checkpoint  # noqa: E402

CASES = {False: "50_s:1,50_s:8,50_l:1,50_l:8,26_s:1:896", True: "26_s:4,50_s:8,50_l:2"}
HEADER = "| model | ms | CPU ms | MiB | times | times, CPU | GFLOP/s | of torch.mm |\n|---|--:|--:|--:|--:|--:|--:|--:|"
OURS = {False: "inference form", True: "ours"}


def reaching(spec: Model, factor: int) -> Model:
    """`spec` with position tables that many times as long."""

    def block(one):
        return replace(one, attention=replace(one.attention, max_length=factor * one.attention.max_length))

    stages = tuple(replace(stage, blocks=tuple(map(block, stage.blocks))) for stage in spec.backbone.stages)
    return replace(spec, backbone=replace(spec.backbone, stages=stages))


def peer_model(peer: Any, name: str, factor: int) -> nn.Module:
    """Their model, random, its norms such that every branch counts; `factor` times as many positions as at 224."""

    class Reaching(peer.AxialAttentionNet):
        def _make_layer(self, *args, kernel_size=56, **kwargs):
            return super()._make_layer(*args, kernel_size=factor * kernel_size, **kwargs)

    depths = {"26": [1, 2, 4, 1], "50": [3, 4, 6, 3]}[name[:2]]
    model = Reaching(peer.AxialBlock, depths, s={"s": 0.5, "m": 0.75, "l": 1.0}[name[-1]])
    show_all(model)
    return model


def ours_of(theirs: nn.Module, name: str, factor: int) -> nn.Module:
    """Our model with their weights, by way of the converter."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(theirs.state_dict(), f"{folder}/theirs.pth")
        config, tensors = import_checkpoint(f"{folder}/theirs.pth", reaching(get_entry(f"axial_resnet{name}").spec, factor))
    model = build(config.spec)
    load_tensors(model, tensors)
    return model


def others(size: int, train: bool) -> dict[str, nn.Module]:
    if size != 224 or importlib.util.find_spec("timm") is None:
        return {}
    import timm

    found = {f"timm {name}": timm.create_model(name).train(train) for name in ("resnet50", "vit_small_patch16_224")}
    last = timm.create_model("resnet50").train(train)
    last.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # PyTorch's overload of `to` is not declared
    return {**found, "timm resnet50, channels last": last}


def inference(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(x)


def multiply_adds(name: str, ours: Model, size: int) -> int | None:
    """Of an image, by the spec of ours that is the same network; None where there is none."""
    if "timm" not in name:
        return cost(ours, size).multiply_adds
    return cost(create_model("resnet50", num_classes=1000, output_stride=32).spec, size).multiply_adds if "resnet50" in name else None


def measure(peer: Any, case: str, train: bool, compiled: bool, seconds: float, peak: float) -> dict[str, Any]:
    name, batch, size, *_ = [*case.split(":"), "224"]
    factor, x = int(size) // 224, torch.randn(int(batch), 3, int(size), int(size))
    theirs = peer_model(peer, name, factor).train(train)
    ours = ours_of(theirs, name, factor).train(train)
    models = {"ours": ours} if train else {"inference form": optimize_for_inference(ours), "plain": ours}
    models["theirs"] = theirs
    if compiled:
        models["theirs compiled"] = torch.compile(theirs)
    models |= others(int(size), train)
    call: Callable = training_step if train else inference
    found = {key: call(model, x) for key, model in models.items()}
    apart = max(difference(found[key], found["theirs"]) for key in found if "timm" not in key)
    if not train and apart > 1e-6:  # a flipped table gives 2e-5; in training a random network multiplies rounding
        raise SystemExit(f"{case}: the models differ by {apart}; nothing to compare")
    times = interleaved({key: (lambda model=model: call(model, x)) for key, model in models.items()}, seconds)
    memory = {key: peak_bytes(lambda model=model: call(model, x)) / 2**20 for key, model in models.items() if "compiled" not in key}
    rows = {}
    for key, time in times.items():
        work = multiply_adds(key, ours.spec, int(size))
        rate = None if work is None else 2e-6 * work * len(x) * (3 if train else 1) / time["CPU ms"]
        rows[key] = {
            **{name: round(value, 2) for name, value in time.items()},
            "MiB": round(memory[key], 1) if key in memory else None,
            "times": round(time["ms"] / times[OURS[train]]["ms"], 3),
            "times, CPU": round(time["CPU ms"] / times[OURS[train]]["CPU ms"], 3),
            "GFLOP/s": rate and round(rate, 1),
            "of torch.mm": rate and round(rate / peak, 2),
        }
    return {"case": case, "difference": apart, "models": rows}


def table(result: dict[str, Any]) -> str:
    lines = [f"\n{result['case']}, largest difference {result['difference']:.1e}", HEADER]
    for name, row in result["models"].items():
        digits = {"ms": 1, "CPU ms": 1, "MiB": 0, "times": 2, "times, CPU": 2, "GFLOP/s": 1, "of torch.mm": 2}
        cells = ("-" if row[key] is None else f"{row[key]:.{places}f}" for key, places in digits.items())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(files: list[Path], to: Path) -> None:
    """Bars of how many times as long each takes as ours, a row a case; by the processor's time."""
    from matplotlib.figure import Figure

    runs = [json.loads(file.read_text()) for file in files]
    cases = [(run["training"], case) for run in runs for case in run["results"]]
    names = list(dict.fromkeys(name for _, case in cases for name in case["models"]))
    figure = Figure(figsize=(9, 0.5 + 0.28 * sum(len(case["models"]) + 1 for _, case in cases)), layout="constrained")
    axes, place, ticks = figure.subplots(), 0.0, []
    for train, case in cases:
        first = place
        for name, row in case["models"].items():
            axes.barh(place, row["times, CPU"], color=f"C{names.index(name) % 10}", height=0.8)
            text = f"{name}: {row['CPU ms']:.0f} ms" + ("" if row["MiB"] is None else f", {row['MiB']:.0f} MiB")
            axes.text(row["times, CPU"] + 0.1, place, text, va="center", fontsize=7)
            place += 1
        model, batch, size, *_ = [*case["case"].split(":"), "224"]
        what = "training" if train else "inference"
        ticks.append(((first + place - 1) / 2, f"{what}\naxial_resnet{model}\n{batch} of {size} x {size}"))
        place += 1
    axes.set_yticks([tick for tick, _ in ticks], [text for _, text in ticks], fontsize=8)
    axes.set_ylim(place - 1, -1)
    axes.set_xlim(0, 1.35 * max(row["times, CPU"] for _, case in cases for row in case["models"].values()))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(f"processor time, in units of ours; {runs[0]['threads']} thread, {runs[0]['processor']}, PyTorch {runs[0]['torch']}")
    figure.savefig(to, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="clone of github.com/csrhddlam/axial-deeplab")
    parser.add_argument("--cases", help=f"default {CASES[False]}; with --train {CASES[True]}")
    parser.add_argument("--train", action="store_true", help="forward and backward in training mode")
    parser.add_argument("--compiled", action="store_true", help="their model under torch.compile too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each case")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON, with what they were measured on")
    parser.add_argument("--from", dest="files", type=Path, nargs="+", help="JSON files to draw")
    parser.add_argument("--plot", type=Path, help="picture to draw them in")
    args = parser.parse_args()
    if args.files or args.plot:
        if not (args.files and args.plot):
            parser.error("--from and --plot go together")
        return plot(args.files, args.plot)
    if args.peer is None:
        parser.error("expected --peer, a clone of the authors' code")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    peer_layer(args.peer)
    peer = importlib.import_module("peer_models.axialnet")
    conditions = {**machine(args.threads), "training": args.train, "peak": peak_rates()}
    print(conditions)
    results = []
    for case in (args.cases or CASES[args.train]).split(","):
        results.append(measure(peer, case, args.train, args.compiled, args.seconds, conditions["peak"]["torch.mm"]))
        print(table(results[-1]), flush=True)
        if args.out:
            args.out.write_text(json.dumps({**conditions, "load after": os.getloadavg(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
