"""Settings that a run was begun with, and those that it is resumed with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

from axialzoo.spec import Preprocessing, SpecError, from_dict, to_dict
from axialzoo.train.recipe import Recipe, check_renamed, load_recipe, merged

NOTE = "recipe.json"
EXTENDS = ("epochs", "framework")  # fields that a finished run may be resumed with other values of


def remembered(folder: Path, recipe: str | None, overrides: Mapping[str, Any]) -> tuple[str, Recipe]:
    """Return the name of the recipe and the settings that the run in `folder` was begun with, with the fields of `overrides` changed.

    Args:
        folder: Of the run.
        recipe: Name of the recipe that is asked for now; None for that of the run.
        overrides: Fields to change.

    Raises:
        SpecError: for an unknown field, and for settings that are none.
    """
    note = _read_note(folder)
    name = recipe or note["recipe"]
    plain, known = Recipe(model="", preprocessing=Preprocessing()), {field.name for field in fields(Recipe)}
    settings = Recipe(**{key: _decoded(getattr(plain, key), value, key) for key, value in note.items() if key in known})
    load_recipe(name, **{"model": settings.model, **overrides})  # checks names
    changes = {key: merged(key, getattr(settings, key), value) for key, value in overrides.items() if value is not None}
    return name, replace(settings, **changes)


def name_changes(folder: Path, data: str | Path, framework: str) -> str:
    """Return a sentence about what the run in `folder` goes on with, where it is not what it was begun with, else ""."""
    begun = _read_note(folder) if (folder / NOTE).exists() else {}
    changes = []
    if "data" in begun and Path(begun["data"]).absolute() != Path(data).absolute():
        changes.append(f"data: from {begun['data']} to {data}")
    if begun.get("framework", framework) != framework:
        changes.append(f"framework: from {begun['framework']} to {framework}")
    return f"{folder}: the run goes on with {'; '.join(changes)}" if changes else ""


def _decoded(like: Any, value: Any, name: str) -> Any:
    """Return a field of a recipe from its JSON: of the type of `like` where that is a dataclass, with tuples in the place of lists."""
    if is_dataclass(like):
        return from_dict(cast(Any, type(like)), value, name)
    if isinstance(value, Mapping):
        return {key: _decoded(None, item, key) for key, item in value.items()}
    return tuple(_decoded(None, item, name) for item in value) if isinstance(value, list) else value


def _read_note(folder: Path) -> dict[str, Any]:
    """Read the settings of a run; fields that there were not yet when it was begun have their defaults."""
    before = json.loads((folder / NOTE).read_text())
    for part in (before, before.get("scale_crop", {})):
        check_renamed(part, f"{folder / NOTE}: the run was begun by an earlier axialzoo; a recipe")
    defaults = json.loads(json.dumps(to_dict(Recipe(model="", preprocessing=Preprocessing()))))
    note = {**defaults, **before}
    if isinstance(note["preprocessing"], dict):
        note["preprocessing"] = {**defaults["preprocessing"], **note["preprocessing"]}
    return note


def check_folder(folder: Path, plain: dict[str, Any], resume: bool) -> None:
    """Refuse a folder that holds other files, a run that is not to be resumed, or one by other settings.

    Args:
        folder: Of the run.
        plain: Name of the recipe, framework and settings, as JSON.
        resume: Whether to go on with the run in it.

    Raises:
        FileNotFoundError: where `resume` is said and there is no run.
        FileExistsError: for other files, for a run without `resume`, and for other settings; the message names each with both values.
        SpecError: for fewer epochs than the run was begun with.
    """
    note = folder / NOTE
    if not note.exists():
        if resume:
            raise FileNotFoundError(f"{str(folder)!r} holds no run to resume; leave out --resume, or name the folder of a run")
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise FileExistsError(f"{str(folder)!r} holds other files; choose another folder for the run")
        return
    if not resume:
        raise FileExistsError(f"{str(folder)!r} holds a run already; resume it (--resume) or choose another folder")
    before = _read_note(folder)
    changes = [
        f"{key}: from {json.dumps(before.get(key))} to {json.dumps(plain.get(key))}"
        for key in sorted({*before, *plain} - {"data"})
        if before.get(key) != plain.get(key) and key not in EXTENDS
    ]
    if changes:
        raise FileExistsError(
            f"{str(folder)!r} holds a run by other settings: {'; '.join(changes)} ({NOTE}); leave them out to go on as it was begun, or "
            f"choose another folder; a run can be resumed with other {', '.join(EXTENDS)} alone"
        )
    if before.get("epochs", 0) > plain["epochs"]:
        raise SpecError(
            f"epochs: expected at least the {before['epochs']} that the run in {str(folder)!r} was begun with, found {plain['epochs']}"
        )
