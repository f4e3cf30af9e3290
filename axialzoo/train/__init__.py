"""Training and evaluation: recipes, PyTorch through accelerate, Keras through `fit`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from axialzoo.files import write_text
from axialzoo.train.evaluation import evaluate, record
from axialzoo.train.recipe import Recipe, list_recipes, load_recipe

__all__ = ["Recipe", "evaluate", "list_recipes", "load_recipe", "record", "run"]


def run(
    recipe: str, data: str | Path, out: str | Path, *, framework: str = "torch", resume: bool = False, save_every: int = 200, **overrides
) -> Path:
    """Train by a recipe and save the model.

    Args:
        recipe: Name of a recipe.
        data: A folder that :func:`axialzoo.data.open_data` reads.
        out: Folder of the run: its state, ``metrics.jsonl``, ``learning_curve.png`` and, at the end, ``model/``.
        framework: ``"torch"`` or ``"keras"``.
        resume: Go on from the last save in `out`.
        save_every: Steps between saves.
        **overrides: Fields of the recipe to change.

    Returns:
        The folder of the finished model.

    Raises:
        SpecError: for an unknown recipe or field.
        FileExistsError: where `out` holds a run and `resume` is not said, or holds a run by other settings.
    """
    from axialzoo.data import hold_out, open_data
    from axialzoo.spec import to_dict

    settings, folder = load_recipe(recipe, **overrides), Path(out)
    plain = json.loads(json.dumps({"recipe": recipe, "framework": framework, **to_dict(settings)}))
    note = folder / "recipe.json"
    main = os.environ.get("RANK", "0") == "0"  # of the processes that accelerate launches
    if note.exists() and main:
        if not resume:
            raise FileExistsError(f"{str(folder)!r} holds a run already; resume it (--resume) or choose another folder")
        if json.loads(note.read_text()) != plain:
            raise FileExistsError(f"{str(folder)!r} holds a run by other settings ({note.name}); choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    found = open_data(data)
    training, held_out = hold_out(found.split("train"), settings.holdout, settings.seed)
    if main:
        write_text(note, json.dumps(plain, indent=2) + "\n")
    started = time.time()
    if framework == "torch":
        from axialzoo.train.torch_loop import train
    else:
        from axialzoo.train.keras_loop import train
    model = train(settings, training, held_out, len(found.classes), folder, resume, save_every)
    if model is None:  # not the main process
        return folder / "model"
    if framework == "torch":
        from axialzoo.torch.weights import save_model
    else:
        from axialzoo.keras.weights import save_model
    provenance = {"recipe": plain, "data": dict(found.about), "training_images": len(training), "seconds": round(time.time() - started)}
    save_model(model, folder / "model", labels=found.classes, preprocessing=settings.preprocessing, provenance=provenance, overwrite=True)
    return folder / "model"
