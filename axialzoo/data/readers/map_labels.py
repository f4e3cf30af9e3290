"""``labels.json`` of folders of maps: kind of map, classes, and the number that is void."""

from __future__ import annotations

from dataclasses import dataclass, replace

from axialzoo.data.dataset import DataError
from axialzoo.data.decode import open_json
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import BACKGROUND, label_from_json
from axialzoo.spec.labels import Label

NAMES = ("labels.json", "classes.json")


@dataclass(frozen=True)
class MapFormat:
    """The meaning of the numbers in maps.

    Attributes:
        instances: Whether they number instances; otherwise classes.
        labels: Classes; of instances the background and the object.
        void: Number of no class.
        void_given: Whether the file says which number is void.
        white: Number of class 1 in maps of black and white.
        named: Whether the names come from the data; otherwise they are placeholders.
    """

    instances: bool
    labels: tuple[Label, ...]
    void: int | None = None
    void_given: bool = True
    white: int | None = None
    named: bool = True

    def black_and_white(self, white: int) -> MapFormat:
        """Return the format of masks whose white pixels are class 1."""
        return replace(self, void=None, white=white)


def read_map_format(files: Files) -> MapFormat:
    """Return the format that ``labels.json`` tells; instances of a class ``object`` without that file.

    Raises:
        DataError: naming what is wrong in the file.
    """
    name = next((name for name in NAMES if files.exists(name)), None)
    if name is None:
        return MapFormat(True, (BACKGROUND, Label("object")), named=False)
    value, where = open_json(files, name), files.path(name)
    value = {"labels": value} if isinstance(value, list) else value
    if not isinstance(value, dict) or not isinstance(value.get("labels"), list) or set(value) - {"maps", "labels", "void"}:
        raise DataError(f'{where}: expected a list of classes or {{"maps": ..., "labels": [...], "void": ...}}, found {str(value)[:60]!r}')
    maps, void = value.get("maps", "classes"), value.get("void", 255)
    if maps not in ("instances", "classes"):
        raise DataError(f'{where}: expected "maps": "instances" or "classes", found {maps!r}')
    if void is not None and not isinstance(void, int):
        raise DataError(f'{where}: expected "void" as a number of the maps or null, found {void!r}')
    instances = maps == "instances"
    labels = tuple(label_from_json(row, f"{where}: labels[{at}]", instances and at == 1) for at, row in enumerate(value["labels"]))
    if len({label.name for label in labels}) < len(labels) or not labels:
        raise DataError(f"{where}: expected different class names, at least one, found {[label.name for label in labels]}")
    if instances and (len(labels) != 2 or labels[0].thing or not labels[1].thing):
        raise DataError(
            f"{where}: maps of instances have two classes, the background and the object, found {[label.name for label in labels]}"
        )
    if not instances and any(label.thing for label in labels):
        name = next(label.name for label in labels if label.thing)
        raise DataError(f'{where}: a map of classes cannot tell two of class {name!r} apart; leave "thing" out')
    if not instances and void is not None and 0 <= void < len(labels):
        raise DataError(f"{where}: void is {void}, which is the class {labels[void].name!r} too")
    return MapFormat(instances, labels, void, "void" in value)
