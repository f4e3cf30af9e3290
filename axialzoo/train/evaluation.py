"""How good a model is on the test images of a data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from axialzoo.data import DataError, open_data
from axialzoo.data.scoring import scoring_batches
from axialzoo.train.progress import progress


def evaluate(
    source: str | Path,
    data: str | Path,
    *,
    framework: str = "torch",
    batch_size: int = 250,
    limit: int | None = None,
    predictions: str | Path | None = None,
) -> dict[str, object]:
    """Classify the test images (or, where there are none, the validation images) in float32.

    Args:
        source: Folder, registry name with weights, ``name.tag`` or ``org/repo[@revision]``.
        data: A folder that :func:`axialzoo.data.open_data` reads.
        framework: ``"torch"`` or ``"keras"``.
        batch_size: Images at once.
        limit: Only the first so many images.
        predictions: File (.npy) to keep the predicted class of each image in.

    Returns:
        ``top1`` and ``top5`` (shares), ``images``, ``seconds``, ``framework``, ``digest``.

    Raises:
        DataError: where the classes of the data are not the model's.
    """
    from axialzoo.checkpoint import load_checkpoint

    config = load_checkpoint(source).config
    found = open_data(data)
    split = found.split("test", "val")
    if config.labels and tuple(config.labels) != found.classes:
        raise DataError(f"data: expected the model's classes {', '.join(config.labels)}; found {', '.join(found.classes)}")
    predict = _predictor(source, framework)
    total = len(split) if limit is None else min(limit, len(split))
    started, done, top1, top5, classes = time.perf_counter(), 0, 0, 0, []
    with progress("evaluating", total) as bar:
        for x, y in scoring_batches(split, config.preprocessing, batch_size, limit):
            order = np.argsort(-predict(x), axis=1, kind="stable")  # (n, classes)
            top1 += int((order[:, 0] == y).sum())
            top5 += int((order[:, :5] == y[:, None]).any(1).sum())
            classes.append(order[:, 0])
            done += len(y)
            bar(done, "")
    if predictions is not None:
        np.save(predictions, np.concatenate(classes))
    return {
        "top1": top1 / total,
        "top5": top5 / total,
        "images": total,
        "seconds": round(time.perf_counter() - started, 3),
        "framework": framework,
        "digest": config.digest,
    }


def _predictor(source: str | Path, framework: str) -> Callable[[np.ndarray], np.ndarray]:
    """(n, H, W, C) float32 to logits (n, classes)."""
    if framework == "torch":
        import torch

        from axialzoo.torch import create_model

        model = create_model("custom", source).eval()

        def predict(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return model(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()

        return predict
    from axialzoo.keras import create_model
    from axialzoo.train.keras_loop import layout

    keras_model = create_model("custom", source)
    return lambda x: np.asarray(keras_model.predict_on_batch(layout(x)))


def record(folder: str | Path, result: dict[str, object], data: str | Path) -> Path:
    """Write what `evaluate` found into the checkpoint's config and its card, ``README.md``; the weights stay as they are.

    Returns:
        The card.
    """
    from dataclasses import replace

    from axialzoo.checkpoint import load_checkpoint, model_card, save_checkpoint, written_beside

    checkpoint = load_checkpoint(Path(folder))
    about = open_data(data).about
    metrics = {"top1": result["top1"], "top5": result["top5"], "test_images": result["images"], "data": about.get("name", "")}
    config = replace(checkpoint.config, provenance={**checkpoint.config.provenance, "metrics": metrics})
    config = save_checkpoint(checkpoint.folder, config, {name: array.copy() for name, array in checkpoint.tensors.items()})
    card = checkpoint.folder / "README.md"
    with written_beside(card) as beside:
        beside.write_text(model_card(config), encoding="utf-8")
    return card
