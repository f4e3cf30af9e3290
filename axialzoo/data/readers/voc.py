"""Pascal VOC's XML, one a picture: ``Annotations/*.xml`` and ``JPEGImages/``, or XML beside the pictures as labelImg and Roboflow write.

``ImageSets/Main/train.txt`` (val, test alike) lists the pictures of a split; so do folders ``train/``, ``valid/``. Corners are taken as
they are written, but in files of the VOC challenge itself, which counts pixels from 1. Objects marked difficult are crowds: they count
neither as found nor as missed.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from axialzoo.data.annotations import validate_boxes
from axialzoo.data.dataset import SUFFIXES, Dataset, FileSplit, Sample
from axialzoo.data.decode import open_picture
from axialzoo.data.faults import DataError, Fault, LabelPolicy
from axialzoo.data.file_tree import Files, read_text
from axialzoo.data.readers.pairs import IMAGES
from axialzoo.data.readers.reader import SPLITS, Fit, Reader, duplicate_split, split_folders
from axialzoo.data.readers.xml_tree import parse_xml
from axialzoo.spec.labels import Label

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FOLDERS = ("annotations", "xml", "xmls", "labels")  # of XML files, in lower case


class Annotated(NamedTuple):
    """A picture and the objects of its XML: boxes, their class names and whether they are difficult."""

    picture: str
    size: tuple[int, int] | None
    boxes: list[tuple[float, float, float, float]]
    names: list[str]
    difficult: list[bool]
    where: list[str]


def open_voc(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    """Open Pascal VOC's XML files."""
    about: dict[str, Any] = {}
    annotated: dict[str, list[Annotated]] = {}
    with policy.gather() as gathered:
        for split, pairs in _pairs(files, about, gathered).items():
            annotated[split] = []
            for picture, xml in pairs:
                try:
                    annotated[split].append(_annotated(files, picture, xml, gathered))
                except DataError as error:
                    gathered.handle([Fault("file of labels that cannot be read", str(error))])
    listed = _listed_names(files)
    names = listed or sorted({name for rows in annotated.values() for row in rows for name in row.names})
    labels = tuple(Label(name) for name in names)
    if not labels:
        raise DataError(f"data: expected objects in the XML files of {files.where!r}, found none")
    numbers = {name: number for number, name in enumerate(names)}

    def open_item(row: Annotated) -> Sample:
        picture = open_picture(files, row.picture, row.size)
        indices = [numbers.get(name, -1) for name in row.names]
        annotation = validate_boxes(row.boxes, indices, labels, picture.size, row.where, row.difficult, policy)
        return Sample(files.path(row.picture), picture, annotation)

    splits = {split: FileSplit(rows, open_item) for split, rows in annotated.items()}
    return Dataset(duplicate_split(splits, about), labels, "boxes", about)


def _folders(files: Files) -> dict[str, tuple[str, list[str]]]:
    """Return the folder of XML files of each split, and the folders that may hold its pictures."""
    here = {name.rpartition("/")[2].lower(): name for name in files.folders()}
    for name in FOLDERS:
        if name in here and _xml(files, here[name]):
            pictures = [here[image] for image in IMAGES if image in here]
            return {"": (here[name], [*pictures, "", here[name]])}
    splits: dict[str, tuple[str, list[str]]] = {}
    for split, folder in split_folders(files.folders(), files.where).items():
        below = {name.rpartition("/")[2].lower(): name for name in files.folders(folder)}
        places = [folder, *(below[name] for name in FOLDERS if name in below)]
        if xml := [place for place in places if _xml(files, place)]:
            splits[split] = (xml[0], [*(below[image] for image in IMAGES if image in below), folder])
    if not splits and _xml(files, ""):
        splits[""] = ("", ["", *(here[image] for image in IMAGES if image in here)])
    return splits


def _xml(files: Files, folder: str) -> list[str]:
    return [name for name in files.listing(folder) if name.lower().endswith(".xml")]


def _pairs(files: Files, about: dict[str, Any], policy: LabelPolicy) -> dict[str, list[tuple[str, str]]]:
    """Return (picture, XML) of each split; pictures without an XML are left out and `about` names them."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    unlabelled: list[str] = []
    for split, (folder, places) in _folders(files).items():
        pictures = {_stem(name): name for place in reversed(places) for name in files.listing(place) if name.lower().endswith(SUFFIXES)}
        rows = []
        for xml in _xml(files, folder):
            picture = pictures.get(_stem(xml)) or pictures.get(_stem(_file_name(files, xml)))
            if picture is None:
                looked = ", ".join(place or "." for place in places)
                policy.handle([Fault("label without picture", f"data: {files.path(xml)!r} has no picture; looked in {looked}")])
                continue
            rows.append((picture, xml))
        unlabelled += sorted(set(pictures.values()) - {picture for picture, _ in rows})
        pairs[split] = rows
    if unlabelled:
        shown = ", ".join(unlabelled[:5]) + (" ..." if len(unlabelled) > 5 else "")
        about["pictures_without_label_file"] = f"{len(unlabelled)} left out, since nobody labelled them: {shown}"
    return _by_list(files, pairs[""]) or pairs if "" in pairs else pairs


def _stem(name: str) -> str:
    """Return a file's name without folder and ending, in lower case: case differs between systems."""
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    return base[: -len(ending)] if (ending := next((end for end in (*SUFFIXES, ".xml") if base.endswith(end)), "")) else base


def _file_name(files: Files, xml: str) -> str:
    return parse_xml(files.read(xml), files.path(xml)).findtext("filename") or ""


def _by_list(files: Files, rows: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return the pairs of each split of ``ImageSets/Main``; nothing without such lists."""
    splits = {}
    for split in SPLITS:
        name = f"ImageSets/Main/{split}.txt"
        if files.exists(name):
            stems = {_stem(line.split()[0]) for line in read_text(files, name).splitlines() if line.strip()}
            splits[split] = [row for row in rows if _stem(row[1]) in stems]
            if len(splits[split]) < len(stems):
                missing = sorted(stems - {_stem(xml) for _, xml in rows})
                raise DataError(f"{files.path(name)}: {len(missing)} pictures have no XML, first {missing[0]!r}")
    return {split: rows for split, rows in splits.items() if rows}


def _annotated(files: Files, picture: str, xml: str, policy: LabelPolicy) -> Annotated:
    where = files.path(xml)
    root = parse_xml(files.read(xml), where)
    if root.tag != "annotation":
        raise DataError(f"{where}: expected <annotation> of Pascal VOC, found <{root.tag}>")
    width, height = (int(_number(root.find("size"), side) or 0) for side in ("width", "height"))
    shift = 1 if (root.findtext("source/database") or "").startswith("The VOC") else 0
    row = Annotated(picture, (width, height) if width > 0 and height > 0 else None, [], [], [], [])
    for at, item in enumerate(root.findall("object")):
        name, box = (item.findtext("name") or "").strip(), item.find("bndbox")
        corners = [_number(box, corner) for corner in CORNERS]
        label = f"{where}: object {at + 1} ({name or 'no name'})"
        if not name or any(corner is None for corner in corners):
            policy.handle([Fault("object without name or box", f"{label}: expected <name> and <bndbox> of four numbers")])
            continue
        left, top, right, bottom = (float(corner) for corner in corners if corner is not None)
        row.boxes.append((left - shift, top - shift, right, bottom))
        row.names.append(name)
        row.difficult.append((item.findtext("difficult") or "0").strip() == "1")
        row.where.append(label)
    return row


def _number(element: Element | None, tag: str) -> float | None:
    try:
        return float((element.findtext(tag) if element is not None else None) or "")
    except ValueError:
        return None


def _listed_names(files: Files) -> list[str]:
    """Return the classes of ``classes.txt`` or ``labels.txt``, a name a line; nothing without such a file."""
    name = next((name for name in ("classes.txt", "labels.txt", "labelmap.txt") if files.exists(name)), None)
    if name is None:
        return []
    lines = [line.partition(":")[0].strip() for line in read_text(files, name).splitlines() if not line.startswith("#")]
    return list(dict.fromkeys(line for line in lines if line and line != "background"))


def fit(files: Files) -> Fit:
    """Score how well a folder fits Pascal VOC."""
    folders = _folders(files)
    if not folders:
        return Fit()
    folder = next(iter(folders.values()))[0]
    first = _xml(files, folder)[0]
    try:
        tag = parse_xml(files.read(first), files.path(first)).tag
    except DataError as error:
        return Fit(0.2, f"{len(_xml(files, folder))} XML files", f"XML that can be read: {error}")
    if tag == "annotations":
        return Fit(0.3, f"{first}, CVAT's own XML", "CVAT's export as COCO 1.0, Pascal VOC 1.1 or YOLO instead")
    return Fit(1.0) if tag == "annotation" else Fit(0.1, f"{first} with <{tag}>", "<annotation> of Pascal VOC")


READER = Reader(
    "Pascal VOC",
    "Annotations/*.xml and JPEGImages/, or XML beside the pictures (also in train/, valid/, test/)",
    ("boxes",),
    fit,
    open_voc,
)
