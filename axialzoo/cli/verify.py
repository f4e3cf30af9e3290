"""``axialzoo verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.shared import Device, Json, Quiet, emit, say, say_if_compiling, show, stdout_kept_clean, table


def run(
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    float64: Annotated[bool, typer.Option(help="Compare in float64 too.")] = True,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a checkpoint: digests, spec, every tensor, and that all frameworks and back ends installed compute the same.

    The faster forms for inference, which `predict` and `evaluate` use, are among those compared.

    Of what `axialzoo publish` wrote, the SHA-256 of every file and the golden activations too: what the weights computed where they
    were published.

    On a GPU float32 is computed without TF32. A back end that does not find the device is reported as that, not as passed.

    The exit code is 0 where all checks passed and 1 where one failed. A framework that is not installed is
    reported as that, not as passed.

    Examples:
      axialzoo verify folder
      axialzoo verify axial_resnet_cifar10 --json
      axialzoo verify org/repo@v1
    """
    from axialzoo.runtime.verify import verify

    with stdout_kept_clean():
        say_if_compiling(quiet)
        report = verify(source, float64, log=lambda text: say(text, quiet), device=device)
    if as_json:
        emit(report)
    else:
        _show(report)
    raise typer.Exit(0 if report["ok"] else 1)


def _show(report: dict) -> None:
    verdict = {True: "ok", False: "FAILED", None: "-"}
    shown = table("", "", "", title=f"{report['source']}")
    for check in report["checks"]:
        shown.add_row(verdict[check["ok"]], check["name"], check["detail"])
    for result in report["runs"]:
        shown.add_row(verdict[result["ok"]], result["name"], result["detail"])
    show(shown)
    if report["parity"]:
        pairs = table("", "output", "of", "against", "in", ">largest difference", ">limit", title="parity")
        for pair in report["parity"]:
            error = "not finite" if pair["error"] is None else f"{pair['error']:.1e}"
            pairs.add_row(verdict[pair["ok"]], pair["output"], *pair["pair"], pair["precision"], error, f"{pair['limit']:.0e}")
        show("", pairs)
    if report["golden"]:
        golden = table("", "of", "in", ">largest difference", ">limit", title="against the golden activations")
        for row in report["golden"]:
            error = "differs in kind" if row["error"] is None else f"{row['error']:.1e}"
            golden.add_row(verdict[row["ok"]], row["run"], row["precision"], error, f"{row['limit']:.0e}")
        show("", golden)
    if not report["compared"]:
        show("", "parity: not compared; that takes two frameworks or back ends")
    show("", "verified" if report["ok"] else "NOT verified: see what FAILED")
