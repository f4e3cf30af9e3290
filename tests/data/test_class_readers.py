"""Readers give exactly what lies in the folder, or say what is wrong with it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from axialzoo.data import DataError, open_data
from tests.train.small import CLASSES, pictures


def test_cifar_zips_are_read_pixel_for_pixel_in_order(zips):
    data = open_data(zips)
    assert data.classes == CLASSES
    expected = np.concatenate([pictures(24, 0)[0], pictures(24, 1)[0]])
    assert np.array_equal(data.splits["train"].pixels, expected)
    assert np.array_equal(data.splits["test"].labels, pictures(12, 2)[1])


def test_a_swapped_part_would_be_seen(zips):
    expected = np.concatenate([pictures(24, 1)[0], pictures(24, 0)[0]])
    assert not np.array_equal(open_data(zips).splits["train"].pixels, expected)


def test_an_image_folder_is_read_by_class(image_folder):
    data = open_data(image_folder)
    assert data.classes == CLASSES
    assert len(data.splits["train"]) == 12 and len(data.splits["val"]) == 6
    for sample in (data.splits["train"][at] for at in (0, 5, 11)):
        assert sample.picture.mode == "RGB" and np.asarray(sample.picture).mean((0, 1)).argmax() == 2 - sample.annotation


def test_a_missing_part_is_named(zips, tmp_path):
    shutil.copytree(zips, tmp_path / "part")
    (tmp_path / "part" / "cifar10_train_b.zip").unlink()
    with pytest.raises(DataError, match=r"expected cifar10_train_b\.zip"):
        open_data(tmp_path / "part")


def test_a_class_that_training_does_not_know_is_named(image_folder, tmp_path):
    shutil.copytree(image_folder, tmp_path / "more")
    (tmp_path / "more" / "val" / "violet").mkdir()
    with pytest.raises(DataError, match="violet"):
        open_data(tmp_path / "more")


@pytest.mark.parametrize("make", [lambda path: path / "nowhere", lambda path: path])
def test_a_folder_without_pictures_is_refused(tmp_path, make):
    with pytest.raises(DataError, match=r"not a folder|one folder a class"):
        open_data(make(tmp_path))
