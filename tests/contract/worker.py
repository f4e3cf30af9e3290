"""The contract in a process of its own, which knows the toy head too: ``python -m tests.contract.worker torch OUT.json``.

``keras`` runs on the back end that the environment says. With a folder of data as third argument it trains the toy head instead.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from axialzoo.spec import Model
from tests.contract import toy
from tests.contract.cases import cases
from tests.contract.contract import Broken, check


def planted(framework: Any) -> dict[str, contextlib.AbstractContextManager]:
    """The toy head with one part missing or wrong each, by the part that is to be blamed and what is wrong with it."""
    rooms = importlib.import_module(f"tests.contract.toy.in_{framework.name}")
    heads = importlib.import_module(f"axialzoo.{framework.name}.heads.head_module")
    losses = importlib.import_module(f"axialzoo.{framework.name}.losses.loss_registry")
    task, tasks = sys.modules["tests.contract.toy.task"], sys.modules["axialzoo.tasks.task"]
    change = mock.patch.object

    def without(registry: dict) -> contextlib.AbstractContextManager:
        return mock.patch.dict(registry, {key: value for key, value in registry.items() if key != toy.Toy}, clear=True)

    def twice(method: Callable) -> Callable:
        return lambda self, *args, **kwargs: {"cover": method(self, *args, **kwargs)}

    call = "forward" if framework.name == "torch" else "__call__"
    honest = getattr(rooms.ToyHead, call)
    found = {
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
        "metric: not the figure that it tells": change(task.Covering, "figure", lambda *_: "distance"),
        "drawing: nothing": change(task.Covering, "draw", lambda *_, **__: None),
        "other classes: no layer of them": change(rooms.ToyHead, "get_classifier", lambda self: None),
        "other classes: never another number": change(toy.Toy, "with_classes", lambda self, *_, **__: self),
    }
    if framework.name == "torch":
        more = twice(honest)
        found["outputs in training: others"] = change(
            rooms.ToyHead, "forward", lambda self, *args: more(self, *args) if self.training else honest(self, *args)
        )
    return found


def message(spec: Model, framework: Any) -> str:
    """What is broken; empty where nothing is."""
    try:
        check(spec, framework)
    except Broken as error:
        print(traceback.format_exc(), file=sys.stderr)
        return str(error)
    return ""


def contract(framework: Any) -> Mapping[str, Any]:
    every = cases()
    found = {name: message(spec, framework) for name, spec in every.items()}
    wrong = {}
    if framework.title in (
        "PyTorch",
        "Keras (torch)",
    ):  # what is planted has nothing to do with the back end; on the others it takes minutes
        for what, error in planted(framework).items():
            with error:
                wrong[what] = message(every["toy"], framework)
    return {"cases": found, "planted": wrong}


@contextlib.contextmanager
def toy_recipes() -> Iterator[None]:
    """The toy's recipes beside those that ship."""
    from axialzoo.train import recipes

    with mock.patch.object(recipes, "__path__", [*recipes.__path__, str(Path(toy.__file__).parent / "recipes")]):
        yield


def trained(framework: str, data: Path, folder: Path) -> Mapping[str, Any]:
    """Of the toy head: the loss of each step of a run, its figures before and after, and what it says of a picture."""
    from axialzoo import load_runner
    from axialzoo.train import evaluate, run

    losses: list[float] = []
    with toy_recipes(), recorded(framework, losses):
        still = run("toy", data, folder / "still", framework=framework, learning_rate=1e-9)
        losses.clear()
        made = run("toy", data, folder / "run", framework=framework)
    figures = {name: evaluate(one, data, framework=framework) for name, one in (("before", still), ("after", made))}
    with load_runner(made, framework) as runner:
        said = runner.predict(next((data / "images").iterdir())).to_json()
    evaluate(made, data, framework=framework, pictures=folder / "pictures", limit=2)
    return {"losses": losses, "figures": figures, "said": said, "pictures": len(list((folder / "pictures").iterdir()))}


@contextlib.contextmanager
def recorded(framework: str, losses: list[float]) -> Iterator[None]:
    """Appends the loss of each step."""
    if framework == "torch":
        from axialzoo.torch.losses import loss_registry

        honest = loss_registry.LOSSES[toy.Toy]

        def loss(*given: Any) -> dict[str, Any]:
            parts = honest(*given)
            losses.append(float(parts["total"].detach()))
            return parts

        with mock.patch.dict(loss_registry.LOSSES, {toy.Toy: loss}):
            yield
        return
    from axialzoo.train.keras_loop import KerasLoop

    end = KerasLoop.on_train_batch_end

    def told(self: Any, batch: int, logs: Any = None) -> None:
        losses.append(float(logs["loss"]))  # an epoch of the toy is one step
        end(self, batch, logs)

    with mock.patch.object(KerasLoop, "on_train_batch_end", told):
        yield


def main() -> None:
    framework, out, *data = sys.argv[1:]
    for room in ("task", f"in_{framework}"):
        importlib.import_module(f"tests.contract.toy.{room}")
    own = importlib.import_module(f"tests.contract.in_{framework}")
    found = trained(framework, Path(data[0]), Path(data[1])) if data else contract(own)
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
