"""The toy head, made known to a test's process and forgotten again; with errors planted in it; and the losses of its training."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HOMES = {"register_head": "head_module", "register_loss": "loss_registry", "register": "registry", "register_task": "task"}


def home(package: str, function: str) -> Any:
    """The module of a function that registers, which has the registry."""
    return importlib.import_module(f"{package}.{'head' if package == 'axialzoo.spec.heads' else HOMES[function]}")


@contextlib.contextmanager
def known(framework: str) -> Iterator[None]:
    """Register the toy's spec, model, layers, loss, task and recipe; a process does so once."""
    registries = [
        home("axialzoo.spec.heads", "register_head").HEADS, home("axialzoo.spec", "register")._entries,
        home("axialzoo.tasks", "register_task").TASKS,
        home(f"axialzoo.{framework}.heads", "register_head").MODULES, home(f"axialzoo.{framework}.losses", "register_loss").LOSSES,
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        for registry in registries:
            stack.enter_context(mock.patch.dict(registry))
        toy = importlib.import_module("tests.contract.toy")
        for room in ("task", f"in_{framework}"):
            importlib.import_module(f"tests.contract.toy.{room}")
        recipes = importlib.import_module("axialzoo.train.recipes")
        folder = str(Path(toy.__file__ or "").parent / "recipes")
        stack.enter_context(mock.patch.object(recipes, "__path__", [*recipes.__path__, folder]))
        yield


def planted(framework: Any) -> dict[str, contextlib.AbstractContextManager]:
    """The toy head with one part missing or wrong each, by the part that is to be blamed and what is wrong with it."""
    rooms = importlib.import_module(f"tests.contract.toy.in_{framework.name}")
    heads = home(f"axialzoo.{framework.name}.heads", "register_head")
    losses = home(f"axialzoo.{framework.name}.losses", "register_loss")
    task = importlib.import_module("tests.contract.toy.task")
    tasks = home("axialzoo.tasks", "register_task")
    toy, change = importlib.import_module("tests.contract.toy"), mock.patch.object

    def without(registry: dict) -> contextlib.AbstractContextManager:
        return mock.patch.dict(registry, {key: value for key, value in registry.items() if key != toy.Toy}, clear=True)

    def twice(method: Callable) -> Callable:
        return lambda self, *args, **kwargs: {"cover": method(self, *args, **kwargs)}

    call = "forward" if framework.name == "torch" else "__call__"
    honest = getattr(rooms.ToyHead, call)
    actual = {
        "spec and module: no module": without(heads.MODULES),
        "spec and module: a layer that the spec has not": change(toy.Toy, "layers", lambda self, backbone: iter(())),
        "outputs: another name and kind": change(rooms.ToyHead, call, twice(honest)),
        "outputs: other channels": change(rooms.ToyHead, call, lambda self, *args: honest(self, *args)[:, :1]),
        "targets: no task": mock.patch.dict(tasks.TASKS, {"covering": tasks.TASKS["classification"]}),
        "targets: none": change(task.Covering, "targets", lambda *_: {}),
        "loss: none": without(losses.LOSSES),
        "loss: of nothing": mock.patch.dict(losses.LOSSES, {toy.Toy: lambda *given: {"total": rooms.toy_loss(*given)["total"] * 0}}),
        "decoding: nothing": change(task.Covering, "decode", lambda *_: None),
        "decoding: NaN": change(task.Covering, "decode", lambda *_: task.Cover(np.full(2, np.nan))),
        "metric: NaN": change(task.Closeness, "compute", lambda self: {"closeness": float("nan")}),
        "metric: another figure": change(task.Closeness, "compute", lambda self: {"distance": 0.5}),
        "metric: not the figure that it tells": change(task.Covering, "primary_metric", lambda *_: "distance"),
        "drawing: nothing": change(task.Covering, "draw", lambda *_, **__: None),
        "other classes: no layer of them": change(rooms.ToyHead, "get_classifier", lambda self: None),
        "other classes: never another number": change(toy.Toy, "reconfigured", lambda self, *_, **__: self),
    }
    if framework.name == "torch":
        more = twice(honest)
        actual["outputs in training: others"] = change(
            rooms.ToyHead, "forward", lambda self, *args: more(self, *args) if self.training else honest(self, *args)
        )
    return actual


@contextlib.contextmanager
def recorded(framework: str, losses: list[float]) -> Iterator[None]:
    """Appends the loss of each step."""
    if framework == "torch":
        from tests.contract import toy

        registry = home("axialzoo.torch.losses", "register_loss").LOSSES
        honest = registry[toy.Toy]

        def loss(*given: Any) -> dict[str, Any]:
            parts = honest(*given)
            losses.append(float(parts["total"].detach()))
            return parts

        with mock.patch.dict(registry, {toy.Toy: loss}):
            yield
        return
    from axialzoo.train.keras_loop import KerasLoop

    end = KerasLoop.on_train_batch_end

    def record_loss(self: Any, batch: int, logs: Any = None) -> None:
        losses.append(float(logs["loss"]))  # an epoch of the toy is one step
        end(self, batch, logs)

    with mock.patch.object(KerasLoop, "on_train_batch_end", record_loss):
        yield
