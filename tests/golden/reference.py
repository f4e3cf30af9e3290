"""The authors' numbers, as data: inputs, weights in our arrangement and what their code computed. No framework here.

The weights of the whole network are not stored: each tensor follows from its name in the authors' files (`weight`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from axialzoo.spec import Attention, Backbone, Block, Model, Stage, Stem, get_entry, parameters
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.layers import layers
from converters.axial_deeplab_names import foreign_name, to_ours

DATA = Path(__file__).parent / "data"
TOLERANCE = 2e-5  # absolute, in float32; the smallest planted error moves the logits by 1.7e-4

Tensors = dict[str, np.ndarray]


def weight(name: str, shape) -> np.ndarray:
    """The tensor that the authors' code calls `name`: normal numbers seeded by the name, scaled by its kind."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    g, f = np.random.default_rng(seed).standard_normal(shape).astype("float32"), np.float32
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        return f(0.5) + f(0.5) * abs(g)
    if kind in ("running_mean", "bias"):
        return f(0.1) * g
    if kind == "relative":
        return f(0.5) * g
    if g.ndim > 1:
        return g / np.sqrt(f(np.prod(shape[1:])))
    scale = f(0.25) if "bn_similarity" in name else f(0.3) if re.match(r"layer\d+\.\d+\.bn2\.weight$", name) else f(1)
    return scale * (f(1) + f(0.1) * g)


def attention_of(spec: Model, name: str) -> Attention | None:
    """The spec of the attention layer that the tensor `name` belongs to."""
    owners = {layer.name: layer.attention for layer in layers(spec) if layer.op == "attention"}
    return next((attention for owner, attention in owners.items() if name.startswith(owner + ".")), None)


def ours(spec: Model, theirs, prefix: str = "") -> Tensors:
    """Canonical tensors of `spec` from the authors', `theirs(foreign name)`, under names without `prefix`."""
    tensors = {}
    for parameter in parameters(spec):
        if parameter.name.startswith(prefix):
            tensor = to_ours(theirs(foreign_name(parameter.name)), parameter.name, attention_of(spec, parameter.name))
            assert tensor.shape == parameter.shape, (parameter, tensor.shape)
            tensors[parameter.name.removeprefix(prefix)] = np.ascontiguousarray(tensor)
    return tensors


# The whole network: axial26s, evaluation mode, two images of 224 x 224.

STAGES = ("layer1", "layer2", "layer3", "layer4")


def network_spec() -> Model:
    return get_entry("axial_resnet26_s").spec


@cache
def network_tensors() -> Tensors:
    state = json.loads((DATA / "csr_axial26s_224.json").read_text())["state_dict"]
    shapes = {tensor["name"]: tensor["shape"] for tensor in state}
    return ours(network_spec(), lambda name: weight(name, shapes[name]))


def network_input() -> np.ndarray:
    """(2, 3, 224, 224)."""
    return np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype("float32")


@cache
def network_golden() -> Mapping[str, np.ndarray]:
    """``logits`` (2, 1000), and for ``conv1`` (the stem's convolution before its norm) and `STAGES` what `summary` gives."""
    with np.load(DATA / "csr_axial26s_224.npz") as stored:
        return dict(stored)


def summary(stage: str, x: np.ndarray) -> Tensors:
    """The numbers that stand for a feature map (N, C, H, W) in `network_golden`."""
    numbers = {
        "shape": np.array(x.shape),
        "mean": x.mean(),
        "std": x.std(),
        "chan_mean": x.mean((0, 2, 3)),
        "map_mean": x[0].mean(0),
        "first": x[0, :8, :4, :4],
        "last": x[-1, -8:, -4:, -4:],
    }
    return {f"{stage}/{name}": np.asarray(value) for name, value in numbers.items()}


def error(found: Mapping[str, np.ndarray], golden: Mapping[str, np.ndarray]) -> float:
    """The largest absolute difference over the names of `found`."""
    return max(float(np.abs(np.asarray(value, "float64") - golden[name]).max()) for name, value in found.items())


# Single layers: height and width attention and whole blocks, stride 1 and 2, evaluation and training mode.


@dataclass(frozen=True)
class Case:
    """One layer.

    Attributes:
        name: ``attn_height_s1`` and so on.
        kind: ``"attention"`` or ``"block"``.
        axis: Of an attention layer.
        stride: Of a block, or of the average pool that follows an attention layer.
        model: A model without a stem that consists of this block alone; an attention layer is its ``height``.
        tensors: By canonical name within the layer.
        x: Input (N, C, H, W).
        eval, train: Outputs in either mode.
        after: Moving statistics after the training-mode call, by canonical name within the layer.
    """

    name: str
    kind: str
    axis: int
    stride: int
    model: Model
    tensors: Tensors
    x: np.ndarray
    eval: np.ndarray
    train: np.ndarray
    after: Tensors

    @property
    def block(self) -> Block:
        return self.model.backbone.stages[0].blocks[0]

    @property
    def attention(self) -> Attention:
        assert self.block.attention is not None
        return self.block.attention

    @property
    def inputs(self) -> int:
        return self.x.shape[1]

    def finish(self, output: np.ndarray) -> np.ndarray:
        """Ours (N, C, H, W) as the authors' layer gives it: their attention layer pools for itself."""
        if self.kind == "block" or self.stride == 1:
            return output
        n, c, h, w = (side // part for side, part in zip(output.shape, (1, 1, self.stride, self.stride)))
        output = output[:, :, : h * self.stride, : w * self.stride]  # their pool drops what is left over at the end
        return output.reshape(n, c, h, self.stride, w, self.stride).mean((3, 5))


@cache
def layer_cases() -> tuple[Case, ...]:
    described = json.loads((DATA / "csr_layers.json").read_text())
    with np.load(DATA / "csr_layers.npz") as file:
        stored = dict(file)
    return tuple(_case(name, case["config"], stored) for name, case in described.items())


def _case(name: str, config: dict, stored: Mapping[str, np.ndarray]) -> Case:
    block_case = config["kind"] == "AxialBlock"
    stride = config["stride"]
    width = config["planes"] if block_case else config["out_planes"]
    inputs = config["inplanes"] if block_case else config["in_planes"]
    attention = Attention(width // 2, width, heads=config["groups"], max_length=config["kernel_size"])
    block = Block("axial", (width if block_case else inputs, 2 * width), stride, attention=attention)
    model = Model(Backbone(Stem(), (Stage((block,)),), in_channels=inputs), head=Classifier(0))
    prefix = "stages.0.blocks.0." if block_case else "stages.0.blocks.0.height."
    foreign = "layer1.0." if block_case else "layer1.0.hight_block."
    tensors = ours(model, lambda tensor: stored[f"{name}/weight/{tensor.removeprefix(foreign)}"], prefix)
    moving = ours_after(model, name, stored, prefix, foreign)
    outputs = (stored[f"{name}/{mode}/output"] for mode in ("eval", "train"))
    return Case(
        name,
        "block" if block_case else "attention",
        int(config.get("width", False)),
        stride,
        model,
        tensors,
        stored[f"{name}/input"],
        *outputs,
        moving,
    )


def ours_after(model: Model, case: str, stored: Mapping[str, np.ndarray], prefix: str, foreign: str) -> Tensors:
    """The moving statistics after one training-mode call."""

    def theirs(name: str) -> np.ndarray:
        name = name.removeprefix(foreign)
        return stored.get(f"{case}/train/after/{name}", stored[f"{case}/weight/{name}"])

    return {name: tensor for name, tensor in ours(model, theirs, prefix).items() if ".running_" in name}
