"""What a reader is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from axialzoo.data.dataset import DataError, Dataset
from axialzoo.data.file_tree import Files
from axialzoo.spec.labels import Label

SPELLINGS = {  # of each split, in lower case; every reader knows them all
    "train": ("train", "training", "train2017", "train2014"),
    "val": ("val", "valid", "validation", "val2017", "val2014"),
    "test": ("test", "testing", "test2017", "test2014"),
}
SPLITS = tuple(SPELLINGS)
BACKGROUND = Label("background", thing=False, colour=(0, 0, 0))  # drawn black, so that a picture is darker where nothing is


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
class Reader:
    """A format of data sets.

    Attributes:
        name: What it is called, in messages.
        looks_for: The files that make it out.
        kinds: Of truth that it gives, its own first.
        found: Whether those files are there.
        open: The data set, with truths of the given kind.
    """

    name: str
    looks_for: str
    kinds: tuple[str, ...]
    found: Callable[[Files], bool]
    open: Callable[[Files, str], Dataset]


def label_from_json(value: object, where: str, thing: bool) -> Label:
    """A class written as ``"sky"`` or as ``{"name": "sky", "thing": false, "colour": [70, 130, 180]}``.

    Args:
        thing: What it is where the file does not say.
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
    """`value` as a JSON object that has `keys`."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, found {str(value)[:60]!r}")
    for key in keys:
        if key not in value:
            raise DataError(f"{where}: expected {key!r}, found {', '.join(map(repr, list(value)[:12])) or 'nothing'}")
    return value


def index_by_id(rows: object, keys: tuple[str, ...], what: str, where: str) -> dict[int, dict[str, Any]]:
    """Objects of a JSON list by their ``id``, which must be there once.

    Raises:
        DataError: naming the row.
    """
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a list of {what}s, found {str(rows)[:60]!r}")
    found: dict[int, dict[str, Any]] = {}
    for at, row in enumerate(rows):
        row = expect_object(row, ("id", *keys), f"{where}: {what}s[{at}]")
        if not isinstance(row["id"], int):
            raise DataError(f"{where}: {what}s[{at}]: expected a whole number as id, found {row['id']!r}")
        if row["id"] in found:
            raise DataError(f"{where}: {what} id {row['id']} occurs twice")
        found[row["id"]] = row
    return found


def duplicate_split(splits: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """A folder without ``train/``, ``val/``, ``test/`` serves as both ``train`` and ``test``; `about` says so."""
    if set(splits) == {""}:
        about["splits"] = "none in the folder: train and test are the same pictures"
        return {"train": splits[""], "test": splits[""]}
    return splits
