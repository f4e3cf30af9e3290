"""Readers of what users have: image folders, and CIFAR-10 as zips of lossless pictures."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class DataError(ValueError):
    """A data folder that cannot be read as one."""


class Images(Protocol):
    """Pictures by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image.Image: ...


@dataclass(frozen=True)
class Split:
    """Images and their labels."""

    images: Images
    labels: np.ndarray  # (images,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> Split:
        if isinstance(self.images, ArrayImages):
            return Split(ArrayImages(self.images.pixels[indices]), self.labels[indices])
        return Split(FileImages([self.images.paths[index] for index in indices]), self.labels[indices])  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Data:
    """What a folder holds: its splits by name, its class names, and what is known of its origin."""

    splits: dict[str, Split]
    classes: tuple[str, ...]
    about: dict[str, str] = field(default_factory=dict)

    def split(self, *names: str) -> Split:
        """The first of `names` that there is."""
        for name in names:
            if name in self.splits:
                return self.splits[name]
        raise DataError(f"data: expected a split called {' or '.join(names)}, found {', '.join(self.splits) or 'none'}")


@dataclass(frozen=True)
class ArrayImages:
    """Pictures of one size, in memory."""

    pixels: np.ndarray  # (images, H, W, 3), uint8

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])


@dataclass(frozen=True)
class FileImages:
    """Pictures in files, opened when asked for."""

    paths: list[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        from axialzoo.image import load_image

        return load_image(self.paths[index])


def open_data(folder: str | Path) -> Data:
    """The data set in `folder`, recognised by what lies there.

    Either ``cifar10_train_a.zip``, ``cifar10_train_b.zip`` and ``cifar10_test.zip``, or an image folder:
    ``train/CLASS/*.jpg`` with ``val/`` or ``test/`` beside it (or classes directly in `folder`).

    Raises:
        DataError: naming what was looked for.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"data: {str(folder)!r} is not a folder")
    if (folder / "cifar10_test.zip").exists():
        return _cifar10(folder)
    splits = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    return _image_folder(splits or {"train": folder, "test": folder})


def _cifar10(folder: Path) -> Data:
    parts = {"train": ("cifar10_train_a.zip", "cifar10_train_b.zip"), "test": ("cifar10_test.zip",)}
    splits, classes = {}, ()
    for name, files in parts.items():
        pixels, labels = [], []
        for file in files:
            if not (folder / file).exists():
                raise DataError(f"data: expected {file} in {str(folder)!r}; found {sorted(path.name for path in folder.glob('*.zip'))}")
            with zipfile.ZipFile(folder / file) as archive:
                classes = tuple(json.loads(archive.read("class_names.json")))
                labels += json.loads(archive.read("labels.json"))
                for member in sorted(member for member in archive.namelist() if member.endswith(".webp")):
                    with archive.open(member) as stream:
                        pixels.append(np.asarray(Image.open(stream).convert("RGB")).reshape(-1, 32, 32, 3))  # a column of images
        splits[name] = Split(ArrayImages(np.concatenate(pixels)), np.array(labels))
    about = {
        "name": "CIFAR-10",
        "source": "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "licence": "none published; free for research use with citation; images from the web, copyright not cleared",
    }
    return Data(splits, classes, about)


def _image_folder(folders: dict[str, Path]) -> Data:
    first = next(iter(folders.values()))
    classes = tuple(sorted(path.name for path in first.iterdir() if path.is_dir()))
    if not classes:
        raise DataError(f"data: expected one folder a class in {str(first)!r} (as train/cat/1.jpg), found none")
    splits = {}
    for name, folder in folders.items():
        unknown = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in classes)
        if unknown:
            raise DataError(f"data: {str(folder)!r} has classes that {str(first)!r} has not: {', '.join(unknown)}")
        paths, labels = [], []
        for label, cls in enumerate(classes):
            found = sorted(path for path in (folder / cls).rglob("*") if path.suffix.lower() in SUFFIXES)
            paths += found
            labels += [label] * len(found)
        if not paths:
            raise DataError(f"data: no picture in {str(folder)!r}; looked for {', '.join(SUFFIXES)}")
        splits[name] = Split(FileImages(paths), np.array(labels))
    return Data(splits, classes, {"name": first.parent.name if len(folders) > 1 else first.name})
