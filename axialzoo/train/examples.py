"""Examples of a checkpoint's results, good and bad, in its card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.checkpoint import load_checkpoint
from axialzoo.files import atomic_write, check_output, write_text
from axialzoo.hub import EXAMPLES, examples_of, write_card
from axialzoo.tasks import Task
from axialzoo.train.pictures import plain_name

WIDEST = 1600  # pixels of an example
QUALITY = 80  # of WebP


def put_examples(folder: Path, scored: Sequence[tuple[float, Any]], task: Task, *, split: str, count: int = 6) -> Path:
    """Draw results beside the ground truth, of samples spread evenly from the worst to the best, and show them in a checkpoint's card.

    Args:
        folder: Of the checkpoint. Files go into its folder ``pictures``, with a list of them; those that the list names already are
            replaced. Config and weights stay as they are, byte by byte.
        scored: (figure, sample with its result and its kind) of each sample.
        task: Which draws them.
        split: Which samples they are.
        count: Number of examples; of each kind, where the samples have kinds.

    Returns:
        The card.

    Raises:
        FileExistsError: for a file in the way that is no example of the card.
    """
    config, known = load_checkpoint(folder).config, {example["file"] for example in examples_of(folder)}
    figure_name = task.primary_metric(config.spec)
    chosen: list[tuple[str, Any]] = []  # (text, sample with its result)
    for kind in sorted({prediction.kind for _, prediction in scored}):
        ordered = sorted((pair for pair in scored if pair[1].kind == kind), key=lambda pair: pair[0])
        last, of_kind = len(ordered) - 1, f" of kind {kind}" if kind else ""
        for rank in np.unique(np.linspace(0, last, min(count, len(ordered))).round().astype(int)).tolist():
            figure, prediction = ordered[rank]
            place = "The worst" if rank == 0 else "The best" if rank == last else f"Number {rank + 1} from the worst"
            name = plain_name(prediction.sample.name)
            chosen.append((f"{place} of {len(ordered)} images of `{split}`{of_kind}, {name}: {figure_name} {figure:.3f}", prediction))
    targets = [f"pictures/{number}.webp" for number in range(1, len(chosen) + 1)]
    for name in targets:
        check_output(folder / name, overwrite=name in known)
    examples = [{"file": name, "text": text} for name, (text, _) in zip(targets, chosen)]
    stale = sorted(known - set(targets))
    # The list comes first, so that a run after a killed one may replace the pictures that this one wrote.
    _write_list(folder, [*examples, *({"file": name, "text": ""} for name in stale)])
    for name, (_, prediction) in zip(targets, chosen):
        drawn = task.draw(
            prediction.sample.picture, {"ground truth": prediction.sample.annotation, "prediction": prediction.result}, model=config.model
        )
        drawn.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        with atomic_write(folder / name) as beside:
            drawn.save(beside, "WEBP", quality=QUALITY, method=6)
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    _write_list(folder, examples)
    return write_card(folder, config)


def _write_list(folder: Path, examples: Sequence[dict[str, str]]) -> None:
    write_text(folder / EXAMPLES, json.dumps(examples, indent=2, ensure_ascii=False) + "\n")
