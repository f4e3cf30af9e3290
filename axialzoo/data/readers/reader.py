"""The description of a reader, and the names of splits that all readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from axialzoo.data.dataset import DataError, Dataset
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.spec.labels import Label

SPELLINGS = {  # of each split, in lower case; every reader knows them all
    "train": ("train", "training", "trainset", "train_set", "training_set", "train2017", "train2014", "train2012", "train2007"),
    "val": ("val", "valid", "validation", "dev", "val_set", "validation_set", "val2017", "val2014", "val2012", "val2007"),
    "test": ("test", "testing", "testset", "test_set", "testing_set", "test2017", "test2014", "test2012", "test2007"),
}
SPLITS = tuple(SPELLINGS)
BACKGROUND = Label("background", thing=False, colour=(0, 0, 0))  # drawn black, so that a picture is darker where nothing is
SURE = 0.5  # a reader of this score or more may open a folder


def split_of(name: str) -> str:
    """Return the split that a name speaks of, such as ``instances_train2017`` or ``Testing``; ``""`` if it names none."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((split for split, spellings in SPELLINGS.items() if any(word in spellings for word in words)), "")


def split_at_start(name: str) -> str:
    """Return the split that a file's name begins with, such as ``train-00000`` or ``valid00``; ``""`` if it begins with none."""
    spelled = {word: split for split, spellings in SPELLINGS.items() for word in spellings}
    start = re.match(f"({'|'.join(sorted(spelled, key=len, reverse=True))})(?![a-z])", name.lower())
    return spelled[start[1]] if start else ""


def split_folders(names: Iterable[str], where: str) -> dict[str, str]:
    """Return the folder of each split among `names`, however it is spelled.

    Raises:
        DataError: for two folders of one split.
    """
    folders: dict[str, str] = {}
    for split, spellings in SPELLINGS.items():
        matching = [name for name in names if name.rpartition("/")[2].lower() in spellings]
        if len(matching) > 1:
            raise DataError(f"data: {where!r} has two folders for {split!r}: {matching[0]} and {matching[1]}; remove one")
        if matching:
            folders[split] = matching[0]
    return folders


@dataclass(frozen=True)
class Fit:
    """A score of a format for a folder.

    Attributes:
        score: From 0, nothing of the format is there, to 1; from `SURE` on the reader may open the folder.
        seen: What speaks for the format, for messages.
        needs: What is missing, or what to do.
    """

    score: float = 0.0
    seen: str = ""
    needs: str = ""


def fits(sure: object) -> Fit:
    """Return the fit of a format that is wholly there or not at all."""
    return Fit(1.0 if sure else 0.0)


@dataclass(frozen=True)
class Reader:
    """A format of data sets.

    Attributes:
        name: Its name in messages.
        looks_for: The files that make it out.
        kinds: Kinds of annotation that it gives, its own first.
        fit: Scores how well a folder fits.
        open: Opens the data set with annotations of the given kind; the policy decides about bad labels.
    """

    name: str
    looks_for: str
    kinds: tuple[str, ...]
    fit: Callable[[Files], Fit]
    open: Callable[[Files, str, LabelPolicy], Dataset]


def label_from_json(value: object, where: str, thing: bool) -> Label:
    """Return a class written as ``"sky"`` or as ``{"name": "sky", "thing": false, "colour": [70, 130, 180]}``.

    Args:
        thing: The default where the file does not say.
    """
    if isinstance(value, str):
        return Label(value, thing)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or set(value) - {"name", "thing", "colour"}:
        raise DataError(f'{where}: expected a class as "name" or {{"name": ..., "thing": ..., "colour": ...}}, found {value!r}')
    try:
        colour = value.get("colour")
        return Label(value["name"], value.get("thing", thing), None if colour is None else tuple(colour))
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: {error}") from None


def expect_object(value: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """Return `value` if it is a JSON object that has `keys`."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, found {str(value)[:60]!r}")
    for key in keys:
        if key not in value:
            raise DataError(f"{where}: expected {key!r}, found {', '.join(map(repr, list(value)[:12])) or 'nothing'}")
    return value


def index_by_id(rows: object, keys: tuple[str, ...], what: str, where: str) -> dict[int, dict[str, Any]]:
    """Return the objects of a JSON list by their ``id``, which must be there once.

    Raises:
        DataError: naming the row.
    """
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a list of {what}s, found {str(rows)[:60]!r}")
    at_id: dict[int, dict[str, Any]] = {}
    for at, row in enumerate(rows):
        row = expect_object(row, ("id", *keys), f"{where}: {what}s[{at}]")
        if not isinstance(row["id"], int):
            raise DataError(f"{where}: {what}s[{at}]: expected a whole number as id, found {row['id']!r}")
        if row["id"] in at_id:
            raise DataError(f"{where}: {what} id {row['id']} occurs twice")
        at_id[row["id"]] = row
    return at_id


def duplicate_split(splits: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """Return a folder without splits as both ``train`` and ``test``; `about` says so."""
    if set(splits) == {""}:
        about["splits"] = "none in the folder: train and test are the same pictures"
        about["same_as"] = {"test": "train"}
        return {"train": splits[""], "test": splits[""]}
    return splits


def same_pictures(names: dict[str, list[str]]) -> dict[str, Any]:
    """Return an entry ``same_as`` of `about` for splits that list the same pictures as an earlier one.

    Args:
        names: Pictures of each split.
    """
    splits = list(names)
    same = {
        later: earlier
        for at, later in enumerate(splits)
        for earlier in splits[:at]
        if names[later] and set(names[later]) == set(names[earlier])
    }
    return {"same_as": same, "splits": f"{' and '.join({*same, *same.values()})} are the same pictures"} if same else {}
