"""Pictures of results beside the ground truth, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axialzoo.files import atomic_write, check_output


def write_pictures(folder: Path, scored: Sequence[tuple[float, Any]], task: Any, model: str) -> list[Path]:
    """Write a picture of each sample with its prediction and ground truth, numbered from the worst.

    Args:
        folder: Made where it is missing; files that are there already are refused.
        scored: (figure, sample with its result) of each picture.
        task: Which draws them.
        model: For the caption.
    """
    written = []
    ordered = sorted(scored, key=lambda pair: pair[0])
    for rank, (figure, prediction) in enumerate(ordered):
        path = folder / f"{rank:04d}_{figure:.3f}_{plain_name(prediction.sample.name)}.png"
        check_output(path)
        drawn = task.draw(
            prediction.sample.picture, {"ground truth": prediction.sample.annotation, "prediction": prediction.result}, model=model
        )
        with atomic_write(path) as beside:
            drawn.save(beside)
        written.append(path)
    return written


def plain_name(name: str) -> str:
    """Return the name of a sample without the folder or archive of its file, and without suffix."""
    return Path(name.rpartition(":")[2]).stem
