"""TrashNet's three zips are an image folder of three splits, read without unpacking."""

from __future__ import annotations

import zipfile

import pytest

from axialzoo.data import DataError, open_data
from axialzoo.data.batches import TrainBatches
from axialzoo.train import load_recipe
from tests.data import made

CLASSES = ("cardboard", "glass")


@pytest.fixture
def folder(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        with zipfile.ZipFile(tmp_path / f"trashnet_{split}.zip", "w") as archive:
            for name in CLASSES:
                made.write_picture(tmp_path / "picture.png", 64, 48, seed)
                archive.write(tmp_path / "picture.png", f"{split}/{name}/{name}1.png")
    (tmp_path / "picture.png").unlink()
    return tmp_path


def test_classes_and_splits(folder):
    data = open_data(folder)
    assert data.classes == CLASSES and set(data.splits) == {"train", "val", "test"} and data.about["licence"] == "MIT"
    assert data.about["name"] == "TrashNet, 256 x 192"
    assert [data.split("test")[index].annotation for index in range(2)] == [0, 1]
    assert data.split("test")[0].picture.size == (64, 48)


def test_a_missing_zip_is_named(folder):
    (folder / "trashnet_val.zip").unlink()
    with pytest.raises(DataError, match=r"expected trashnet_val\.zip"):
        open_data(folder)


def test_the_recipe_keeps_the_proportions_of_the_photographs(folder):
    batches = TrainBatches(open_data(folder).split("train"), load_recipe("trashnet", batch_size=2, init_from=""))
    assert batches[0][0].shape == (2, 36, 48, 3) and batches[batches.steps - 1][0].shape == (2, 48, 64, 3)
