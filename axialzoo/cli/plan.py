"""``axialzoo info MODEL --plan``: the operations of the native runtime."""

from __future__ import annotations

from typing import Any

from axialzoo.cli.shared import billions, emit, show, table
from axialzoo.spec import Model, size_pair


def run_plan(source: str, spec: Model | None, size: str | None, as_json: bool) -> None:
    """Show the program of a model for one image.

    Args:
        source: Name, folder or address of the checkpoint.
        spec: The network, where it has no weights; its operations are then not timed.
        size: Size of the image; default the model's own.
        as_json: Whether to print JSON.
    """
    from axialzoo.native.report import plan_report

    if spec is None:
        from axialzoo.hub import fetch_checkpoint

        checkpoint = fetch_checkpoint(source)
        spec, tensors = checkpoint.config.spec, checkpoint.tensors
    else:
        tensors = None
    report = {"model": source, **plan_report(spec, tensors, spec.input_size if size is None else size_pair(size))}
    if as_json:
        emit(report)
    else:
        show(*_tables(report))


def _tables(report: dict[str, Any]) -> list[Any]:
    height, width = report["size"]
    shown = table(
        "operation", "layer", "from", "to", ">multiply-adds", ">KiB", ">us", ">of peak", "activation",
        title=f"{report['model']}: {len(report['operations'])} operations at {height}x{width}",
    )  # fmt: skip
    for row in report["operations"]:
        timed = row["seconds"] is not None
        shown.add_row(
            row["operation"], row["layer"], *("x".join(map(str, row[end])) for end in ("from", "to")), billions(row["multiply_adds"]),
            f"{row['bytes'] / 1024:,.0f}", f"{1e6 * row['seconds']:,.0f}" if timed else "-",
            f"{100 * row['of_peak']:.0f} %" if timed and row["multiply_adds"] else "-", row["activation"],
        )  # fmt: skip
    lines = [f"{billions(report['multiply_adds'])} multiply-adds; arena of {report['arena_bytes'] / 2**20:.1f} MiB"]
    if report["seconds"] is not None:
        lines[0] += f"; {1e3 * report['seconds']:.2f} ms on one thread of {report['runs_on']}, {100 * report['of_peak']:.0f} % of peak"
    return [shown, "", *lines]
