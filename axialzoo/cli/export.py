"""``axialzoo export``."""

from __future__ import annotations

from typing import Annotated

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, stdout_kept_clean


def run(
    source: Annotated[str, typer.Argument(help="A folder, a name with weights, or org/repo.", metavar="FOLDER")],
    target: Annotated[str, typer.Argument(help="model.pt2, model.onnx, model.tflite, or a folder for a SavedModel.", metavar="TARGET")],
    size: Annotated[str | None, typer.Option(help="Height and width; default the model's own.", metavar="HEIGHTxWIDTH")] = None,
    dynamic_shapes: Annotated[bool, typer.Option("--dynamic-shapes", help="Leave height and width free.")] = False,
    framework: Annotated[str | None, typer.Option(help="torch, or keras on its back end.", metavar="FRAMEWORK")] = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model for another runtime, any batch, and compare it with its original; refused where it computes something else.

    Examples:
      axialzoo export axial_resnet_cifar10 model.onnx
      axialzoo export folder model.pt2 --dynamic-shapes
      KERAS_BACKEND=tensorflow axialzoo export folder saved_model --framework keras --size 320x480
    """
    from axialzoo.exports import export_model

    with stdout_kept_clean():
        done = export_model(
            source,
            target,
            framework=framework,
            size=size,
            dynamic_shapes=dynamic_shapes,
            overwrite=force,
            log=lambda text: say(text, quiet),
        )
    if as_json:
        emit(done)
        return
    worst = max(probe["error"] for probe in done["compared"])
    sizes = "any size" if done["sizes"] == "any" else "x".join(map(str, done["sizes"]))
    say(f"{source} -> {target}: {done['format']} from {done['framework']}, {sizes}, any batch, within {worst:.1e} of its original", quiet)
