"""``axialzoo verify``."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Json, Quiet, emit, say, show, stdout_kept_clean, table

LIMITS = {"float32": 2e-5, "float64": 1e-9}  # absolute on logits of order 1; relative
CHEAP = 1_000_000_000  # multiply-adds up to which float64 runs at the model's own size
SMALL = (65, 97)  # where it does not: odd, and not square
SECONDS = 900  # for one framework


def run(
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    float64: Annotated[bool, typer.Option(help="Compare in float64 too.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a checkpoint: digests, spec, every tensor, and that all frameworks and back ends installed compute the same.

    The exit code is 0 where all checks passed and 1 where one failed. A framework that is not installed is
    reported as that, not as passed.

    Examples:
      axialzoo verify folder
      axialzoo verify axial_resnet_cifar10 --json
    """
    with stdout_kept_clean():
        report = verify(source, float64, quiet)
    if as_json:
        emit(report)
    else:
        _show(report)
    raise typer.Exit(0 if report["ok"] else 1)


def verify(source: str, float64: bool = True, quiet: bool = True) -> dict[str, Any]:
    """The report that ``--json`` prints.

    ``checks`` (name, ok, detail); ``runs`` of each framework and back end (installed, ok, detail); ``parity`` of
    each pair and precision (error, limit, ok); ``compared``: whether there were two to compare; ``ok``: none failed.
    """
    from axialzoo.checkpoint import CheckpointError, load_checkpoint
    from axialzoo.spec import SpecError

    report: dict[str, Any] = {"source": source, "ok": False, "model": None, "digest": None, "checks": []}
    report.update(runs=[], parity=[], compared=False)
    try:
        checkpoint = load_checkpoint(source)
    except (CheckpointError, SpecError) as error:
        report["checks"].append({"name": "files", "ok": False, "detail": str(error)})
        return report
    report["checks"] = _passed(checkpoint)
    report.update(model=checkpoint.config.model, digest=checkpoint.config.digest)
    with tempfile.TemporaryDirectory(prefix="axialzoo-verify-") as folder:
        inputs = Path(folder) / "inputs.npz"
        _write_inputs(inputs, checkpoint.config.spec, float64)
        logits = {}
        for framework, backend in places():
            result, found = _run(framework, backend, str(checkpoint.folder), inputs, quiet)
            report["runs"].append(result)
            if found is not None:
                logits[result["name"]] = found
    report["parity"] = compare(logits)
    report["compared"] = len(logits) >= 2
    report["ok"] = (
        all(check["ok"] for check in report["checks"])
        and all(result["ok"] is not False for result in report["runs"])
        and all(pair["ok"] for pair in report["parity"])
    )
    return report


def places() -> list[tuple[str, str | None]]:
    """Every framework and Keras back end there is, installed or not."""
    from axialzoo.cli.frameworks import BACKENDS

    return [("torch", None), *(("keras", backend) for backend in BACKENDS)]


def _passed(checkpoint) -> list[dict]:
    """What loading has checked: had one of these not held, it would have been refused."""
    config, tensors = checkpoint.config, checkpoint.tensors
    return [
        {"name": "spec", "ok": True, "detail": f"{config.model}: config.json describes a model, and nothing unknown"},
        {"name": "tensors", "ok": True, "detail": f"{len(tensors)}: each that the spec names, none besides, all finite"},
        {"name": "digest", "ok": True, "detail": config.digest},
    ]


def _write_inputs(path: Path, spec, float64: bool) -> None:
    """The same pictures for all: fixed noise at the model's own size, and for float64 where that is dear, smaller."""
    import numpy as np

    from axialzoo.spec import cost

    random = np.random.RandomState(0)
    sizes = {"float32": spec.input_size}
    if float64:
        sizes["float64"] = spec.input_size if cost(spec).multiply_adds <= CHEAP else SMALL
    channels = spec.backbone.in_channels
    images: dict[str, Any] = {f"{precision}:noise": random.standard_normal((2, channels, *size)) for precision, size in sizes.items()}
    np.savez(path, **images)


def _run(framework: str, backend: str | None, folder: str, inputs: Path, quiet: bool) -> tuple[dict, dict | None]:
    """One framework in a process of its own: what happened, and its logits."""
    import numpy as np

    from axialzoo.cli.frameworks import TITLES, installed

    name = f"{TITLES[framework]} ({backend})" if backend else TITLES[framework]
    result = {"name": name, "framework": framework, "backend": backend, "installed": True, "ok": None, "detail": ""}
    missing = [package for package in (framework, backend) if package and not installed(package)]
    if missing:
        return {**result, "installed": False, "detail": f"not installed ({', '.join(missing)}): not checked"}, None
    say(f"running {name} ...", quiet)
    outputs = inputs.with_name(f"{framework}-{backend}.npz")
    settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_ENABLE_X64": "1", **({"KERAS_BACKEND": backend} if backend else {})}
    words = [sys.executable, "-m", "axialzoo.cli.probe", framework, folder, str(inputs), str(outputs)]
    try:
        done = subprocess.run(words, env=settings, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {**result, "ok": False, "detail": f"took longer than {SECONDS} s"}, None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {**result, "ok": False, "detail": lines[-1]}, None
    with np.load(outputs) as found:
        return {**result, "ok": True, "detail": "ran"}, {key: found[key] for key in found.files}


def compare(logits: dict[str, dict]) -> list[dict]:
    """Every pair in every precision: the largest difference over the largest logit (at least 1 in float32), and its limit."""
    import numpy as np

    pairs = []
    for (one, first), (other, second) in itertools.combinations(logits.items(), 2):
        for key in first:
            precision = key.partition(":")[0]
            scale = float(np.abs(first[key]).max())
            scale = max(scale, 1.0) if precision == "float32" else scale or 1.0
            error = float(np.abs(first[key] - second[key]).max()) / scale if first[key].shape == second[key].shape else float("inf")
            ok = bool(error <= LIMITS[precision])  # not-a-number is no number below the limit
            error = error if np.isfinite(error) else None
            pairs.append({"pair": [one, other], "precision": precision, "error": error, "limit": LIMITS[precision], "ok": ok})
    return pairs


def _show(report: dict) -> None:
    verdict = {True: "ok", False: "FAILED", None: "-"}
    shown = table("", "", "", title=f"{report['source']}")
    for check in report["checks"]:
        shown.add_row(verdict[check["ok"]], check["name"], check["detail"])
    for result in report["runs"]:
        shown.add_row(verdict[result["ok"]], result["name"], result["detail"])
    show(shown)
    if report["parity"]:
        pairs = table("", "logits of", "against", "in", ">largest difference", ">limit", title="parity")
        for pair in report["parity"]:
            error = "not finite" if pair["error"] is None else f"{pair['error']:.1e}"
            pairs.add_row(verdict[pair["ok"]], *pair["pair"], pair["precision"], error, f"{pair['limit']:.0e}")
        show("", pairs)
    if not report["compared"]:
        show("", "parity: not compared; that takes two frameworks or back ends")
    show("", "verified" if report["ok"] else "NOT verified: see what FAILED")
