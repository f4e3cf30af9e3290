"""What a model says of a picture, in each framework, and what it took."""

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
class Column:
    """One framework's part.

    Attributes:
        title: ``"PyTorch"``, ``"Keras (jax)"``.
        result: What is in the picture.
        drawn: The picture with it.
        seconds: From the opened picture to the result.
        memory: Bytes that its process held at most meanwhile; None where Linux does not say.
    """

    title: str
    result: Result
    drawn: Image.Image
    seconds: float
    memory: int | None


@dataclass(frozen=True)
class Answer:
    """What the page shows of a prediction.

    Attributes:
        name: The picture's.
        picture: It itself, upright RGB.
        notes: What was done to it as it was read.
        config: The checkpoint's.
        columns: One of each framework.
        drawn: The picture with all results, to take away.
        json: The object that ``axialzoo predict --json`` prints.
    """

    name: str
    picture: Image.Image
    notes: tuple[str, ...]
    config: Config
    columns: tuple[Column, ...]
    drawn: Image.Image
    json: dict[str, Any]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes the JSON and the drawn picture into `folder`, named after the picture; returns their paths."""
        stem = Path(self.name).stem
        paths = folder / f"{stem}.json", folder / f"{stem}_{self.config.model}.png"
        paths[0].write_text(json.dumps(self.json, indent=2, allow_nan=False, ensure_ascii=False), encoding="utf-8")
        self.drawn.save(paths[1])
        return paths


def answer(runners: Runners, source: str, path: Path, frameworks: Sequence[str]) -> Answer:
    """Predicts the picture in `path`.

    Args:
        runners: Those that are kept.
        source: A name with weights, a folder or ``org/repo``.
        path: A picture's file.
        frameworks: ``"torch"`` or ``"keras"``, or both.

    Raises:
        ImageError: for a file that is not a picture; as the command line says it, but for the folder.
        ValueError: for no framework.
        CheckpointError, SpecError, ModuleNotFoundError, WorkerError: where the model cannot be had or run.
    """
    picture = opened(path)
    if not frameworks:
        raise ValueError("framework: expected at least one, found none")
    computed = [(runner := runners.get(source, name), *_timed(runners, source, name, runner, picture)) for name in frameworks]
    config = computed[0][0].config
    task, view = task_of(config.spec.head), model_view(picture, config.preprocessing)
    predictions, columns = [], []
    for runner, result, seconds, memory in computed:
        predictions.append(prediction_json(path.name, runner, result))
        drawn = task.draw(picture, {runner.title: result}, model=config.model, seen=view)
        columns.append(Column(runner.title, result, drawn, seconds, memory))
    drawn = columns[0].drawn
    if len(columns) > 1:
        drawn = task.draw(picture, {column.title: column.result for column in columns}, model=config.model, seen=view)
    said = {"model": config.model, "digest": config.digest, "predictions": predictions, "pictures": []}
    return Answer(path.name, picture, image_notes(picture), config, tuple(columns), drawn, said)


def opened(path: Path) -> Image.Image:
    """The picture in `path`, upright RGB; errors name the file without its folder, which is the server's.

    Raises:
        ImageError: for a file that is not a picture.
    """
    return load_image(_Named(path))


class _Named(io.BytesIO):
    """A file's bytes that go by its name alone."""

    def __init__(self, path: Path):
        super().__init__(path.read_bytes())
        self.name = path.name


def code(source: str, name: str, framework: str) -> str:
    """The lines of Python that do the same."""
    return (
        f"from axialzoo import load_runner\n"
        f'runner = load_runner("{source}", framework="{framework}")\n'
        f'print(runner.predict("{name}").to_json())'
    )


def _timed(runners: Runners, source: str, name: str, runner: Any, picture: Image.Image) -> tuple[Result, float, int | None]:
    """The result, seconds, and bytes held at most."""
    forget_peak(runner.pid)
    start = time.perf_counter()
    try:
        result = runner.predict(picture)
    except WorkerError:
        runners.forget(source, name)  # its process is gone: the next time there is another
        raise
    return result, time.perf_counter() - start, peak_memory(runner.pid)
