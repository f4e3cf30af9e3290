"""Log of a run: a line of metrics per record, and the learning curve as a picture."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axialzoo.files import atomic_write, write_text
from axialzoo.train.event_files import EventFiles

BEST = "best"  # folder of the model that scored best on the samples held out


class Log:
    """``metrics.jsonl`` and ``learning_curve.png`` in the folder of a run.

    Records after `step` are dropped when a run resumes from there, so that each step stands there once.

    Args:
        folder: Of the run.
        step: It goes on from there.
        figure: Of the records, the one that is drawn beside the loss: a fraction.
        tensorboard: Whether to write event files too.
    """

    def __init__(self, folder: Path, step: int = 0, figure: str = "top1", tensorboard: bool = False):
        self.events = EventFiles(folder) if tensorboard else None
        self.path, self.figure = folder / "metrics.jsonl", figure
        lines = [record for record in self.records() if record["step"] <= step] if step else []
        self._replace("".join(json.dumps(record) + "\n" for record in lines))

    def records(self) -> list[dict]:
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(ValueError):  # cut where a process was killed
                records.append(json.loads(line))
        return records

    def best(self) -> float | None:
        """Return the highest figure so far, or None."""
        return max((record[self.figure] for record in self.records() if record.get(self.figure) is not None), default=None)

    def write(self, **record) -> None:
        """Append a record; numbers that are not finite become null, as JSON has none."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(_finite(record), allow_nan=False) + "\n")
        if self.events is not None:
            self.events.write(record["step"], record)

    def _replace(self, text: str) -> None:
        write_text(self.path, text)

    def draw(self) -> Path:
        """The learning curve so far: loss by step, and the figure on the images held out."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
        from matplotlib.ticker import PercentFormatter

        records = self.records()
        losses = [(record["step"], record["loss"]) for record in records if record.get("loss") is not None]
        scores = [(record["step"], record[self.figure]) for record in records if record.get(self.figure) is not None]
        figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
        if losses:
            left.plot(*zip(*losses), color="#2f6f9f", linewidth=1.2)
        left.set_xlabel("step")
        left.set_ylabel("training loss", color="#2f6f9f")
        right = left.twinx()
        if scores:
            right.plot(*zip(*scores), color="#c0562b", marker="o", markersize=4)
            right.annotate(f"{scores[-1][1]:.1%}", scores[-1], textcoords="offset points", xytext=(-2, -26), ha="right", color="#c0562b")
        right.set_ylabel(f"{self.figure} on images held out", color="#c0562b")
        right.yaxis.set_major_formatter(PercentFormatter(1.0))
        left.grid(alpha=0.25)
        path = self.path.with_name("learning_curve.png")
        with atomic_write(path) as beside:
            figure.savefig(beside, dpi=120)
        plt.close(figure)
        return path


def best_text(folder: Path, figure: str) -> str:
    """Return the end of a sentence that names the best model of a run and its figure; "" without one."""
    scores = [record for record in Log(folder, sys.maxsize, figure).records() if record.get(figure) is not None]
    if not scores or not (folder / BEST).exists():
        return ""
    best = max(scores, key=lambda record: record[figure])
    return f"; best on the samples held out: {folder / BEST} ({figure} {best[figure]:.2%} after step {best['step']})"


def _finite(value: Any) -> Any:
    """`value` with None for every number in it that is not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
