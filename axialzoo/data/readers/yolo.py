"""YOLO's text labels: ``images/``, ``labels/*.txt`` with a line ``class cx cy width height`` an object, in shares of the picture."""

from __future__ import annotations

import yaml

from axialzoo.data.dataset import DataError, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.pairs import paired, paired_folders
from axialzoo.data.readers.reader import Reader, duplicate_split
from axialzoo.data.truth import check_class, validate_boxes
from axialzoo.spec.labels import Label

NAMES = ("data.yaml", "classes.txt")
MOST = 2.0  # a larger share is none


def open_yolo(files: Files, kind: str) -> Dataset:
    """A picture without a file of labels has no objects, as in YOLO; ``about`` counts such pictures."""
    labels = tuple(Label(name) for name in class_names(files))
    about, splits = {}, {}
    for split, (images, texts) in paired_folders(files).items():
        pairs = paired(files, images, texts, (".txt",), optional=True)
        items = [(name, _lines(files, text, labels) if text else []) for name, text in pairs]
        if without := sum(text is None for _, text in pairs):
            about.setdefault("pictures_without_label_file", {})[split or "all"] = without
        splits[split] = FileSplit(items, lambda item: _sample(files, item[0], item[1], labels))
    return Dataset(duplicate_split(splits, about), labels, "boxes", about)


def _lines(files: Files, name: str, labels: tuple[Label, ...]) -> list[tuple[str, int, list[float]]]:
    """(what messages call it, class, cx cy w h) of each line; boxes are checked when the size of the picture is known."""
    found = []
    for number, line in enumerate(_text(files, name).splitlines(), 1):
        if not line.strip():
            continue
        where, words = f"{files.path(name)}: line {number}", line.split()
        try:
            index, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            index, values = -1, []
        if len(values) != 4:
            raise DataError(f"{where}: expected 'class cx cy width height', found {line[:80]!r}")
        check_class(index, labels, where)
        if max(values) > MOST:
            raise DataError(f"{where}: expected shares of the picture's width and height, from 0 to 1, found {line[:80]!r} (pixels?)")
        found.append((where, index, values))
    return found


def _sample(files: Files, name: str, lines: list[tuple[str, int, list[float]]], labels: tuple[Label, ...]) -> Sample:
    picture = open_picture(files, name)
    width, height = picture.size
    rows = [((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height) for _, _, (x, y, w, h) in lines]
    truth = validate_boxes(rows, [index for _, index, _ in lines], labels, picture.size, [where for where, _, _ in lines])
    return Sample(files.path(name), picture, truth)


def class_names(files: Files) -> list[str]:
    """Return ``names`` of data.yaml (a list, or numbers from 0 with a name each), or the lines of classes.txt."""
    name = next(name for name in NAMES if files.exists(name))
    text = _text(files, name)
    if name == "classes.txt":
        names = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        names = _yaml_names(text, files.path(name))
    if not names:
        raise DataError(f"{files.path(name)}: no class names")
    if len(set(names)) < len(names):
        raise DataError(f"{files.path(name)}: the class {next(one for one in names if names.count(one) > 1)!r} occurs twice")
    return names


def _yaml_names(text: str, where: str) -> list[str]:
    """Return the names as they are written: PyYAML's tree keeps ``no`` and ``007`` as text and shows keys that occur twice."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{where}: expected YAML, found {' '.join(str(error).split())[:200]}") from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    values = [value for key, value in pairs if key.value == "names"]
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


def _text(files: Files, name: str) -> str:
    try:
        return files.read(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{files.path(name)}: expected UTF-8, found byte {error.object[error.start]:#04x} at {error.start}") from None


def _is_yolo(files: Files) -> bool:
    if not any(files.exists(name) for name in NAMES):
        return False
    return any(name.endswith(".txt") for _, labels in paired_folders(files).values() for name in files.listing(labels))


READER = Reader(
    "YOLO",
    "data.yaml or classes.txt, images/ and labels/*.txt (or train/images, images/train ...)",
    ("boxes",),
    _is_yolo,
    open_yolo,
)
