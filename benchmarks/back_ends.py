"""Speed of Keras on each back end and of PyTorch: a training step, or a forward pass of the inference form, each in its own process.

    python benchmarks/back_ends.py train [--model axial_resnet50_s] [--batch 8] [--size 224] [--rounds 5] [--back-ends jax,tensorflow,torch]
    python benchmarks/back_ends.py predict ...

The processes take turns. The script prints the median processor time of each on one thread, and its ratio to PyTorch. A training step is
forward, backward and an update by SGD: a plain loop in PyTorch, ``train_on_batch`` in Keras, compiled as by the recipes. A forward pass is
that of ``load_runner``, from array to array.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def torch_step(model: str, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """Return a training step in PyTorch."""
    import torch

    from axialzoo.torch import create_model

    network = create_model(model).train()
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # PyTorch's overload of `to` is not declared
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9)
    images, labels = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)  # (N, C, H, W), channels last in memory

    def step() -> float:
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def keras_step(model: str, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """Return a training step in Keras, on the back end of this process."""
    import keras

    from axialzoo.keras import create_model

    network = create_model(model)
    jit = False if keras.backend.backend() == "tensorflow" else "auto"  # as the recipes do
    network.compile(optimizer=keras.optimizers.SGD(0.01, 0.9), loss_options={}, jit_compile=jit)
    return lambda: float(network.train_on_batch(x, {"labels": y}))


def forward(framework: str, model: str, x: np.ndarray) -> Callable[[], object]:
    """Return a forward pass of the inference form, with the same random weights for all."""
    from axialzoo.analysis.speed import random_tensors
    from axialzoo.runtime.local import InProcessModel, keras_model, torch_model
    from axialzoo.spec import get_entry

    spec = get_entry(model).spec
    make = torch_model if framework == "torch" else keras_model
    network = InProcessModel(make(spec, random_tensors(spec), optimize=True), compiled=True)
    return lambda: network.outputs(x)


def work(what: str, framework: str, model: str, batch: int, size: int) -> None:
    """Answer each line on stdin with the processor time of a call in seconds, the median over about two seconds."""
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, size, size, 3), np.float32)
    y = random.integers(0, 1000, batch)
    if what == "predict":
        call = forward(framework, model, x)
    else:
        call = (torch_step if framework == "torch" else keras_step)(model, x, y)
    for _ in range(2):
        call()
    print("ready", flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        while not times or sum(times) < 2:
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        print(statistics.median(times), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "predict"))
    parser.add_argument("--model", default="axial_resnet50_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--back-ends", default="jax,tensorflow,torch")
    parser.add_argument("--framework", help=argparse.SUPPRESS)  # of a worker
    args = parser.parse_args()
    if args.framework:
        work(args.what, args.framework, args.model, args.batch, args.size)
        return
    workers: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in ("PyTorch", *args.back_ends.split(",")):
            framework = "torch" if name == "PyTorch" else "keras"
            command = [sys.executable, *sys.argv, "--framework", framework]
            environment = {**os.environ, **ONE_THREAD, "KERAS_BACKEND": name.lower() if framework == "keras" else "torch"}
            workers[name] = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            while _line(workers[name], name) != "ready":
                pass
        times: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(args.rounds):
            for name, worker in workers.items():
                assert worker.stdin is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
                times[name].append(float(_line(worker, name)))
        first = statistics.median(times["PyTorch"])
        for name, seconds in times.items():
            milliseconds = statistics.median(seconds) * 1e3
            print(
                f"{name:10}  {milliseconds:9.1f} ms   {milliseconds / first / 1e3:5.2f}   from {min(seconds):.3f} to {max(seconds):.3f} s"
            )
    finally:
        for worker in workers.values():
            worker.kill()


def _line(worker: subprocess.Popen[str], name: str) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{name}: its process ended; see above")
    return line.strip()


if __name__ == "__main__":
    main()
