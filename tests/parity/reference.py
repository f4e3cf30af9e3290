"""The same measurements in PyTorch."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from axialzoo.spec import Model
from axialzoo.torch.models import build
from axialzoo.torch.weights import load_tensors, to_tensors
from axialzoo.train.optimizer import by_decay
from tests.parity import common
from tests.parity.common import Case


def model_of(spec: Model, dtype: str, last_gamma: float = 0.2) -> torch.nn.Module:
    model = build(spec).to(getattr(torch, dtype))
    load_tensors(model, common.tensors(spec, dtype, last_gamma))
    return model


def forward(case: Case, dtype: str) -> np.ndarray:
    with torch.no_grad():
        return joined(model_of(case.spec, dtype).eval()(torch.from_numpy(case.images(dtype)))).numpy()


def joined(y) -> torch.Tensor:
    """The output, or all maps of a head together in the order of their names, channels last: (N, H, W, C); of levels, all locations
    one after another: (N, L, C).
    """
    if not isinstance(y, dict):
        return y
    maps = {name: torch.cat([level.flatten(2) for level in x], 2) if isinstance(x, list) else x for name, x in y.items()}
    return torch.cat([maps[name] for name in sorted(maps)], 1).movedim(1, -1)


def loss_of(y: torch.Tensor, target: np.ndarray) -> torch.Tensor:
    return (y - torch.from_numpy(target)).square().sum() / len(y)


def gradients(case: Case, dtype: str) -> dict[str, np.ndarray]:
    model = model_of(case.spec, dtype, last_gamma=0.1).train()
    loss_of(joined(model(torch.from_numpy(case.images(dtype)))), case.targets(dtype)).backward()
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}


@functools.cache
def trained(network: str, optimizer: str) -> dict[str, np.ndarray]:
    """Tensors after the steps; AdamW decays everything."""
    case = common.TRAINED[network]
    model = model_of(case.spec, "float64", last_gamma=0.1).train()
    return steps(
        model, case, optimizer, [{"params": list(model.parameters()), "weight_decay": common.DECAY if optimizer == "adamw" else 0.0}]
    )


@functools.cache
def decayed(network: str, optimizer: str) -> dict[str, np.ndarray]:
    """Tensors after the steps, where kernels and projections alone decay."""
    case = common.DECAYING[network]
    model = model_of(case.spec, "float64", last_gamma=0.1).train()
    shrinking, others = by_decay(model)
    return steps(model, case, optimizer, [{"params": shrinking, "weight_decay": common.DECAY}, {"params": others, "weight_decay": 0.0}])


def steps(model: torch.nn.Module, case: Case, optimizer: str, groups: list[dict]) -> dict[str, np.ndarray]:
    """Trains `model` and gives its tensors; `groups` are parameters with their decay, decoupled in SGD too, as Keras's is.

    Keras adds Adam's epsilon before it corrects the second moment's bias, PyTorch after, so that ``epsilon`` in
    Keras is ``epsilon / sqrt(1 - beta2 ** t)`` in PyTorch; the rest of AdamW, decay included, is the same.
    """
    decays = [group["weight_decay"] for group in groups]
    if optimizer == "sgd":
        stepping = torch.optim.SGD([{"params": group["params"]} for group in groups], common.RATE, common.MOMENTUM)
    else:
        stepping = torch.optim.AdamW(groups, common.RATE / 8, common.BETAS)
    for index in range(common.STEPS):
        stepping.zero_grad()
        loss_of(model(torch.from_numpy(case.images("float64", 8, index))), case.targets("float64", 8, index)).backward()
        for group, decay in zip(stepping.param_groups, decays):
            if optimizer == "adamw":
                group["eps"] = common.EPSILON / math.sqrt(1 - common.BETAS[1] ** (index + 1))
            else:
                with torch.no_grad():
                    for tensor in group["params"]:
                        tensor.mul_(1 - common.RATE * decay)
        stepping.step()
    return {name: array.copy() for name, array in to_tensors(model).items()}


@functools.cache
def planted() -> dict[str, np.ndarray]:
    """Output in evaluation and moving statistics after one call in training, without any error."""
    case = common.PLANTED
    model = model_of(case.spec, "float64").eval()
    with torch.no_grad():
        found = {"output": model(torch.from_numpy(case.images("float64"))).numpy()}
        model.train()(torch.from_numpy(case.images("float64")))
    return found | {f"after/{name}": array.copy() for name, array in to_tensors(model).items() if "running_" in name}


def relative(found: np.ndarray, wanted: np.ndarray, floor: float = 0.0) -> float:
    """Largest difference over the largest value, of which there is at least `floor`."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), floor, np.finfo("float64").tiny))
