"""``data.yaml`` as Ultralytics reads it: class names, and where the pictures of each split lie."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from axialzoo.data.dataset import SUFFIXES
from axialzoo.data.faults import DataError
from axialzoo.data.file_tree import Files, Folder, read_text
from axialzoo.data.readers.reader import SPLITS

SUFFIX = (".yaml", ".yml")


class Yaml(NamedTuple):
    """The parts of a data.yaml that are read.

    Attributes:
        name: The file.
        names: Class names in their order.
        path: Folder that the splits are relative to, as it is written.
        splits: Folders or lists of pictures of each split, as they are written.
        key_points: Whether lines hold key points after the box.
    """

    name: str
    names: list[str]
    path: str
    splits: dict[str, list[str]]
    key_points: bool


def yaml_file(files: Files) -> str | None:
    """Return the YAML file of a folder: ``data.yaml`` or the only one that has names."""
    there = [name for name in files.listing() if name.lower().endswith(SUFFIX)]
    if "data.yaml" in there:
        return "data.yaml"
    named = [name for name in there if "names:" in read_text(files, name)]
    if len(named) > 1:
        raise DataError(f"data: expected one YAML with names in {files.where!r}, found {' and '.join(named)}; remove one")
    return named[0] if named else None


def tree_of(path: Path) -> Files:
    """Return the tree of a YAML that was named itself: the folder that its ``path`` gives, with the YAML at its root."""
    here = Folder(path.parent)
    root = Path(read_yaml(here, path.name).path or ".")
    for folder in (path.parent / root, path.parent / ".." / root):
        if root.parts and folder.is_dir() and not folder.samefile(path.parent):
            return YamlBeside(folder, path)
    return here


class YamlBeside(Folder):
    """A folder with the YAML of another place at its root.

    Args:
        root: The folder.
        yaml_path: The YAML, which hides those of the folder.
    """

    def __init__(self, root: Path, yaml_path: Path):
        super().__init__(root)
        self._yaml = yaml_path

    def path(self, name: str) -> str:
        return str(self._yaml) if name == self._yaml.name else super().path(name)

    def exists(self, name: str) -> bool:
        return name == self._yaml.name or super().exists(name)

    def listing(self, folder: str = "") -> list[str]:
        names = super().listing(folder)
        return names if folder else sorted([*(name for name in names if not name.lower().endswith(SUFFIX)), self._yaml.name])

    def read(self, name: str) -> bytes:
        return self._yaml.read_bytes() if name == self._yaml.name else super().read(name)


def read_yaml(files: Files, name: str) -> Yaml:
    """Return the names and paths of a data.yaml as text: ``no`` and ``007`` stay as written.

    Raises:
        DataError: for a file that is no YAML, names that occur twice or have gaps, or another number of them than ``nc``.
    """
    where = files.path(name)
    try:
        root = yaml.compose(read_text(files, name), yaml.SafeLoader)  # a tree of text, in which keys that occur twice show
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{where}: expected YAML, found {' '.join(str(error).split())[:200]}") from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    rows = [(key.value, value) for key, value in pairs if isinstance(key, yaml.ScalarNode)]
    values = dict(rows)
    names = _names([value for key, value in rows if key == "names"], where)
    count = values["nc"].value if isinstance(values.get("nc"), yaml.ScalarNode) else str(len(names))
    if count != str(len(names)):
        raise DataError(f"{where}: expected {count} names as nc says, found {len(names)}: {', '.join(names[:10])}")
    splits = {split: entries for split in SPLITS if (entries := _texts(values.get(split)))}
    path = values["path"].value if isinstance(values.get("path"), yaml.ScalarNode) else ""
    return Yaml(name, names, path, splits, "kpt_shape" in values)


def _names(values: list[Any], where: str) -> list[str]:
    """Return ``names``, a list or numbers from 0 with a name each."""
    if len(values) != 1:
        raise DataError(
            f"{where}: expected 'names:' with the classes once; found it {len(values)} times (or write them into classes.txt, a line each)"
        )
    names = values[0]
    rows = [value for _, value in names.value] if isinstance(names, yaml.MappingNode) else names.value
    numbers = [key.value for key, _ in names.value] if isinstance(names, yaml.MappingNode) else None
    if numbers is not None and numbers != [str(number) for number in range(len(rows))]:
        raise DataError(f"{where}: expected names as '- name' or '0: name', '1: name' ... from 0 without gaps, found {numbers[:5]}")
    if isinstance(names, yaml.ScalarNode) or not all(isinstance(row, yaml.ScalarNode) and row.value for row in rows):
        raise DataError(f"{where}: 'names:' is written in a way not understood; write the classes into classes.txt, a line each")
    return [row.value for row in rows]


def _texts(node: Any) -> list[str]:
    """Return a path or a list of paths."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [item.value for item in nodes if isinstance(item, yaml.ScalarNode) and item.tag != "tag:yaml.org,2002:null" and item.value]


def split_pictures(files: Files, config: Yaml, notes: list[str]) -> dict[str, list[str]]:
    """Return the pictures of each split that the YAML names, and add to `notes` how paths of another machine were read.

    Raises:
        DataError: for train or val whose pictures are not there.
    """
    splits: dict[str, list[str]] = {}
    for split, entries in config.splits.items():
        names: list[str] = []
        for entry in entries:
            place = _place(files, config, entry)
            if place is None:
                notes.append(f"{split}: {entry!r} is not in {files.where!r}")
                continue
            if place != entry.strip("./"):
                notes.append(f"{split}: {entry!r} was read as {place!r}, which lies in the folder")
            names += _listed(files, place) if place.lower().endswith(".txt") else _below(files, place)
        if names:
            splits[split] = names
    return splits


def _place(files: Files, config: Yaml, entry: str) -> str | None:
    """Return the folder or list that an entry means: below ``path``, in the folder, or its longest end that exists there."""
    parts = [part for part in PurePosixPath(entry.replace("\\", "/")).parts if part not in ("/", "..", ".") and ":" not in part]
    root = [part for part in PurePosixPath(config.path.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    for at in range(len(root) + 1):
        if _there(files, path := "/".join([*root[at:], *parts])):
            return path
    return next((path for at in range(1, len(parts)) if _there(files, path := "/".join(parts[at:]))), None)


def _there(files: Files, path: str) -> bool:
    if path.lower().endswith(".txt"):
        return files.exists(path)
    return bool(files.listing(path) or files.folders(path))


def _below(files: Files, folder: str) -> list[str]:
    names = [name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)]
    return names + [name for below in files.folders(folder) for name in _below(files, below)]


def _listed(files: Files, name: str) -> list[str]:
    """Return the pictures that a text lists, a path a line, of which the longest end that exists counts.

    Raises:
        DataError: naming a line whose picture is not there.
    """
    pictures = []
    for number, line in enumerate(read_text(files, name).splitlines(), 1):
        parts = [part for part in line.strip().replace("\\", "/").split("/") if part not in ("", ".", "..") and ":" not in part]
        if not parts:
            continue
        ends = ["/".join(parts[at:]) for at in range(len(parts))]
        at = next((end for end in ends if files.exists(end)), None)
        if at is None:
            raise DataError(f"{files.path(name)}: line {number}: no picture {line.strip()!r} in {files.where!r}")
        pictures.append(at)
    return pictures
