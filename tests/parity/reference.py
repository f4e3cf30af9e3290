"""Measurements of `in_keras` in PyTorch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch

from axialzoo.ops.kernels import use_kernel
from axialzoo.spec import Model
from axialzoo.torch.factory import build
from axialzoo.torch.losses import loss_of as head_loss
from axialzoo.torch.weights import load_tensors, to_tensors
from axialzoo.train.optimizer import decay_groups
from axialzoo.train.torch_loop import on_device
from tests.parity import common, dense
from tests.parity.common import Case
from tests.parity.dense import Change, Dense, unchanged


def model_of(spec: Model, dtype: str, last_gamma: float = 0.2) -> torch.nn.Module:
    model = build(spec).to(getattr(torch, dtype))
    load_tensors(model, common.tensors(spec, dtype, last_gamma))
    return model


def forward(case: Case, dtype: str) -> np.ndarray:
    with torch.no_grad():
        return joined(model_of(case.spec, dtype).eval()(torch.from_numpy(case.images(dtype)))).numpy()


def joined(y) -> torch.Tensor:
    """The output, or all maps of a head together in the order of their names, channels last: (N, H, W, C); of levels, all locations
    one after another: (N, L, C); of maps and tokens, every number: (N, numbers).
    """
    if not isinstance(y, dict):
        return y
    if any(isinstance(x, torch.Tensor) and x.dim() == 3 for x in y.values()):
        return torch.cat([(y[name].movedim(1, -1) if y[name].dim() == 4 else y[name]).flatten(1) for name in sorted(y)], 1)
    maps = {name: torch.cat([level.flatten(2) for level in x], 2) if isinstance(x, list) else x for name, x in y.items()}
    return torch.cat([maps[name] for name in sorted(maps)], 1).movedim(1, -1)


def loss_of(y: torch.Tensor, target: np.ndarray) -> torch.Tensor:
    return (y - torch.from_numpy(target)).square().sum() / len(y)


def gradients(case: Case, dtype: str) -> dict[str, np.ndarray]:
    model = model_of(case.spec, dtype, last_gamma=0.1).train()
    with use_kernel("plain"):  # what Keras's layers mirror; tests/kernels holds the fused layers to float64
        loss_of(joined(model(torch.from_numpy(case.images(dtype)))), case.targets(dtype)).backward()
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


@functools.cache
def trained(network: str, optimizer: str) -> dict[str, np.ndarray]:
    """Tensors after the steps; AdamW decays everything."""
    case = common.TRAINED[network]
    model = model_of(case.spec, "float64", last_gamma=0.1).train()
    groups = [{"params": list(model.parameters()), "weight_decay": common.DECAY if optimizer == "adamw" else 0.0}]
    return steps(model, squared(model, case), optimizer, groups)


@functools.cache
def decayed(network: str, optimizer: str) -> dict[str, np.ndarray]:
    """Tensors after the steps, where kernels and projections alone decay."""
    case = common.DECAYING[network]
    model = model_of(case.spec, "float64", last_gamma=0.1).train()
    return steps(model, squared(model, case), optimizer, by_role(model))


def by_role(model: torch.nn.Module) -> list[dict]:
    """The parameters that decay and those that do not."""
    shrinking, others = decay_groups(model)
    return [{"params": shrinking, "weight_decay": common.DECAY}, {"params": others, "weight_decay": 0.0}]


def squared(model: torch.nn.Module, case: Case) -> Callable[[int], torch.Tensor]:
    """The loss of a step, of its number."""
    return lambda index: loss_of(model(torch.from_numpy(case.images("float64", 8, index))), case.targets("float64", 8, index))


def steps(
    model: torch.nn.Module, loss: Callable[[int], torch.Tensor], optimizer: str, groups: list[dict], rate: float = common.RATE
) -> dict[str, np.ndarray]:
    """Trains `model` and gives its tensors; `groups` are parameters with their decay, decoupled in SGD too, as Keras's is.

    Keras adds Adam's epsilon before it corrects the second moment's bias, PyTorch after, so that ``epsilon`` in
    Keras is ``epsilon / sqrt(1 - beta2 ** t)`` in PyTorch; the rest of AdamW, decay included, is the same.
    """
    decays = [group["weight_decay"] for group in groups]
    if optimizer == "sgd":
        stepping = torch.optim.SGD([{"params": group["params"]} for group in groups], rate, common.MOMENTUM)
    else:
        stepping = torch.optim.AdamW(groups, common.RATE / 8, common.BETAS)
    for index in range(common.STEPS):
        stepping.zero_grad()
        loss(index).backward()
        for group, decay in zip(stepping.param_groups, decays):
            if optimizer == "adamw":
                group["eps"] = common.EPSILON / math.sqrt(1 - common.BETAS[1] ** (index + 1))
            else:
                with torch.no_grad():
                    for tensor in group["params"]:
                        tensor.mul_(1 - rate * decay)
        stepping.step()
    return {name: array.copy() for name, array in to_tensors(model).items()}


def dense_loss(model: torch.nn.Module, case: Dense, index: int, change: Change = unchanged) -> torch.Tensor:
    """The head's own loss of one step's pictures; `change` plants an error in the targets."""
    images, targets = case.batch(index, change)
    outputs = model(torch.from_numpy(images))
    return head_loss(case.spec.head)(outputs, on_device(targets, torch.device("cpu")), case.spec.head, **case.loss)["total"]


def dense_gradients(network: str, change: Change = unchanged) -> dict[str, np.ndarray]:
    """Gradients of the first step."""
    case = dense.CASES[network]
    model = model_of(case.spec, "float64", last_gamma=0.1).train()
    dense_loss(model, case, 0, change).backward()
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


@functools.cache
def dense_trained(network: str, optimizer: str, change: Change = unchanged) -> dict[str, np.ndarray]:
    """Tensors after the steps with decay by role; ``"maps"`` in evaluation of a further step's pictures; ``"losses"`` of all steps."""
    case, losses = dense.CASES[network], []
    model = model_of(case.spec, "float64", last_gamma=0.1).train()

    def loss(index: int) -> torch.Tensor:
        actual = dense_loss(model, case, index, change)
        losses.append(actual.item())
        return actual

    actual = steps(model, loss, optimizer, by_role(model), case.rate)
    with torch.no_grad():
        maps = joined(model.eval()(torch.from_numpy(case.batch(common.STEPS)[0]))).numpy()
    return {**actual, "maps": maps, "losses": np.array(losses)}


@functools.cache
def planted() -> dict[str, np.ndarray]:
    """Output in evaluation and moving statistics after one call in training, without any error."""
    case = common.PLANTED
    model = model_of(case.spec, "float64").eval()
    with torch.no_grad():
        actual = {"output": model(torch.from_numpy(case.images("float64"))).numpy()}
        model.train()(torch.from_numpy(case.images("float64")))
    return actual | {f"after/{name}": array.copy() for name, array in to_tensors(model).items() if "running_" in name}


def relative(found: np.ndarray, wanted: np.ndarray, floor: float = 0.0) -> float:
    """Largest difference over the largest value, of which there is at least `floor`."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), floor, np.finfo("float64").tiny))
