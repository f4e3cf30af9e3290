"""Exponential moving average (EMA) of the weights of a model, which often scores better than the weights themselves."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportIndexIssue=false
# (h5py declares what a group gives as everything that a file can hold.)
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from axialzoo.train.recipe import warmed_decay


class EMA:
    """The exponential moving average of every tensor of a model, those of its norms' statistics too, which `use_ema` leaves out.

    Args:
        model: Whose tensors it starts from.
        decay: What is kept of the average at each update; less at first, ``(1 + n) / (10 + n)`` after n updates.

    Attributes:
        tensors: The average, in the order of ``model.weights``.
    """

    def __init__(self, model: keras.Model, decay: float):
        self.decay, self.updates = decay, 0
        self.tensors: list[Any] = [ops.convert_to_tensor(np.array(value)) for value in model.get_weights()]

    def update(self, model: keras.Model) -> None:
        """Takes in the model as it is now."""
        self.updates += 1
        decay = warmed_decay(self.decay, self.updates)
        for index, variable in enumerate(model.weights):
            average = self.tensors[index]
            self.tensors[index] = average + (ops.stop_gradient(variable.value) - average) * (1 - decay)

    def save(self, path: Path) -> None:
        """Writes it into the file of a model's weights, an HDF5 file, beside them."""
        with h5py.File(path, "a") as file:
            group = file.create_group("average")
            group.attrs["updates"] = self.updates
            for index, tensor in enumerate(self.tensors):
                group[str(index)] = ops.convert_to_numpy(tensor)

    def load(self, path: Path) -> None:
        """Goes on from a saved average."""
        with h5py.File(path) as file:
            group = file["average"]
            self.updates = int(group.attrs["updates"])
            self.tensors = [ops.convert_to_tensor(np.asarray(group[str(index)])) for index in range(len(self.tensors))]

    def model(self, model: keras.Model) -> keras.Model:
        """A copy of `model` with the average as its weights."""
        averaged = type(model).from_config(model.get_config())
        averaged.config = model.config  # of the weights that training began from
        averaged.set_weights([ops.convert_to_numpy(tensor) for tensor in self.tensors])
        return averaged
