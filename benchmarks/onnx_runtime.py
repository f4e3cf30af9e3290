"""One picture on a CPU: ONNX Runtime beside PyTorch, as it is and in its inference form, one thread.

    python benchmarks/onnx_runtime.py [--model axial_resnet50_s] [--size 224x224] [--batch 1] [--runs 10] [--threads 1] [--json]

Weights are random, those of a new model. The ways take turns within each run; time is the processor's, the least and the median. ONNX
Runtime has the file of one size and, beside it, that of any size. It needs `.[torch,export]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.exports import export_model  # noqa: E402
from axialzoo.spec.model import size_pair  # noqa: E402
from axialzoo.torch import create_model, load_model, optimize_for_inference, save_model  # noqa: E402

Way = Callable[[np.ndarray], Any]


def of_torch(model: torch.nn.Module) -> Way:
    def run(x: np.ndarray) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return run


def of_onnx(path: Path, threads: int) -> Way:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x})[0]


def ways_of(name: str, size: tuple[int, int], threads: int, place: Path) -> dict[str, Way]:
    """Each way to compute the model `name`, with the same weights."""
    torch.manual_seed(0)
    save_model(create_model(name), place / "model")
    export_model(place / "model", place / "one.onnx", framework="torch", size=size)
    export_model(place / "model", place / "any.onnx", framework="torch", any_size=True)
    model = load_model(place / "model").eval()
    return {
        "ONNX Runtime, one size": of_onnx(place / "one.onnx", threads),
        "ONNX Runtime, any size": of_onnx(place / "any.onnx", threads),
        "PyTorch": of_torch(model),
        "PyTorch, optimize_for_inference": of_torch(optimize_for_inference(model)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="axial_resnet50_s")
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = size_pair(options.size)
    x = np.random.default_rng(0).standard_normal((options.batch, 3, *size), "float32")
    with tempfile.TemporaryDirectory() as place:
        ways = ways_of(options.model, size, options.threads, Path(place))
        outputs = {name: run(x) for name, run in ways.items()}  # the first run of each is not timed
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.runs):
            for name, run in ways.items():
                start = time.process_time()
                run(x)
                times[name].append(1e3 * (time.process_time() - start))
    expected = outputs["PyTorch"]
    results = {
        name: {
            "least_ms": round(min(found), 1),
            "median_ms": round(statistics.median(found), 1),
            "difference": float(np.abs(outputs[name] - expected).max() / np.abs(expected).max()),
        }
        for name, found in times.items()
    }
    if options.json:
        print(json.dumps({"model": options.model, "size": size, "batch": options.batch, "results": results}))
        return
    for name, one in results.items():
        print(f"{name:32} {one['least_ms']:8.1f} ms least {one['median_ms']:8.1f} ms median, differs by {one['difference']:.0e}")


if __name__ == "__main__":
    main()
