"""Evaluation of a model on the test images of a data set."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, load_checkpoint, save_checkpoint
from axialzoo.data import BadLabelError, DataError, Dataset, Sample, Split, check, kinds_of, open_data
from axialzoo.hub import fetch_checkpoint, write_card
from axialzoo.runtime import Runner
from axialzoo.runtime.device import AUTO
from axialzoo.runtime.frameworks import require_packages
from axialzoo.runtime.local import Outputs
from axialzoo.runtime.predict import SupportsOutputs, predict_stream, results_of
from axialzoo.spec import Label
from axialzoo.tasks import Result, check_tta, task_of, tta_from_options
from axialzoo.tasks.tta import TTA, TTAOptions
from axialzoo.train.examples import put_examples
from axialzoo.train.held_out import held_out_of
from axialzoo.train.pictures import write_pictures
from axialzoo.train.progress import progress


@dataclass(frozen=True, eq=False)
class Prediction:
    """A sample and the result of a model for it; its kind if the data name kinds."""

    sample: Sample
    result: Result
    kind: str = ""


def evaluate(
    source: str | Path,
    data: str | Path,
    *,
    framework: str | None = None,
    backend: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    split: str | None = None,
    save_vis: str | Path | None = None,
    card_examples: int = 0,
    optimize: bool = True,
    device: str = AUTO,
    on_bad_label: str = "error",
    on_result: Callable[[Prediction], None] | None = None,
    **tta: Unpack[TTAOptions],
) -> dict[str, Any]:
    """Measure a model, in float32, on the test images or, where there are none, on the validation images.

    Args:
        source: Folder, registry name with weights, ``name.tag`` or ``org/repo[@revision]``.
        data: A folder that :func:`axialzoo.data.open_data` reads.
        framework, backend, optimize, device: As of :class:`axialzoo.runtime.Runner`.
        batch_size: Images at once.
        limit: Only the first so many images.
        split: Which images: ``"train"``, ``"val"`` or ``"test"``. By default the test images or, without, the validation images; of data
            without splits, which the model was trained on, the images that training kept apart.
        save_vis: Folder for pictures of results beside the ground truth, worst first.
        card_examples: So many pictures, from the worst to the best, go into the card of the folder `source`; of each kind, where the data
            name kinds: see :func:`axialzoo.train.examples.put_examples`.
        on_result: Called with every sample and its result.
        tta: ``tile``, ``overlap``, ``hflip``, ``scales``: see :func:`axialzoo.tasks.tta_from_options`. By default the whole picture once.

    Returns:
        The figures of the task's metric, and ``images``, ``seconds``, ``framework``, ``backend``, ``digest``, ``split``;
        ``per_kind``: the figures of each kind of picture, where the data name kinds; the options of test-time augmentation;
        ``skipped_labels``: bad labels that were left out, by kind; ``warnings``: sentences about limits that were reached.

    Raises:
        DataError: where the classes of the data are not the model's.
        SpecError: for a test-time augmentation that the model's task does not support.
    """
    checkpoint, tta_config = fetch_checkpoint(source), tta_from_options(**tta)
    config = checkpoint.config
    task = task_of(config.spec.head)
    check_tta(task.name, task.supported_tta, tta_config)
    require_packages("the metric", task.metric_packages(config.spec))
    if card_examples and not Path(source).is_dir():
        raise FileNotFoundError(f"card_examples: expected the folder of a checkpoint, whose card can be written, found {str(source)!r}")
    dataset = open_data(data, task.annotation_type, on_bad_label)
    names = (split,) if split else ("test", "val")
    samples, name = dataset.split(*names), next(candidate for candidate in names if candidate in dataset.splits)
    if split is None and (apart := held_out_of(dataset, config)) is not None:
        samples, name = apart, "val"
    check_classes(config, dataset)
    total = len(samples) if limit is None else min(limit, len(samples))
    labels = config.labels or dataset.labels
    metric, ranked = KindMetrics(lambda: task.metric(config.spec, labels), kinds_of(samples)), []
    limited = 0  # pictures of which a limit left objects out
    how: dict[str, Any] = {"compiled": True, "optimize": optimize, "device": device}
    with (
        _listing_bad_labels(dataset, name, samples),
        Runner(checkpoint, framework, backend, **how) as runner,
        progress("evaluating", total) as bar,
    ):
        timed = TimedRunner(runner)
        for done, scored in enumerate(predict_samples(timed, samples, batch_size, tta_config, labels, limit), 1):
            metric.update(scored.result, scored.sample.annotation)
            scored = replace(scored, kind=metric.last_kind)
            if on_result is not None:
                on_result(scored)
            if save_vis is not None or card_examples:
                ranked.append((_own_figure(task, config, labels, scored), scored))
            bar(done, "")
            limited += bool(getattr(scored.result, "warnings", ()))
    about: dict[str, Any] = {"images": total, "seconds": round(timed.seconds, 3), "framework": runner.framework, "backend": runner.backend}
    if dataset.policy.skipped:
        about["skipped_labels"] = dict(Counter(fault.kind for fault in dataset.policy.skipped))
    if limited:
        about["warnings"] = [f"{limited} of {total} pictures reached the model's limit of objects: see axialzoo predict --json"]
    if save_vis is not None:
        write_pictures(Path(save_vis), ranked, task, config.model)
    if card_examples:
        put_examples(Path(source), ranked, task, split=name, count=card_examples)
    return {**metric.compute(), **tta_config.options, **about, "split": name, "digest": config.digest}


@contextlib.contextmanager
def _listing_bad_labels(data: Dataset, name: str, samples: Split) -> Iterator[None]:
    """On a bad label, look at all samples, so that the error lists every one."""
    try:
        yield
    except BadLabelError:
        check(replace(data, splits={name: samples}))
        raise


def predict_samples(
    runner: SupportsOutputs,
    split: Split,
    batch_size: int,
    tta: TTA | None = None,
    labels: Sequence[Label] | None = None,
    limit: int | None = None,
) -> Iterator[Prediction]:
    """Predict every sample of a split, or the first so many, once and in order; arguments as of
    :func:`axialzoo.runtime.predict.predict_stream`."""
    samples = (split[index] for index in range(len(split) if limit is None else min(limit, len(split))))
    items = ((sample, sample.picture) for sample in samples)
    for sample, outcome in predict_stream([runner], items, batch_size, tta or TTA(), labels):
        yield Prediction(sample, results_of(outcome)[0])


class KindMetrics:
    """The metric of all pictures, and that of the pictures of each kind.

    Args:
        make: A new metric of the task.
        kinds: Kind of each picture, in the order in which they come; empty for none.
    """

    def __init__(self, make: Callable[[], Any], kinds: Sequence[str] = ()):
        self.all, self.make, self.kinds, self.last_kind = make(), make, kinds, ""
        self.per_kind: dict[str, Any] = {}
        self.pictures: dict[str, int] = {}

    def update(self, result: Result, annotation: Any) -> None:
        """Count the next picture."""
        self.all.update(result, annotation)
        if self.kinds:
            kind = self.last_kind = self.kinds[sum(self.pictures.values())]
            self.pictures[kind] = self.pictures.get(kind, 0) + 1
            self.per_kind.setdefault(kind, self.make()).update(result, annotation)

    def compute(self) -> dict[str, Any]:
        """Return the figures of all; ``per_kind``: of each kind its ``images`` and its figures, but for those of each class."""
        per_kind = {}
        for kind in sorted(self.per_kind):
            figures = self.per_kind[kind].compute()
            per_kind[kind] = {"images": self.pictures[kind], **{name: value for name, value in figures.items() if isinstance(value, float)}}
        return {**self.all.compute(), **({"per_kind": per_kind} if per_kind else {})}


class TimedRunner:
    """A runner that counts the seconds in which it computes."""

    def __init__(self, runner: Runner):
        self.runner, self.config, self.seconds = runner, runner.config, 0.0

    def outputs(self, x: np.ndarray) -> Outputs:
        started = time.perf_counter()
        outputs = self.runner.outputs(x)
        self.seconds += time.perf_counter() - started
        return outputs


def score(
    runner: SupportsOutputs, split: Split, batch_size: int = 50, on_result: Callable[[Prediction], None] | None = None
) -> dict[str, Any]:
    """Return the metrics of `runner`'s task on `split`, numbers alone; ``per_kind`` too where the data name kinds.

    Args:
        on_result: Called with every sample and its result.
    """
    config = runner.config
    task = task_of(config.spec.head)
    metric = KindMetrics(lambda: task.metric(config.spec, config.labels), kinds_of(split))
    for scored in predict_samples(runner, split, batch_size):
        metric.update(scored.result, scored.sample.annotation)
        if on_result is not None:
            on_result(scored)
    figures = metric.compute()
    return {name: value for name, value in figures.items() if isinstance(value, float) or name == "per_kind"}


def check_classes(config: Config, data: Dataset) -> None:
    """Refuse data whose classes are not those of the model.

    Raises:
        DataError: naming the classes of both.
    """
    names = tuple(label.name for label in config.labels)
    if data.generic_labels and [label.thing for label in config.labels] == [label.thing for label in data.labels]:
        return  # the data name no class
    if (names and names != data.classes) or config.spec.num_labels != len(data.classes):
        expected = ", ".join(names) or str(config.spec.num_labels)
        raise DataError(f"data: expected the model's classes {expected}; found {', '.join(data.classes)}")


def _own_figure(task: Any, config: Config, labels: Any, scored: Prediction) -> float:
    """Return the primary metric of one picture; a picture without one counts as perfect."""
    metric = task.metric(config.spec, labels)
    metric.update(scored.result, scored.sample.annotation)
    value = metric.compute().get(task.primary_metric(config.spec))
    return 1.0 if value is None else float(value)


def write_metrics(folder: str | Path, result: Mapping[str, Any], data: str | Path) -> Path:
    """Write the metrics of `evaluate` into the checkpoint's config and its card, ``README.md``; the weights stay.

    Returns:
        The card.

    Raises:
        CheckpointError: for metrics of weights of another digest.
    """
    checkpoint = load_checkpoint(Path(folder))
    if result["digest"] != checkpoint.config.digest:
        raise CheckpointError(
            f"{folder}: metrics of other weights: expected digest {checkpoint.config.digest}, found {result['digest']}; "
            "evaluate these weights"
        )
    task = task_of(checkpoint.config.spec.head)
    about = open_data(data, task.annotation_type, "skip").about  # the metrics tell what was left out
    figures = {name: value for name, value in result.items() if isinstance(value, float) and name != "seconds"}
    tta = {name: result[name] for name in TTAOptions.__annotations__ if name in result}
    kinds = {"per_kind": result["per_kind"]} if "per_kind" in result else {}
    metrics = {**figures, **kinds, **tta, f"{result['split']}_images": result["images"], "data": about.get("name", "")}
    metrics["digest"] = checkpoint.config.digest
    config = replace(checkpoint.config, provenance={**checkpoint.config.provenance, "metrics": metrics})
    tensors = {name: np.array(array) for name, array in checkpoint.tensors.items()}
    return write_card(checkpoint.folder, save_checkpoint(checkpoint.folder, config, tensors, overwrite=True))
