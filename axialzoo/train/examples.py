"""What is said of a checkpoint after its training: notes in its config, and examples of its results in its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from axialzoo.checkpoint import load_checkpoint, save_checkpoint
from axialzoo.files import check_output, written_beside
from axialzoo.hub import write_card
from axialzoo.tasks import Task

FOLDER = "pictures"
WIDEST = 1600  # pixels of an example
QUALITY = 80  # of WebP


def put_examples(folder: Path, scored: Sequence[tuple[float, Any]], task: Task, *, split: str, count: int = 6) -> Path:
    """Draws results beside the truth, of samples spread evenly from the worst to the best, and shows them in a checkpoint's card.

    Args:
        folder: Of the checkpoint. Files go into its folder ``pictures``; those that its card showed before are replaced.
        scored: (figure, sample with its result) of each sample.
        task: Which draws them.
        split: Which samples they are.
        count: How many.

    Returns:
        The card.

    Raises:
        FileExistsError: for a file in ``pictures`` that is no example of the card.
    """
    config = load_checkpoint(folder).config
    before = config.provenance.get("examples")
    known = {one["file"] for one in before} if isinstance(before, list) else set()
    ordered = sorted(scored, key=lambda one: one[0])
    ranks = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)).tolist()
    targets = [f"{FOLDER}/{number}.webp" for number in range(1, len(ranks) + 1)]
    for name in targets:
        check_output(folder / name, overwrite=name in known)
    examples = []
    for name, rank in zip(targets, ranks):
        figure, one = ordered[rank]
        drawn = task.draw(one.sample.picture, {"truth": one.sample.truth, "prediction": one.result}, model=config.model)
        drawn.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        with written_beside(folder / name) as beside:
            drawn.save(beside, "WEBP", quality=QUALITY, method=6)
        place = "the worst" if rank == 0 else "the best" if rank == len(ordered) - 1 else f"number {rank + 1} from the worst"
        text = f"{place} of {len(ordered)} images of `{split}`: {task.figure} {figure:.3f} ({Path(one.sample.name).stem})"
        examples.append({"file": name, "text": text[0].upper() + text[1:]})
    for name in known - set(targets):
        (folder / name).unlink(missing_ok=True)
    return note(folder, examples=examples)


def note(folder: Path, **said: Any) -> Path:
    """Writes into a checkpoint's provenance, and its card anew; the weights stay as they are. Returns the card."""
    checkpoint = load_checkpoint(folder)
    config = replace(checkpoint.config, provenance={**checkpoint.config.provenance, **said})
    tensors = {name: np.array(array) for name, array in checkpoint.tensors.items()}
    return write_card(folder, save_checkpoint(folder, config, tensors, overwrite=True))
