"""deeplab2's numbers, as data: what its code computed, and weights in our arrangement by the converter's own mapping.

The weights of whole networks are not stored: each tensor follows from its name in their checkpoints (`weight`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from axialzoo.spec import Attention, Backbone, Block, Model, Norm, Stage, Stem, StemConv, get_entry
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.zoo.deeplab2 import backbone
from converters.deeplab2_names import places

DATA = Path(__file__).parent / "data"
TINY = DATA / "tiny_tf2_checkpoint"
TOLERANCE = 2e-5  # absolute, in float32
NORM = Norm(1e-3, 0.01)

Tensors = dict[str, np.ndarray]


def weight(key: str, shape) -> np.ndarray:
    """The tensor that their checkpoints call `key`: normal numbers seeded by the key, scaled by its kind."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    g, f = np.random.default_rng(seed).standard_normal(shape).astype("float32"), np.float32
    kind = key.rpartition("/")[2]
    if kind == "moving_variance":
        return f(0.5) + f(0.5) * abs(g)
    if kind in ("moving_mean", "beta", "bias"):
        return f(0.1) * g
    if kind == "gamma":
        last = re.search(r"_block\d+/(_conv3_bn|_conv2_bn)/_batch_norm/gamma$", key)
        scale = f(0.25) if "_batch_norm_similarity/" in key else f(0.3) if last else f(1)
        return scale * (f(1) + f(0.1) * g)
    if kind == "embeddings":
        return f(0.5) * g
    fan_in = shape[:2] if kind == "depthwise_kernel" else shape[:-1]
    return (g / np.sqrt(np.prod(fan_in))).astype("float32")


def ours(spec: Model, theirs: Callable[[str, tuple[int, ...]], np.ndarray], root: str = "") -> Tensors:
    """Canonical tensors of `spec` from `theirs(key, shape)`, those whose key begins with `root`."""
    return {place.name: place.to_ours(theirs(place.key, place.shape)) for place in places(spec) if place.key.startswith(root)}


# Whole backbones, evaluation mode.


@dataclass(frozen=True)
class Network:
    """A backbone.

    Attributes:
        file: In `DATA`, without its suffix.
        spec: What it computes.
        size: Height and width.
        prefix: Of its endpoints in the file.
    """

    file: str
    spec: Model
    size: tuple[int, int]
    prefix: str = ""

    @property
    def variables(self) -> dict[str, tuple[int, ...]]:
        """Shapes by key, as their encoder has them."""
        listed = json.loads((DATA / f"{self.file}.json").read_text())["variables"]
        shapes = {item["checkpoint_key"]: tuple(item["shape"]) for item in listed}
        return {key.removeprefix("encoder/"): shape for key, shape in shapes.items() if key.startswith("encoder/")}

    @property
    def tensors(self) -> Tensors:
        return _tensors(self.file)

    @property
    def x(self) -> np.ndarray:
        """(N, 3, H, W)."""
        if self.prefix:  # a whole model, which maps pictures to -1 to 1 for itself
            x = np.random.default_rng(0).integers(0, 256, (1, *self.size, 3)).astype("float32") / np.float32(127.5) - np.float32(1)
        else:
            x = np.random.default_rng(0).standard_normal((2, *self.size, 3)).astype("float32")
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def golden(self) -> Tensors:
        """Stored results of `summary` for ``res1`` to ``res5``."""
        with np.load(DATA / f"{self.file}.npz") as stored:
            return {name.removeprefix(self.prefix): stored[name] for name in stored.files if name.startswith(f"{self.prefix}res")}

    def error(self, endpoints: list[np.ndarray]) -> float:
        """The largest difference of our endpoints, (N, C, H, W) each, from what was stored; all of that is compared."""
        golden = self.golden()
        actual = {name: value for number, x in enumerate(endpoints, 1) for name, value in summary(f"res{number}", x).items()}
        assert len(golden) >= 21 and set(golden) <= set(actual), set(golden) - set(actual)
        return max(float(np.abs(actual[name] - value).max()) for name, value in golden.items())


@cache
def _tensors(file: str) -> Tensors:
    return ours(NETWORKS[file].spec, lambda key, shape: weight(f"encoder/{key}", shape))


def summary(endpoint: str, x: np.ndarray) -> Tensors:
    """The numbers that stand for a feature map (N, C, H, W)."""
    x = x.transpose(0, 2, 3, 1).astype("float64")
    numbers = {
        "shape": np.array(x.shape),
        "mean": x.mean(),
        "std": x.std(),
        "chan_mean": x.mean((0, 1, 2)),
        "map_mean": x[0].mean(2),
        "first": x[0, :4, :4, :8],
        "last": x[-1, -4:, -4:, -8:],
    }
    return {f"{endpoint}/{name}": np.asarray(value) for name, value in numbers.items()}


TINY_SPEC = backbone(depths=(1, 1, 2, 1), width=0.125, stem_width=0.25, axial_from=2)
NETWORKS = {
    network.file: network
    for network in (
        Network("dl2_axial_resnet_s_64", get_entry("axial_resnet_s").spec, (64, 64)),
        Network("dl2_axial_deeplab_s_65", get_entry("axial_deeplab_s_backbone").spec, (65, 65)),
        Network("dl2_max_deeplab_s_backbone_65", get_entry("max_deeplab_s_backbone").spec, (65, 65)),
        Network("dl2_tiny_panoptic_axial_deeplab_65x97", TINY_SPEC, (65, 97), "encoder/"),
    )
}


# Single layers, evaluation and training mode.


@dataclass(frozen=True)
class Case:
    """One layer.

    Attributes:
        name: ``attn2d_s2`` and so on.
        kind: ``"attention"`` (along the height), ``"pair"`` (height, then width), ``"block"`` or ``"conv"`` (and ReLU).
        stride, dilation: Of a pair or a convolution.
        model: A model whose last stage is this block alone, or whose stem is this convolution.
        tensors: By canonical name within the layer; a pair's begin with ``height.`` and ``width.``.
        x: Input (N, C, H, W).
        eval, train: Outputs in either mode, (N, C, H, W).
        after: Moving statistics after the training-mode call, by canonical name within the layer, with our variance.
        theirs: The same with their variance.
    """

    name: str
    kind: str
    stride: int
    dilation: int
    model: Model
    tensors: Tensors
    x: np.ndarray
    eval: np.ndarray
    train: np.ndarray
    after: Tensors
    theirs: Tensors

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


ROOTS = {  # of their keys and of our names
    "attention": ("_stage5/_block1/_attention/_height_axis/", "stages.0.blocks.0.height."),
    "pair": ("_stage5/_block1/_attention/", "stages.0.blocks.0."),
    "block": ("_stage5/_block1/", "stages.0.blocks.0."),
    "conv": ("_stem/", "stem.0."),
}
KINDS = {"AxialAttention": "attention", "AxialAttention2D": "pair", "AxialBlock": "block", "Conv2DSame": "conv"}


@cache
def layer_cases() -> tuple[Case, ...]:
    described = json.loads((DATA / "dl2_layers.json").read_text())
    with np.load(DATA / "dl2_layers.npz") as file:
        stored = dict(file)
    return tuple(_cases(described, stored))


def _cases(described: Mapping[str, dict], stored: Mapping[str, np.ndarray]) -> Iterator[Case]:
    for name, case in described.items():
        config = case["config"]
        kind = KINDS.get(config["layer"])
        if kind is None:
            continue
        x = images(stored[f"{name}/input"])
        model = _model(kind, config, x.shape[1])
        their_root, our_root = ROOTS[kind]

        def theirs(key: str, shape, case: str = name, root: str = their_root, after: bool = False) -> np.ndarray:
            key = f"layer/{key.removeprefix(root)}"
            array = stored[f"{case}/train/after/{key}"] if after and "/moving_" in key else stored[f"{case}/weight/{key}"]
            assert array.shape == shape, (key, array.shape, shape)
            return array

        tensors = {key.removeprefix(our_root): array for key, array in ours(model, theirs, their_root).items()}
        moved = ours(model, lambda key, shape, theirs=theirs: theirs(key, shape, after=True), their_root)
        moved = {key.removeprefix(our_root): array for key, array in moved.items() if ".running_" in key}
        stride = config.get("strides", 1)
        yield Case(
            name, kind, stride, config.get("atrous_rate", 1), model, tensors, x,
            images(stored[f"{name}/eval/output"]), images(stored[f"{name}/train/output"]),
            {key: unbiased(key, array, tensors[key], x.shape, stride) for key, array in moved.items()}, moved,
        )  # fmt: skip


def images(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C), or (N, H, C) of a single column, as (N, C, H, W)."""
    x = x if x.ndim == 4 else x[:, :, None]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _model(kind: str, config: dict, inputs: int) -> Model:
    conventions = {"in_channels": inputs, "pre_activation": True, "shortcut": "width", "norm": NORM}
    stem = Stem((StemConv(config["output_channels"], config["kernel_size"]),)) if kind == "conv" else Stem()
    block = Block("basic", (1, 1))
    if kind == "block" and config["attention_type"] is None:
        block = Block("bottleneck", tuple(config["filters_list"]), config["strides"])
    elif kind != "conv":
        filters = config["filters_list"][1] if kind == "block" else config.get("filters", 0)
        content_only = "retrieve_value_rpe" in config
        attention = Attention(
            config.get("total_key_depth", filters),
            config.get("total_value_depth", 2 * filters),
            heads=config["num_heads"],
            max_length=255,
            downsample="slice",
            similarity=("content",) if content_only else ("content", "query", "key"),
            value=("content",) if content_only else ("content", "position"),
        )
        widths = (config["filters_list"][0], config["filters_list"][2]) if kind == "block" else (inputs, 1)
        block = Block("axial", widths, config.get("strides", 1), attention=attention)
    if kind in ("attention", "pair"):
        conventions["in_channels"] = 1  # of the convolution before it, which is not in the case
    return Model(Backbone(stem, (Stage((block,)),), **conventions), head=Classifier(0))


def unbiased(name: str, after: np.ndarray, before: np.ndarray, shape: tuple[int, ...], stride: int) -> np.ndarray:
    """Their moving statistic as ours: over 3 and 5 dimensions their variance is divided by n, ours always by n - 1."""
    *_, norm, leaf = name.split(".")
    if leaf != "running_var" or norm == "norm":
        return after
    images, _, height, width = shape
    length = height
    if "width." in name:
        height, length = -(-height // stride), width
    n = images * height * width * (length if norm == "norm_similarity" else 1)
    keep = np.float64(1 - NORM.momentum)
    return keep * before + (after - keep * before) * (n / (n - 1))


def with_norm(case: Case, norm: Norm) -> Case:
    return replace(case, model=replace(case.model, backbone=replace(case.model.backbone, norm=norm)))
