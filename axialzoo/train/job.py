"""Input of the training loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axialzoo.data import Split
from axialzoo.runtime.device import AUTO
from axialzoo.spec import Label, Model
from axialzoo.tasks import Task
from axialzoo.train.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """Settings, data, spec and task of a training loop.

    Attributes:
        recipe: The settings.
        spec: The registered model, for the classes of the data.
        task: What happens on either side of its head.
        training, held_out: Samples to train on, and those to watch progress with.
        labels: Of the classes.
        folder: Of the run.
        resume: Whether to go on from the last save in it.
        save_every: Steps between saves.
        processes: How many train together, as whoever started them says.
        devices: Of Keras on JAX: how many share each batch.
        device: Where one process trains: see :class:`axialzoo.runtime.Runner`.
        report: Gets a line before the first step, after each epoch and at the end; None for silence.
        tensorboard: Whether to write event files of TensorBoard too.
        about: Provenance of what is trained: recipe and data.
    """

    recipe: Recipe
    spec: Model
    task: Task
    training: Split
    held_out: Split
    labels: tuple[Label, ...]
    folder: Path
    resume: bool = False
    save_every: int = 200
    processes: int = 1
    devices: int = 1
    device: str = AUTO
    report: Callable[[str], None] | None = None
    tensorboard: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figure(self) -> str:
        """Name of the primary metric, which the learning curve shows."""
        return self.task.primary_metric(self.spec)

    @property
    def changes(self) -> dict[str, Any]:
        """Arguments for the builder of the model."""
        return changes_of(self.spec, self.labels, self.recipe)


def changes_of(spec: Model, labels: tuple[Label, ...], recipe: Recipe) -> dict[str, Any]:
    """Return the arguments for the builder of a registered model, for the classes of the data."""
    things = [index for index, label in enumerate(labels) if label.thing]
    options: dict[str, Any] = {"things": things} if spec.head is not None and "things" in spec.head.options() else {}
    options |= {name: dict(changes) for name in ("targets", "postprocess") if (changes := getattr(recipe, name))}
    return {"num_classes": recipe.logits or len(labels), "drop_path": recipe.drop_path, "attention": recipe.attention or None, **options}
