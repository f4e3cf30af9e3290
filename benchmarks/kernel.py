"""Speed of the fused CPU kernel against the plain form: layers, training, models, and the kernel's paths; float32.

    python benchmarks/kernel.py [layers] [training] [recipe] [models] [paths] [--threads 1] [--batch 8] [--seconds 3] [--path avx2] [--json]

The compared calls run in turn, in one process, many times. The script prints medians of wall and CPU time, and the ratio of CPU times,
which other programs disturb less. It compares the results first. `paths` runs the models on every path that this processor supports. It
prints the speed relative to the fastest path, the ratio of the peak rates of a core (benchmarks/peak.py), and the share of the peak that a
model reaches. A training step counts as three times the multiply-adds of a prediction.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.ops.kernels import kernel, kernel_status, use_kernel  # noqa: E402
from axialzoo.spec import Attention, Norm  # noqa: E402
from axialzoo.spec.cost import cost  # noqa: E402
from axialzoo.torch import create_model  # noqa: E402
from axialzoo.torch.attention import AxialAttention  # noqa: E402
from axialzoo.torch.folded import FoldedAxialAttention  # noqa: E402
from axialzoo.torch.inference import optimize_for_inference  # noqa: E402
from axialzoo.train.recipe import load_recipe  # noqa: E402
from benchmarks.peak import peak_rates  # noqa: E402

LAYERS = ((56, 64), (28, 128), (14, 256), (7, 512))  # positions, channels: those of axial_resnet50_s
MODELS = ("axial_resnet26_s", "axial_resnet50_s", "axial_resnet50_l")
Result = dict[str, float | str]


def interleaved(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, dict[str, float]]:
    """Return milliseconds of each call: median and quartiles of wall time, median of processor time."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times[next(iter(calls))]) < 5:
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    summaries = {}
    for name, rows in times.items():
        walls, cpus = zip(*rows)
        first, middle, third = statistics.quantiles(walls)
        summaries[name] = {"ms": 1e3 * middle, "ms from": 1e3 * first, "ms to": 1e3 * third, "CPU ms": 1e3 * statistics.median(cpus)}
    return summaries


def row(name: str, times: dict[str, dict[str, float]], difference: float) -> Result:
    """Return a row of the table, which compares the first call with the others."""
    first, *_ = times
    result: Result = {"what": name, "difference": difference}
    for call, time_of in times.items():
        result |= {f"{call} ms": round(time_of["ms"], 2), f"{call} CPU ms": round(time_of["CPU ms"], 2)}
        if call != first:
            result[f"{call} / {first}"] = round(time_of["CPU ms"] / times[first]["CPU ms"], 2)
    return result


def make_layer(length: int, channels: int, axis: int) -> AxialAttention:
    torch.manual_seed(0)
    return AxialAttention(channels, Attention(channels // 2, channels, max_length=length), Norm(), axis)


def difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    actual, expected = actual.detach(), expected.detach()
    return float((actual - expected).norm() / expected.norm())


def layers(batch: int, seconds: float) -> list[Result]:
    """Compare whole layers in inference; the fused layer reads and writes channels-last memory with its channels head by head."""
    results = []
    for length, channels in LAYERS:
        for axis in (0, 1):
            plain = make_layer(length, channels, axis).eval()
            fused, x = FoldedAxialAttention(plain), torch.randn(batch, channels, length, length)
            last = x.contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                apart = difference(fused(last), plain(x))
                calls = {"fused": lambda f=fused, x=last: f(x), "plain": lambda p=plain, x=x: p(x)}
                results.append(row(f"layer L={length} axis {axis}", interleaved(calls, seconds), apart))
    return results


def show_all(model: nn.Module) -> None:
    """Set the scales of the norms, because the last norm of a block begins at zero and would hide its block."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.weight, 0.5, 0.1)


def on_path(path: str, call: Callable, *arguments: object) -> torch.Tensor:
    with use_kernel(path):
        return call(*arguments)


def training(batch: int, seconds: float) -> list[Result]:
    """Compare whole layers in training, forward and backward."""
    results = []
    for length, channels in LAYERS:
        for axis in (0, 1):
            layer = make_layer(length, channels, axis).train()
            x, cotangent = torch.randn(2, batch, channels, length, length)

            def step(call: Callable, layer: nn.Module = layer, x: torch.Tensor = x, cotangent: torch.Tensor = cotangent) -> torch.Tensor:
                layer.zero_grad()
                y = call(x.requires_grad_())
                y.backward(cotangent)
                return y

            calls = {"fused": lambda s=step, m=layer: s(m), "plain": lambda s=step, m=layer: on_path("plain", s, m)}
            apart = difference(calls["fused"](), calls["plain"]())
            results.append(row(f"training L={length} axis {axis}", interleaved(calls, seconds), apart))
    return results


def models(batch: int, seconds: float) -> list[Result]:
    """Compare whole models at 224 x 224, with ResNet-50 at output stride 32, plain and optimised."""
    torch.manual_seed(0)
    x = torch.randn(batch, 3, 224, 224)
    resnet = create_model("resnet50", num_classes=1000, output_stride=32).eval()
    calls = {"optimised resnet50": optimize_for_inference(resnet), "plain resnet50": resnet}
    results = []
    for name in MODELS:
        plain = create_model(name).eval()
        show_all(plain)
        fused = optimize_for_inference(plain)
        with torch.inference_mode():
            apart = difference(fused(x), plain(x))
            compared = {"optimised": fused, "plain": plain, **calls}
            times = interleaved({key: (lambda model=model: model(x)) for key, model in compared.items()}, seconds)
        macs = [cost(model.spec, (224, 224)).multiply_adds for model in (plain, resnet)]
        results.append(row(f"{name} batch {batch}, {macs[0] / 1e9:.2f} G of resnet50's {macs[1] / 1e9:.2f} G", times, apart))
    return results


def recipe(batch: int, seconds: float) -> list[Result]:
    """Compare a training step of the CIFAR-10 recipe (128 images of 24 x 24), in its precision and in float32, with its own batch size."""
    results = []
    cifar10 = load_recipe("cifar10")
    x, labels = torch.randn(cifar10.batch_size, 3, 24, 24), torch.randint(0, 10, (cifar10.batch_size,))
    for precision in (cifar10.precision, "float32"):
        torch.manual_seed(0)
        model = create_model(cifar10.model).train().to(memory_format=torch.channels_last)
        show_all(model)

        def step(model: nn.Module = model, precision: str = precision) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                y = model(x.contiguous(memory_format=torch.channels_last))
            nn.functional.cross_entropy(y.float(), labels).backward()
            model.zero_grad()
            return y

        calls = {"fused": step, "plain": lambda s=step: on_path("plain", s)}
        apart = difference(calls["fused"]().float(), calls["plain"]().float())
        times = interleaved(calls, seconds)
        rates = {f"{name} images/s": round(1e3 * cifar10.batch_size / time_of["CPU ms"], 1) for name, time_of in times.items()}
        results.append(row(f"recipe {cifar10.model} {precision}", times, apart) | rates)
    return results


def training_step(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = model(x)
    nn.functional.cross_entropy(y, torch.arange(len(x)) % y.shape[1]).backward()
    model.zero_grad()
    return y.detach()


def paths(batch: int, seconds: float) -> list[Result]:
    """Compare whole models on every path, the fastest first, with their speed and their share of the peak rate."""
    library = kernel()
    if library is None:
        return [{"what": "paths", "none": kernel_status().reason}]
    isas, peak = library.isas[::-1], peak_rates()
    results: list[Result] = [{"what": "peak, GFLOP/s", **peak}]
    for name, size in (("axial_resnet50_s", 224), ("axial_resnet_cifar10", 32)):
        torch.manual_seed(0)
        model = create_model(name).to(memory_format=torch.channels_last)
        show_all(model)
        x = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        optimised = optimize_for_inference(model.eval())
        work = 2e-9 * batch * cost(model.spec, (size, size)).multiply_adds
        model.train()
        steps = {
            "inference": (torch.inference_mode()(optimised), work),
            "training step": (lambda x, m=model: training_step(m, x), 3 * work),
        }
        for what, (step, flops) in steps.items():
            calls = {isa: (lambda isa=isa, step=step, x=x: on_path(isa, step, x)) for isa in isas}
            outputs = [call() for call in calls.values()]
            times = interleaved(calls, seconds)
            results.append(row(f"{name} {what} batch {batch}", times, max(difference(y, outputs[0]) for y in outputs)))
            for isa in isas:
                rate = 1e3 * flops / times[isa]["CPU ms"]
                results[-1] |= {
                    f"{isa} speed": round(times[isas[0]]["CPU ms"] / times[isa]["CPU ms"], 2),
                    f"{isa} peak": round(peak[f"{isa} registers"] / peak[f"{isas[0]} registers"], 2),
                    f"{isa} GFLOP/s": round(rate, 1),
                    f"{isa} share of registers": round(rate / peak[f"{isa} registers"], 2),
                    f"{isa} share of torch.mm": round(rate / peak["torch.mm"], 2),
                }
    return results


def line(result: Result) -> str:
    return ", ".join(f"{key} {value:.3g}" if isinstance(value, float) else str(value) for key, value in result.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], help="layers, training, recipe, models, paths; default all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each row")
    parser.add_argument("--path", help="instruction set, default the best")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    args = parser.parse_args()
    known = {"layers": layers, "training": training, "recipe": recipe, "models": models, "paths": paths}
    if unknown := set(args.what) - set(known):
        parser.error(f"expected some of {list(known)}, found {sorted(unknown)}")
    torch.set_num_threads(args.threads)
    with use_kernel(args.path) if args.path else contextlib.nullcontext():
        status = kernel_status()
        print(f"# {status.path}: {status.reason}; batch {args.batch}, {args.threads} thread(s), torch {torch.__version__}")
        for name in args.what or known:
            for result in known[name](args.batch, args.seconds):
                print(json.dumps(result) if args.json else line(result), flush=True)


if __name__ == "__main__":
    main()
