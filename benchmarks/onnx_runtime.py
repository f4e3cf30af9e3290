"""Speed of ONNX Runtime against PyTorch on a CPU, plain and in the inference form with the fused kernel; float32.

    python benchmarks/onnx_runtime.py [MODEL] [--size 224x224] [--batch 1] [--threads 1] [--seconds 60] [--json]

Weights are random. All run in turn, in one process, many times. The script prints medians of wall and processor time, and the difference
of outputs from the plain model. ONNX Runtime runs a file of one size and a file of any size. The script needs `.[torch,export]`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.exports import export_model  # noqa: E402
from axialzoo.ops.kernels import kernel_status  # noqa: E402
from axialzoo.spec.model import size_pair  # noqa: E402
from axialzoo.torch import create_model, load_model, optimize_for_inference, save_model  # noqa: E402
from benchmarks.kernel import interleaved, show_all  # noqa: E402

Call = Callable[[], np.ndarray]


def of_torch(model: torch.nn.Module, x: np.ndarray) -> Call:
    def call() -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return call


def of_onnx(path: Path, x: np.ndarray, threads: int) -> Call:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": x})[0]


def calls_of(name: str, x: np.ndarray, threads: int, place: Path) -> dict[str, Call]:
    """Return each way to run the model `name` on `x`, (N, 3, H, W), with the same weights."""
    torch.manual_seed(0)
    network = create_model(name)
    show_all(network)
    save_model(network, place / "model")
    export_model(place / "model", place / "one.onnx", framework="torch", size=x.shape[2:])
    export_model(place / "model", place / "any.onnx", framework="torch", dynamic_shapes=True)
    model = load_model(place / "model").eval()
    return {
        "PyTorch, plain": of_torch(model, x),
        "PyTorch, inference form": of_torch(optimize_for_inference(model), x),
        "ONNX Runtime, one size": of_onnx(place / "one.onnx", x, threads),
        "ONNX Runtime, any size": of_onnx(place / "any.onnx", x, threads),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="axial_resnet50_s")
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of all together")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x = np.random.default_rng(0).standard_normal((options.batch, 3, *size_pair(options.size)), "float32")
    print(f"# {kernel_status().path}; batch {options.batch}, {options.threads} thread(s), onnxruntime {onnxruntime.__version__}")
    with tempfile.TemporaryDirectory() as place:
        calls = calls_of(options.model, x, options.threads, Path(place))
        outputs = {name: call() for name, call in calls.items()}
        times = interleaved(dict(calls), options.seconds)
    expected = outputs["PyTorch, plain"]
    for name, times_of_call in times.items():
        apart = float(np.abs(outputs[name] - expected).max() / np.abs(expected).max())
        row = {"what": name, **{key: round(value, 2) for key, value in times_of_call.items()}, "difference": apart}
        print(
            json.dumps(row)
            if options.json
            else f"{name:24} {times_of_call['ms']:8.1f} ms {times_of_call['CPU ms']:8.1f} CPU ms, differs by {apart:.0e}"
        )


if __name__ == "__main__":
    main()
