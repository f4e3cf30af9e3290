"""``axialzoo train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Json, Quiet, emit, say, stdout_kept_clean
from axialzoo.spec import SpecError


def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as cifar10.", metavar="RECIPE")],
    data: Annotated[Path, typer.Option(help="Images: train/ and test/ with a folder a class, or CIFAR-10's archives.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option(help="Folder of the run; the finished model is in its model/.", metavar="FOLDER")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last save in --out, to the step.")] = False,
    framework: Annotated[str, typer.Option(help="torch or keras.")] = "torch",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images; default the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default the recipe's.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saves.")] = 200,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Any other field of the recipe.", metavar="FIELD=VALUE")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model by a recipe.

    Examples:
      axialzoo train cifar10 --data cifar10 --out runs/first
      axialzoo train cifar10 --data cifar10 --out runs/first --resume
      axialzoo train cifar10 --data photos --out runs/mine --framework keras --epochs 3 --set learning_rate=0.05
      accelerate launch -m axialzoo train cifar10 --data cifar10 --out runs/two
    """
    from axialzoo import train as training
    from axialzoo.runtime.frameworks import choose, prepare_keras

    (name,) = choose_one(framework, choose)
    overrides = {**dict(map(_field, settings or ())), "epochs": epochs, "batch_size": batch_size, "seed": seed}
    overrides = {key: value for key, value in overrides.items() if value is not None}
    with stdout_kept_clean():
        if name == "keras":
            prepare_keras()
        model = training.run(recipe, data, out, framework=name, resume=resume, save_every=save_every, **overrides)
    if as_json:
        emit({"recipe": recipe, "framework": name, "out": str(out), "model": str(model)})
    else:
        say(f"trained: {model}; `axialzoo evaluate {model} --data {data}` measures it", quiet)


def choose_one(framework: str, choose: Any) -> list[str]:
    """The one framework that `framework` names, checked to be installed."""
    names = choose(framework)
    if len(names) != 1:
        raise SpecError(f"--framework: expected torch or keras, found {framework!r}")
    return names


def _field(text: str) -> tuple[str, Any]:
    """``"name=value"``: the value as JSON, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(f"--set: expected FIELD=VALUE such as learning_rate=0.05, found {text!r}")
    try:
        return name, _tuples(json.loads(value))
    except json.JSONDecodeError:
        return name, value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
