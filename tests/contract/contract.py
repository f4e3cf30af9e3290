"""The contract of every head in every framework: one function a part. `check` names the part that a head breaks."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from axialzoo.checkpoint import Config, default_config, load_checkpoint
from axialzoo.hub import model_card
from axialzoo.image import resize_transform
from axialzoo.runtime import Runner
from axialzoo.runtime.predict import to_input
from axialzoo.spec import Label, Model, parameters
from axialzoo.tasks import batch_targets, decode_batch, task_of
from axialzoo.tasks.results import Detections, Segmentation


class Broken(AssertionError):
    """A head that does not keep the contract; the message names the head, the framework and the part."""


class Framework(Protocol):
    """Functions of a framework that the contract needs: `tests.contract.in_torch` and `tests.contract.in_keras`."""

    title: str
    name: str  # as Runner calls it
    formats: Mapping[str, tuple[Callable[..., None], Callable[..., Any]]]  # suffix -> write, read

    def build(self, spec: Model) -> Any: ...
    def load(self, folder: Path) -> Any: ...
    def forward(self, model: Any, x: np.ndarray, training: bool) -> Any:
        """Outputs of the model for arrays, maps channels last."""

    def gradients(self, model: Any, x: np.ndarray, targets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
        """Gradients of the head's loss in training, by canonical name."""

    def tensors(self, model: Any) -> dict[str, np.ndarray]: ...
    def save(self, model: Any, folder: Path, labels: tuple[Label, ...]) -> Config: ...
    def reset(self, model: Any, num_classes: int) -> Any: ...


@dataclass
class Subject:
    """A head on a narrow backbone in a framework, and a made sample for it.

    Attributes:
        spec, framework: Which.
    """

    spec: Model
    framework: Framework

    @cached_property
    def model(self) -> Any:
        return self.framework.build(self.spec)

    @cached_property
    def task(self) -> Any:
        return task_of(self.spec.head)

    @cached_property
    def config(self) -> Config:
        return default_config(self.spec)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        things = getattr(self.spec.head, "things", ())
        return tuple(Label(f"class {index}", index in things) for index in range(self.spec.num_classes))

    @cached_property
    def picture(self) -> Image.Image:
        height, width = self.spec.input_size
        return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))

    @cached_property
    def x(self) -> np.ndarray:
        """(2, H, W, 3) float32, normalised."""
        item = to_input(self.picture, self.config)
        return np.stack([item, item[::-1]])

    @cached_property
    def annotation(self) -> Any:
        """An object of the last class near the middle, in pixels of the model's input."""
        (height, width), last = self.spec.input_size, self.spec.num_classes - 1
        top, left, bottom, right = height // 4, width // 4, height // 2, 3 * width // 4
        if self.task.annotation_type == "classes":
            return last
        if self.task.annotation_type == "boxes":
            return Detections(np.array([[left, top, right, bottom]], np.float64), np.ones(1), np.array([last]), self.labels)
        ids = np.ones((height, width), np.int32)
        ids[top:bottom, left:right] = 2
        area = int((ids == 2).sum())
        rows = [(1, 0, ids.size - area), (2, last, area)]
        return Segmentation(ids, [{"id": i, "label_id": label, "score": 1.0, "area": n} for i, label, n in rows], self.labels)

    @cached_property
    def targets(self) -> dict[str, np.ndarray]:
        return batch_targets(self.task, [self.annotation] * 2, self.spec, self.spec.input_size)

    @cached_property
    def result(self) -> Any:
        height, width = self.spec.input_size
        outputs = named(self.framework.forward(self.model, self.x, False), self.spec)
        return decode_batch(self.task, outputs, self.spec, [resize_transform(height, width, self.config.preprocessing)] * 2, self.labels)[0]


def expect(holds: bool, what: str, found: Any) -> None:
    if not holds:
        raise AssertionError(f"expected {what}, found {str(found)[:300]}")


def named(found: Any, spec: Model) -> dict[str, Any]:
    """Outputs by name: a lone one has the name that the head's spec gives it."""
    assert spec.head is not None
    return found if isinstance(found, dict) else {next(iter(spec.head.outputs(spec.backbone))): found}


def the_tensors(one: Subject) -> None:
    actual = {name: array.shape for name, array in one.framework.tensors(one.model).items()}
    expected = {parameter.name: parameter.shape for parameter in parameters(one.spec)}
    differing = sorted(name for name in {*actual, *expected} if actual.get(name) != expected.get(name))
    expect(not differing, "the tensors of the spec", [(name, expected.get(name), actual.get(name)) for name in differing])


def the_outputs(one: Subject, training: bool = False) -> None:
    """Names, channels, sides; a pyramid's stride is that of its finest level."""
    head, (height, width) = one.spec.head, one.spec.input_size
    assert head is not None
    expected, actual = head.outputs(one.spec.backbone), one.framework.forward(one.model, one.x, training)
    expected = {name: output for name, output in expected.items() if training or not output.training}
    expect(isinstance(actual, dict) == (head.output_structure != "tensor"), f"an output as {head.output_structure!r} says", type(actual))
    outputs = named(actual, one.spec)
    expect(set(outputs) == set(expected), f"outputs {list(expected)}", list(outputs))
    for name, output in expected.items():
        expect(
            isinstance(outputs[name], list) == (head.output_structure == "pyramids"),
            f"{name}: levels as {head.output_structure!r} says",
            type(outputs[name]),
        )
        levels = outputs[name] if isinstance(outputs[name], list) else [outputs[name]]
        sides = () if output.stride is None else (math.ceil(height / output.stride), math.ceil(width / output.stride))
        shape = (2, *sides, *([] if output.tokens is None else [output.tokens]), output.channels)
        expect(levels[0].shape == shape, f"{name} of shape {shape}", levels[0].shape)
        expect(all(np.isfinite(level).all() for level in levels), f"{name}: finite values", "others")


def the_outputs_in_training(one: Subject) -> None:
    the_outputs(one, training=True)


def the_targets(one: Subject) -> None:
    for name, array in one.targets.items():
        expect(isinstance(array, np.ndarray) and len(array) == 2, f"{name}: an array of both pictures", type(array))
        expect(bool(np.isfinite(array).all()), f"{name}: finite values", array)
    expect(bool(one.targets), "targets by name", one.targets)


def the_loss(one: Subject) -> None:
    gradients = one.framework.gradients(one.framework.build(one.spec), one.x, one.targets)
    expected = {parameter.name for parameter in parameters(one.spec) if parameter.trainable}
    expect(set(gradients) == expected, f"gradients of {len(expected)} tensors", sorted(set(gradients) ^ expected))
    missing = [name for name, array in gradients.items() if array is None or not np.isfinite(array).all()]
    expect(not missing, "a finite gradient of every trainable tensor", f"none of {missing}")
    moved = [array for name, array in gradients.items() if name.startswith("head.") and array is not None and array.any()]
    expect(bool(moved), "a gradient that is not zero in the head", "zeros alone")


def the_decoding(one: Subject) -> None:
    for method in ("to_json", "summary"):
        expect(callable(getattr(one.result, method, None)), f"a result with {method}()", type(one.result).__name__)
    json.dumps(one.result.to_json(), allow_nan=False)
    expect(
        all(isinstance(name, str) and math.isfinite(value) for name, value in one.result.summary()), "rows of a name and a number", "others"
    )


def the_metric(one: Subject) -> None:
    metric = one.task.metric(one.spec, one.labels)
    empty, figure = metric.compute(), one.task.primary_metric(one.spec)
    expect(empty.get(figure) is None, f"{figure}: None of nothing counted", empty.get(figure))
    metric.update(one.result, one.annotation)
    figures = metric.compute()
    expect(figure in figures, f"the figure {figure!r}", list(figures))
    for some in (empty, figures):
        figures_are_fractions(some)


def figures_are_fractions(figures: Mapping[str, Any], where: str = "") -> None:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            figures_are_fractions(value, f"{where}{name}.")
        elif value is not None and not isinstance(value, (int, str)):  # counts and names beside the fractions
            expect(isinstance(value, float) and 0 <= value <= 1, f"{where}{name}: a fraction or None", value)


def the_drawing(one: Subject) -> None:
    for results in ({"one": one.result}, {"ground truth": one.annotation, "prediction": one.result}):
        drawn = one.task.draw(one.picture, results, model="made")
        expect(isinstance(drawn, Image.Image) and drawn.mode == "RGB", "an RGB picture", drawn)


def the_files(one: Subject) -> None:
    framework, tensors = one.framework, one.framework.tensors(one.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = framework.save(one.model, folder / "model", one.labels)
        back = framework.load(folder / "model")
        same("folder", framework.tensors(back), tensors)
        expect(back.spec == one.spec and back.labels == one.labels, "the spec and labels that were saved", (back.spec, back.labels))
        card, tag = model_card(config), one.model.spec.head.pipeline_tag
        expect(f"pipeline_tag: {tag}\n" in card, f"the pipeline_tag {tag!r} on the card", card[:200])
        same("model.safetensors", load_checkpoint(folder / "model").tensors, tensors)
        for suffix, (write, read) in framework.formats.items():
            write(folder / f"file{suffix}", config, tensors)
            read_config, read_tensors = read(folder / f"file{suffix}")
            same(suffix, read_tensors, tensors)
            expect(replace(read_config, digest=config.digest) == config, f"{suffix}: the config that was written", read_config)


def same(where: str, found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    expect(set(found) == set(wanted), f"{where}: the same tensors", sorted(set(found) ^ set(wanted)))
    differing = [name for name in wanted if found[name].tobytes() != wanted[name].tobytes()]
    expect(not differing, f"{where}: the same values, bit by bit", differing)


def the_other_classes(one: Subject) -> None:
    framework, old, count = one.framework, one.framework.build(one.spec), one.spec.num_classes + 1
    before = {name: np.array(array) for name, array in framework.tensors(old).items()}
    expect(old.get_classifier() is not None, "a layer that tells classes apart", None)
    model = framework.reset(old, count)
    expect(model.num_classes == model.spec.num_classes == count, f"{count} classes", (model.num_classes, model.spec.num_classes))
    the_tensors(Changed(model.spec, framework, model))
    remaining = {name: array for name, array in framework.tensors(model).items() if before.get(name, np.empty(0)).shape == array.shape}
    same("reset_classifier", remaining, {name: before[name] for name in remaining})
    expect(set(remaining) != set(before), "tensors that depend on the number of classes", "none")


@dataclass
class Changed:
    """The part of a subject that `the_tensors` needs."""

    spec: Model
    framework: Framework
    model: Any


def the_runner(one: Subject) -> None:
    with tempfile.TemporaryDirectory() as name:
        one.framework.save(one.model, Path(name) / "model", one.labels)
        with Runner(load_checkpoint(Path(name) / "model"), one.framework.name) as runner:
            head = one.spec.head
            assert head is not None
            outputs, expected = (
                runner.outputs(one.x),
                [name for name, one_of in head.outputs(one.spec.backbone).items() if not one_of.training],
            )
            expect(sorted(outputs) == sorted(expected), f"outputs {expected}", list(outputs))
            result = runner.predict(one.picture.resize((50, 40)))
            expect(type(result) is type(one.result), type(one.result).__name__, type(result).__name__)


# part -> (the files in which a head's author finds it, what is checked)
PARTS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "spec and module": ("spec/heads, {framework}/heads", the_tensors),
    "outputs": ("{framework}/heads", the_outputs),
    "outputs in training": ("{framework}/heads", the_outputs_in_training),
    "targets": ("tasks", the_targets),
    "loss": ("{framework}/losses", the_loss),
    "decoding": ("tasks", the_decoding),
    "metric": ("tasks", the_metric),
    "drawing": ("tasks", the_drawing),
    "files": ("{framework}/heads", the_files),
    "other classes": ("spec/heads, {framework}/heads", the_other_classes),
    "runner": ("tasks, {framework}/heads", the_runner),
}


def check(spec: Model, framework: Framework) -> None:
    """Every part in turn; arguments as of :class:`Subject`.

    Raises:
        Broken: naming the first part that is missing or does something else.
    """
    item = Subject(spec, framework)
    kind = spec.head.kind if spec.head is not None else None
    for part, (where, keeps) in PARTS.items():
        try:
            keeps(item)
        except Exception as error:
            room = "axialzoo/" + where.format(framework=framework.name).replace(", ", ", axialzoo/")
            raise Broken(
                f"head {kind!r} in {framework.title}: part {part!r} ({room}) breaks the contract: {type(error).__name__}: {error}"
            ) from error
