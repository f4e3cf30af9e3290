"""From pictures to results: read once, prepared, computed in batches, decoded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from PIL import Image

from axialzoo.checkpoint import Config
from axialzoo.image import ImageError, View, load_image, notes, preprocess, view_of
from axialzoo.spec.labels import Label
from axialzoo.tasks import Looks, Result, check_looks, look_at, task_of

BATCH = 32  # pictures computed at once
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif")  # of pictures in a folder

Picture = str | os.PathLike | Image.Image | np.ndarray


class Computes(Protocol):
    """What :class:`axialzoo.runtime.Runner` is here."""

    config: Config

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]: ...


@dataclass(frozen=True)
class Predicted:
    """One picture of several, and what was found.

    Attributes:
        path: Its file, or what it is called where it is no file of its own.
        picture: It itself, upright RGB; None where it cannot be read.
        notes: What was done to it that its user may want to know.
        results: One of each runner; none where it cannot be read.
        error: Why it cannot be read.
    """

    path: Path
    picture: Image.Image | None = None
    notes: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    error: str = ""


WHOLE = Looks()  # one look at the whole picture


def predict(runner: Computes, pictures: Sequence[Picture], batch_size: int = BATCH, looks: Looks = WHOLE) -> list[Result]:
    """What is in each of `pictures`: see :meth:`axialzoo.runtime.Runner.predict`."""
    check_decodable(runner.config, looks)
    opened = [load_image(picture) if isinstance(picture, (str, os.PathLike)) else picture for picture in pictures]
    found: list[Result] = []
    inputs = [prepared(picture, runner.config) for picture in opened]
    for batch in _batches(inputs, batch_of(looks, batch_size)):
        views = [view(opened[index], runner.config) for index in batch]
        found += looked(runner, np.stack([inputs[index] for index in batch]), views, looks)
    return found


def prediction_json(name: str, runner: Any, result: Result, **limit: int) -> dict[str, Any]:
    """One prediction as ``axialzoo predict --json`` prints it.

    Args:
        name: The picture's.
        runner: Whose result it is.
        limit: ``top``: how many classes or objects.
    """
    return {"image": name, "framework": runner.framework, "backend": runner.backend, **result.to_json(**limit)}


def predict_files(runners: Sequence[Computes], paths: Sequence[Path], batch_size: int = BATCH, looks: Looks = WHOLE) -> Iterator[Predicted]:
    """What each of `runners` (of one checkpoint) finds in each of `paths`, in their order; a bad picture stops none of the others."""
    return predict_opened(runners, map(open_picture, paths), batch_size, looks)


def predict_opened(
    runners: Sequence[Computes], opened: Iterable[Predicted], batch_size: int = BATCH, looks: Looks = WHOLE
) -> Iterator[Predicted]:
    """The same of pictures that are opened already, or of why they could not be: see :func:`open_picture`."""
    config = runners[0].config
    check_decodable(config, looks)
    batch_size, pictures = batch_of(looks, batch_size), iter(opened)
    while some := list(itertools.islice(pictures, batch_size)):
        inputs = []
        for index, one in enumerate(some):
            try:
                inputs.append(None if one.picture is None else prepared(one.picture, config))
            except ImageError as error:
                inputs.append(None)
                some[index] = Predicted(one.path, error=f"{one.path}: {error}")
        for batch in _batches(inputs, batch_size):
            x = np.stack([inputs[index] for index in batch])
            for runner in runners:
                views = [view(some[index].picture, config) for index in batch]
                for index, result in zip(batch, looked(runner, x, views, looks)):
                    some[index] = replace(some[index], results=(*some[index].results, result))
        yield from some


def open_picture(path: Path, stream: IO[bytes] | None = None) -> Predicted:
    """A picture of which nothing is predicted yet, or why it cannot be read.

    Args:
        path: Its file, or what it is called.
        stream: It itself, where it is no file of its own; its ``name`` is what messages call it.
    """
    try:
        picture = load_image(path if stream is None else stream)
    except ImageError as error:
        return Predicted(path, error=str(error))
    return Predicted(path, picture, notes(picture))


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """The paths, and for a folder among them its pictures, by name.

    Raises:
        ImageError: for a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise ImageError(f"{path}: expected a picture or a folder of pictures, found none in it; looked for {', '.join(SUFFIXES)}")
        found += inside
    return found


def prepared(picture: Image.Image | np.ndarray, config: Config) -> np.ndarray:
    """(H, W, C) float32: the model's input."""
    return preprocess(picture, config.preprocessing).transpose(1, 2, 0)


def view(picture: Image.Image | np.ndarray | None, config: Config) -> View:
    """How a picture becomes the model's input, and the way back."""
    size = picture.shape[:2] if isinstance(picture, np.ndarray) else (picture.height, picture.width) if picture is not None else (0, 0)
    return view_of(size[0], size[1], config.preprocessing)


def check_decodable(config: Config, looks: Looks = WHOLE) -> None:
    """Refuses a model that gives features alone, and looks that its task does not understand."""
    if not config.spec.num_classes:
        raise ValueError(f"model {config.model!r} has no classes (num_classes is 0): nothing to predict")
    task = task_of(config.spec.head)
    check_looks(task.name, task.understood, looks)


def batch_of(looks: Looks, batch_size: int) -> int:
    """How many pictures to hold at once: where they are cut into tiles since they are large, one."""
    return batch_size if looks.tile is None else 1


def _batches(inputs: Sequence[np.ndarray | None], most: int) -> Iterator[list[int]]:
    """Numbers of consecutive inputs of one size, at most so many together; those that are None are left out."""
    batch: list[int] = []
    for index, one in enumerate(inputs):
        if one is None:
            continue
        if batch and (len(batch) == most or _shape(inputs[batch[0]]) != one.shape):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _shape(one: np.ndarray | None) -> tuple[int, ...]:
    return () if one is None else one.shape


def looked(
    runner: Computes, x: np.ndarray, views: Sequence[View], looks: Looks = WHOLE, labels: Sequence[Label] | None = None
) -> list[Result]:
    """A result for each picture of a batch, by the task of the checkpoint's head.

    Args:
        runner: What computes outputs.
        x: (N, H, W, C) the model's input.
        views: How each picture became it.
        looks: In how many ways to look at them.
        labels: What the classes are called; default the checkpoint's.
    """
    config = runner.config
    names = tuple(config.labels if labels is None else labels)
    return look_at(task_of(config.spec.head), runner.outputs, x, config.spec, views, looks, names)
