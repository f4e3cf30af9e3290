"""``axialzoo predict``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Json, Quiet, emit, say, show, stdout_kept_clean, table

BATCH = 32  # pictures computed at once


def run(
    images: Annotated[list[Path], typer.Argument(help="Pictures: JPEG, PNG, WebP, ...", metavar="IMAGE...")],
    model: Annotated[str, typer.Option(help="A name, name.tag, a folder, or org/repo[@revision].", metavar="NAME|FOLDER|ORG/REPO")],
    framework: Annotated[str | None, typer.Option(help="torch, keras or torch,keras; default the first installed.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Draw the result: a picture, or for several images a folder of them.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is in a picture. Transparent pictures are laid over white, and EXIF rotation is applied.

    Examples:
      axialzoo predict photo.jpg --model axial_resnet_cifar10
      axialzoo predict a.jpg --model ./folder --framework torch,keras --out b.png
      axialzoo predict *.jpg --model axial_resnet_cifar10 --top 3 --json
    """
    with stdout_kept_clean():
        found = predict(images, model, framework, top, out, quiet)
    if as_json:
        emit(found)
        return
    for image in images:
        mine = [one for one in found["predictions"] if one["image"] == str(image)]
        show(_table(image, mine))
    for picture in found["pictures"]:
        say(f"drawn: {picture}", quiet)


def predict(images: Sequence[Path], model: str, framework: str | None, top: int, out: Path | None, quiet: bool) -> dict[str, Any]:
    """What ``--json`` prints."""
    from axialzoo.checkpoint import load_checkpoint
    from axialzoo.cli.frameworks import Runner, choose, title
    from axialzoo.image import load_image, notes, preprocess

    names = choose(framework)
    checkpoint = load_checkpoint(model)
    config = checkpoint.config
    if not config.spec.num_classes:
        raise ValueError(f"model {model!r} has no classifier (num_classes is 0): nothing to predict")
    inputs = []
    for path in images:
        picture = load_image(path)
        for note in notes(picture):
            say(f"{path}: {note}", quiet)
        inputs.append(preprocess(picture, config.preprocessing))
    predictions = []
    for name in names:
        runner = Runner(name, config.spec, checkpoint.tensors)
        logits = [row for batch in _batches(inputs) for row in runner.logits(batch)]
        for path, row in zip(images, logits):
            ranked = _ranked(row, config.labels)[:top]
            said = {"image": str(path), "framework": name, "backend": runner.backend, **ranked[0], "top": ranked}
            predictions.append({**said, "heading": title(name)})
    pictures = _draw(predictions, images, config, out) if out is not None else []
    for one in predictions:
        del one["heading"]
    return {"model": config.model, "digest": config.digest, "predictions": predictions, "pictures": pictures}


def _batches(inputs: Sequence) -> Iterator:
    """Consecutive inputs of one size together, at most `BATCH`."""
    import numpy as np

    batch: list = []
    for one in inputs:
        if batch and (len(batch) == BATCH or batch[0].shape != one.shape):
            yield np.stack(batch)
            batch = []
        batch.append(one)
    yield np.stack(batch)


def _ranked(logits, labels: Sequence[str]) -> list[dict]:
    """Classes with their probabilities, likeliest first."""
    import numpy as np

    if not np.isfinite(logits).all():
        raise ValueError("the model's logits are not finite; `axialzoo verify` says where its weights are broken")
    shares = np.exp(logits.astype(np.float64) - logits.max())
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    return [
        {"label": labels[index] if labels else f"class {index}", "index": int(index), "probability": float(shares[index])}
        for index in order
    ]


def _draw(predictions: list[dict], images: Sequence[Path], config, out: Path) -> list[str]:
    from axialzoo.image import draw_prediction, load_image, seen

    if len(images) > 1:
        out.mkdir(parents=True, exist_ok=True)
    elif out.is_dir():
        raise IsADirectoryError(f"--out {out}: expected a picture such as result.png, found a folder")
    drawn: list[str] = []
    for image in images:
        target = out
        if len(images) > 1:
            target = out / f"{image.stem}.png"
            if str(target) in drawn:
                target = out / f"{image.stem}_{len(drawn)}.png"
        columns = {
            one["heading"]: [(row["label"], row["probability"]) for row in one["top"]] for one in predictions if one["image"] == str(image)
        }
        picture = load_image(image)
        draw_prediction(picture, columns, target, model=config.model, seen=seen(picture, config.preprocessing))
        drawn.append(str(target))
    return drawn


def _table(image: Path, predictions: list[dict]) -> Any:
    """One row a rank, one pair of columns a framework."""
    from axialzoo.cli.frameworks import title
    from axialzoo.image.draw import percent

    headings = [part for one in predictions for part in (title(one["framework"]), ">")]
    shown = table(*headings, title=str(image))
    for row in zip(*(one["top"] for one in predictions)):
        shown.add_row(*(part for entry in row for part in (entry["label"], percent(entry["probability"]))))
    return shown
