"""``axialzoo train``."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Device, Json, OnBadLabel, Quiet, emit, say, say_if_compiling, show, stdout_kept_clean, table
from axialzoo.spec import SpecError


def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as cifar10.", metavar="RECIPE")],
    data: Annotated[
        Path, typer.Option(help="Data set: a folder a class, COCO, ...; docs/guide/data.md lists the kinds.", metavar="FOLDER")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; the finished model is in its model/.", metavar="FOLDER")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look at the settings and at every image; writes nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last save in --out, to the step; with more --epochs, longer.")
    ] = False,
    framework: Annotated[str, typer.Option(help="torch or keras.")] = "torch",
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Of Keras on JAX: how many share each batch.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images; default the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default the recipe's.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saves.")] = 200,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Any other field of the recipe.", metavar="FIELD=VALUE")] = None,
    no_fused: Annotated[bool, typer.Option("--no-fused", help="In PyTorch on a CPU, without the fused kernel of attention.")] = False,
    on_bad_label: OnBadLabel = "error",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model by a recipe.

    Examples:
      axialzoo train cifar10 --data cifar10 --out runs/first
      axialzoo train cifar10 --data cifar10 --out runs/first --resume
      axialzoo train cifar10 --data cifar10 --out runs/first --resume --epochs 20
      axialzoo train cifar10 --data photos --dry-run --set augment=resized_crop
      axialzoo train cifar10 --data photos --out runs/mine --framework keras --epochs 3 --set augment=resized_crop
      axialzoo train cifar10 --data photos --out runs/tuned --set augment=resized_crop --set init_from=axial_resnet_cifar10
      axialzoo train nuclei --data shards --out runs/shards
      KERAS_BACKEND=jax axialzoo train cifar10 --data cifar10 --out runs/shared --framework keras --devices 2
      accelerate launch --num_processes 2 -m axialzoo train cifar10 --data cifar10 --out runs/two
      python -m torch.distributed.run --nproc-per-node 2 -m axialzoo train cifar10 --data cifar10 --out runs/two
      TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 python -m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 3 \\
        -m axialzoo train cifar10 --data cifar10 --out runs/elastic

    The last three start two processes that train one model: accelerate on GPUs alone, torch.distributed.run on CPUs too. With its
    --max-restarts a process that dies is started again, with all others, and the run goes on from its last save; with --nnodes 2,
    started on each of two machines that share --out, so does a machine. A run that is resumed with more --epochs goes on along the
    learning rate of the longer run.
    """
    from axialzoo import train as training
    from axialzoo.ops.kernels import use_kernel
    from axialzoo.runtime.frameworks import choose, prepare_keras

    (name,) = choose_one(framework, choose)
    overrides, options = dict(map(_field, settings or ())), {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    for field, value in options.items():
        if value is not None and field in overrides:
            raise SpecError(f"--set {field}: expected it once, found --{field.replace('_', '-')} {value} beside it")
    overrides |= {field: value for field, value in options.items() if value is not None}
    if dry_run or out is None:
        if not dry_run:
            raise SpecError("--out: expected the folder of the run (or --dry-run, to look at the data alone)")
        with stdout_kept_clean(), _checking(quiet) as bar:
            fitting, task, _, known = training.check_run(recipe, data, bar, on_bad_label=on_bad_label, **overrides)
        if as_json:
            emit({"recipe": recipe, "model": fitting.model, "task": task.name, "splits": known})
        else:
            show(_splits(known))
            say("the data and the settings fit", quiet)
        return
    with stdout_kept_clean():
        if name == "keras":
            prepare_keras()
        elif not no_fused:
            say_if_compiling(quiet)
        with use_kernel("plain") if no_fused else contextlib.nullcontext(), _checking(quiet) as bar:
            how = {"framework": name, "resume": resume, "device": device, "devices": devices, "save_every": save_every}
            how["on_bad_label"] = on_bad_label
            try:
                model = training.run(recipe, data, out, progress=bar, **how, **overrides)
            except training.Interrupted as stopped:
                say(str(stopped))
                raise typer.Exit(128 + stopped.signal) from None
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes: the first one tells
    if as_json:
        emit({"recipe": recipe, "framework": name, "out": str(out), "model": str(model)})
    else:
        say(f"trained: {model}; `axialzoo evaluate {model} --data {data}` measures it", quiet)


@contextlib.contextmanager
def _checking(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Progress of looking at every sample."""
    from axialzoo.train.progress import progress

    with progress("checking the data", 100, shown=not quiet and os.environ.get("RANK", "0") == "0") as update:
        yield lambda done, total: update(100 * done // max(total, 1), f"{done} of {total}")


def _splits(known: dict[str, dict[str, Any]]) -> Any:
    """A row a split: how many pictures, and how many objects of each class."""
    shown = table("split", ">pictures", "objects")
    for name, split in known.items():
        objects = ", ".join(f"{count:,} {label}" for label, count in split.get("objects", {}).items())
        objects += f" (the same pictures as {split['same_as']})" if "same_as" in split else ""
        shown.add_row(name, f"{split['pictures']:,}", objects)
    for kind, count in next(iter(known.values()), {}).get("skipped", {}).items():
        shown.add_row("skipped", f"{count:,}", kind)
    return shown


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
