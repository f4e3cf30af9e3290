"""What a task is: what happens on either side of a head. numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.spec import Head, Label, Model, SpecError
from axialzoo.tasks.results import Result
from axialzoo.tasks.tta import TTA, Compute, check_tta

Arrays = Mapping[str, Any]  # by name: an array with the batch left out, or a list of such, one a level


class Metric(Protocol):
    """Counts pictures one by one."""

    def update(self, result: Any, truth: Any) -> None:
        """Takes in what a model says of a picture and what is true of it."""
        ...

    def compute(self) -> dict[str, Any]:
        """Figures by name, fractions; ``"per_class"`` may be a dictionary of dictionaries. Never NaN: what nothing tells is None."""
        ...


def is_larger(size: tuple[int, int], model: tuple[int, int]) -> bool:
    """Whether an input of `size` has more pixels than those of the `model`, so that limits of objects are not of it."""
    return size[0] * size[1] > model[0] * model[1]


class Task(Protocol):
    """What happens on either side of a head.

    Attributes:
        name: What it is called in ``list_models(task=...)``.
        heads: The specs it serves.
        truth: What truth it wants of a data set: ``"classes"``, ``"boxes"`` or ``"segments"``.
        understood: Of ``"tile"``, ``"hflip"`` and ``"scales"``, the looks that it understands: see :class:`~axialzoo.tasks.tta.TTA`.
    """

    name: ClassVar[str]
    heads: ClassVar[tuple[type[Head], ...]]
    annotation_type: ClassVar[str]
    supported_tta: ClassVar[tuple[str, ...]] = ()

    def targets(self, truth: Any, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """What the loss compares with, of one picture: arrays by name.

        Args:
            truth: An int, `Boxes` or `Segments`, in the coordinates of the model's input.
            spec: What the model computes.
            size: Height and width of the model's input.
        """
        ...

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = (), **options: Any) -> Result:
        """What the outputs of one picture say, in the picture's own pixels.

        Args:
            outputs: By the names of ``head.outputs``, channels last, without the batch.
            spec: What the model computes.
            view: How the picture became the model's input.
            labels: What the classes are called.
            options: Of this task, such as thresholds; unknown ones are refused.
        """
        ...

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """What more than one look at the whole says of each picture of a batch; a task that overrides it names what it takes in
        `understood`. Called by `look_at`, which refuses the rest.

        Args:
            compute: The network: model inputs (N, H, W, C), of any number and size, to outputs by name, the batch first.
            x: (N, H, W, C) the model's input.
            spec, labels: As of `decode`.
            views: Of each picture, how it became the model's input.
            tta: What is asked for, of `understood` alone.
        """
        return decode_batch(self, compute(x), spec, views, labels)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> Metric:
        """A new metric, nothing counted yet."""
        ...

    def metric_packages(self, spec: Model) -> dict[str, str]:
        """Return the optional packages that :meth:`metric` needs, each with the extra of axialzoo that brings it."""
        return {}

    def primary_metric(self, spec: Model) -> str:
        """Of the metric of such a model, the one that tells models apart: what learning curves show and pictures are ordered by."""
        ...

    def draw(self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", seen: Image.Image | None = None) -> Image.Image:
        """`picture` with what is said of it.

        Args:
            picture: As the user gave it.
            results: Heading (a framework, or ``"truth"``) -> what is said under it.
            model: Its name, for the caption.
            seen: What the model saw of the picture.
        """
        ...


TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Adds a task under its name; a name that is taken, or a head that another task serves, is refused."""
    for other in TASKS.values():
        shared = set(other.heads) & set(task.heads)
        if other.name == task.name or shared:
            raise SpecError(f"task {task.name!r}: its name or its heads are those of the task {other.name!r}")
    TASKS[task.name] = task
    return task


def task_of(head: Head | None) -> Task:
    """The task that serves `head`.

    Raises:
        SpecError: where there is no head, or no task for it.
    """
    for task in TASKS.values():
        if type(head) in task.heads:
            return task
    what = "a model of features alone" if head is None else f"a head of kind {head.kind!r}"
    raise SpecError(f"{what}: no task serves it; there are {', '.join(TASKS) or 'none'}")


def run_views(
    task: Task, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
) -> list[Result]:
    """What a network says of each picture of a batch; arguments as of `Task.look`.

    Raises:
        SpecError: for looks that the task does not understand.
    """
    check_tta(task.name, task.supported_tta, tta)
    return task.predict_tta(compute, x, spec, views, tta, labels) if tta.asked else decode_batch(task, compute(x), spec, views, labels)


def decode_batch(task: Task, outputs: Arrays, spec: Model, views: Sequence[ResizeTransform], labels: Sequence[Label] = ()) -> list[Result]:
    """What the outputs of a batch, by name, channels last, say of each of its pictures; arguments as of `Task.decode`."""
    results = []
    for index, view in enumerate(views):
        own = {name: [level[index] for level in maps] if isinstance(maps, list) else maps[index] for name, maps in outputs.items()}
        results.append(task.decode(own, spec, view, labels))
    return results


def batch_targets(task: Task, truths: Iterable[Any], spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The targets of a batch of truths, by name, the batch first."""
    return collate(task.targets(int(truth) if isinstance(truth, np.integer) else truth, spec, size) for truth in truths)


def collate(targets: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The targets of several pictures as one batch, by name."""
    samples = list(targets)
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
