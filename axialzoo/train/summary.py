"""Lines and files that tell a user what a run does and how it went."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.data import Dataset
from axialzoo.files import atomic_write
from axialzoo.train.job import Job

SHOWN = 40  # classes of which a picture is drawn
NO_PARTNER = "none"


def describe_run(recipe: str, job: Job, dataset: Dataset) -> str:
    """Return a line about the settings of a run."""
    settings, names = job.recipe, dataset.classes
    classes = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
    held_out = f"{len(job.held_out):,} held out" if len(job.held_out) else "none held out"
    if settings.holdout_share and "same_as" in dataset.about:
        held_out += f" (the data have no splits: {settings.holdout_share:.0%} by a hash of the names)"
    height, width = settings.preprocessing.size
    begun = f"from {settings.init_from}" if settings.init_from else "from random weights"
    begun += f", its {settings.freeze} frozen" if settings.freeze else ""
    return (
        f"recipe {recipe}: {settings.model} {begun}; {len(names)} classes ({classes}); {len(job.training):,} pictures to train on, "
        f"{held_out}; {width} x {height} pixels, batches of {settings.batch_size}, {settings.epochs} epochs"
    )


def duration(seconds: float) -> str:
    """Return a duration in words: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Confusion:
    """The confusion matrix of the samples held out.

    Attributes:
        counts: (n, n) int64, true classes in rows; None before the first sample, and of a task that has no such matrix.
    """

    def __init__(self, job: Job):
        self.task, self.labels = job.task, job.labels
        self.counts: np.ndarray | None = None

    def add(self, prediction: Any) -> None:
        """Count a sample and its result."""
        counts = self.task.confusion(prediction.result, prediction.sample.annotation, len(self.labels))
        if counts is not None:
            self.counts = counts if self.counts is None else self.counts + counts

    def write(self, folder: Path) -> list[Path]:
        """Write ``confusion_matrix.csv`` and ``confusion_matrix.png``; nothing where there is no matrix."""
        if self.counts is None:
            return []
        names = [label.name for label in self.labels] + [NO_PARTNER] * (len(self.counts) - len(self.labels))
        table = folder / "confusion_matrix.csv"
        with atomic_write(table) as beside, open(beside, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["true \\ predicted", *names])
            writer.writerows([name, *row] for name, row in zip(names, self.counts.tolist()))
        return [table, *([] if len(names) > SHOWN else [_draw(folder / "confusion_matrix.png", self.counts, names)])]


def _draw(path: Path, counts: np.ndarray, names: Sequence[str]) -> Path:
    """Draw a matrix: the shade is the share of the true class, the number the count."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.5 + 0.55 * len(names)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), [name[:20] for name in names], rotation=45, ha="right")
    axes.set_yticks(range(len(names)), [name[:20] for name in names])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                text = f"{count:,}" if count < 1e5 else f"{shares[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if shares[row, column] > 0.5 else "black")
    with atomic_write(path) as beside:
        figure.savefig(beside, dpi=120)
    plt.close(figure)
    return path
