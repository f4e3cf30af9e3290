"""The prediction pipeline: it reads pictures, preprocesses them, runs batches of one size, and decodes the outputs.

:func:`predict_stream` is the only loop. Runner, command line, evaluation, scoring in training, batch engine and web page use it.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, cast

import numpy as np
from PIL import Image

from axialzoo.checkpoint import Config
from axialzoo.image import ImageError, ResizeTransform, image_notes, load_image, preprocess, resize_transform
from axialzoo.spec.labels import Label
from axialzoo.tasks import TTA, Result, check_tta, run_views, task_of

BATCH = 32  # pictures computed at once
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif")  # of pictures in a folder

Picture = str | os.PathLike[str] | Image.Image | np.ndarray
T = TypeVar("T")


class SupportsOutputs(Protocol):
    """The part of :class:`axialzoo.runtime.Runner` that predictions need."""

    config: Config

    def outputs(self, x: np.ndarray) -> dict[str, np.ndarray | list[np.ndarray]]: ...


@dataclass(frozen=True)
class ImagePrediction:
    """A picture and its results.

    Attributes:
        path: File of the picture, or the name of a picture inside a shard.
        picture: The opened picture, upright RGB; None where it cannot be read.
        notes: Changes made while reading it that its user may want to know.
        results: A result of each runner; empty where the picture cannot be read.
        error: Reason why the picture cannot be read.
    """

    path: Path
    picture: Image.Image | None = None
    notes: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    error: str = ""


NO_TTA = TTA()  # the whole picture once


def predict_stream(
    runners: Sequence[SupportsOutputs],
    items: Iterable[tuple[T, Picture | None]],
    batch_size: int = BATCH,
    tta: TTA = NO_TTA,
    labels: Sequence[Label] | None = None,
) -> Iterator[tuple[T, tuple[Result, ...] | ImageError]]:
    """Predict pictures as they come, in batches of consecutive pictures whose inputs have one size.

    Args:
        runners: Runners of one checkpoint.
        items: Pairs of any object and its picture, or None where it has no picture. The object comes back with the results. Memory holds
            `batch_size` pictures at once, or one with sliding windows, whose pictures are large.
        batch_size: Pictures computed at once.
        tta: Test-time augmentation.
        labels: Labels of the classes; default the checkpoint's.

    Yields:
        Each item in order, with the result of each runner, or with the error of a picture that cannot be preprocessed.

    Raises:
        ValueError: for a model without classes.
        SpecError: for test-time augmentation that the model's task does not support.
    """
    config = runners[0].config
    check_decodable(config, tta)
    waiting = iter(items)
    while window := list(itertools.islice(waiting, batch_size if tta.tile is None else 1)):
        pictures = [picture for _, picture in window]
        inputs = [_input_or_error(picture, config) for picture in pictures]
        results: list[list[Result]] = [[] for _ in window]
        for batch in equal_size_batches(inputs):
            x = np.stack([cast(np.ndarray, inputs[index]) for index in batch])  # (N, H, W, C)
            views = [view(cast("Image.Image | np.ndarray", pictures[index]), config) for index in batch]
            for runner in runners:
                for index, result in zip(batch, run_batch(runner, x, views, tta, labels), strict=True):
                    results[index].append(result)
        for (item, _), prepared, image_results in zip(window, inputs, results):
            yield item, prepared if isinstance(prepared, ImageError) else tuple(image_results)


def equal_size_batches(inputs: Sequence[np.ndarray | ImageError | None]) -> Iterator[list[int]]:
    """Yield the indices of consecutive inputs of one size, without those that are no arrays."""
    arrays = [(index, array.shape) for index, array in enumerate(inputs) if isinstance(array, np.ndarray)]
    for _, batch in itertools.groupby(arrays, lambda pair: pair[1]):
        yield [index for index, _ in batch]


def run_batch(
    runner: SupportsOutputs, x: np.ndarray, views: Sequence[ResizeTransform], tta: TTA = NO_TTA, labels: Sequence[Label] | None = None
) -> list[Result]:
    """Return a result for each picture of a batch, by the task of the checkpoint's head.

    Args:
        runner: Computes the outputs.
        x: (N, H, W, C) the model's input.
        views: The resize transform of each picture.
        tta: Test-time augmentation.
        labels: Labels of the classes; default the checkpoint's.
    """
    config = runner.config
    names = tuple(config.labels if labels is None else labels)
    return run_views(task_of(config.spec.head), runner.outputs, x, config.spec, views, tta, names)


def predict(runner: SupportsOutputs, pictures: Sequence[Picture], batch_size: int = BATCH, tta: TTA = NO_TTA) -> list[Result]:
    """Return the result of each of `pictures`, and issue the warnings of the results: see :meth:`axialzoo.runtime.Runner.predict`."""
    check_decodable(runner.config, tta)
    opened = ((None, load_image(picture) if isinstance(picture, (str, os.PathLike)) else picture) for picture in pictures)
    results = [results_of(outcome)[0] for _, outcome in predict_stream([runner], opened, batch_size, tta)]
    for text in dict.fromkeys(text for result in results for text in getattr(result, "warnings", ())):
        warnings.warn(text, stacklevel=3)
    return results


def predict_files(
    runners: Sequence[SupportsOutputs],
    paths: Sequence[Path],
    batch_size: int = BATCH,
    tta: TTA = NO_TTA,
    page: int | None = None,
    channel: int | None = None,
) -> Iterator[ImagePrediction]:
    """Predict each of `paths` with each of `runners` (of one checkpoint), in order; a bad picture does not stop the others.

    Args:
        page, channel: Page and channel of each file, from 1: see :func:`axialzoo.image.load_image`.
    """
    return predict_opened(runners, (open_picture(path, page=page, channel=channel) for path in paths), batch_size, tta)


def predict_opened(
    runners: Sequence[SupportsOutputs], opened: Iterable[ImagePrediction], batch_size: int = BATCH, tta: TTA = NO_TTA
) -> Iterator[ImagePrediction]:
    """Like :func:`predict_files`, for pictures that :func:`open_picture` opened, or the errors of opening them."""
    for image, outcome in predict_stream(runners, ((image, image.picture) for image in opened), batch_size, tta):
        if isinstance(outcome, ImageError):
            yield ImagePrediction(image.path, error=f"{image.path}: {outcome}")
        else:
            yield replace(image, results=outcome)


def results_of(outcome: tuple[Result, ...] | ImageError) -> tuple[Result, ...]:
    """Return the results of :func:`predict_stream`, or raise its error."""
    if isinstance(outcome, ImageError):
        raise outcome
    return outcome


def prediction_json(name: str, runner: Any, result: Result, **limit: int) -> dict[str, Any]:
    """Return one prediction as ``axialzoo predict --json`` prints it.

    Args:
        name: Name of the picture.
        runner: The runner that made the result.
        limit: ``top``: number of classes or objects.
    """
    return {"image": name, "framework": runner.framework, "backend": runner.backend, **result.to_json(**limit)}


def open_picture(path: Path, stream: IO[bytes] | None = None, page: int | None = None, channel: int | None = None) -> ImagePrediction:
    """Open a picture for prediction; where it cannot be read, the returned `error` says why.

    Args:
        path: File or name of the picture.
        stream: The bytes of a picture that is not a file of its own; messages use its ``name``.
        page, channel: Page and channel, from 1: see :func:`axialzoo.image.load_image`.
    """
    try:
        picture = load_image(path if stream is None else stream, page, channel)
    except ImageError as error:
        return ImagePrediction(path, error=str(error))
    return ImagePrediction(path, picture, image_notes(picture))


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """Return the paths, with each folder replaced by its pictures in the order of their names.

    Raises:
        ImageError: for a folder without pictures.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise ImageError(f"{path}: expected a picture or a folder of pictures, found none in it; looked for {', '.join(SUFFIXES)}")
        files += inside
    return files


def to_input(picture: Image.Image | np.ndarray, config: Config) -> np.ndarray:
    """Return a picture as the model's input, (H, W, C) float32."""
    return preprocess(picture, config.preprocessing).transpose(1, 2, 0)


def view(picture: Image.Image | np.ndarray | None, config: Config) -> ResizeTransform:
    """Return the transform from a picture to the model's input, which also maps back."""
    size = picture.shape[:2] if isinstance(picture, np.ndarray) else (picture.height, picture.width) if picture is not None else (0, 0)
    return resize_transform(size[0], size[1], config.preprocessing)


def check_decodable(config: Config, tta: TTA = NO_TTA) -> None:
    """Refuse a model without classes, and test-time augmentation that its task does not support."""
    if not config.spec.num_classes:
        raise ValueError(f"model {config.model!r} has no classes (num_classes is 0): nothing to predict")
    task = task_of(config.spec.head)
    check_tta(task.name, task.supported_tta, tta)


def _input_or_error(picture: Any, config: Config) -> np.ndarray | ImageError | None:
    try:
        return None if picture is None else to_input(picture, config)
    except ImageError as error:
        return error
