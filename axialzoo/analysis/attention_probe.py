"""A model, its view of a photograph, and the attention of a block from a point, which `explain` and the web page show."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from axialzoo.analysis.cases import attention_blocks, estimated_bytes
from axialzoo.analysis.measure import free_memory
from axialzoo.analysis.networks import random_network, receptive_field, record_activations
from axialzoo.analysis.weights import attention_weights, reach
from axialzoo.checkpoint import Checkpoint
from axialzoo.hub import fetch_checkpoint
from axialzoo.image import load_image, preprocess, resize_transform
from axialzoo.runtime.local import torch_model
from axialzoo.spec import Model, Preprocessing, adapt, get_entry, parameters, size_pair

LAYERS = {"axial": ("height", "width"), "attention": ("attention",)}  # attention layers of a block, in the order in which they run


@dataclass(frozen=True)
class Source:
    """A model, with its weights if it has any.

    Attributes:
        name: Name of the model.
        spec: Spec of the model.
        tensors: Its weights by name, or None for random weights.
        preprocessing: Its preprocessing.
        digest: Digest of its weights.
        registered: Registered name of its weights, ``"name"`` or ``"name.tag"``; None for other weights.
    """

    name: str
    spec: Model
    tensors: dict[str, Any] | None
    preprocessing: Preprocessing
    digest: str | None = None
    registered: str | None = None

    def with_kind(self, kind: str) -> Source | None:
        """Return the model with another kind of attention; None where it has weights and there are none of that kind.

        The weights are its own if it is of that kind, else those registered for the kind, else its own if they fit. A model with
        random weights gets random weights.
        """
        changed = adapt(self.spec, attention=kind)
        if changed == self.spec:
            return self
        if self.registered is not None:
            name, _, tag = self.registered.partition(".")
            other_tag = get_entry(name).tag_of_kind(kind, tag)
            if other_tag is not None:
                return _of_checkpoint(fetch_checkpoint(f"{name}.{other_tag}"), self.preprocessing, f"{name}.{other_tag}")
        shapes = {parameter.name: parameter.shape for parameter in parameters(changed)}
        if self.tensors is None or shapes == {name: tuple(np.shape(tensor)) for name, tensor in self.tensors.items()}:
            return replace(self, spec=changed)
        return None


@dataclass(frozen=True)
class View:
    """A photograph as the model sees it, and a point in it.

    Attributes:
        image: (1, C, H, W).
        photo: The part of the photograph that the model sees.
        share: The point (x, y), as shares of the width and height of that part.
    """

    image: Tensor
    photo: Image.Image
    share: tuple[float, float]

    def position(self, height: int, width: int) -> tuple[int, int]:
        """Return the row and column of the point on a map of that size."""
        return int(self.share[1] * height), int(self.share[0] * width)


def find_source(name: str, size=None, random: bool = False, fetch: Callable[[str], Checkpoint] = fetch_checkpoint) -> Source:
    """Load a registered model, a checkpoint folder or ``org/repo``; a registered model without weights gets random weights.

    Args:
        size: Height and width that the photograph is resized to; default the model's own.
        random: Use random weights even if the model has trained weights.
        fetch: Loads the checkpoint of a name.
    """
    registered = not (Path(name).exists() or "/" in name)
    if registered and (random or not get_entry(name).weights):
        spec = get_entry(name).spec
        return Source(name, spec, None, Preprocessing(size_pair(size or spec.input_size), crop=1.0))
    checkpoint = fetch(name)
    config = checkpoint.config
    preprocessing = config.preprocessing if size is None else replace(config.preprocessing, size=size_pair(size))
    if random:
        return Source(config.model, config.spec, None, preprocessing)
    return _of_checkpoint(checkpoint, preprocessing, name if registered else None)


def _of_checkpoint(checkpoint: Checkpoint, preprocessing: Preprocessing, registered: str | None) -> Source:
    config = checkpoint.config
    return Source(config.model, config.spec, dict(checkpoint.tensors), preprocessing, config.digest, registered)


def view(path: str | os.PathLike[str], point: tuple[int, int], preprocessing: Preprocessing) -> View:
    """Open the photograph in `path` with a point (x, y), in its pixels.

    Raises:
        ValueError: for a point outside of the photograph, or outside of the part that the model sees.
    """
    photo = load_image(path)
    x, y = point
    if not (0 <= x < photo.width and 0 <= y < photo.height):
        raise ValueError(f"--point {x},{y}: expected x from 0 to {photo.width - 1} and y from 0 to {photo.height - 1}: {path} is so large")
    box = part_seen(photo, preprocessing)
    share = ((x + 0.5 - box[0]) / (box[2] - box[0]), (y + 0.5 - box[1]) / (box[3] - box[1]))
    if not (0 <= share[0] < 1 and 0 <= share[1] < 1):
        wide = round(preprocessing.size[0] * photo.width / photo.height)
        raise ValueError(
            f"--point {x},{y}: of {path} the model sees x from {box[0]:.0f} to {box[2] - 1:.0f} and y from {box[1]:.0f} to "
            f"{box[3] - 1:.0f}; --size {preprocessing.size[0]}x{wide} shows it more"
        )
    return view_at(photo, share, preprocessing)


def view_at(photo: Image.Image, share: tuple[float, float], preprocessing: Preprocessing) -> View:
    """Return a photograph with a point, in shares (at least 0, below 1) of the width and height of the part that the model sees."""
    left, top, right, bottom = part_seen(photo, preprocessing)
    seen = photo.crop((round(left), round(top), round(right), round(bottom)))
    return View(torch.from_numpy(preprocess(photo, preprocessing))[None], seen, share)


def part_seen(photo: Image.Image, preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the part that the model sees, in pixels of the photograph."""
    steps = resize_transform(photo.height, photo.width, preprocessing)
    down, right = photo.height / steps.resized[0], photo.width / steps.resized[1]  # pixels of the photograph to one of the input
    left, top = steps.left * right, steps.top * down
    return left, top, left + steps.size[1] * right, top + steps.size[0] * down


class AttentionProbe:
    """The attention of a block from a point: the weights of its layers, their joint reach, and the receptive field.

    Args:
        source: A model.
        block: Name of a block with attention.
        view: The photograph and the point.
        samples: Random combinations of channels that the receptive field averages over.
        seed: Seed of the samples and of random weights.
        device: Device that computes, as :func:`axialzoo.runtime.device.find_device` names it.

    Attributes:
        weights: ``"trained"`` or ``"random"``.
        digest: Digest of trained weights.
        map: Height and width of the block's map.
        position: Row and column of the point on the map.
        pixel: Row and column of the point on the model's input.
        attention: Layer (``"height"`` and ``"width"``, or ``"attention"``), in the order in which they run -> its weights (H, W) from
            the point, averaged over heads.
        reach: (H, W) weight of each position at the point through all of these layers; it sums to 1.
    """

    def __init__(self, source: Source, block: str, view: View, samples: int = 8, seed: int = 0, device: str = "cpu"):
        self._arguments = source, block, view, samples, seed, device
        spec, tensors = source.spec, source.tensors
        self.weights, self.digest = "random" if tensors is None else "trained", source.digest
        network = random_network(spec, view.image, seed) if tensors is None else torch_model(spec, tensors)
        network, image = network.to(device), view.image.to(device)
        names = [f"{block}.{layer}" for layer in LAYERS[attention_blocks(spec)[block].kind]]
        modules: dict[str, Any] = {name: network.get_submodule(name) for name in names}
        with record_activations({**modules, block: network.get_submodule(block)}) as activations, torch.no_grad():
            network(image)
        self.map = tuple(activations[names[0]][0].shape[2:])
        self.position = view.position(*self.map)
        layers = {name.rpartition(".")[2]: (modules[name], _on_whole_map(modules, names, name, activations)) for name in names}
        self.attention = {name: attention_weights(*layer, *self.position).mean(0).cpu().numpy() for name, layer in layers.items()}
        self.reach = reach(list(layers.values()), *self.position).cpu().numpy()  # (H, W) of the map
        target = view.position(*activations[block][1].shape[2:])
        self._field = lambda: receptive_field(network, block, image, *target, samples, seed).cpu().numpy()
        self.pixel = view.position(*view.image.shape[2:])

    def with_kind(self, kind: str) -> AttentionProbe | str:
        """Return the probe of another kind of attention, or the reason to skip it: no trained weights, or not enough memory."""
        source, block, shown, samples, seed, device = self._arguments
        other = source.with_kind(kind)
        if other is source:
            return self
        if other is None:
            return f"no trained weights of this kind of {source.name}"
        size = (shown.image.shape[2], shown.image.shape[3])
        need, limit = estimated_bytes(other.spec, size, train=True), free_memory(device) * 8 // 10
        if need > limit:
            return f"it needs about {need / 2**30:,.1f} GiB, more than the {limit / 2**30:,.1f} GiB to use"
        return AttentionProbe(other, block, shown, samples, seed, device)

    @cached_property
    def field(self) -> np.ndarray:
        """Effective receptive field (H, W): the change of the block's output at the point with each pixel. Computed at first use."""
        return self._field()


def _on_whole_map(modules: dict[str, nn.Module], names: Sequence[str], name: str, activations: dict) -> Tensor:
    """Return the input of a layer on the block's whole map; with a stride, the second layer of a pair gets every other row."""
    x, whole = activations[name][0], activations[names[0]][0]
    if x.shape[2:] == whole.shape[2:]:
        return x
    with torch.no_grad():
        return modules[names[0]](whole)
