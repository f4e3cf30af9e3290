"""``axialzoo benchmark``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from axialzoo.cli.compare import milliseconds
from axialzoo.cli.shared import Device, Json, Quiet, emit, say, say_if_compiling, show, stdout_kept_clean, table


def run(
    model: Annotated[str, typer.Argument(help="A name, name.tag, a folder, or org/repo.", metavar="NAME|FOLDER|ORG/REPO")],
    size: Annotated[str | None, typer.Option(help="Input: SIDE or HEIGHTxWIDTH; default the model's own.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to compute on; default all.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of half a second for each form.")] = 5,
    framework: Annotated[str | None, typer.Option(help="torch, keras, native, or several with commas; default all.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how fast a model computes here: plain and in its inference form, in PyTorch and on each back end of Keras,
    and on the native runtime.

    They take turns, and their outputs are compared. Processor time is what other programs disturb less; `speedup` is of it.
    A model without weights is measured with random ones. Preparing pictures and reading results off is not measured.

    Examples:
      axialzoo benchmark axial_resnet50_s
      axialzoo benchmark axial_resnet_cifar10 --batch-size 32 --threads 1 --framework torch --json
    """
    from axialzoo.analysis.speed import benchmark
    from axialzoo.runtime.frameworks import choose
    from axialzoo.runtime.verify import targets

    names = None if framework is None else choose(framework, native=True)
    selected = [place for place in targets() if names is None or place.framework in names]
    with stdout_kept_clean():
        say_if_compiling(quiet)
        report = benchmark(
            model, size, batch=batch_size, threads=threads, rounds=repeats, run_targets=selected, device=device,
            log=lambda text: say(text, quiet),
        )  # fmt: skip
    if as_json:
        emit(report)
    else:
        show(*_tables(report))


def _tables(report: dict[str, Any]) -> list[Any]:
    height, width = report["size"]
    title = f"{report['model']} ({report['weights']}), {report['batch']} of {height}x{width}, {report['threads']} core(s)"
    shown = table("form", ">time", ">quartiles", ">processor", ">images/s", ">speedup", "", title=title)
    for run in report["runs"]:
        if not run["ok"]:
            shown.add_row(run["name"], "-", "-", "-", "-", "-", run["detail"])
            continue
        low, high = run["quartiles"]
        shown.add_row(
            run["name"], milliseconds(run["seconds"]), f"{milliseconds(low)} to {milliseconds(high)}", milliseconds(run["cpu_seconds"]),
            f"{run['images_per_second']:,.1f}", f"{run['speedup']:.2f}", run["detail"],
        )  # fmt: skip
    return [shown, f"CPU kernel: {report['kernel']['path']}, {report['kernel']['reason']}"]
