# ruff: noqa: E501 (the table of formats)
"""The formats that users have, each as a few small files: tests read them, and docs/guide/data.md shows them.

``python -m tests.data.user_formats`` writes them into the page again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guide" / "data.md"
BEGIN, END = "<!-- formats: written by tests/data/user_formats.py -->", "<!-- /formats -->"
WIDTH, HEIGHT = 40, 30
PICTURE = object()  # a picture of noise, 40 x 30


@dataclass(frozen=True)
class Format:
    """A format: its name, a sentence about it, its files, and what the reader makes of them.

    `files` maps paths to text, to arrays (maps), to `PICTURE`, or to other values, which are written as JSON.
    """

    title: str
    text: str
    files: dict[str, Any]
    reader: str
    kind: str
    classes: tuple[str, ...]
    splits: dict[str, int]
    boxes: tuple[tuple[float, ...], ...] = ()  # of the first picture to train on, or to test


def coco(name: str, **image: Any) -> dict[str, Any]:
    polygon = [4, 5, 14, 5, 14, 11, 4, 11]
    return {
        "images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT, **image}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [4, 5, 10, 6], "iscrowd": 0, "segmentation": [polygon]}],
        "categories": [{"id": 1, "name": "cat", "supercategory": ""}, {"id": 2, "name": "dog", "supercategory": ""}],
    }


def shapes(name: str) -> dict[str, Any]:
    shape = {"label": "dog", "points": [[4, 5], [14, 5], [14, 11], [4, 11]], "group_id": None, "shape_type": "polygon", "flags": {}}
    return {
        "version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": name, "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
    }  # fmt: skip


VOC = """<annotation>
  <filename>1.jpg</filename>
  <size><width>40</width><height>30</height><depth>3</depth></size>
  <object>
    <name>dog</name>
    <bndbox><xmin>4</xmin><ymin>5</ymin><xmax>14</xmax><ymax>11</ymax></bndbox>
  </object>
</annotation>
"""
LINE = "1 0.225 0.266667 0.25 0.2\n"  # left 4, top 5, right 14, bottom 11
POLYGON = "1 0.1 0.166667 0.35 0.166667 0.35 0.366667 0.1 0.366667\n"
BOX = ((4.0, 5.0, 14.0, 11.0),)


def discs(*numbers: int, dtype: Any = np.uint16) -> np.ndarray:
    """A map with a square of 6 x 6 for each number."""
    values = np.zeros((HEIGHT, WIDTH), dtype)
    for at, number in enumerate(numbers):
        values[4:10, 2 + 9 * at : 8 + 9 * at] = number
    return values


def colours(*squares: tuple[int, int, int]) -> np.ndarray:
    """A black picture with a square of 6 x 6 of each colour."""
    numbers = discs(*range(1, len(squares) + 1))
    return np.array([(0, 0, 0), *squares], np.uint8)[numbers]


FORMATS = (
    Format(
        "A folder a class", "Without `train/` and `test/` the same pictures serve as both, which is said.",
        {f"{split}/{name}/1.jpg": PICTURE for split in ("train", "val") for name in ("cat", "dog")},
        "an image folder", "classes", ("cat", "dog"), {"train": 2, "val": 2},
    ),
    Format(
        "YOLO (Ultralytics)",
        "A line `class cx cy width height` or a polygon `class x1 y1 x2 y2 ...` an object, in shares of the picture. `path`, `train`, `val` and "
        "`test` of `data.yaml` are followed; a path of another machine is read by its end, and said. A `data.yaml` elsewhere is given itself: "
        "`--data coco128.yaml`. A picture without text has no object.",
        {"data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n", "images/train/1.jpg": PICTURE,
         "labels/train/1.txt": LINE, "images/val/2.jpg": PICTURE, "labels/val/2.txt": POLYGON},
        "YOLO", "boxes", ("cat", "dog"), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "YOLO (Roboflow)", "Polygons give boxes; `--kind segments`, or a model of segments, takes the polygons themselves.",
        {"data.yaml": "train: /home/somebody/dogs/train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n", "train/images/1.jpg": PICTURE,
         "train/labels/1.txt": POLYGON, "valid/images/2.jpg": PICTURE, "valid/labels/2.txt": LINE},
        "YOLO", "boxes", ("cat", "dog"), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "YOLO (coco128)", "Train and val are the same pictures here, which is said.",
        {"coco128.yaml": "path: ../datasets/coco128\ntrain: images/train2017\nval: images/train2017\nnames: {0: cat, 1: dog}\n",
         "images/train2017/1.jpg": PICTURE, "labels/train2017/1.txt": LINE},
        "YOLO", "boxes", ("cat", "dog"), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "YOLO (labelImg)", "`classes.txt` as labelImg writes it, beside pictures and texts or in `labels/`.",
        {"classes.txt": "cat\ndog\n", "1.jpg": PICTURE, "1.txt": LINE},
        "YOLO", "boxes", ("cat", "dog"), {"train": 1, "test": 1}, BOX,
    ),
    Format(
        "YOLO (darknet, CVAT's YOLO 1.1)", "Names are in `obj.names`.",
        {"obj.names": "cat\ndog\n", "obj.data": "classes = 2\nnames = data/obj.names\n", "train.txt": "data/obj_train_data/1.jpg\n",
         "obj_train_data/1.jpg": PICTURE, "obj_train_data/1.txt": LINE},
        "YOLO", "boxes", ("cat", "dog"), {"train": 1}, BOX,
    ),
    Format(
        "Pascal VOC",
        "Classes are the names that occur, or the lines of `labels.txt`. `difficult` objects are crowds. Corners are taken as written; files of "
        "the VOC challenge itself count pixels from 1. A picture without XML is left out, and said.",
        {"Annotations/1.xml": VOC, "Annotations/2.xml": VOC.replace("dog", "cat"), "JPEGImages/1.jpg": PICTURE, "JPEGImages/2.jpg": PICTURE,
         "ImageSets/Main/train.txt": "1\n", "ImageSets/Main/val.txt": "2\n"},
        "Pascal VOC", "boxes", ("cat", "dog"), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "Pascal VOC (labelImg, Roboflow)", "XML beside the pictures, with or without folders of splits.",
        {"train/1.jpg": PICTURE, "train/1.xml": VOC, "valid/2.jpg": PICTURE, "valid/2.xml": VOC},
        "Pascal VOC", "boxes", ("dog",), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "Pascal VOC's masks (CVAT's Segmentation mask 1.1)",
        "Objects where `SegmentationObject/` has a colour for each, else classes. `labelmap.txt` has the colours; without it the classes are those of the "
        "VOC challenge in its palette. The colour 224, 224, 192 is void.",
        {"labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n", "JPEGImages/1.jpg": PICTURE,
         "SegmentationClass/1.png": colours((51, 221, 255), (51, 221, 255), (250, 50, 83)),
         "SegmentationObject/1.png": colours((128, 0, 0), (0, 128, 0), (128, 128, 0)), "ImageSets/Segmentation/default.txt": "1\n"},
        "Pascal VOC's masks", "segments", ("background", "cat", "dog"), {"train": 1, "test": 1},
    ),
    Format(
        "COCO", "Boxes; or segments of the polygons and run lengths. Pictures lie in `train2017/`, `images/train2017/` or `images/`.",
        {"annotations/instances_train2017.json": coco("1.jpg"), "train2017/1.jpg": PICTURE},
        "COCO instances", "boxes", ("cat", "dog"), {"train": 1}, BOX,
    ),
    Format(
        "COCO (Roboflow)", "A category 0 that is the supercategory of all others and has no object is left out, and said.",
        {"train/_annotations.coco.json": coco("1.jpg"), "train/1.jpg": PICTURE,
         "valid/_annotations.coco.json": coco("2.jpg"), "valid/2.jpg": PICTURE},
        "COCO instances", "boxes", ("cat", "dog"), {"train": 1, "val": 1}, BOX,
    ),
    Format(
        "COCO (CVAT)", "CVAT's own XML is not read: export as COCO 1.0, Pascal VOC 1.1 or YOLO 1.1.",
        {"annotations/instances_default.json": coco("1.jpg"), "images/default/1.jpg": PICTURE},
        "COCO instances", "boxes", ("cat", "dog"), {"train": 1, "test": 1}, BOX,
    ),
    Format(
        "COCO (Label Studio)", "Also `annotations.json` of labelme2coco, and any other JSON of COCO in the folder.",
        {"result.json": coco("images\\1.jpg"), "images/1.jpg": PICTURE},
        "COCO instances", "boxes", ("cat", "dog"), {"train": 1, "test": 1}, BOX,
    ),
    Format(
        "LabelMe", "Boxes, or segments: polygons, rectangles, circles and masks; shapes of one label and `group_id` are one object.",
        {"1.jpg": PICTURE, "1.json": shapes("1.jpg")},
        "LabelMe", "boxes", ("dog",), {"train": 1, "test": 1}, BOX,
    ),
    Format(
        "Label images (StarDist)", "0 is background, every other number an object, in PNG or TIFF; also `labels/` for `masks/`.",
        {"train/images/1.tif": PICTURE, "train/masks/1.tif": discs(3, 300), "test/images/2.tif": PICTURE, "test/masks/2.tif": discs(1)},
        "folders of PNG maps", "segments", ("background", "object"), {"train": 1, "test": 1},
    ),
    Format(
        "Label images (Cellpose)", "`_masks` (also `_mask`, `_labels`, `_cp_masks`) beside the picture; `_seg.npy` is a pickle and never loaded.",
        {"train/1.tif": PICTURE, "train/1_masks.tif": discs(1, 2), "test/2_img.png": PICTURE, "test/2_masks.png": discs(5, dtype=np.uint8)},
        "folders of PNG maps", "segments", ("background", "object"), {"train": 1, "test": 1},
    ),
    Format(
        "Maps of classes", "A name for each number; 255 is void. Without `labels.json` maps are of instances, and maps that look like classes are refused.",
        {"labels.json": ["road", "car"], "images/train/1.jpg": PICTURE, "labels/train/1.png": discs(1, 1, dtype=np.uint8)},
        "folders of PNG maps", "segments", ("road", "car"), {"train": 1},
    ),
    Format(
        "Masks of black and white", "Two classes, black first. Without `labels.json` they are refused, since objects would be one.",
        {"labels.json": ["background", "crack"], "images/1.jpg": PICTURE, "masks/1_mask.png": discs(255, 255, dtype=np.uint8)},
        "folders of PNG maps", "segments", ("background", "crack"), {"train": 1, "test": 1},
    ),
    Format(
        "Mapillary Vistas", "Values are 256 times the class plus the instance.",
        {"config_v1.2.json": {"labels": [{"name": "object--car", "readable": "Car", "color": [0, 0, 142], "instances": True, "evaluate": True},
                                         {"name": "nature--sky", "readable": "Sky", "color": [70, 130, 180], "instances": False, "evaluate": True},
                                         {"name": "void--unlabeled", "readable": "Void", "color": [0, 0, 0], "instances": False, "evaluate": False}]},
         "training/images/1.jpg": PICTURE, "training/v1.2/instances/1.png": np.where(discs(1, 2) > 0, discs(1, 2), 512).astype(np.uint16)},
        "Mapillary Vistas", "segments", ("object--car", "nature--sky"), {"train": 1},
    ),
)  # fmt: skip


def write(files: dict[str, Any], folder: Path) -> Path:
    """Write the files of a format."""
    for seed, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is PICTURE:
            Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
        elif isinstance(content, np.ndarray):
            Image.fromarray(content).save(path)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def shown(item: Format) -> str:
    """Return a section of the page: the tree, and the first text of each kind."""
    lines = [f"### {item.title}", "", item.text, "", "```text", *sorted(item.files), "```"]
    texts: dict[str, tuple[str, str]] = {}
    for name, content in item.files.items():
        if content is not PICTURE and not isinstance(content, np.ndarray) and not name.endswith(("obj.data", "train.txt", "val.txt")):
            text = content if isinstance(content, str) else _json(content)
            texts.setdefault(name.rpartition(".")[2], (name, text.rstrip("\n")))
    for ending, (name, text) in texts.items():
        lines += ["", f"`{name}`:", "", f"```{ending if ending in ('yaml', 'json', 'xml') else 'text'}", text, "```"]
    return "\n".join(lines)


def _json(value: Any) -> str:
    if isinstance(value, dict):
        rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
        return "{\n" + rows + "\n}"
    return json.dumps(value)


def page(text: str) -> str:
    """Return the page with its formats written anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n" + "\n\n".join(map(shown, FORMATS)) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
