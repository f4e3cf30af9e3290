"""Speed of our axial attention layer against the authors', in PyTorch on the CPU, with the same weights.

    git clone https://github.com/csrhddlam/axial-deeplab peer
    python benchmarks/attention.py --peer peer [--train] [--threads 1] [--batch 8] [--json]

The layers are those of axial_resnet50_s: 64, 128, 256 and 512 channels on 56, 28, 14 and 7 positions. Each runs in
turn with its peer, in one process, many short times; what is printed are medians, and the peak of the memory
allocated during one call. Outputs (and with --train gradients) are compared first.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.spec import Attention, Norm  # noqa: E402
from axialzoo.torch.attention import AxialAttention  # noqa: E402
from converters.axial_deeplab_names import foreign_name, to_ours  # noqa: E402

LAYERS = ((56, 64), (28, 128), (14, 256), (7, 512))  # positions, channels
PREFIX = "stages.0.blocks.0.height."


def peer_layer(clone: Path) -> type[nn.Module]:
    """Import the authors' layer without their package's ``__init__``, which needs torchvision."""
    folder = clone / "lib" / "models"
    if not (folder / "axialnet.py").is_file():
        raise SystemExit(f"--peer: expected a clone of github.com/csrhddlam/axial-deeplab, found no {folder / 'axialnet.py'}")
    package = types.ModuleType("peer_models")
    package.__path__ = [str(folder)]
    sys.modules["peer_models"] = package
    return importlib.import_module("peer_models.axialnet").AxialAttention


def pair(peer: type[nn.Module], length: int, channels: int) -> tuple[nn.Module, nn.Module]:
    """Return their layer with random weights and statistics, and ours with the same values."""
    theirs = peer(channels, channels, groups=8, kernel_size=length)
    for name, tensor in theirs.state_dict().items():
        if tensor.is_floating_point() and "bn_" in name:
            tensor.copy_(1 + 0.1 * torch.randn_like(tensor).abs() if name.endswith(("weight", "var")) else 0.1 * torch.randn_like(tensor))
    theirs.bn_similarity.weight.data *= 0.25
    spec = Attention(channels // 2, channels, max_length=length)
    ours = AxialAttention(channels, spec, Norm(), axis=0)
    state, foreign = theirs.state_dict(), foreign_name(PREFIX)
    ours.load_state_dict(
        {
            name: torch.from_numpy(
                np.ascontiguousarray(to_ours(state[foreign_name(PREFIX + name).removeprefix(foreign)].numpy(), PREFIX + name, spec))
            )
            for name in ours.state_dict()
        }
    )
    return ours, theirs


def step(layer: nn.Module, x: torch.Tensor, cotangent: torch.Tensor, train: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Run a forward pass; in training also the gradients of the weights and of the input."""
    if not train:
        with torch.inference_mode():
            return layer(x), None
    layer.zero_grad()
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(cotangent)
    return y.detach(), x.grad


def peak_bytes(call) -> int:
    """Return the peak of allocated bytes during a call, above the level before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


def measure(peer: type[nn.Module], length: int, channels: int, batch: int, train: bool, seconds: float) -> dict:
    layers = dict(zip(("ours", "peer"), pair(peer, length, channels)))
    x, cotangent = torch.randn(2, batch, channels, length, length)
    results = {}
    for name, layer in layers.items():
        layer.train(train)
        results[name] = step(layer, x, cotangent, train)
    differences = [float((a - b).abs().max()) for a, b in zip(*results.values()) if a is not None and b is not None]
    if max(differences) > 1e-4 * max(1.0, float(results["peer"][0].abs().max())):
        raise SystemExit(f"L={length}: the layers differ by {differences}; nothing to compare")
    times: dict[str, list[float]] = {name: [] for name in layers}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times["peer"]) < 5:
        for name, layer in layers.items():
            start = time.perf_counter()
            step(layer, x, cotangent, train)
            times[name].append(time.perf_counter() - start)
    milliseconds = {name: 1e3 * statistics.median(runs) for name, runs in times.items()}
    peak = {name: peak_bytes(lambda layer=layer: step(layer, x, cotangent, train)) / 2**20 for name, layer in layers.items()}
    return {
        "length": length,
        "channels": channels,
        "difference": max(differences),
        "ours_ms": milliseconds["ours"],
        "peer_ms": milliseconds["peer"],
        "speedup": milliseconds["peer"] / milliseconds["ours"],
        "ours_mib": peak["ours"],
        "peer_mib": peak["peer"],
        "runs": len(times["peer"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="clone of github.com/csrhddlam/axial-deeplab")
    parser.add_argument("--train", action="store_true", help="forward and backward in training mode")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each row")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    peer = peer_layer(args.peer)
    rows = [measure(peer, length, channels, args.batch, args.train, args.seconds) for length, channels in LAYERS]
    if args.json:
        print(json.dumps({"batch": args.batch, "threads": args.threads, "train": args.train, "torch": torch.__version__, "rows": rows}))
        return
    print(f"batch {args.batch}, {args.threads} thread(s), {'training' if args.train else 'inference'}, torch {torch.__version__}")
    print("| L | channels | ours ms | peer ms | times faster | ours MiB | peer MiB | largest difference |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['length']} | {row['channels']} | {row['ours_ms']:.2f} | {row['peer_ms']:.2f} | {row['speedup']:.2f} "
            f"| {row['ours_mib']:.1f} | {row['peer_mib']:.1f} | {row['difference']:.1e} |"
        )


if __name__ == "__main__":
    main()
