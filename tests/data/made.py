"""Small data sets written for a test, each in its format, with what is true of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

ABOVE = Path(__file__).parents[3:5]  # the repository's folder, and one further up
SHARED = next(
    (folder / "shared" / "datasets" for folder in ABOVE if (folder / "shared" / "datasets").is_dir()), ABOVE[0] / "shared" / "datasets"
)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_picture(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(path)


def write_map(path: Path, values: np.ndarray) -> None:
    """Grey of 8 bits (uint8), of 16 bits (uint16), or ids as RGB (int32)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values.dtype == np.int32:
        values = np.stack([values % 256, values // 256 % 256, values // 65536], -1).astype(np.uint8)
    Image.fromarray(values).save(path)


def annotation(number: int, image: int, category: int, box: list, **more) -> dict:
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0, **more}


def coco_json() -> dict:
    """Two pictures of 40 x 30: a cat and a crowd of dogs in the first, nothing in the second."""
    polygon = [[4.0, 5.0, 14.0, 5.0, 14.0, 11.0, 4.0, 11.0]]  # 10 x 6 pixels
    runs = {"size": [30, 40], "counts": [20 * 30 + 10, 5, 25, 5, 40 * 30 - 20 * 30 - 10 - 35]}  # columns 20 and 21, rows 10 to 14
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 9, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            annotation(1, 7, 17, [4, 5, 10, 6], segmentation=polygon),
            annotation(2, 7, 18, [20, 10, 2, 5], segmentation=runs, iscrowd=1),
        ],
    }


def coco(folder: Path, change=lambda data: None) -> Path:
    """`folder` with train.json and images/; `change` may spoil the JSON."""
    data = coco_json()
    change(data)
    write_json(folder / "train.json", data)
    for seed, name in enumerate("ab"):
        write_picture(folder / "images" / f"{name}.png", seed=seed)
    return folder


def coco_maps(folder: Path, change=lambda data: None) -> Path:
    """COCO's panoptic format: a sky over a person and a crowd."""
    ids = np.zeros((30, 40), np.int32)
    ids[:10], ids[10:20, 5:15], ids[20:, 30:] = 70000, 300, 5
    segments = [{"id": 70000, "category_id": 187}, {"id": 300, "category_id": 1}, {"id": 5, "category_id": 1, "iscrowd": 1}]
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 187, "name": "sky", "isthing": 0, "color": [70, 130, 180]}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
    }
    change(data)
    write_json(folder / "annotations" / "panoptic_val2017.json", data)
    write_map(folder / "annotations" / "panoptic_val2017" / "a.png", ids)
    write_picture(folder / "val2017" / "a.jpg")
    return folder


def yolo(folder: Path, lines: str = "1 0.25 0.5 0.5 0.2\n0 0.9 0.9 0.2 0.2\n", names: str = "names:\n  0: cat\n  1: dog\nnc: 2\n") -> Path:
    """One labelled picture of 40 x 30 and one without a file of labels."""
    write_picture(folder / "images" / "train" / "a.png")
    write_picture(folder / "images" / "train" / "b.png", seed=1)
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "labels" / "train" / "a.txt").write_text(lines)
    (folder / "data.yaml").write_text(names)
    return folder


def maps(folder: Path, values: np.ndarray | None = None, split: str = "train", labels: object = None) -> Path:
    """images/ and labels/ of one picture of 40 x 30; the instances are 1 and 7, so that numbers have a gap."""
    if values is None:
        values = np.zeros((30, 40), np.uint8)
        values[2:6, 3:9], values[10:20, 20:25] = 1, 7
    write_picture(folder / split / "images" / "a.png")
    write_map(folder / split / "labels" / "a.png", values)
    if labels is not None:
        write_json(folder / "labels.json", labels)
    return folder


def cityscapes(folder: Path, values: np.ndarray | None = None) -> Path:
    """A road (7), two cars (26001, 26002), a crowd of persons (24) and what is no class (4)."""
    if values is None:
        values = np.full((30, 40), 7, np.uint16)
        values[:5], values[10:15, 5:10], values[10:15, 20:30], values[20:, 30:] = 4, 26001, 26002, 24
    write_picture(folder / "leftImg8bit" / "val" / "bonn" / "bonn_1_leftImg8bit.png")
    write_map(folder / "gtFine" / "val" / "bonn" / "bonn_1_gtFine_instanceIds.png", values)
    return folder
