"""Base class of tasks: targets, decoding, metrics and drawing around a head. numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from axialzoo.image import ResizeTransform
from axialzoo.spec import Head, Label, Model, SpecError
from axialzoo.tasks.results import Result
from axialzoo.tasks.tta import TTA, Compute, check_tta

Arrays = Mapping[str, Any]  # by name: an array without the batch, or a list of arrays, one for each level


class Metric(Protocol):
    """Accumulates a metric picture by picture."""

    def update(self, result: Any, annotation: Any) -> None:
        """Add the result of a picture and its annotation."""
        ...

    def compute(self) -> dict[str, Any]:
        """Return metrics by name, as fractions: None where undefined, never NaN. ``"per_class"`` may be a dictionary of dictionaries."""
        ...


def is_larger(size: tuple[int, int], model: tuple[int, int]) -> bool:
    """Tell whether an input of `size` has more pixels than the `model`'s own, so that the model's limits of objects do not apply."""
    return size[0] * size[1] > model[0] * model[1]


class Task(Protocol):
    """Targets, decoding, metrics and drawing around a head.

    Attributes:
        name: Its name in ``list_models(task=...)``.
        heads: The specs that it serves.
        annotation_type: Annotations that it needs of a data set: ``"classes"``, ``"boxes"`` or ``"segments"``.
        supported_tta: Supported test-time augmentations, of ``"tile"``, ``"hflip"`` and ``"scales"``: see
            :class:`~axialzoo.tasks.tta.TTA`.
    """

    name: ClassVar[str]
    heads: ClassVar[tuple[type[Head], ...]]
    annotation_type: ClassVar[str]
    supported_tta: ClassVar[tuple[str, ...]] = ()

    def targets(self, annotation: Any, spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return the targets of one picture for the loss: arrays by name.

        Args:
            annotation: An int, `Detections` or `Segmentation`, in the coordinates of the model's input.
            spec: The model's spec.
            size: Height and width of the model's input.
        """
        ...

    def decode(self, outputs: Arrays, spec: Model, view: ResizeTransform, labels: Sequence[Label] = (), **options: Any) -> Result:
        """Decode the outputs of one picture to a result in the picture's own pixels.

        Args:
            outputs: By the names of ``head.outputs``, channels last, without the batch.
            spec: The model's spec.
            view: The transform from the picture to the model's input.
            labels: The labels of the classes.
            options: Options of this task, such as thresholds; unknown ones are refused.
        """
        ...

    def predict_tta(
        self, compute: Compute, x: np.ndarray, spec: Model, views: Sequence[ResizeTransform], tta: TTA, labels: Sequence[Label] = ()
    ) -> list[Result]:
        """Predict each picture of a batch with test-time augmentation.

        A task that overrides this method lists the augmentations in `supported_tta`. `run_views` calls it and refuses all others.

        Args:
            compute: The network: model inputs (N, H, W, C), of any number and size, to outputs by name, the batch first.
            x: (N, H, W, C) the model's input.
            spec, labels: See `decode`.
            views: The transform from each picture to the model's input.
            tta: The augmentations, all of them in `supported_tta`.
        """
        return decode_batch(self, compute(x), spec, views, labels)

    def metric(self, spec: Model, labels: Sequence[Label] = ()) -> Metric:
        """Return a new, empty metric."""
        ...

    def metric_packages(self, spec: Model) -> dict[str, str]:
        """Return the optional packages that :meth:`metric` needs, each with the extra of axialzoo that brings it."""
        return {}

    def primary_metric(self, spec: Model) -> str:
        """Return the name of the primary metric: learning curves show it, and pictures are ordered by it."""
        ...

    def confusion(self, result: Any, annotation: Any, classes: int) -> np.ndarray | None:
        """Return how often each true class (row) was predicted as each class (column) in one picture, (n, n) int64.

        Args:
            result, annotation: Of the picture.
            classes: Number of classes; a matrix of one more row and column counts what has no partner as its last class.

        Returns:
            None for a task that has no such matrix.
        """
        return None

    def draw(
        self, picture: Image.Image, results: Mapping[str, Any], *, model: str = "", model_view: Image.Image | None = None
    ) -> Image.Image:
        """Draw `picture` with its results.

        Args:
            picture: The user's picture.
            results: Heading (a framework, or ``"ground truth"``) -> result.
            model: Name of the model, for the caption.
            model_view: The part of the picture that the model saw.
        """
        ...


TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Add a task under its name. A name that is taken, or a head that another task serves, is refused."""
    for other in TASKS.values():
        shared = set(other.heads) & set(task.heads)
        if other.name == task.name or shared:
            raise SpecError(f"task {task.name!r}: its name or its heads are those of the task {other.name!r}")
    TASKS[task.name] = task
    return task


def task_of(head: Head | None) -> Task:
    """Return the task that serves `head`.

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
    """Predict each picture of a batch, with test-time augmentation if `tta` has any; arguments as for `Task.predict_tta`.

    Raises:
        SpecError: for test-time augmentations that the task does not support.
    """
    check_tta(task.name, task.supported_tta, tta)
    return task.predict_tta(compute, x, spec, views, tta, labels) if tta.options else decode_batch(task, compute(x), spec, views, labels)


def decode_batch(task: Task, outputs: Arrays, spec: Model, views: Sequence[ResizeTransform], labels: Sequence[Label] = ()) -> list[Result]:
    """Decode the outputs of a batch, by name, channels last, to a result for each picture; arguments as for `Task.decode`."""
    results = []
    for index, view in enumerate(views):
        own = {name: [level[index] for level in maps] if isinstance(maps, list) else maps[index] for name, maps in outputs.items()}
        results.append(task.decode(own, spec, view, labels))
    return results


def batch_targets(task: Task, annotations: Iterable[Any], spec: Model, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the targets of a batch of annotations, by name, the batch first."""
    return collate(
        task.targets(int(annotation) if isinstance(annotation, np.integer) else annotation, spec, size) for annotation in annotations
    )


def collate(targets: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Stack the targets of several pictures to one batch, by name."""
    samples = list(targets)
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
