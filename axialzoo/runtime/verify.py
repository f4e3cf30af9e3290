"""Whether a checkpoint is whole, and whether all frameworks and back ends compute the same of it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from axialzoo.checkpoint import Checkpoint, CheckpointError
from axialzoo.hub import fetch_checkpoint
from axialzoo.kernels import kernel_status
from axialzoo.runtime import frameworks
from axialzoo.runtime.local import optimizable
from axialzoo.runtime.process import Worker, WorkerError
from axialzoo.runtime.runner import Runner
from axialzoo.spec import Model, SpecError, cost

LIMITS = {"float32": 2e-5, "float64": 1e-9}  # absolute on outputs of order 1; relative
CHEAP = 1_000_000_000  # multiply-adds up to which float64 runs at the model's own size
SMALL = (65, 97)  # where it does not: odd, and not square


def verify(source: str | os.PathLike, float64: bool = True, told: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The report that ``axialzoo verify --json`` prints.

    Args:
        source: A folder, a name with weights, or ``org/repo``.
        float64: Compare in float64 too.
        told: Gets a line before each framework.

    Returns:
        ``checks`` (name, ok, detail); ``runs`` of each framework and back end (installed, ok, detail); ``parity`` of
        each pair, precision and output (error, limit, ok); ``compared``: whether two frameworks or back ends were; ``ok``: none failed.
    """
    report: dict[str, Any] = {"source": str(source), "ok": False, "model": None, "digest": None, "checks": []}
    report.update(runs=[], parity=[], compared=False)
    try:
        checkpoint = fetch_checkpoint(source)
    except (CheckpointError, SpecError) as error:
        report["checks"].append({"name": "files", "ok": False, "detail": str(error)})
        return report
    report["checks"] = _passed(checkpoint)
    report.update(model=checkpoint.config.model, digest=checkpoint.config.digest)
    inputs = made_inputs(checkpoint.config.spec, float64)
    outputs, ran = {}, set()
    for place in places():
        result, found = _run(place, checkpoint, inputs, told)
        report["runs"].append(result)
        if found is not None:
            outputs[result["name"]] = found
            ran.add((place.framework, place.backend))
    report["parity"] = compare(outputs)
    report["compared"] = len(ran) >= 2
    report["ok"] = (
        all(check["ok"] for check in report["checks"])
        and all(result["ok"] is not False for result in report["runs"])
        and all(pair["ok"] for pair in report["parity"])
    )
    return report


class Place(NamedTuple):
    """What computes: a framework, of Keras its back end, and whether it runs the model's inference form."""

    framework: str
    backend: str | None = None
    optimize: bool = False

    @property
    def name(self) -> str:
        title = frameworks.TITLES[self.framework]
        return f"{title} ({self.backend})" if self.backend else f"{title}, inference form" if self.optimize else title


def places() -> list[Place]:
    """Every framework and Keras back end there is, installed or not."""
    return [Place("torch"), Place("torch", optimize=True), *(Place("keras", backend) for backend in frameworks.BACKENDS)]


def made_inputs(spec: Model, float64: bool = True) -> dict[str, np.ndarray]:
    """Precision -> (2, H, W, C): the same pictures for all, fixed noise at the model's own size, and for float64 where that is
    dear, smaller."""
    random = np.random.RandomState(0)
    sizes = {"float32": spec.input_size}
    if float64:
        sizes["float64"] = spec.input_size if cost(spec).multiply_adds <= CHEAP else SMALL
    channels = spec.backbone.in_channels
    return {precision: random.standard_normal((2, channels, *size)).transpose(0, 2, 3, 1) for precision, size in sizes.items()}


def compare(outputs: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Every pair in every precision and output: the largest difference over the largest value (at least 1 in float32), and its limit.

    Args:
        outputs: Of each framework by name, ``"<precision>:<output>"`` -> array.
    """
    pairs = []
    for (one, first), (other, second) in itertools.combinations(outputs.items(), 2):
        both = {key.partition(":")[0] for key in second}  # inference forms are of float32 alone
        for key in first:
            precision, _, output = key.partition(":")
            if precision not in both:
                continue
            scale = float(np.abs(first[key]).max())
            scale = max(scale, 1.0) if precision == "float32" else scale or 1.0
            same = key in second and first[key].shape == second[key].shape
            error = float(np.abs(first[key] - second[key]).max()) / scale if same else float("inf")
            ok = bool(error <= LIMITS[precision])  # not-a-number is no number below the limit
            error = error if np.isfinite(error) else None
            pairs.append(
                {"pair": [one, other], "output": output, "precision": precision, "error": error, "limit": LIMITS[precision], "ok": ok}
            )
    return pairs


def _passed(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """What loading has checked: had one of these not held, it would have been refused."""
    config, tensors = checkpoint.config, checkpoint.tensors
    return [
        {"name": "spec", "ok": True, "detail": f"{config.model}: config.json describes a model, and nothing unknown"},
        {"name": "tensors", "ok": True, "detail": f"{len(tensors)}: each that the spec names, none besides, all finite"},
        {"name": "digest", "ok": True, "detail": config.digest},
    ]


def _run(
    place: Place, checkpoint: Checkpoint, inputs: dict[str, np.ndarray], told: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """One framework in a process of its own: what happened, and its outputs as :func:`compare` wants them."""
    (framework, backend, optimize), name = place, place.name
    result = {"name": name, "framework": framework, "backend": backend, "installed": True, "ok": None, "detail": ""}
    missing = [package for package in (framework, backend) if package and not frameworks.installed(package)]
    if missing:
        return {**result, "installed": False, "detail": f"not installed ({', '.join(missing)}): not checked"}, None
    if optimize:
        inputs = {precision: x for precision, x in inputs.items() if optimizable(framework, precision)}
        if not inputs:
            return {**result, "detail": f"no CPU kernel, so it is not in use: {kernel_status().reason}"}, None
    told(f"running {name} ...")
    worker = Worker(framework, backend)
    found: dict[str, np.ndarray] = {}
    try:
        for precision, x in inputs.items():
            outputs = Runner(checkpoint, framework, backend, precision, optimize=optimize, worker=worker).outputs(x)
            for output, value in outputs.items():
                parts = {output: value} if isinstance(value, np.ndarray) else {f"{output}.{i}": part for i, part in enumerate(value)}
                found |= {f"{precision}:{key}": part for key, part in parts.items()}
    except WorkerError as error:
        return {**result, "ok": False, "detail": str(error).partition(": ")[2] or str(error)}, None
    finally:
        worker.close()
    return {**result, "ok": True, "detail": "ran"}, found
