"""The optimizer of a recipe in PyTorch: decoupled decay by role, and a velocity that outlives changes of the rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from axialzoo.spec import parameters
from axialzoo.torch.backbone import Extractor
from axialzoo.train.recipe import Recipe


def decay_groups(model: Extractor) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that weight decay shrinks, and the others, as :attr:`axialzoo.spec.Parameter.decays` says."""
    decays = {parameter.name: parameter.decays for parameter in parameters(model.spec)}
    named = list(model.named_parameters())
    return [tensor for name, tensor in named if decays[name]], [tensor for name, tensor in named if not decays[name]]


def make_optimizer(recipe: Recipe, model: Extractor) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    """The optimizer, and the parameters that decay."""
    decayed, others = decay_groups(model)
    if recipe.optimizer == "sgd":
        groups = [{"params": decayed}, {"params": others}]
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0), decayed
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), eps=1e-7), decayed


@torch.no_grad()
def apply_weight_decay(recipe: Recipe, decayed: list[nn.Parameter], rate: float) -> None:
    """The decoupled decay of SGD, before its step; AdamW has its own."""
    if recipe.optimizer == "sgd" and recipe.weight_decay:
        for tensor in decayed:
            if not tensor.requires_grad:  # frozen
                continue
            tensor.mul_(1 - rate * recipe.weight_decay)


@torch.no_grad()
def set_lr(optimizer: Any, rate: float) -> None:
    """Sets the learning rate and keeps the velocity, rate times momentum buffer, as it is.

    PyTorch's buffer holds gradients alone, so that a change of the rate would change the steps already taken; Keras'
    holds rate times gradient. Source: the momentum correction of Goyal et al. 2017, section 2.1.
    """
    for group in optimizer.param_groups:
        for tensor in group["params"]:
            if (buffer := optimizer.state[tensor].get("momentum_buffer")) is not None:
                buffer.mul_(group["lr"] / rate)
        group["lr"] = rate
