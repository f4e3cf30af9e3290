"""How good a model is on the test images of a data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import Config, load_checkpoint, save_checkpoint
from axialzoo.data import Data, DataError, Sample, Split, open_data
from axialzoo.data.scoring import scoring
from axialzoo.files import write_text
from axialzoo.hub import fetch_checkpoint, model_card
from axialzoo.runtime import Runner
from axialzoo.runtime.predict import decoded
from axialzoo.tasks import Result, task_of
from axialzoo.train.pictures import write_pictures
from axialzoo.train.progress import progress


@dataclass(frozen=True, eq=False)
class Scored:
    """A sample and what a model says of it."""

    sample: Sample
    result: Result


def evaluate(
    source: str | Path,
    data: str | Path,
    *,
    framework: str | None = None,
    backend: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    split: str | None = None,
    pictures: str | Path | None = None,
    optimize: bool = True,
    seen: Callable[[Scored], None] | None = None,
) -> dict[str, Any]:
    """Measure a model, in float32, on the test images or, where there are none, on the validation images.

    Args:
        source: Folder, registry name with weights, ``name.tag`` or ``org/repo[@revision]``.
        data: A folder that :func:`axialzoo.data.open_data` reads.
        framework, backend, optimize: As of :class:`axialzoo.runtime.Runner`.
        batch_size: Images at once.
        limit: Only the first so many images.
        split: Which images: ``"train"``, ``"val"`` or ``"test"``.
        pictures: Folder for pictures of results beside the truth, worst first.
        seen: Called with every sample and its result.

    Returns:
        The figures of the task's metric, and ``images``, ``seconds``, ``framework``, ``backend``, ``digest``, ``split``.

    Raises:
        DataError: where the classes of the data are not the model's.
    """
    checkpoint = fetch_checkpoint(source)
    config = checkpoint.config
    task = task_of(config.spec.head)
    found = open_data(data, task.truth)
    wanted = (split,) if split else ("test", "val")
    samples, name = found.split(*wanted), next(one for one in wanted if one in found.splits)
    check_classes(config, found)
    total = len(samples) if limit is None else min(limit, len(samples))
    labels = config.labels or found.labels
    metric, done, kept, seconds = task.metric(config.spec, labels), 0, [], 0.0
    with Runner(checkpoint, framework, backend, compiled=True, optimize=optimize) as runner, progress("evaluating", total) as bar:
        for batch in scoring(samples, config.preprocessing, batch_size, limit):
            started = time.perf_counter()
            outputs = runner.outputs(batch.x)
            seconds += time.perf_counter() - started
            for sample, result in zip(batch.samples, decoded(outputs, batch.views, config, labels)):
                metric.update(result, sample.truth)
                scored = Scored(sample, result)
                if seen is not None:
                    seen(scored)
                if pictures is not None:
                    kept.append((_own_figure(task, config, labels, scored), scored))
            done += len(batch)
            bar(done, "")
    about = {"images": total, "seconds": round(seconds, 3), "framework": runner.framework, "backend": runner.backend}
    if pictures is not None:
        write_pictures(Path(pictures), kept, task, config.model)
    return {**metric.compute(), **about, "split": name, "digest": config.digest}


def score(runner: Runner, split: Split, batch_size: int = 50) -> dict[str, float]:
    """The figures of `runner`'s task on `split`, numbers alone."""
    config = runner.config
    task = task_of(config.spec.head)
    metric = task.metric(config.spec, config.labels)
    for batch in scoring(split, config.preprocessing, batch_size):
        for sample, result in zip(batch.samples, decoded(runner.outputs(batch.x), batch.views, config)):
            metric.update(result, sample.truth)
    figures = metric.compute()
    return {name: value for name, value in figures.items() if isinstance(value, float)}


def check_classes(config: Config, data: Data) -> None:
    """Whether the classes of `data` are those that a model tells apart.

    Raises:
        DataError: naming both.
    """
    names = tuple(label.name for label in config.labels)
    if (names and names != data.classes) or config.spec.num_classes != len(data.classes):
        expected = ", ".join(names) or str(config.spec.num_classes)
        raise DataError(f"data: expected the model's classes {expected}; found {', '.join(data.classes)}")


def _own_figure(task: Any, config: Config, labels: Any, scored: Scored) -> float:
    """The figure of one picture by itself; one that it cannot be told of counts as perfect."""
    metric = task.metric(config.spec, labels)
    metric.update(scored.result, scored.sample.truth)
    value = metric.compute().get(task.figure)
    return 1.0 if value is None else float(value)


def record(folder: str | Path, result: Mapping[str, Any], data: str | Path) -> Path:
    """Write what `evaluate` found into the checkpoint's config and its card, ``README.md``; the weights stay as they are.

    Returns:
        The card.
    """
    checkpoint = load_checkpoint(Path(folder))
    task = task_of(checkpoint.config.spec.head)
    about = open_data(data, task.truth).about
    figures = {name: value for name, value in result.items() if isinstance(value, float) and name != "seconds"}
    metrics = {**figures, f"{result['split']}_images": result["images"], "data": about.get("name", "")}
    config = replace(checkpoint.config, provenance={**checkpoint.config.provenance, "metrics": metrics})
    config = save_checkpoint(
        checkpoint.folder, config, {name: np.array(array) for name, array in checkpoint.tensors.items()}, overwrite=True
    )
    card = checkpoint.folder / "README.md"
    write_text(card, model_card(config))
    return card
