"""Small data sets in the formats that users have."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.train.small import CLASSES, pictures


@pytest.fixture(scope="session")
def zips(tmp_path_factory) -> Path:
    """CIFAR-10's zips, with 24 + 24 training and 12 test images of three classes."""
    folder = tmp_path_factory.mktemp("zips")
    for seed, (name, count) in enumerate((("train_a", 24), ("train_b", 24), ("test", 12))):
        pixels, labels = pictures(count, seed)
        with zipfile.ZipFile(folder / f"cifar10_{name}.zip", "w") as archive:
            archive.writestr("class_names.json", json.dumps(CLASSES))
            archive.writestr("labels.json", json.dumps(labels.tolist()))
            for part, column in enumerate(np.split(pixels, 2)):
                stream = io.BytesIO()
                Image.fromarray(column.reshape(-1, 32, 3)).save(stream, "webp", lossless=True, exact=True)
                archive.writestr(f"images_{part:03}.webp", stream.getvalue())
    return folder


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory) -> Path:
    """train/ and val/ with a folder a class, in several formats and sizes."""
    folder = tmp_path_factory.mktemp("folder")
    for seed, (split, count) in enumerate((("train", 12), ("val", 6))):
        pixels, labels = pictures(count, 10 + seed)
        for index, (image, label) in enumerate(zip(pixels, labels)):
            path = folder / split / CLASSES[label] / f"{index:03}{('.png', '.jpg')[index % 2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).resize((40 + index, 36)).save(path)
    return folder
