"""Completions of shells: names of models, recipes and fields of recipes."""

from __future__ import annotations

from dataclasses import fields

from axialzoo.spec import get_entry, list_models


def complete_model(incomplete: str) -> list[str]:
    """Return the names of models, and of their weights once a name is written."""
    names = list_models()
    if "." in incomplete:
        names = [f"{name}.{tag}" for name in names for tag in get_entry(name).weights]
    return [name for name in names if name.startswith(incomplete)]


def complete_weights(incomplete: str) -> list[str]:
    """Return the names of models with weights."""
    return [name for name in complete_model(incomplete) if get_entry(name).weights]


def complete_recipe(incomplete: str) -> list[str]:
    """Return the names of recipes."""
    from axialzoo.train.recipe import list_recipes

    return [name for name in list_recipes() if name.startswith(incomplete)]


def complete_field(incomplete: str) -> list[str]:
    """Return the fields of a recipe, each with an equals sign."""
    from axialzoo.train.recipe import Recipe

    return [f"{item.name}=" for item in fields(Recipe) if item.name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """Return the short and the long names of tasks."""
    from axialzoo.train.automatic import task_recipes

    return [name for name in (*task_recipes(), *(module.TASK for module in task_recipes().values())) if name.startswith(incomplete)]
