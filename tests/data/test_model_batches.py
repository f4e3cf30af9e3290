"""Batches for loops of one's own: boxes and maps follow the picture, targets elsewhere are refused, the guide's loops train."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import Batches, DataError, FileSplit, Sample, open_data, to_model_input
from axialzoo.spec import Label, Preprocessing, adapt, get_entry
from axialzoo.tasks import batch_targets, task_of
from axialzoo.tasks.results import Detections, Segmentation

ROOT = Path(__file__).resolve().parents[2]
LOOPS = dict(zip(
    ("detection", "instances", "semantic", "keras detection", "keras instances", "keras semantic"),
    re.findall(r"```python\n(.*?)```", (ROOT / "docs/guide/loops.md").read_text(), re.DOTALL),
))  # fmt: skip
DISC = (Label("disc", True),)


class Model:
    """The fields that batches read of a model of either framework."""

    def __init__(self, name: str, data_format: str = "channels_first", **changes: Any):
        self.spec, self.data_format = adapt(get_entry(name).spec, **changes), data_format
        self.preprocessing = Preprocessing(size=self.spec.input_size, resize="longer", crop=1.0)


def boxes(*rows: tuple[float, ...]) -> Detections:
    return Detections(np.array(rows, np.float64).reshape(-1, 4), np.ones(len(rows)), np.zeros(len(rows), np.int64), DISC)


def segments(map: np.ndarray) -> Segmentation:
    return Segmentation(map.astype(np.int32), [{"id": 1, "label_id": 0, "score": 1.0, "area": int(map.sum())}], DISC)


def split(*annotations: Any, size: tuple[int, int] = (200, 100)) -> FileSplit:
    return FileSplit(list(enumerate(annotations)), lambda item: Sample(f"picture {item[0]}", Image.new("RGB", size, "white"), item[1]))


def write_data(folder: Path, kind: str) -> None:
    """White discs on black, 8 pictures in train: YOLO's boxes, COCO's masks, or maps of classes."""
    rng, annotations = np.random.default_rng(0), []
    for number in range(8):
        x, y, r = (int(value) for value in (rng.integers(16, 48), rng.integers(16, 48), rng.integers(6, 12)))
        rows, columns = np.ogrid[:64, :64]
        disc = (rows - y) ** 2 + (columns - x) ** 2 < r * r
        for name in ("images/train", "labels/train"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.repeat(disc[..., None] * np.uint8(255), 3, 2)).save(folder / f"images/train/{number}.png")
        if kind == "semantic":
            (folder / "masks/train").mkdir(parents=True, exist_ok=True)
            Image.fromarray(disc.astype(np.uint8)).save(folder / f"masks/train/{number}.png")
        else:
            outline = {"bbox": [x - r, y - r, 2 * r, 2 * r], "segmentation": [[x - r, y, x, y - r, x + r, y, x, y + r]]}
            annotations.append({"id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "area": float(disc.sum()), **outline})
    if kind == "semantic":
        (folder / "labels.json").write_text(json.dumps([{"name": "ground", "thing": False}, {"name": "disc", "thing": False}]))
        return
    images = [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 64} for number in range(8)]
    (folder / "annotations").mkdir()
    (folder / "annotations/instances_train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "disc"}]})
    )


def test_boxes_and_maps_follow_the_picture():
    picture = Image.new("RGB", (200, 100), "white")
    half = Preprocessing(size=(64, 100), resize="longer", crop=1.0)
    pixels, moved = to_model_input(Sample("a", picture, boxes((20, 10, 60, 50), (180, 0, 400, 100))), half)
    assert pixels.shape == (64, 100, 3) and moved.boxes.tolist() == [[10, 5, 30, 25]]  # of the other less than a quarter is there
    map = np.zeros((100, 200), np.int32)
    map[10:50, 20:60] = 1
    moved = to_model_input(Sample("a", picture, segments(map)), half)[1]
    assert moved.segmentation.shape == (64, 100) and moved.segments_info[0]["area"] == 20 * 20
    assert moved.segmentation[5:25, 10:30].all() and not moved.segmentation[50:].any()
    cut = Preprocessing(size=(50, 50), resize="shorter", crop=0.5)  # the middle of 200 x 100
    assert to_model_input(Sample("a", picture, boxes((80, 30, 110, 60))), cut)[1].boxes.tolist() == [[5, 5, 35, 35]]


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_channels_are_where_the_framework_has_them(data_format):
    map = np.zeros((100, 200), np.int32)
    map[10:50, 20:60] = 1
    model = Model("axial_deeplab_nuclei_xs", data_format, num_classes=1, things=(0,), input_size=(64, 128))
    images, targets = Batches(split(segments(map), segments(map)), model)[0]
    first = data_format == "channels_first"
    assert images.shape == ((2, 3, 64, 128) if first else (2, 64, 128, 3))
    assert targets["offset"].shape[1 if first else -1] == 2 and targets["semantic"].shape[0] == 2


def test_epochs_have_their_own_order_and_every_sample():
    model = Model("axial_resnet_cifar10_xs", input_size=8)
    batches = Batches(split(*range(10)), model, batch_size=4, shuffle=True)
    epochs = [np.concatenate([labels for _, labels in batches]).tolist() for _ in range(2)]
    assert [sorted(labels) for labels in epochs] == [list(range(10))] * 2 and epochs[0] != epochs[1]
    assert (len(batches), batches.epoch, batches[2][0].shape) == (3, 2, (2, 3, 8, 8))
    with pytest.raises(IndexError, match="expected 0 to 2"):
        batches[3]
    with pytest.raises(DataError, match="found 0 and 8"):
        Batches(split(), model)


@pytest.mark.parametrize(
    ("model", "annotation", "message"),
    [
        (
            "axial_fcos_blood_cells_xs",
            boxes((20, 10, 160, 50)),
            r"\[20.0, 10.0, 160.0, 50.0\] reaches beyond the input of 64 x 64; .*Batches",
        ),
        ("axial_fcos_blood_cells_xs", boxes((0.1, 0.1, 0.6, 0.5)), "looks like shares of the picture; .*Batches"),
        ("axial_deeplab_nuclei_xs", segments(np.ones((100, 200))), r"has \(100, 200\) pixels, expected \(64, 64\).*Batches"),
        ("kmax_deeplab_nuclei_xs", segments(np.ones((100, 200))), r"has \(100, 200\) pixels, expected \(64, 64\).*Batches"),
        ("medical_transformer_xs", segments(np.ones((100, 200))), r"has \(100, 200\) pixels, expected \(64, 64\).*Batches"),
    ],
)
def test_annotations_in_the_pictures_own_pixels_are_refused(model, annotation, message):
    spec = get_entry(model).spec
    with pytest.raises(ValueError, match=message):
        batch_targets(task_of(spec.head), [annotation], spec, (64, 64))


@pytest.mark.parametrize(
    "name",
    ["axial_resnet_cifar10_xs", "axial_fcos_blood_cells_xs", "axial_deeplab_nuclei_xs", "kmax_deeplab_nuclei_xs", "medical_transformer_xs"],
)
def test_targets_that_are_no_dictionary_are_refused(name):
    import torch

    from axialzoo.torch import create_model, loss_of

    model = create_model(name, input_size=64)
    with torch.no_grad(), pytest.raises(ValueError, match="expected a dictionary of arrays by name"):
        loss_of(model.spec.head)(model(torch.zeros(1, 3, 64, 64)), torch.zeros(1, 64, 64), model.spec.head)


def run_loop(name: str, folder: Path, monkeypatch) -> dict[str, Any]:
    write_data(folder / "data", name.removeprefix("keras "))
    monkeypatch.chdir(folder)
    variables: dict[str, Any] = {}
    exec(compile(LOOPS[name], f"loops.md: {name}", "exec"), variables)
    return variables


def code_lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def test_loops_are_short():
    assert len(LOOPS) == 6 and max(map(code_lines, LOOPS.values())) <= 25


@pytest.mark.parametrize("name", ["detection", *(pytest.param(name, marks=pytest.mark.full) for name in ("instances", "semantic"))])
def test_the_guides_loops_in_pytorch_train(name, tmp_path, monkeypatch):
    variables = run_loop(name, tmp_path, monkeypatch)
    assert np.isfinite(variables["losses"]["total"].item()) and (tmp_path / "mine/config.json").exists()
    assert len(open_data(tmp_path / "data", "boxes" if name == "detection" else "segments").labels) == variables["model"].spec.num_labels


@pytest.mark.full
@pytest.mark.backends("tensorflow", "jax", "torch")
@pytest.mark.parametrize("name", ["keras detection", "keras instances", "keras semantic"])
def test_the_guides_loops_in_keras_train(name, tmp_path, monkeypatch):
    history = run_loop(name, tmp_path, monkeypatch)["history"]
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]


@pytest.mark.backends("torch", full=("tensorflow", "jax"))
def test_keras_fit_of_plain_arrays_names_the_dictionary():
    from axialzoo.keras import create_model

    model = create_model("axial_deeplab_nuclei_xs", input_size=32)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"expected a dictionary of arrays by name.*Batches"):
        model.fit(np.zeros((2, 32, 32, 3), "float32"), np.zeros((2, 32, 32), "int32"), verbose=0)
