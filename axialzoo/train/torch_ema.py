"""Exponential moving average (EMA) of the weights of a model, which often scores better than the weights themselves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from axialzoo.train.recipe import warmed_decay

M = TypeVar("M", bound=nn.Module)


class EMA:
    """The exponential moving average of every tensor of a model.

    Args:
        model: Whose tensors it starts from.
        decay: What is kept of the average at each update; less at first, ``(1 + n) / (10 + n)`` after n updates.

    Attributes:
        tensors: The average, by name.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay, self.updates = decay, torch.zeros((), dtype=torch.int64)
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.tensors["updates"] = self.updates

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes in the model as it is now."""
        self.updates += 1
        decay = warmed_decay(self.decay, int(self.updates))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, 1 - decay)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from a saved average."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    def model(self, model: M) -> M:
        """A copy of `model` with the average as its weights, in evaluation."""
        averaged = copy.deepcopy(model)
        averaged.load_state_dict({name: tensor for name, tensor in self.tensors.items() if name != "updates"})
        return averaged.eval()
