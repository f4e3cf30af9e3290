"""Prediction of a picture in each framework, with its time and memory."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from axialzoo.app.models import Runners
from axialzoo.checkpoint import Config
from axialzoo.image import image_notes, load_image, model_view
from axialzoo.runtime.ipc import WorkerError
from axialzoo.runtime.predict import prediction_json
from axialzoo.runtime.system import forget_peak, peak_memory
from axialzoo.tasks import Result, task_of


@dataclass(frozen=True)
class FrameworkResult:
    """The result of one framework.

    Attributes:
        title: ``"PyTorch"``, ``"Keras (jax)"``.
        result: The result.
        drawn: The picture with the result drawn.
        seconds: Time from the opened picture to the result.
        memory: Peak memory of its process in bytes; None where the system does not report it.
    """

    title: str
    result: Result
    drawn: Image.Image
    seconds: float
    memory: int | None


@dataclass(frozen=True)
class Prediction:
    """A prediction as the page shows it.

    Attributes:
        name: Name of the picture.
        picture: The opened picture, upright RGB.
        notes: Changes made while reading it.
        config: Config of the checkpoint.
        columns: The result of each framework.
        drawn: The picture with all results, for download.
        json: The object that ``axialzoo predict --json`` prints.
    """

    name: str
    picture: Image.Image
    notes: tuple[str, ...]
    config: Config
    columns: tuple[FrameworkResult, ...]
    drawn: Image.Image
    json: dict[str, Any]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the JSON and the drawn picture into `folder`, named after the picture, and return their paths."""
        stem = Path(self.name).stem
        paths = folder / f"{stem}.json", folder / f"{stem}_{self.config.model}.png"
        paths[0].write_text(json.dumps(self.json, indent=2, allow_nan=False, ensure_ascii=False), encoding="utf-8")
        self.drawn.save(paths[1])
        return paths


def predict_picture(
    runners: Runners, source: str, path: Path, frameworks: Sequence[str], page: int | None = None, channel: int | None = None
) -> Prediction:
    """Predict the picture in `path`.

    Args:
        runners: Cache of runners.
        source: A name with weights, a folder or ``org/repo``.
        path: File of the picture.
        frameworks: ``"torch"`` or ``"keras"``, or both.
        page, channel: From 1: see :func:`axialzoo.image.load_image`.

    Raises:
        ImageError: for a file that is not a picture; with the message of the command line, without the folder.
        ValueError: where `frameworks` is empty.
        CheckpointError, SpecError, ModuleNotFoundError, WorkerError: where the model cannot be loaded or run.
    """
    picture = open_uploaded(path, page, channel)
    if not frameworks:
        raise ValueError("framework: expected at least one, found none")
    computed = [(runner := runners.get(source, name), *_timed(runners, source, name, runner, picture)) for name in frameworks]
    config = computed[0][0].config
    task, view = task_of(config.spec.head), model_view(picture, config.preprocessing)
    predictions, columns = [], []
    for runner, result, seconds, memory in computed:
        predictions.append(prediction_json(path.name, runner, result))
        drawn = task.draw(picture, {runner.title: result}, model=config.model, model_view=view)
        columns.append(FrameworkResult(runner.title, result, drawn, seconds, memory))
    drawn = columns[0].drawn
    if len(columns) > 1:
        drawn = task.draw(picture, {column.title: column.result for column in columns}, model=config.model, model_view=view)
    said = {"model": config.model, "digest": config.digest, "predictions": predictions, "pictures": []}
    return Prediction(path.name, picture, image_notes(picture), config, tuple(columns), drawn, said)


def open_uploaded(path: Path, page: int | None = None, channel: int | None = None) -> Image.Image:
    """Open the picture in `path`, upright RGB; errors name the file without its folder on the server.

    Raises:
        ImageError: for a file that is not a picture, or has no such page or channel.
    """
    return load_image(_Named(path), page or None, channel or None)


def preview(path: Path, page: int | None = None, channel: int | None = None) -> Image.Image | None:
    """Return the picture as it is read where a browser would show it otherwise or not at all: a TIFF, or one page or channel.

    Raises:
        ImageError: as :func:`open_uploaded`.
    """
    shown_by_browsers = path.suffix.lower() not in (".tif", ".tiff", ".ppm", ".pgm") and not page and not channel
    return None if shown_by_browsers else open_uploaded(path, page, channel)


class _Named(io.BytesIO):
    """The bytes of a file with its name, without its folder."""

    def __init__(self, path: Path):
        super().__init__(path.read_bytes())
        self.name = path.name


def python_code(source: str, name: str, framework: str, page: int | None = None, channel: int | None = None) -> str:
    """Return lines of Python that make the prediction."""
    choice = "".join(f", {key}={value}" for key, value in (("page", page), ("channel", channel)) if value)
    picture = f'load_image("{name}"{choice})' if choice else f'"{name}"'
    return (
        "from axialzoo import load_runner\n"
        + ("from axialzoo.image import load_image\n" if choice else "")
        + f'runner = load_runner("{source}", framework="{framework}")\n'
        f"print(runner.predict({picture}).to_json())"
    )


def _timed(runners: Runners, source: str, name: str, runner: Any, picture: Image.Image) -> tuple[Result, float, int | None]:
    """Return the result, its seconds, and the peak memory in bytes."""
    forget_peak(runner.pid)
    start = time.perf_counter()
    try:
        result = runner.predict(picture)
    except WorkerError:
        runners.forget(source, name)  # its process has ended: the next prediction starts another
        raise
    return result, time.perf_counter() - start, peak_memory(runner.pid)
