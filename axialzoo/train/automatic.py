"""Recipes by task: each fills in what its user leaves open from the model and from the data."""

from __future__ import annotations

import contextlib
import importlib
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from axialzoo.data import DataError, Dataset, open_data
from axialzoo.hub import fetch_checkpoint
from axialzoo.image.depth import depth_of
from axialzoo.spec import Model, Preprocessing, SpecError, get_entry
from axialzoo.tasks import task_of
from axialzoo.train.recipe import Recipe, list_recipes, load_recipe, merged

PROBES = 24  # pictures opened to learn about sizes and depth


@dataclass(frozen=True)
class DataSummary:
    """Facts about training data and a model that recipes choose their settings by.

    Attributes:
        pictures: Number of training pictures.
        size: Median height and width of them.
        deep: Whether pictures have more than 8 bits.
        spec: Spec of the model.
        preprocessing: That of the weights to start from, or that of the model.
        pretrained: Whether training starts from weights.
    """

    pictures: int
    size: tuple[int, int]
    deep: bool
    spec: Model
    preprocessing: Preprocessing
    pretrained: bool

    def input_size(self, area: int, multiple: int) -> tuple[int, int]:
        """Return height and width of about `area` pixels in the pictures' own proportions, at most 2 to 1, as multiples of `multiple`."""
        aspect = min(max(self.size[1] / self.size[0], 0.5), 2.0)
        sides = math.sqrt(area / aspect), math.sqrt(area * aspect)
        height, width = (max(round(side / multiple), 1) * multiple for side in sides)
        return height, width

    def inputs(self, **changes: Any) -> Preprocessing:
        """Return the preprocessing of the weights with another size and resizing; pictures of more than 8 bits are each normalised."""
        return replace(self.preprocessing, per_image=self.deep or self.preprocessing.per_image, **changes)

    def epochs(self, samples: int, at_least: int = 3, at_most: int = 100) -> int:
        """Return the number of epochs that show about `samples` pictures."""
        return min(max(math.ceil(samples / self.pictures), at_least), at_most)


def summarize(dataset: Dataset, model: str, init_from: str, holdout_share: float) -> DataSummary:
    """Return the facts about a data set and a model."""
    training = dataset.split("train")
    indices = np.unique(np.linspace(0, len(training) - 1, min(PROBES, len(training))).astype(int)) if len(training) else []
    pictures = []
    for index in indices:
        with contextlib.suppress(DataError):  # the check of all samples lists what is wrong
            pictures.append(training[int(index)].picture)
    sizes = np.median([[picture.height, picture.width] for picture in pictures] or [get_entry(model).spec.input_size], axis=0)
    entry = get_entry(model)
    preprocessing = fetch_checkpoint(init_from).config.preprocessing if init_from else entry.preprocessing
    count = len(training) - round(holdout_share * len(training))
    deep = any(depth_of(picture) is not None for picture in pictures)
    return DataSummary(max(count, 1), (int(sizes[0]), int(sizes[1])), deep, entry.spec, preprocessing, bool(init_from))


def task_recipes() -> dict[str, ModuleType]:
    """Return the recipes by task: those that have a ``fields_for``."""
    modules = {name: importlib.import_module(f"axialzoo.train.recipes.{name}") for name in list_recipes()}
    return {name: module for name, module in modules.items() if hasattr(module, "fields_for")}


def choose_recipe(model: str | None, dataset: Dataset) -> str:
    """Return the recipe by task for a model, or without one for the kind of annotations.

    Raises:
        SpecError: for a model whose task has no such recipe, or needs other annotations than the data hold.
    """
    recipes = task_recipes()
    if model is None:
        return next(name for name, module in recipes.items() if module.suits(dataset.kind, any(label.thing for label in dataset.labels)))
    task = task_of(get_entry(model).spec.head)
    if (name := next((name for name, module in recipes.items() if task.name == module.TASK), None)) is None:
        raise SpecError(f"model {model!r}: no recipe for its task {task.name!r}; name one of {', '.join(list_recipes())}")
    return name


def settle_recipe(recipe: str | None, data: str | Path, on_bad_label: str = "error", **overrides: Any) -> tuple[str, Recipe]:
    """Return the name of the recipe and its settings, with what the user leaves open filled in from the model and the data.

    Args:
        recipe: Name of a recipe; None for the one of the model's task, or of the data.
        data: Folder of the data.
        on_bad_label: As of :func:`axialzoo.data.open_data`.
        overrides: Fields of the recipe to change.

    Raises:
        SpecError, DataError: as of :func:`axialzoo.train.run`.
    """
    recipes = task_recipes()
    if recipe is not None and recipe not in recipes:
        return recipe, load_recipe(recipe, **overrides)
    model = overrides.get("model")
    trained = model or (None if recipe is None else recipes[recipe].RECIPE.model)
    kind = None if trained is None else task_of(get_entry(trained).spec.head).annotation_type
    dataset = open_data(data, kind, on_bad_label)
    name = recipe or choose_recipe(model, dataset)
    base = load_recipe(name, **overrides)  # checks names of fields
    if "init_from" not in overrides:
        weights = list(get_entry(base.model).weights)
        overrides["init_from"] = f"{get_entry(base.model).name}.{weights[0]}" if weights and not overrides.get("attention") else ""
    share = 0.0 if "holdout" in overrides or "val" in dataset.splits or len(dataset.split("train")) < 2 else base.holdout_share
    overrides.setdefault("holdout_share", share)
    summary = summarize(dataset, base.model, overrides["init_from"], overrides["holdout_share"])
    filled = recipes[name].fields_for(summary)
    filled |= {key: merged(key, filled[key], value) if key in filled else value for key, value in overrides.items()}
    filled.setdefault("batch_size", min(base.batch_size, summary.pictures))
    known = {item.name for item in fields(Recipe)}
    assert set(filled) <= known
    return name, load_recipe(name, **filled)
