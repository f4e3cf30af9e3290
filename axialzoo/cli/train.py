"""``axialzoo train``."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.completion import complete_field, complete_model, complete_recipe, complete_weights
from axialzoo.cli.shared import Device, Json, OnBadLabel, Quiet, emit, say, say_if_compiling, show, stdout_kept_clean, table
from axialzoo.spec import SpecError, size_pair, to_dict


def run(
    data: Annotated[
        Path, typer.Option(help="Data set: a folder a class, COCO, ...; docs/guide/data.md lists the kinds.", metavar="FOLDER")
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="classify, detect, segment or semantic, which follow your data (default: by the model, else by the data); or a preset, "
            "such as cifar10.",
            metavar="[RECIPE]",
            autocompletion=complete_recipe,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to train; default the recipe's.", metavar="NAME", autocompletion=complete_model)
    ] = None,
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
    size: Annotated[str | None, typer.Option(help="Input of the model; default the recipe's.", metavar="HEIGHTxWIDTH")] = None,
    lr: Annotated[float | None, typer.Option("--lr", min=0.0, help="Peak of the learning rate; default the recipe's.")] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Weights to begin from: a name, a folder or org/repo; none for random ones.",
            metavar="NAME|FOLDER|ORG/REPO",
            autocompletion=complete_weights,
        ),
    ] = None,
    freeze: Annotated[str | None, typer.Option(help="backbone: train the head alone.", metavar="backbone")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default the recipe's.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saves.")] = 200,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other field.", metavar="FIELD=VALUE", autocompletion=complete_field)
    ] = None,
    no_fused: Annotated[bool, typer.Option("--no-fused", help="In PyTorch on a CPU, without the fused kernel of attention.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write event files, for TensorBoard.")] = False,
    on_bad_label: OnBadLabel = "error",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on your data.

    The recipes classify, detect, segment and semantic take size, batches and epochs from your data, begin from the model's weights where
    it has some, and hold out a fifth of the pictures where the data have no validation split.

    Examples:
      axialzoo train --model axial_resnet_cifar10 --data photos --out runs/mine
      axialzoo train --model axial_resnet_cifar10 --data photos --out runs/head --freeze backbone --lr 0.01 --epochs 5
      axialzoo train --data cells --dry-run
      axialzoo train detect --data export --out runs/boxes --size 320x320 --epochs 30
      axialzoo train cifar10 --data cifar10 --out runs/first
      axialzoo train cifar10 --data cifar10 --out runs/first --resume
      axialzoo train cifar10 --data cifar10 --out runs/first --resume --epochs 20
      axialzoo train cifar10 --data photos --out runs/keras --framework keras --epochs 3 --set augment=resized_crop
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
    init_from = "" if init_from == "none" else init_from
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "model": model, "learning_rate": lr, "init_from": init_from}
    options |= {"freeze": freeze, "preprocessing": None if size is None else {"size": size_pair(size)}}
    overrides = merge_settings(settings or (), options)
    how: dict[str, Any] = {"on_bad_label": on_bad_label}
    if dry_run or out is None:
        if not dry_run:
            raise SpecError("--out: expected the folder of the run (or --dry-run, to look at the data alone)")
        with stdout_kept_clean(), _checking(quiet) as bar:
            recipe, fitting = training.settle_recipe(recipe, data, **how, **overrides)
            _, task, _, known = training.check_run(fitting, data, bar, **how)
        if as_json:
            emit({"recipe": recipe, "model": fitting.model, "task": task.name, "splits": known, "settings": to_dict(fitting)})
        else:
            show(_splits(known))
            say(f"recipe {recipe}: {_overview(fitting)}", quiet)
            say("the data and the settings fit", quiet)
        return
    with stdout_kept_clean():
        if name == "keras":
            prepare_keras()
        elif not no_fused:
            say_if_compiling(quiet)
        with use_kernel("plain") if no_fused else contextlib.nullcontext(), _checking(quiet) as bar:
            how |= {"framework": name, "resume": resume, "device": device, "devices": devices, "save_every": save_every}
            how |= {"tensorboard": tensorboard, "report": None if quiet else say}
            try:
                trained = training.run(recipe, data, out, progress=bar, **how, **overrides)
            except training.Interrupted as stopped:
                say(str(stopped))
                raise typer.Exit(128 + stopped.signal) from None
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes: the first one tells
    if as_json:
        emit({"recipe": recipe, "framework": name, "out": str(out), "model": str(trained)})
    else:
        say(f"trained: {trained}; `axialzoo evaluate {trained} --data {data}` measures it", quiet)


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


def _overview(recipe: Any) -> str:
    """Return a line of the settings of a recipe that users look at first."""
    height, width = recipe.preprocessing.size
    begun = f"from {recipe.init_from}" if recipe.init_from else "from random weights"
    rate = f"learning rate {recipe.learning_rate:g}"
    return f"{recipe.model} {begun}, {width} x {height} pixels, {recipe.epochs} epochs, batches of {recipe.batch_size}, {rate}"


def merge_settings(settings: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that ``--set`` and the options of their own name change.

    Args:
        settings: Texts ``FIELD=VALUE``.
        options: Field -> the value of its own option, None where the option is left out.

    Raises:
        SpecError: for a field that is named twice.
    """
    overrides = dict(map(_field, settings))
    for field, value in options.items():
        if value is not None and field in overrides:
            raise SpecError(f"--set {field}: expected it once, found an option of its own ({value!r}) beside it")
    return overrides | {field: value for field, value in options.items() if value is not None}


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
