"""int8 against float32 of a shipped model in ONNX Runtime: accuracy on a data set, file size, time of a picture.

    python benchmarks/int8.py MODEL --data FOLDER [--calibrate 64] [--leave REGEX] [--limit N] [--runs 20] [--threads 1] [--json]

Quantization is static: activation ranges come from pictures of the training split, so the scored pictures stay unseen. Weights have a scale
per channel. A data set without a test split is scored on its validation split. Time is the minimum processor time of a picture over the
runs. The script needs `.[torch,export]`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quant_pre_process, quantize_static

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.checkpoint import Config  # noqa: E402
from axialzoo.data import open_data  # noqa: E402
from axialzoo.exports import export_model  # noqa: E402
from axialzoo.hub import fetch_checkpoint  # noqa: E402
from axialzoo.runtime.predict import to_input  # noqa: E402
from axialzoo.tasks import task_of  # noqa: E402
from axialzoo.train.evaluation import score  # noqa: E402

KINDS = ("Conv", "Gemm", "MatMul")  # operations in int8; all others stay in float32


class Session:
    """An ONNX file as a runner for :func:`axialzoo.runtime.predict.predict_stream`: images (N, H, W, C) to outputs by name."""

    def __init__(self, path: Path, config: Config, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.config, self.names = config, [output.name for output in self.session.get_outputs()]

    def outputs(self, x: np.ndarray) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        for name, y in zip(self.names, self.session.run(None, {"images": planes(x)})):
            base, _, level = name.partition(".")
            y = y.transpose(0, 2, 3, 1) if y.ndim == 4 else y  # (N, C, H, W) -> (N, H, W, C)
            outputs[base] = [*outputs.get(base, []), y] if level else y
        return outputs


class Pictures(CalibrationDataReader):
    """Reader of calibration pictures, as inputs of the model."""

    def __init__(self, pictures: Iterator[np.ndarray]):
        self.pictures = pictures

    def get_next(self) -> Any:
        x = next(self.pictures, None)
        return None if x is None else {"images": planes(x)}


def planes(x: np.ndarray) -> np.ndarray:
    """Transpose (N, H, W, C) to (N, C, H, W)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), dtype=np.float32)


def pictures_of(split: Any, config: Config, count: int) -> Iterator[np.ndarray]:
    """Return evenly spaced pictures of a split, (1, H, W, C), preprocessed for the model."""
    drawn = np.unique(np.linspace(0, len(split) - 1, count).astype(int))
    return (to_input(split[index].picture, config)[None] for index in drawn)


def quantize(source: Path, target: Path, pictures: Iterator[np.ndarray], leave: str) -> None:
    """Quantize `source` to int8; nodes whose name or type matches `leave` stay float32."""
    ready = source.with_suffix(".ready.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    nodes = onnx.load(ready).graph.node
    float32_nodes = [node.name for node in nodes if leave and re.search(leave, f"{node.op_type} {node.name}")]
    quantize_static(
        str(ready),
        str(target),
        Pictures(pictures),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(KINDS),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=float32_nodes,
        calibrate_method=CalibrationMethod.MinMax,
    )


def seconds(session: Session, x: np.ndarray, runs: int) -> float:
    """Return the minimum processor time of a picture."""
    times = []
    for _ in range(runs + 1):
        start = time.process_time()
        session.outputs(x)
        times.append(time.process_time() - start)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a name with weights, or a folder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calibrate", type=int, default=64, help="pictures of the training split")
    parser.add_argument("--leave", default="", help="nodes that stay float32, by a regular expression of type and name, such as MatMul")
    parser.add_argument("--limit", type=int, help="score so many pictures alone")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    config = fetch_checkpoint(options.model).config
    task = task_of(config.spec.head)
    data = open_data(options.data, task.annotation_type)
    scored = data.split("test", "val")
    scored = scored if options.limit is None else scored.subset(range(min(options.limit, len(scored))))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        paths = {kind: Path(place) / f"{kind}.onnx" for kind in ("float32", "int8")}
        export_model(options.model, paths["float32"], framework="torch")
        quantize(paths["float32"], paths["int8"], pictures_of(data.split("train"), config, options.calibrate), options.leave)
        x = next(pictures_of(scored, config, 1))
        for kind, path in paths.items():
            session = Session(path, config, options.threads)
            figures = {"mb": round(path.stat().st_size / 1e6, 2), "ms": round(1e3 * seconds(session, x, options.runs), 2)}
            results[kind] = {**score(session, scored, 8), **figures}
            if not options.json:
                print(kind, json.dumps(results[kind]), flush=True)
    if options.json:
        print(json.dumps({"model": options.model, "images": len(scored), "results": results}))


if __name__ == "__main__":
    main()
