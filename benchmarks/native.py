"""Speed of the native runtime against PyTorch's inference form and ONNX Runtime on a CPU; float32.

    python benchmarks/native.py [MODEL[:HEIGHTxWIDTH[:BATCH]] ...] [--threads 1] [--seconds 20] [--steps] [--json]

Weights are those that ship, else random ones. All run in turn, in one process, many times. The script prints medians of wall and processor
time, the ratio of processor times to that of the native runtime, and the largest difference of outputs from plain PyTorch. Without
onnxruntime it leaves ONNX Runtime out. `--steps` prints the operations that take longest, with their rates.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.checkpoint import load_checkpoint  # noqa: E402
from axialzoo.native import Engine  # noqa: E402
from axialzoo.ops.kernels import kernel_status  # noqa: E402
from axialzoo.spec import get_entry  # noqa: E402
from axialzoo.spec.model import size_pair  # noqa: E402
from axialzoo.torch import create_model, load_model, optimize_for_inference, save_model  # noqa: E402
from benchmarks.kernel import interleaved, show_all  # noqa: E402

CASES = (
    "axial_deeplab_nuclei:256x256", "axial_fcos_blood_cells:288x384", "axial_resnet_cifar10:32x32", "axial_resnet50_s:224x224",
    "axial_resnet50_s:224x224:8",
)  # fmt: skip
Call = Callable[[], list[np.ndarray]]


def flat(outputs: object) -> list[np.ndarray]:
    """Return the arrays of a tensor, a list or a dictionary of outputs, maps as (N, C, H, W)."""
    if isinstance(outputs, dict):
        return [array for value in outputs.values() for array in flat(value)]
    if isinstance(outputs, (list, tuple)):
        return [array for value in outputs for array in flat(value)]
    return [outputs.numpy() if isinstance(outputs, torch.Tensor) else np.asarray(outputs)]


def of_torch(model: torch.nn.Module, x: np.ndarray) -> Call:
    def call() -> list[np.ndarray]:
        with torch.inference_mode():
            return flat(model(torch.from_numpy(x)))

    return call


def of_onnx(path: Path, x: np.ndarray, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: list(session.run(None, {session.get_inputs()[0].name: x}))


def of_native(engine: Engine, x: np.ndarray) -> Call:
    images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return lambda: flat(engine.outputs(images))


def calls_of(name: str, x: np.ndarray, threads: int, folder: Path) -> tuple[dict[str, Call], Engine]:
    """Return each way to run the model `name` on `x`, (N, C, H, W), with the same weights, and the native engine."""
    torch.manual_seed(0)
    model = create_model(name, pretrained=bool(get_entry(name).weights))
    if not get_entry(name).weights:
        show_all(model)
    save_model(model, folder / "model")
    checkpoint = load_checkpoint(folder / "model")
    engine = Engine(checkpoint.config.spec, checkpoint.tensors, threads)
    model = load_model(folder / "model").eval()
    calls = {
        "native": of_native(engine, x),
        "PyTorch, inference form": of_torch(optimize_for_inference(model), x),
        "PyTorch, plain": of_torch(model, x),
    }
    if importlib.util.find_spec("onnxruntime") is not None:
        from axialzoo.exports import export_model

        export_model(folder / "model", folder / "one.onnx", framework="torch", size=x.shape[2:])
        calls["ONNX Runtime"] = of_onnx(folder / "one.onnx", x, threads)
    return calls, engine


def apart(outputs: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return the largest difference over the largest value; maps of the native runtime have their channels last."""
    worst = 0.0
    for y, reference in zip(outputs, expected, strict=True):
        y = y if y.shape == reference.shape else y.transpose(0, 3, 1, 2)
        worst = max(worst, float(np.abs(y - reference).max() / np.abs(reference).max()))
    return worst


def show_steps(engine: Engine, x: np.ndarray, count: int = 25) -> None:
    """Print the operations that take longest, and the time of each kind."""
    images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    compiled = engine.compiled(len(x), images.shape[1:3])
    times = []
    for _ in range(7):
        engine.outputs(images, timed=True)
        times.append([step.seconds for step in compiled.steps])
    seconds = np.min(times, axis=0)
    kinds: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for step, time in zip(compiled.program.steps, seconds):
        kinds[step.kind][0] += time
        kinds[step.kind][1] += step.multiply_adds
    for kind, (time, multiply_adds) in sorted(kinds.items(), key=lambda row: -row[1][0]):
        print(f"  {kind:14} {1e3 * time:8.3f} ms {2e-9 * multiply_adds / time:7.1f} GFLOP/s")
    print(f"  in all         {1e3 * seconds.sum():8.3f} ms {2e-9 * compiled.program.multiply_adds / seconds.sum():7.1f} GFLOP/s")
    for index in np.argsort(-seconds)[:count]:
        step, time = compiled.program.steps[index], seconds[index]
        rate = 2e-9 * step.multiply_adds / time
        print(f"    {1e6 * time:8.0f} us {rate:7.1f} GFLOP/s {step.kind:12} {step.name} {step.x.shape} to {step.y.shape}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each case")
    parser.add_argument("--steps", action="store_true", help="print the operations that take longest")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for case in options.cases:
        name, size, batch = (*case.split(":"), "", "")[:3]
        height, width = size_pair(size) if size else get_entry(name).spec.input_size
        x = np.random.default_rng(0).standard_normal((int(batch or 1), 3, height, width), "float32")
        if not options.json:
            print(f"# {case}: {kernel_status().path}, {options.threads} thread(s)", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            calls, engine = calls_of(name, x, options.threads, Path(folder))
            outputs = {call: run() for call, run in calls.items()}
            times = interleaved(dict(calls), options.seconds)
        native = times["native"]["CPU ms"]
        for call, summary in times.items():
            difference, ratio = apart(outputs[call], outputs["PyTorch, plain"]), summary["CPU ms"] / native
            row = {"case": case, "what": call, **{key: round(value, 3) for key, value in summary.items()}}
            row |= {"ratio": round(ratio, 2), "difference": difference}
            text = f"{call:24} {summary['ms']:9.2f} ms {summary['CPU ms']:9.2f} CPU ms {ratio:6.2f}, differs by {difference:.0e}"
            print(json.dumps(row) if options.json else text, flush=True)
        if options.steps:
            show_steps(engine, x)


if __name__ == "__main__":
    main()
