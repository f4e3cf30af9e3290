"""Verification of a checkpoint: its files, its parity across frameworks and back ends, and its published golden activations."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from axialzoo.checkpoint import Checkpoint, CheckpointError
from axialzoo.hub import fetch_checkpoint
from axialzoo.hub.golden import GOLDEN, compare_golden, input_of_case, noise_input, read_golden
from axialzoo.hub.manifest import MANIFEST, check_manifest
from axialzoo.native import NoPlan
from axialzoo.runtime import frameworks
from axialzoo.runtime.device import AUTO, DeviceError, is_cpu
from axialzoo.runtime.ipc import WorkerError
from axialzoo.runtime.local import kernel_status_for, optimizable
from axialzoo.runtime.process import Worker
from axialzoo.runtime.runner import Runner
from axialzoo.spec import Model, SpecError, cost

LIMITS = {"float32": 2e-5, "float64": 1e-9}  # absolute on outputs of order 1; relative
CHEAP = 1_000_000_000  # multiply-adds up to which float64 runs at the model's own size
SMALL = (65, 97)  # for larger models: odd, and not square


RunOutputs = dict[str, dict[str, np.ndarray]]  # framework and back end -> "<precision>:<output>" -> array


def verify(
    source: str | os.PathLike[str], float64: bool = True, log: Callable[[str], None] = lambda text: None, device: str = AUTO
) -> dict[str, Any]:
    """Verify a checkpoint, and return the report that ``axialzoo verify --json`` prints.

    Args:
        source: A folder, a name with weights, or ``org/repo``.
        float64: Compare in float64 too.
        log: Gets a line before each framework.
        device: Device that computes, without TF32; a back end that does not find it is not checked.

    Returns:
        ``checks`` (name, ok, detail; ok is None for a missing part); ``runs`` of each framework and back end (installed, ok,
        detail); ``parity`` of each pair, precision and output (error, limit, ok); ``golden`` of each run and precision, against the
        published activations (error, limit, ok); ``compared``: whether two runs were compared; ``ok``: whether nothing failed.

    Raises:
        DeviceError: where no framework finds the device.
    """
    report, _, _ = verify_with_outputs(source, float64, log, device)
    return report


def verify_with_outputs(
    source: str | os.PathLike[str], float64: bool = True, log: Callable[[str], None] = lambda text: None, device: str = AUTO
) -> tuple[dict[str, Any], dict[str, np.ndarray], RunOutputs]:
    """Return the report of :func:`verify`, the inputs by precision, and the outputs of each framework and back end."""
    report: dict[str, Any] = {"source": str(source), "ok": False, "model": None, "digest": None, "checks": []}
    report.update(runs=[], parity=[], golden=[], compared=False)
    outputs: RunOutputs = {}
    try:
        checkpoint = fetch_checkpoint(source, beside=True)
        published = read_golden(checkpoint.folder, checkpoint.config) or {}
        cases = {precision: case for precision, case in published.items() if float64 or precision != "float64"}
        inputs = made_inputs(checkpoint.config.spec, float64) | {precision: input_of_case(case) for precision, case in cases.items()}
        report["checks"] = _passed(checkpoint, bool(published))
    except (CheckpointError, SpecError) as error:
        report["checks"].append({"name": "files", "ok": False, "detail": str(error)})
        return report, {}, outputs
    report.update(model=checkpoint.config.model, digest=checkpoint.config.digest)
    ran = set()
    for process, forms in itertools.groupby(targets(), lambda target: target[:2]):
        for result, run_outputs in _run(list(forms), checkpoint, inputs, log, device):
            report["runs"].append(result)
            if run_outputs is not None:
                outputs[result["name"]] = run_outputs
                ran.add(process)
    if not ran and device != AUTO:
        refuse_device(device, report["runs"])
    report["parity"] = compare(outputs)
    report["golden"] = compare_golden_all(cases, outputs)
    report["compared"] = len(ran) >= 2
    report["ok"] = (
        all(check["ok"] is not False for check in report["checks"])
        and all(result["ok"] is not False for result in report["runs"])
        and all(row["ok"] for row in (*report["parity"], *report["golden"]))
    )
    return report, inputs, outputs


class Target(NamedTuple):
    """A framework, the back end of Keras, and whether it runs the inference form of the model."""

    framework: str
    backend: str | None = None
    optimize: bool = False

    @property
    def name(self) -> str:
        title = frameworks.TITLES[self.framework]
        return title + (f" ({self.backend})" if self.backend else "") + (", inference form" if self.optimize else "")

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed and that this target needs."""
        packages = (self.framework, self.backend) if self.framework != frameworks.NATIVE else ()
        return [package for package in packages if package and not frameworks.installed(package)]


def targets() -> list[Target]:
    """Return every framework and Keras back end, installed or not, with the plain and the inference form, then the native runtime."""
    backends = [("torch", None), *(("keras", backend) for backend in frameworks.BACKENDS)]
    return [
        *(Target(framework, backend, optimize) for framework, backend in backends for optimize in (False, True)),
        Target(frameworks.NATIVE),
    ]


def made_inputs(spec: Model, float64: bool = True) -> dict[str, np.ndarray]:
    """Return the inputs of all targets by precision, (2, H, W, C): fixed noise at the model's own size, smaller for float64 of a large
    model."""
    sizes = {"float32": spec.input_size}
    if float64:
        sizes["float64"] = spec.input_size if cost(spec).multiply_adds <= CHEAP else SMALL
    return {precision: noise_input((2, *size, spec.backbone.in_channels)) for precision, size in sizes.items()}


def compare(outputs: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Compare every pair of runs: the largest difference over the largest value (at least 1 in float32), per precision and output.

    Args:
        outputs: Name of each run -> ``"<precision>:<output>"`` -> array.
    """
    pairs = []
    for (first_name, first), (second_name, second) in itertools.combinations(outputs.items(), 2):
        both = {key.partition(":")[0] for key in second}  # inference forms exist in float32 only
        for key in first:
            precision, _, output = key.partition(":")
            if precision not in both:
                continue
            scale = float(np.abs(first[key]).max())
            scale = max(scale, 1.0) if precision == "float32" else scale or 1.0
            same = key in second and first[key].shape == second[key].shape
            error = float(np.abs(first[key] - second[key]).max()) / scale if same else float("inf")
            ok = bool(error <= LIMITS[precision])  # NaN fails this comparison
            error = error if np.isfinite(error) else None
            pairs.append(
                {
                    "pair": [first_name, second_name],
                    "output": output,
                    "precision": precision,
                    "error": error,
                    "limit": LIMITS[precision],
                    "ok": ok,
                }
            )
    return pairs


def compare_golden_all(cases: dict[str, Any], outputs: RunOutputs) -> list[dict[str, Any]]:
    """Compare every run with the golden activations of `cases`, in each precision of the run."""
    rows = []
    for (run, outputs_of_run), (precision, case) in itertools.product(outputs.items(), cases.items()):
        outputs_in_precision = of_precision(outputs_of_run, precision)
        if not outputs_in_precision:  # inference forms exist in float32 only
            continue
        error = compare_golden(case, outputs_in_precision, precision)
        ok = error is not None and error <= LIMITS[precision]
        rows.append({"run": run, "precision": precision, "error": error, "limit": LIMITS[precision], "ok": ok})
    return rows


def of_precision(outputs: dict[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    """Return the outputs of a run in one precision, by name."""
    return {key.partition(":")[2]: value for key, value in outputs.items() if key.partition(":")[0] == precision}


def _passed(checkpoint: Checkpoint, golden: bool) -> list[dict[str, Any]]:
    """Return the checks that loading has passed (it refuses a checkpoint that fails one), and those of the published files."""
    config, tensors, folder = checkpoint.config, checkpoint.tensors, checkpoint.folder
    checks = [
        {"name": "spec", "ok": True, "detail": f"{config.model}: config.json describes a model, and nothing unknown"},
        {"name": "tensors", "ok": True, "detail": f"{len(tensors)}: each that the spec names, none besides, all finite"},
        {"name": "digest", "ok": True, "detail": config.digest},
    ]
    if (folder / MANIFEST).exists():
        checks.append({"name": "manifest", "ok": True, "detail": f"{MANIFEST}: {len(check_manifest(folder))} files as published"})
    if golden:
        checks.append({"name": "golden", "ok": True, "detail": f"{GOLDEN}: of these weights"})
    return checks


def _run(
    forms: list[Target], checkpoint: Checkpoint, inputs: dict[str, np.ndarray], log: Callable[[str], None], device: str
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray] | None]]:
    """Run the forms of one framework in its own process; yield the report of each form and its outputs for :func:`compare`."""
    with ExitStack() as stack:
        worker = None
        for target in forms:
            result = {"name": target.name, "framework": target.framework, "backend": target.backend, "installed": True, "ok": None}
            cases = inputs
            if target.optimize and not target.missing:
                cases = {precision: x for precision, x in inputs.items() if optimizable(target.backend, precision)}
            if target.framework == frameworks.NATIVE:
                cases = {precision: x for precision, x in inputs.items() if precision == "float32"}
            if target.missing:
                yield {**result, "installed": False, "detail": f"not installed ({', '.join(target.missing)}): not checked"}, None
            elif not cases:
                yield {**result, "detail": f"no CPU kernel, so it is not in use: {kernel_status_for(target.backend).reason}"}, None
            else:
                log(f"running {target.name} ...")
                if worker is None:
                    worker = Worker(*target[:2])
                    stack.callback(worker.close)
                try:
                    ran_on, outputs = _outputs(target, checkpoint, cases, worker, device)
                except DeviceError as error:
                    yield {**result, "detail": f"{str(error).partition(': ')[2]}: not checked"}, None
                except NoPlan as error:
                    yield {**result, "detail": f"{error}: not checked"}, None
                except WorkerError as error:
                    yield {**result, "ok": False, "detail": str(error).partition(": ")[2] or str(error)}, None
                else:
                    if outputs:
                        yield {**result, "ok": True, "detail": "ran" if is_cpu(ran_on) else f"ran on {ran_on}"}, outputs
                    else:
                        yield {**result, "detail": f"no inference form on {ran_on}: not in use"}, None


def refuse_device(device: str, runs: Sequence[Mapping[str, Any]]) -> None:
    """Raise the error of a missing device, where none of `runs` found it and therefore nothing ran."""
    missing = [run["detail"] for run in runs if run["ok"] is None and run["detail"].startswith("device: ")]
    if missing and not any(run["ok"] is False for run in runs):
        raise DeviceError("; ".join(detail.removesuffix(": not checked") for detail in dict.fromkeys(missing)))


def _outputs(
    target: Target, checkpoint: Checkpoint, inputs: dict[str, np.ndarray], worker: Worker, device: str
) -> tuple[str, dict[str, np.ndarray]]:
    """Return the device that computed, and its outputs; no outputs where the target's form does not run on that device."""
    arrays: dict[str, np.ndarray] = {}
    ran_on = device
    for precision, x in inputs.items():
        how: dict[str, Any] = {"optimize": target.optimize, "device": device, "allow_tf32": False}
        runner = Runner(checkpoint, *target[:2], precision, **how, worker=worker)
        ran_on = runner.device
        if target.optimize and not runner.optimized:
            continue
        outputs = runner.outputs(x)
        for output, value in outputs.items():
            parts = {output: value} if isinstance(value, np.ndarray) else {f"{output}.{i}": part for i, part in enumerate(value)}
            arrays |= {f"{precision}:{key}": part for key, part in parts.items()}
    return ran_on, arrays
