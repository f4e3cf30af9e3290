"""A run: data and settings are checked, then a folder is made and the model trained in it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import Config
from axialzoo.data import ArraySplit, DataError, Dataset, check, open_data
from axialzoo.files import write_text
from axialzoo.hub import plan_build
from axialzoo.runtime.device import AUTO, find_device
from axialzoo.runtime.frameworks import prepare_keras, require_packages
from axialzoo.spec import Preprocessing, SpecError, adapt, get_entry, to_dict
from axialzoo.tasks import Task, task_of
from axialzoo.train.automatic import settle_recipe
from axialzoo.train.held_out import in_memory, provenance_of, split_training
from axialzoo.train.job import Job, changes_of
from axialzoo.train.recipe import Recipe, check_renamed
from axialzoo.train.state import read_history
from axialzoo.train.summary import describe_run

NOTE = "recipe.json"
EXTENDS = ("epochs", "framework")  # fields that a finished run may be resumed with other values of


def check_run(
    recipe: str | Recipe | None,
    data: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    look: bool = True,
    on_bad_label: str = "error",
    **overrides: Any,
) -> tuple[Recipe, Task, Dataset, dict[str, dict[str, Any]]]:
    """Check that a run can start: the settings fit, and every sample of the data can be read and fits the model.

    Args:
        recipe, data, **overrides: As of :func:`run`; a recipe itself takes no overrides.
        progress: Called with how many samples are checked, and how many there are.
        look: Whether to look at every sample.
        on_bad_label: As of :func:`axialzoo.data.open_data`.

    Returns:
        The settings, the task, the data, and what is in each split: see :func:`axialzoo.data.check`; empty without `look`.

    Raises:
        SpecError: for an unknown recipe or field, or a value that does not fit.
        DataError: naming the file and the value that does not fit.
        CheckpointError: where the weights to start from are not whole, or of another model.
        RuntimeError: where a launcher was asked for several processes and started one.
        ModuleNotFoundError: naming an optional package that training needs, and the extra that brings it.
    """
    settings = recipe if isinstance(recipe, Recipe) else settle_recipe(recipe, data, on_bad_label, **overrides)[1]
    spec = adapt(get_entry(settings.model).spec, attention=settings.attention or None)
    task = task_of(spec.head)
    dataset = open_data(data, task.annotation_type, on_bad_label)
    logits = adapt(spec, num_classes=settings.logits or len(dataset.labels))
    if logits.num_labels != len(dataset.labels):
        raise SpecError(
            f"logits: expected 0 (one a class), or 1 for two classes; found {settings.logits} and {len(dataset.labels)} classes"
        )
    training = dataset.split("train")
    if settings.holdout or settings.holdout_share or "val" in dataset.splits:
        require_packages("following the progress of training", {"matplotlib": "train", **task.metric_packages(spec)})
    if settings.holdout >= len(training):
        raise DataError(
            f"data: expected more than the {settings.holdout} samples that the recipe holds out of train to watch progress with, found "
            f"{len(training)}; hold out fewer (--set holdout={len(training) // 10})"
        )
    known = check(dataset, progress) if look else {}
    # a batch is made before anything is written, and the model put together: what does not go together shows here
    from axialzoo.data.batches import TrainBatches

    few = training if isinstance(training, ArraySplit) or settings.augment != "crop" else training.subset(range(min(len(training), 8)))
    TrainBatches(in_memory(few, settings), settings, 0, launched())[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what starts new is said when the model is built
        plan_build(settings.model, settings.init_from or False, **changes_of(spec, dataset.labels, settings))
    return settings, task, dataset, known


def run(
    recipe: str | None,
    data: str | Path,
    out: str | Path,
    *,
    framework: str = "torch",
    resume: bool = False,
    devices: int = 1,
    device: str = AUTO,
    save_every: int = 200,
    on_bad_label: str = "error",
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
    tensorboard: bool = False,
    **overrides: Any,
) -> Path:
    """Train by a recipe and save the model.

    Args:
        recipe: Name of a recipe; None for the one of the task of `model`, or of the data.
        data: A folder that :func:`axialzoo.data.open_data` reads.
        out: Folder of the run: its state, ``metrics.jsonl``, ``learning_curve.png`` and, at the end, ``model/``.
        framework: ``"torch"`` or ``"keras"``.
        resume: Go on from the last save in `out`; it goes without saying under torchrun's ``--max-restarts``. With more epochs the run is
            longer, a finished one too: the learning rate goes on along the longer schedule, which is higher at this step than where the
            shorter one ended.
        devices: Of Keras on JAX: how many share each batch.
        device: Where it trains: see :class:`axialzoo.runtime.Runner`. Of several processes each takes its own GPU.
        save_every: Steps between saves.
        on_bad_label: ``"error"`` or ``"skip"``: see :func:`axialzoo.data.open_data`.
        progress: Of checking the data: see :func:`check_run`.
        report: Gets a line with the settings and the time to expect, one for each epoch, and one at the end.
        tensorboard: Also write event files, for TensorBoard.
        **overrides: Fields of the recipe to change.

    Returns:
        The folder of the finished model.

    Raises:
        SpecError: for an unknown recipe or field.
        DataError: for data that do not fit, before the folder is made.
        FileExistsError: where `out` holds a run and `resume` is not said, or holds a run by other settings.
        FileNotFoundError: where `resume` is said and `out` holds no run.
        DivergedError: for a loss that is not finite; the last good state stays.
        Interrupted: after Ctrl-C or SIGTERM, once the state of the step is saved.
    """
    folder = Path(out)
    recipe, settings = settle_recipe(recipe, data, on_bad_label, **overrides)
    if tensorboard:
        require_packages("event files", {"tensorboard": "tensorboard"})
    if framework == "torch":
        require_packages("training in PyTorch", {"accelerate": "train"})
    plain = json.loads(json.dumps({"recipe": recipe, "framework": framework, **to_dict(settings)}))
    main = os.environ.get("RANK", "0") == "0"  # of the processes that accelerate or torchrun launch
    again = elastic() and (folder / NOTE).exists()  # a worker that is started anew goes on, and the data were looked at before
    resume = resume or again
    if launched() > 1 and framework != "torch":
        raise SpecError(f"framework: expected torch, which trains in the {launched()} processes that were started, found {framework!r}")
    if devices > 1 and framework != "keras":
        raise SpecError(
            f"devices: of Keras on JAX; expected framework 'keras', found {framework!r}: PyTorch takes a process a device (torchrun)"
        )
    if device != AUTO and (devices > 1 or (launched() > 1 and ":" in device)):
        raise SpecError(f"device: several devices train together, so that none can be named; expected auto, found {device!r}")
    if device != AUTO and launched() == 1:
        find_device(device, prepare_keras() if framework == "keras" else None)  # before the data are looked at
    if main:
        _check_folder(folder, plain, resume)
    settings, task, dataset, _ = check_run(settings, data, progress, look=not again, on_bad_label=on_bad_label)
    if main:
        for left in folder.glob(".*.state*"):  # of a process that was killed as it saved
            left.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / NOTE, json.dumps(plain, indent=2) + "\n")
    training, held_out = split_training(dataset, settings)
    apart = provenance_of(held_out, settings)
    training = in_memory(training, settings)
    spec = adapt(get_entry(settings.model).spec, num_classes=settings.logits or len(dataset.labels), attention=settings.attention or None)
    job = Job(
        settings, spec, task, training, held_out, dataset.labels, folder, resume, save_every, launched(), devices, device,
        report if main else None, tensorboard,
    )  # fmt: skip
    if job.report is not None:
        job.report(describe_run(recipe, job, dataset))
    if framework == "torch":
        from axialzoo.torch.weights import save_model
        from axialzoo.train.torch_loop import train
    else:
        from axialzoo.keras.weights import save_model
        from axialzoo.train.keras_loop import train
    model = train(job)
    if model is None:  # not the main process
        return folder / "model"
    about: dict[str, Any] = {"recipe": plain, "data": dict(dataset.about), "training_images": len(training), **apart}
    if isinstance(config := getattr(model, "config", None), Config):  # of the weights that it began from
        about |= config.based_on()
    about |= {"processes": launched(), **read_history(folder)}
    save_model(model, folder / "model", labels=dataset.labels, preprocessing=settings.preprocessing, provenance=about, overwrite=True)
    return folder / "model"


def launched() -> int:
    """Return the number of processes that train together, as the launcher of this one says.

    Raises:
        RuntimeError: where `accelerate launch` was asked for several and started one, as it does without GPUs; where torchrun may start
            processes anew that would then wait for one another at addresses of before.
    """
    world_size = os.environ.get("WORLD_SIZE")
    if world_size is None and "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ:
        raise RuntimeError(
            "accelerate launch was asked for several processes and started one, as it does on CPUs; start them with "
            "`python -m torch.distributed.run --nproc-per-node 2 -m axialzoo train ...`"
        )
    if elastic() and int(world_size or 1) > 1 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise RuntimeError(
            "torchrun --max-restarts: expected TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment, and --standalone or "
            "--rdzv-backend c10d; else processes that are started anew read addresses of the ones before, and wait for ever"
        )
    return int(world_size or 1)


def elastic() -> bool:
    """Return whether torchrun started this process with ``--max-restarts``: after one process has died it starts all anew, with the
    same arguments, and they go on from the last save."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0) > 0


def _check_folder(folder: Path, plain: dict[str, Any], resume: bool) -> None:
    note = folder / NOTE
    if not note.exists():
        if resume:
            raise FileNotFoundError(f"{str(folder)!r} holds no run to resume; leave out --resume, or name the folder of a run")
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise FileExistsError(f"{str(folder)!r} holds other files; choose another folder for the run")
        return
    if not resume:
        raise FileExistsError(f"{str(folder)!r} holds a run already; resume it (--resume) or choose another folder")
    before = json.loads(note.read_text())
    for fields in (before, before.get("scale_crop", {})):
        check_renamed(fields, f"{note}: the run was begun by an earlier axialzoo; a recipe")
    defaults = json.loads(json.dumps(to_dict(Recipe(model="", preprocessing=Preprocessing()))))
    before = {**defaults, **before}  # of fields that there were not yet when the run was begun
    differing = sorted(key for key in {*before, *plain} if before.get(key) != plain.get(key) and key not in EXTENDS)
    if differing:
        raise FileExistsError(
            f"{str(folder)!r} holds a run by other settings: {', '.join(differing)} differ ({NOTE}); choose another folder, or give the "
            f"same; a run can be resumed with other {', '.join(EXTENDS)} alone"
        )
    if before.get("epochs", 0) > plain["epochs"]:
        raise SpecError(
            f"epochs: expected at least the {before['epochs']} that the run in {str(folder)!r} was begun with, found {plain['epochs']}"
        )
