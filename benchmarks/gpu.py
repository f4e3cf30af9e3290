"""Speed of the GPU kernel against the plain form on a CUDA device: layers and models, inference and training steps.

    python benchmarks/gpu.py [layers] [models] [tiles] [--batch 64] [--seconds 2] [--dtype float32 bfloat16] [--size 224] [--json]

What is compared runs in turn, many times, each call waited for; medians are printed, of milliseconds and of peak memory above what
was there before. Results are compared first. bfloat16 is autocast in training, and the model's own type in inference. "tiles" measures
other ways to cut the shapes than :mod:`axialzoo.ops.kernels.gpu.settings` chooses.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.ops.kernels import gpu_status, use_kernel  # noqa: E402
from axialzoo.ops.torch import gpu as ops_gpu  # noqa: E402
from axialzoo.spec import Attention, Norm  # noqa: E402
from axialzoo.torch import create_model, optimize_for_inference  # noqa: E402
from axialzoo.torch.attention import AxialAttention  # noqa: E402
from axialzoo.torch.norm import BatchNorm  # noqa: E402

LAYERS = ((56, 64), (28, 128), (14, 256), (7, 512), (129, 128))  # positions, channels: those of axial_resnet50_s, and a long axis
MODELS = ("axial_resnet26_s", "axial_resnet50_s", "axial_resnet50_l")
LIMITS = {"float32": 1e-3, "bfloat16": 0.1}  # of the relative difference of results
Result = dict[str, float | str]


def plainly(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def wrapped() -> Tensor:
        with use_kernel("plain"):
            return call()

    return wrapped


def timed(call: Callable[[], object]) -> float:
    """Return the milliseconds of a call, from an idle device to an idle device."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def peak(call: Callable[[], object]) -> float:
    """Return the peak MiB of a call, above the level before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def compared(name: str, dtype: str, calls: dict[str, Callable[[], Tensor]], seconds: float) -> Result:
    """Return a row of the table, which compares the first call with the others.

    Raises:
        RuntimeError: where results differ, because the speed of a wrong result means nothing.
    """
    first, *others = calls
    expected = {call: calls[call]().float() for call in calls}  # the first calls compile
    apart = max(float((expected[first] - expected[other]).norm() / expected[other].norm()) for other in others)
    if not apart <= LIMITS[dtype]:
        raise RuntimeError(f"{name}, {dtype}: results of {list(calls)} differ by {apart:.1e}; nothing to compare")
    times: dict[str, list[float]] = {call: [] for call in calls}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times[first]) < 5:
        for call, run in calls.items():
            times[call].append(timed(run))
    result: Result = {"what": name, "dtype": dtype, "difference": apart}
    for call, runs in times.items():
        result |= {f"{call} ms": round(statistics.median(runs), 3), f"{call} MiB": round(peak(calls[call]), 1)}
        if call != first:
            result[f"{call} / {first}"] = round(statistics.median(runs) / statistics.median(times[first]), 2)
    return result


def inference(model: nn.Module, x: Tensor, dtype: str) -> dict[str, Callable[[], Tensor]]:
    """Compare the inference form on the kernel and in PyTorch's own operations, and the training form."""
    kind = getattr(torch, dtype)
    plain, fused, x = model.eval().to(kind), optimize_for_inference(model).to(kind), x.to(kind)

    def run(module: nn.Module) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.inference_mode():
                return module(x)

        return call

    return {"fused": run(fused), "folded": plainly(run(fused)), "plain": plainly(run(plain))}


def training(model: nn.Module, x: Tensor, dtype: str) -> dict[str, Callable[[], Tensor]]:
    """Compare a step forward and backward, on the kernel and plain."""
    model.train()
    cotangent: list[Tensor] = []

    def step() -> Tensor:
        model.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=dtype == "bfloat16"):
            y = model(x)
        if not cotangent:
            cotangent.append(torch.randn_like(y))
        y.backward(cotangent[0])
        return y.detach()

    return {"fused": step, "plain": plainly(step)}


def away_from_zero(model: nn.Module) -> nn.Module:
    """Set the scales of the norms, because norms that begin at zero would hide their blocks."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            nn.init.normal_(module.weight, 0.5, 0.1)
    return model


def networks(args: argparse.Namespace, names: list[str]) -> Iterator[Result]:
    """Compare layers, or whole models."""
    for name in names:
        torch.manual_seed(0)
        if name in MODELS:
            model, x = create_model(name), torch.randn(args.batch, 3, args.size, args.size)
        else:
            length, channels, axis = (int(part) for part in name.split("x"))
            spec = Attention(channels // 2, channels, max_length=length)
            model, x = AxialAttention(channels, spec, Norm(), axis), torch.randn(args.batch, channels, length, length)
        model, x = away_from_zero(model).cuda(), x.cuda().to(memory_format=torch.channels_last)
        what = f"{name} batch {args.batch}" if name in MODELS else f"layer LxCxaxis {name} batch {args.batch}"
        for dtype in args.dtype:
            yield compared(f"inference {what}", dtype, inference(copy.deepcopy(model), x, dtype), args.seconds)
            yield compared(f"training {what}", dtype, training(copy.deepcopy(model), x, dtype), args.seconds)


def layers(args: argparse.Namespace) -> Iterator[Result]:
    yield from networks(args, [f"{length}x{channels}x{axis}" for length, channels in LAYERS for axis in (0, 1)])


def models(args: argparse.Namespace) -> Iterator[Result]:
    yield from networks(args, list(MODELS))


def tiles(args: argparse.Namespace) -> Iterator[Result]:
    """Time attention alone, forward and backward, with each tiling of a layer's shape that a GPU may take."""
    honest = ops_gpu.Call.settings
    for length, channels in LAYERS:
        heads, depth = 8, channels // 16
        for dtype in args.dtype:
            torch.manual_seed(0)
            qkv = torch.randn(args.batch, length, length, 2 * channels, device="cuda", dtype=getattr(torch, dtype))
            tables = [torch.randn(2 * length - 1, size, device="cuda") for size in (depth, depth, 2 * depth)]
            inputs = [x.requires_grad_() for x in (qkv, *tables, torch.full((3, heads), depth**-0.5, device="cuda"))]

            def step(inputs: list[Tensor] = inputs, depth: int = depth) -> None:
                out, _ = torch.ops.axialzoo.attend(*inputs, 1, depth, 0, True, True, False)
                torch.autograd.grad(out, inputs, torch.ones_like(out))

            for tile in (16, 32, 64):
                for warps in (1, 2, 4, 8):
                    ops_gpu.Call.settings = lambda self, t=tile, w=warps: replace(
                        honest(self), tile=t, warps=w, whole=self.length <= t, stages=1 if self.length <= t else 2
                    )
                    result: Result = {
                        "what": f"attention {length}x{channels} batch {args.batch}, tile {tile}, warps {warps}",
                        "dtype": dtype,
                    }
                    try:
                        step()
                        result["ms"] = round(statistics.median(timed(step) for _ in range(10)), 3)
                    except Exception as error:  # more shared memory or registers than there are: not a way to cut it
                        result["refused"] = f"{type(error).__name__}: {str(error)[:80]}"
                    finally:
                        ops_gpu.Call.settings = honest
                    yield result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], help="layers, models, tiles; default layers and models")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224, help="side of the models' input")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each row")
    parser.add_argument("--dtype", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    args = parser.parse_args()
    known = {"layers": layers, "models": models, "tiles": tiles}
    if unknown := set(args.what) - set(known):
        parser.error(f"expected some of {list(known)}, found {sorted(unknown)}")
    if not torch.cuda.is_available():
        raise SystemExit("gpu.py: expected a CUDA device, found none; benchmarks/kernel.py measures the CPU kernel")
    status = gpu_status()
    if status.path == "plain":
        raise SystemExit(f"gpu.py: expected the GPU kernel, found the plain form: {status.reason}")
    print(f"# {status.reason}; torch {torch.__version__}, float32 products {torch.get_float32_matmul_precision()}")
    for name in args.what or ("layers", "models"):
        for result in known[name](args):
            print(json.dumps(result) if args.json else ", ".join(f"{key} {value}" for key, value in result.items()), flush=True)


if __name__ == "__main__":
    main()
