"""What a layer attends to from a point of a photograph, what reaches that point, and what its output depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from axialzoo.analysis.cases import attention_blocks, estimated_bytes, find_block
from axialzoo.analysis.measure import free_memory
from axialzoo.analysis.measures import spread
from axialzoo.analysis.networks import random_network, receptive_field, recorded
from axialzoo.analysis.picture import Panel, Row, draw_grid
from axialzoo.analysis.weights import attention_weights, reach
from axialzoo.files import check_output
from axialzoo.hub import fetch_checkpoint
from axialzoo.image import load_image, preprocess, view_of
from axialzoo.runtime.local import torch_model
from axialzoo.spec import Model, Preprocessing, SpecError, adapt, entry, parameters, size_pair

LAYERS = {"axial": ("height", "width"), "attention": ("attention",)}  # of a block, in the order in which they run


@dataclass(frozen=True)
class Source:
    """A model and, where it has them, its weights.

    Attributes:
        name: Its name.
        spec: What it computes.
        tensors: Its weights by name, or None: random ones.
        preprocessing: What it does to a photograph.
        digest: Of its weights.
    """

    name: str
    spec: Model
    tensors: dict[str, Any] | None
    preprocessing: Preprocessing
    digest: str | None = None


@dataclass(frozen=True)
class View:
    """A photograph as the model sees it, and where the point lies.

    Attributes:
        image: (1, C, H, W).
        photo: The part of the photograph that the model sees.
        share: The point, as shares of that part's width and height.
    """

    image: Tensor
    photo: Image.Image
    share: tuple[float, float]

    def position(self, height: int, width: int) -> tuple[int, int]:
        """Row and column of the point on a map of that size."""
        return int(self.share[1] * height), int(self.share[0] * width)


def find_source(name: str, size=None, random: bool = False) -> Source:
    """A registered model, a checkpoint folder or ``org/repo``; a registered one without weights gets random ones.

    Args:
        size: Height and width that the photograph is resized to, in place of the model's own.
        random: Random weights even where it has trained ones.
    """
    registered = not (Path(name).exists() or "/" in name)
    if registered and (random or not entry(name).weights):
        spec = entry(name).spec
        return Source(name, spec, None, Preprocessing(size_pair(size or spec.input_size), crop=1.0))
    checkpoint = fetch_checkpoint(name)
    config = checkpoint.config
    preprocessing = config.preprocessing if size is None else replace(config.preprocessing, size=size_pair(size))
    if random:
        return Source(config.model, config.spec, None, preprocessing)
    return Source(config.model, config.spec, dict(checkpoint.tensors), preprocessing, config.digest)


def view(path: str | os.PathLike, point: tuple[int, int], preprocessing: Preprocessing) -> View:
    """The photograph in `path` with a point (x, y), in its pixels.

    Raises:
        ValueError: for a point outside of the photograph, or of the part that the model sees.
    """
    photo = load_image(path)
    x, y = point
    if not (0 <= x < photo.width and 0 <= y < photo.height):
        raise ValueError(f"--point {x},{y}: expected x from 0 to {photo.width - 1} and y from 0 to {photo.height - 1}: {path} is so large")
    steps = view_of(photo.height, photo.width, preprocessing)
    down, right = photo.height / steps.resized[0], photo.width / steps.resized[1]  # pixels of the photograph to one of the input
    left, top = steps.left * right, steps.top * down
    box = (left, top, left + steps.size[1] * right, top + steps.size[0] * down)
    share = ((x + 0.5 - box[0]) / (box[2] - box[0]), (y + 0.5 - box[1]) / (box[3] - box[1]))
    if not (0 <= share[0] < 1 and 0 <= share[1] < 1):
        wide = round(preprocessing.size[0] * photo.width / photo.height)
        raise ValueError(
            f"--point {x},{y}: of {path} the model sees x from {box[0]:.0f} to {box[2] - 1:.0f} and y from {box[1]:.0f} to "
            f"{box[3] - 1:.0f}; --size {preprocessing.size[0]}x{wide} shows it more"
        )
    seen = photo.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
    return View(torch.from_numpy(preprocess(photo, preprocessing))[None], seen, share)


def explain(
    source: Source,
    path: str | os.PathLike,
    point: tuple[int, int],
    *,
    kinds: Sequence[str],
    layer: str | None = None,
    samples: int = 8,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The numbers that ``axialzoo explain --json`` prints; `out` gets the picture.

    Args:
        source: A model.
        path: A photograph.
        point: (x, y) in its pixels.
        kinds: Kinds of attention to compare in the place of the model's own.
        layer: A block with attention; default the middle one.
        samples: Random combinations of channels that the receptive field averages over.
        seed: Of random weights and of those.
        out: Where the picture goes; never `path` itself.
        overwrite: Whether a file that is there already may be replaced.
    """
    if out is not None:
        check_output(out, inputs=[path], overwrite=overwrite)
    known = list(attention_blocks(source.spec))
    if not known:
        raise SpecError(f"{source.name} has no attention to explain: its blocks are convolutions")
    block = known[len(known) // 2] if layer is None else find_block(source.spec, layer)
    shown = view(path, point, source.preprocessing)
    told(f"{source.name} as it is")
    own = _See(source, source.spec, block, shown, samples, seed)
    height, width = own.map
    found: dict[str, Any] = {
        "model": source.name,
        "weights": own.weights,
        "digest": source.digest,
        "seed": seed,
        "image": str(path),
        "point": list(point),
        "input_size": list(shown.image.shape[2:]),
        "layer": block,
        "map": [height, width],
        "position": list(own.position),
        "attention": {name: spread(weights, *own.position) for name, weights in own.attention.items()},
        "kinds": {},
    }
    seen: dict[str, _See | str] = {}
    for kind in kinds:
        told(kind)
        changed = adapt(source.spec, attention=kind)
        seen[kind] = own if changed == source.spec else _see_if_it_fits(source, changed, block, shown, samples, seed)
        found["kinds"][kind] = _numbers(seen[kind])
    if out is not None:
        _draw(found, own, seen, shown, out)
        found["picture"] = str(out)
    return found


class _See:
    """One network: the weights of its layers from the point, what reaches the point, and what the block's output depends on."""

    def __init__(self, source: Source, spec: Model, block: str, shown: View, samples: int, seed: int):
        fits = source.tensors is not None and {p.name: p.shape for p in parameters(spec)} == {
            name: tuple(np.shape(tensor)) for name, tensor in source.tensors.items()
        }
        self.weights = "trained" if fits else "random"
        network = torch_model(spec, source.tensors or {}) if fits else random_network(spec, shown.image, seed)
        names = [f"{block}.{layer}" for layer in LAYERS[attention_blocks(spec)[block].kind]]
        modules: dict[str, Any] = {name: network.get_submodule(name) for name in names}
        with recorded({**modules, block: network.get_submodule(block)}) as found, torch.no_grad():
            network(shown.image)
        self.map = tuple(found[names[0]][0].shape[2:])
        self.position = shown.position(*self.map)
        layers = {name.rpartition(".")[2]: (modules[name], _on_whole_map(modules, names, name, found)) for name in names}
        self.attention = {name: attention_weights(*layer, *self.position).mean(0).numpy() for name, layer in layers.items()}
        self.reach = reach(list(layers.values()), *self.position).numpy()  # (H, W) of the map
        target = shown.position(*found[block][1].shape[2:])
        self.field = receptive_field(network, block, shown.image, *target, samples, seed).numpy()  # (H, W) of the image
        self.pixel = shown.position(*self.field.shape)


def _on_whole_map(modules: dict[str, nn.Module], names: Sequence[str], name: str, found: dict) -> Tensor:
    """The input of a layer on the block's whole map: with a stride, the second of a pair gets every other row."""
    x, whole = found[name][0], found[names[0]][0]
    if x.shape[2:] == whole.shape[2:]:
        return x
    with torch.no_grad():
        return modules[names[0]](whole)


def _see_if_it_fits(source: Source, spec: Model, block: str, shown: View, samples: int, seed: int) -> _See | str:
    size = (shown.image.shape[2], shown.image.shape[3])
    need, limit = estimated_bytes(spec, size, train=True), free_memory() * 8 // 10
    if need > limit:
        return f"needs about {need / 2**30:,.1f} GiB, more than the {limit / 2**30:,.1f} GiB to use"
    return _See(source, spec, block, shown, samples, seed)


def _numbers(seen: _See | str) -> dict[str, Any]:
    if isinstance(seen, str):
        return {"skipped": seen}
    return {
        "weights": seen.weights,
        "skipped": None,
        "reach": spread(seen.reach, *seen.position),
        "field": spread(seen.field, *seen.pixel),
    }


def _draw(found: dict[str, Any], own: _See, seen: dict[str, _See | str], shown: View, out: Path) -> None:
    height, width = found["map"]
    cross = sum(weights / weights.max() for weights in own.attention.values())
    numbers = ", ".join(f"{name} {part['effective_positions']:.1f}" for name, part in found["attention"].items())
    learned = "Trained weights." if own.weights == "trained" else f"Random weights (seed {found['seed']}): nothing is learned here."
    words = (
        f"{found['model']}, {found['layer']}: a map of {height} x {width} positions, averages over its heads.",
        learned,
        "",
        "Numbers are effective positions: so many, with equal weights, would be spread as widely (exp of the entropy). "
        "The photograph is what the model sees of it.",
    )
    panels = [
        Panel("photograph", f"as {found['input_size'][0]} x {found['input_size'][1]} pixels"),
        Panel(" and ".join(own.attention), numbers, np.asarray(cross)),
    ]
    first = Row("What the point attends to", panels, words)
    reached, fields = [], []
    for kind, one in seen.items():
        if isinstance(one, str):
            reached.append(Panel(kind, missing=one))
            fields.append(Panel(kind, missing=one))
            continue
        numbers, weights = found["kinds"][kind], f"{one.weights} weights"
        reached.append(Panel(kind, f"{numbers['reach']['effective_positions']:.0f} of {one.reach.size}, {weights}", one.reach))
        fields.append(Panel(kind, f"{numbers['field']['effective_positions']:,.0f} of {one.field.size:,} pixels, {weights}", one.field))
    rows = [
        first,
        Row("What reaches the point through this block's attention (axial: height, then width)", reached),
        Row("What the block's output at the point depends on: effective receptive field, |d output / d pixel|", fields),
    ]
    caption = f"{found['model']}   |   {found['layer']}   |   point {found['point'][0]}, {found['point'][1]} of {Path(found['image']).name}"
    draw_grid(shown.photo, shown.share, rows, caption, out)
