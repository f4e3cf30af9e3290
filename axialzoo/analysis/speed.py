"""Speed of a model on this machine: its plain form, its inference form, and every installed back end of Keras, in turn."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Checkpoint, default_config, load_checkpoint, save_checkpoint
from axialzoo.hub import fetch_checkpoint
from axialzoo.ops.kernels import kernel_status
from axialzoo.runtime.device import AUTO, is_cpu
from axialzoo.runtime.local import kernel_status_for, optimizable
from axialzoo.runtime.process import Worker
from axialzoo.runtime.runner import Runner
from axialzoo.runtime.system import cores
from axialzoo.runtime.verify import LIMITS, Target, refuse_device, targets
from axialzoo.spec import Model, SpecError, get_entry, parameters, size_pair

SECONDS = 0.5  # of one turn of a form


def benchmark(
    source: str,
    size: object = None,
    *,
    batch: int = 1,
    threads: int | None = None,
    rounds: int = 5,
    run_targets: Sequence[Target] | None = None,
    log: Callable[[str], None] = lambda text: None,
    device: str = AUTO,
) -> dict[str, Any]:
    """Time a forward pass in float32 of each form of a model. Each form has its own process, and the forms take short turns.

    Args:
        source: A folder, ``org/repo``, or a registered name; a model without weights gets random weights.
        size: A side or (height, width) in pixels; default the model's own.
        batch: Batch size.
        threads: Cores that each process may use; default all.
        rounds: Turns of each form.
        run_targets: Which forms; default all, installed or not. The first is what the others are compared with.
        log: Gets a line as each form starts.
        device: Device that computes; a back end that does not find it is not measured.

    Returns:
        ``model``, ``weights`` (their digest, or "random"), ``size``, ``batch``, ``threads``, ``kernel`` (path and reason), ``runs``: for
        each form ``name``, ``framework``, ``backend``, ``ok`` (None where it cannot run here), ``detail``, ``seconds`` (median of a
        call), ``quartiles``, ``cpu_seconds`` (median processor time, which other programs disturb less), ``calls``,
        ``images_per_second``, ``speedup`` (processor time of the first form over its own) and ``difference`` (of its outputs, relative).
    """
    with ExitStack() as stack:
        checkpoint, weights = _checkpoint(source, stack)
        spec = checkpoint.config.spec
        height, width = spec.input_size if size is None else size_pair(size)
        x = np.random.default_rng(0).standard_normal((batch, height, width, spec.backbone.in_channels), np.float32)
        threads = min(threads or cores(), cores())
        runs, timed = [], []
        for target in targets() if run_targets is None else run_targets:
            run = {"name": target.name, "framework": target.framework, "backend": target.backend, "ok": None, "detail": why_not(target)}
            runs.append(run)
            if run["detail"]:
                continue
            log(f"starting {run['name']} ...")
            worker = Worker(target.framework, target.backend, threads=threads)
            stack.callback(worker.close)
            options: dict[str, Any] = {"compiled": True, "optimize": target.optimize, "device": device}
            try:
                runner = Runner(checkpoint, *target[:2], **options, worker=worker)
            except SpecError as error:  # a missing device, or a model that the native runtime cannot run
                run["detail"] = str(error).partition(": ")[2] or str(error)
                continue
            if not is_cpu(runner.device):
                run["detail"] = f"on {runner.device}"
                if target.optimize:
                    run["detail"] = f"no inference form {run['detail']}"
                    continue
            run["outputs"] = runner.outputs(x)  # the first call, which may compile
            timed.append((run, worker, [], []))
        if not timed and device != AUTO:
            refuse_device(device, runs)
        for turn in range(rounds):
            log(f"round {turn + 1} of {rounds} ...")
            for _, worker, wall, busy in timed:
                times = worker.times("float32", x, SECONDS)
                wall += times["wall"]
                busy += times["cpu"]
        for run, _, wall, busy in timed:
            run.update(_summary(wall, busy, batch), ok=True)
        _compare([run for run, *_ in timed])
    status = kernel_status()
    return {
        "model": checkpoint.config.model,
        "weights": weights,
        "size": [height, width],
        "batch": batch,
        "threads": threads,
        "kernel": {"path": status.path, "reason": status.reason},
        "runs": runs,
    }


def why_not(target: Target) -> str:
    """Return the reason why a form cannot run here; empty where it can."""
    if target.missing:
        return f"not installed ({', '.join(target.missing)})"
    if target.optimize and not optimizable(target.backend, "float32"):
        return f"no CPU kernel: {kernel_status_for(target.backend).reason}"
    return ""


def _summary(wall: Sequence[float], busy: Sequence[float], batch: int) -> dict[str, Any]:
    median = statistics.median(wall)
    low, _, high = statistics.quantiles(wall, n=4) if len(wall) > 1 else (median, median, median)
    return {
        "seconds": median,
        "quartiles": [low, high],
        "cpu_seconds": statistics.median(busy),
        "calls": len(wall),
        "images_per_second": batch / median,
    }


def _compare(runs: Sequence[dict[str, Any]]) -> None:
    """Add the speedup and the difference of outputs of each run, relative to the first.

    Raises:
        RuntimeError: where outputs differ, because the speed of a wrong result means nothing.
    """
    if not runs:
        return
    first = runs[0]
    expected = _flat(first["outputs"])
    for run in runs:
        outputs = _flat(run.pop("outputs")) if run is not first else expected
        scale = max(1.0, *(float(np.abs(array).max()) for array in expected))
        run["difference"] = (
            max(float(np.abs(array - expected_array).max()) for array, expected_array in zip(outputs, expected, strict=True)) / scale
        )
        run["speedup"] = first["cpu_seconds"] / run["cpu_seconds"]
        if not run["difference"] <= 1e3 * LIMITS["float32"]:  # random weights of a deep model amplify rounding
            raise RuntimeError(f"{run['name']}: its outputs differ from those of {first['name']} by {run['difference']:.1e}; see verify")
    first.pop("outputs")


def _flat(outputs: dict[str, Any]) -> list[np.ndarray]:
    return [array for name in sorted(outputs) for array in (outputs[name] if isinstance(outputs[name], list) else [outputs[name]])]


def _checkpoint(source: str, stack: ExitStack) -> tuple[Checkpoint, str]:
    """Return the checkpoint of `source` and its digest; a model without weights gets random weights in a folder that ends with `stack`."""
    if Path(source).exists() or "/" in source or get_entry(source).weights:
        checkpoint = fetch_checkpoint(source)
        return checkpoint, checkpoint.config.digest
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    spec = get_entry(source).spec
    save_checkpoint(folder, default_config(spec, get_entry(source).name), random_tensors(spec))
    return load_checkpoint(folder), "random"


def random_tensors(spec: Model) -> dict[str, np.ndarray]:
    """Return random tensors of `spec` that keep activations of order 1, without a framework; norms have their initial values."""
    random, tensors = np.random.default_rng(0), {}
    for parameter in parameters(spec):
        if parameter.role in ("norm_scale", "norm_variance"):
            tensors[parameter.name] = np.ones(parameter.shape, np.float32)
        else:
            width = 0.0 if parameter.role.startswith("norm") else math.prod(parameter.shape[1:]) ** -0.5
            tensors[parameter.name] = (width * random.standard_normal(parameter.shape)).astype(np.float32)
    return tensors
