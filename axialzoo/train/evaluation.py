"""How good a model is on the test images of a data set."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import load_checkpoint, save_checkpoint
from axialzoo.data import DataError, Split, open_data
from axialzoo.data.scoring import scoring_batches
from axialzoo.files import write_text, written_beside
from axialzoo.hub import fetch_checkpoint, model_card
from axialzoo.runtime import Runner
from axialzoo.train.progress import progress


def evaluate(
    source: str | Path,
    data: str | Path,
    *,
    framework: str | None = None,
    backend: str | None = None,
    batch_size: int = 250,
    limit: int | None = None,
    predictions: str | Path | None = None,
) -> dict[str, object]:
    """Classify the test images (or, where there are none, the validation images) in float32.

    Args:
        source: Folder, registry name with weights, ``name.tag`` or ``org/repo[@revision]``.
        data: A folder that :func:`axialzoo.train.data.open_data` reads.
        framework, backend: As of :class:`axialzoo.runtime.Runner`.
        batch_size: Images at once.
        limit: Only the first so many images.
        predictions: File (.npy) to keep the predicted class of each image in.

    Returns:
        ``top1`` and ``top5`` (shares), ``images``, ``seconds``, ``framework``, ``backend``, ``digest``.

    Raises:
        DataError: where the classes of the data are not the model's.
    """
    checkpoint = fetch_checkpoint(source)
    config = checkpoint.config
    found = open_data(data)
    split = found.split("test", "val")
    if config.labels and tuple(config.labels) != found.classes:
        raise DataError(f"data: expected the model's classes {', '.join(config.labels)}; found {', '.join(found.classes)}")
    total = len(split) if limit is None else min(limit, len(split))
    done, top1, top5, classes = 0, 0, 0, []
    with Runner(checkpoint, framework, backend, compiled=True) as runner, progress("evaluating", total) as bar:
        started = time.perf_counter()  # of computing, not of loading
        for x, y in scoring_batches(split, config.preprocessing, batch_size, limit):
            order = np.argsort(-np.asarray(runner.outputs(x)["logits"]), axis=1, kind="stable")  # (n, classes)
            top1 += int((order[:, 0] == y).sum())
            top5 += int((order[:, :5] == y[:, None]).any(1).sum())
            classes.append(order[:, 0])
            done += len(y)
            bar(done, "")
    if predictions is not None:
        with written_beside(predictions) as beside, open(beside, "wb") as file:
            np.save(file, np.concatenate(classes))
    return {
        "top1": top1 / total,
        "top5": top5 / total,
        "images": total,
        "seconds": round(time.perf_counter() - started, 3),
        "framework": runner.framework,
        "backend": runner.backend,
        "digest": config.digest,
    }


def accuracy(runner: Runner, split: Split, batch_size: int = 250) -> dict[str, float]:
    """``top1``: the share of `split` whose likeliest class is right."""
    right = 0
    for x, y in scoring_batches(split, runner.config.preprocessing, batch_size):
        right += int((np.asarray(runner.outputs(x)["logits"]).argmax(1) == y).sum())
    return {"top1": right / len(split)}


def record(folder: str | Path, result: dict[str, object], data: str | Path) -> Path:
    """Write what `evaluate` found into the checkpoint's config and its card, ``README.md``; the weights stay as they are.

    Returns:
        The card.
    """
    checkpoint = load_checkpoint(Path(folder))
    about = open_data(data).about
    metrics = {"top1": result["top1"], "top5": result["top5"], "test_images": result["images"], "data": about.get("name", "")}
    config = replace(checkpoint.config, provenance={**checkpoint.config.provenance, "metrics": metrics})
    config = save_checkpoint(checkpoint.folder, config, {name: array.copy() for name, array in checkpoint.tensors.items()}, overwrite=True)
    card = checkpoint.folder / "README.md"
    write_text(card, model_card(config))
    return card
