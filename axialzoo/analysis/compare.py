"""Comparison of kinds of attention: the cost of each at several sizes, and its growth. In PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axialzoo.analysis.cases import Case, cases
from axialzoo.analysis.growth import exponent
from axialzoo.analysis.measure import measure
from axialzoo.analysis.plots import PLOTS, draw_growth
from axialzoo.files import check_output, write_text
from axialzoo.runtime.system import cores
from axialzoo.spec import SpecError, get_entry

MEASURES = ("seconds", "memory_bytes", "multiply_adds", "cpu_seconds")


@dataclass(frozen=True)
class Workload:
    """The computation at each size; see :func:`axialzoo.analysis.cases.cases`.

    Attributes:
        layer: A block to measure alone; None for the whole model.
        span: Span of ``axial_local``.
        train: Whether to measure the backward pass too.
        batch: Batch size.
    """

    layer: str | None = None
    span: int | None = None
    train: bool = False
    batch: int = 1


@dataclass(frozen=True)
class Measuring:
    """Options of the measurement; see :func:`axialzoo.analysis.measure.measure`."""

    rounds: int = 3
    seconds: float = 60
    memory: int | None = None
    threads: int = 0  # 0: as many as there are cores
    device: str = "cpu"  # or a GPU as "cuda:0", whose memory PyTorch counts


def compare(
    model: str,
    kinds: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    workload: Workload,
    measuring: Measuring,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare kinds of attention, and return the report that ``axialzoo compare --json`` prints.

    Args:
        model: A registered name.
        kinds, sizes: Parsed by :mod:`axialzoo.analysis.cases`.
        workload: The computation at each size.
        measuring: Options of the measurement.
        out: Folder for ``compare.json`` and the plots.
        overwrite: Whether to replace existing files of these names.
        log: Gets a line for each measurement.
    """
    import torch

    if measuring.device.partition(":")[0] not in ("cpu", "cuda"):
        raise SpecError(f"device: PyTorch counts the memory of cpu and cuda alone; expected one of these, found {measuring.device!r}")
    names = (*(f"{name}.png" for name in PLOTS), "compare.json")
    for path in [] if out is None else [out / name for name in names]:
        check_output(path, overwrite=overwrite)
    measuring = replace(measuring, threads=measuring.threads or cores())
    all_cases = cases(get_entry(model).spec, kinds, sizes, **vars(workload))
    measurements = measure(all_cases, **vars(measuring), log=log)
    report: dict[str, Any] = {
        "model": model,
        "layer": workload.layer,
        "mode": "training" if workload.train else "inference",
        "framework": f"torch {torch.__version__}",
        "device": measuring.device,
        "threads": measuring.threads,
        "batch": workload.batch,
        "rounds": measuring.rounds,
        "kinds": {name: _of_kind([pair for pair in zip(all_cases, measurements) if pair[0].kind == name]) for name in kinds},
    }
    if out is not None:
        report["plots"] = [str(path) for path in draw_growth(report, out)]
        write_text(out / "compare.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    return report


def _of_kind(pairs: Sequence[tuple[Case, dict[str, Any]]]) -> dict[str, Any]:
    """Return the rows of one kind, and the exponents of its costs over the measured sizes."""
    rows = [
        {
            "size": list(case.size),
            "positions": case.positions,
            "multiply_adds": case.multiply_adds,
            "estimated_bytes": case.estimated_bytes,
            **result,
        }
        for case, result in pairs
    ]
    positions = [row["positions"] for row in rows]
    return {"exponents": {key: exponent(positions, [row[key] for row in rows]) for key in MEASURES}, "sizes": rows}
