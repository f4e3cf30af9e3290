"""Specs, weights and inputs of the comparisons, the same in every process. No framework here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from axialzoo.spec import (
    Attention,
    Backbone,
    Block,
    Model,
    NeckStage,
    Norm,
    Parameter,
    Preprocessing,
    Stage,
    Stem,
    StemConv,
    adapt,
    get_entry,
    list_models,
    parameters,
)
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.fcos import FCOS
from axialzoo.spec.heads.panoptic import Decoder, Instances, Panoptic, Skip
from axialzoo.spec.heads.pyramid import Pyramid
from axialzoo.spec.heads.unet import UNet
from axialzoo.spec.zoo.axial_resnet_full import axial_resnet_full
from axialzoo.spec.zoo.medical_transformer import smallest
from tests.spec.deeplab2 import DEEPLAB2, narrow

BACKENDS = ("tensorflow", "jax", "torch")
DTYPES = ("float64", "float32")
STEPS, RATE, MOMENTUM, EPSILON, DECAY = 20, 2.0**-6, 0.875, 1e-7, 0.0625  # rates that float32, in which Keras keeps them, holds exactly
BETAS = (0.875, 0.96875)


@dataclass(frozen=True)
class Case:
    spec: Model
    size: tuple[int, int]
    full: bool = False
    gradients: bool = False
    dtypes: tuple[str, ...] = DTYPES

    def images(self, dtype: str, batch: int = 2, seed: int = 0) -> np.ndarray:
        """(N, C, H, W)."""
        shape = (batch, self.spec.backbone.in_channels, *self.size)
        return np.random.default_rng(seed).standard_normal(shape).astype(dtype)

    def targets(self, dtype: str, batch: int = 2, seed: int = 0) -> np.ndarray:
        """(N, outputs); of a head with maps, (N, H, W, channels of all maps together); of one with levels, (N, L, the same)."""
        outputs, random = self.spec.num_classes or self.spec.backbone.channels, np.random.default_rng(seed + 1000)
        if self.spec.head is not None and self.spec.head.output_structure != "tensor":
            maps = self.spec.head.outputs(self.spec.backbone).values()
            stride, outputs = next(iter(maps)).stride, sum(item.channels for item in maps)
            sizes = [[-(-side // at) for side in self.size] for at in getattr(self.spec.head, "strides", (stride,))]
            places = sizes[0] if self.spec.head.output_structure == "maps" else [sum(height * width for height, width in sizes)]
            return random.standard_normal((batch, *places, outputs)).astype(dtype)
        return random.standard_normal((batch, outputs)).astype(dtype)


def tensors(spec: Model, dtype: str = "float64", last_gamma: float = 0.2) -> dict[str, np.ndarray]:
    """Canonical tensors that follow from their names; nothing in them is zero."""
    return {parameter.name: tensor(parameter, last_gamma).astype(dtype) for parameter in parameters(spec)}


def tensor(parameter: Parameter, last_gamma: float) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(parameter.name.encode()).digest()[:8], "little")
    g = np.random.default_rng(seed).standard_normal(parameter.shape, "float32").astype("float64")
    if parameter.role == "norm_variance":
        return 0.5 + 0.5 * abs(g)
    if parameter.role in ("norm_mean", "norm_shift", "bias"):
        return 0.1 * g
    if parameter.role == "position":
        return 0.5 * g
    if parameter.role == "norm_scale":
        last = parameter.name.endswith(("expand.norm.weight", "spatial2.norm.weight"))
        return (0.25 if "norm_similarity" in parameter.name else last_gamma if last else 1.0) * (1 + 0.1 * g)
    return g / np.sqrt(np.prod(parameter.shape[1:]))


def axial(width: int, out: int, stride: int = 1, **attention) -> Block:
    return Block(
        "axial", (width, out), stride, attention=Attention(**{"key_channels": width // 2, "value_channels": width, "heads": 2, **attention})
    )


def attending(kind: str, width: int, out: int, stride: int = 1, **attention) -> Block:
    """A block of another kind of attention."""
    fields = {"key_channels": width, "value_channels": width, "heads": 2, "kind": kind}
    return Block("attention", (width, out), stride, attention=Attention(**{**fields, **attention}))


def small(*blocks: Block, channels: int = 8, pool: bool = False, classes: int = 5, **backbone) -> Model:
    """A stem and one stage."""
    return Model(Backbone(Stem((StemConv(channels, 3, 2),)), (Stage(blocks, pool),), **backbone), head=Classifier(classes))


def fused() -> Model:
    """A stacked decoder that takes features as they are, projected with stride 2, and projected and resized."""
    stages = (Stage((Block("basic", (8, 8), 2),)), Stage((Block("basic", (12, 12), 2),)))
    decoder = (NeckStage(4, 8, (Block("bottleneck", (4, 4, 8)),)), NeckStage(2, 4), NeckStage(4, 8), NeckStage(8, 12))
    backbone = Backbone(Stem((StemConv(6, 3, 2),)), stages, decoder, pre_activation=True, activation="silu", shortcut="width")
    return Model(backbone, head=Classifier(5))


def segmenting(instances: bool = True, rates: tuple[int, ...] = ()) -> Model:
    """A narrow head with maps, on strides 2, 4 and 8, with axial attention at the last."""
    stages = (Stage((Block("basic", (8, 8), 2),)), Stage((Block("basic", (12, 12), 2), axial(8, 16, max_length=9))))
    decoder = Decoder(8, 12, rates, (Skip(4, 6), Skip(2, 4)))
    other = Instances(Decoder(6, 10, skips=(Skip(8, 6), Skip(2, 4))), 4, 4)
    head = Panoptic(5, (1, 3), decoder, 8, other if instances else None, activation="silu", kernel=3 if rates else 5)
    return Model(Backbone(Stem((StemConv(6, 3, 2),)), stages), head)


def locating() -> Model:
    """A narrow head with levels at strides 2 and 4, of the backbone, and 8 and 16, of their own; with axial attention."""
    stages = (Stage((Block("basic", (8, 8), 2), axial(8, 12, max_length=7))),)
    return Model(Backbone(Stem((StemConv(6, 3, 2),)), stages), FCOS(3, Pyramid(8, (2, 4, 8, 16)), 2))


def branching(patches: str = "whole") -> Model:
    """A narrow U-Net with one logit, gated axial attention, and a local branch on patches of another grid than its axes divide by."""
    spec = smallest()
    assert isinstance(spec.head, UNet) and spec.head.local is not None
    local = replace(spec.head.local, stages=spec.head.local.stages[:2], patches=patches, patch_size=10, unused=False)
    return replace(spec, head=replace(spec.head, num_classes=1, bottleneck=True, local=local))


def registered(name: str, **changes) -> Model:
    return adapt(get_entry(name).spec, **changes)


def one_block(name: str, stage: int, index: int) -> Model:
    """A network of a single block of a registered one."""
    backbone = get_entry(name).spec.backbone
    widths = [backbone.stem_channels] + [block.channels[-1] for part in backbone.stages for block in part.blocks]
    before = sum(len(part.blocks) for part in backbone.stages[:stage]) + index
    block = backbone.stages[stage].blocks[index]
    return Model(replace(backbone, stem=Stem(), stages=(Stage((block,)),), in_channels=widths[before]), head=Classifier(0))


XS = "axial_resnet_cifar10_xs"
CONTENT = {"similarity": ("content",), "value": ("content",)}
KINDS = (
    attending("global", 8, 16, max_length=9),
    attending("local", 8, 16, 2, max_length=3, span=5),
    attending("window", 8, 16, max_length=4, span=4, shifted=True, gated=True),
    axial(8, 16, max_length=12, gated=True),
)
LARGE = (
    "axial_resnet50_full_s", "axial_resnet_s", "axial_deeplab_s_backbone", "max_deeplab_s_backbone", "axial_resnet50_gelu", "resnet50",
    "resnet50_beta",
)  # fmt: skip
# Of the families of large models, one each, an eighth or a quarter as wide and of few blocks.
FAMILIES = {
    "axial_resnet_full": replace(axial_resnet_full(0.25, (1, 1, 1)), head=Classifier(5)),
    **{name: adapt(narrow(depths=(1, 1, 1, 1), **fields), drop_path=0.0) for name, fields in DEEPLAB2.items()},
}
CASES = {
    # every registered model that is small, and the families of the large
    "xs_square": Case(registered(XS), (32, 32), gradients=True),
    "xs_odd": Case(registered(XS), (33, 47)),
    "cifar10_odd": Case(registered("axial_resnet_cifar10"), (35, 29)),
    "26_s_odd": Case(registered("axial_resnet26_s"), (65, 97)),
    "50_s": Case(registered("axial_resnet50_s"), (48, 64)),
    "50_m": Case(registered("axial_resnet50_m"), (33, 49)),
    "50_l": Case(registered("axial_resnet50_l"), (33, 49)),
    **{f"narrow_{name}": Case(spec, (33, 49), name == "axial_resnet50_gelu", dtypes=("float64",)) for name, spec in FAMILIES.items()},
    # long axes and spans
    "long_local": Case(small(axial(8, 16, max_length=5)), (37, 22), gradients=True),
    "long_windows": Case(small(axial(8, 16, max_length=4)), (50, 27), gradients=True),
    "interpolated": Case(small(axial(8, 16, max_length=5, beyond_tables="interpolate")), (37, 22), gradients=True),
    "span": Case(small(axial(8, 16, max_length=30, span=5)), (45, 37), gradients=True),
    "interpolated_span": Case(small(axial(8, 16, max_length=5, beyond_tables="interpolate", span=21)), (65, 35), gradients=True),
    # conventions and kinds of blocks
    "pre_activation": Case(
        small(
            Block("bottleneck", (8, 8, 16), 2, squeeze_excite=True),
            axial(8, 16, 2, downsample="slice", max_length=20),
            Block("basic", (8, 16), dilation=(2, 1)),
            pre_activation=True,
            shortcut="width",
            activation="gelu",
            norm=Norm(1e-3, 0.01),
        ),
        (45, 31),
        gradients=True,
    ),
    "pool_stride": Case(small(axial(8, 16, 2, max_length=20), pool=True, activation="silu"), (47, 30), gradients=True),
    "dilated": Case(small(Block("bottleneck", (8, 8, 16), dilation=(2,)), activation="gelu_tanh", in_channels=4), (21, 26), gradients=True),
    "elu_basic": Case(small(Block("basic", (8, 12), 2, squeeze_excite=True), activation="elu", channels=6), (27, 26), gradients=True),
    "decoder": Case(fused(), (37, 22), gradients=True, dtypes=("float64",)),
    # heads with maps
    "panoptic": Case(segmenting(), (37, 22), gradients=True),
    "panoptic_pyramid": Case(segmenting(rates=(1, 2)), (29, 34), gradients=True, dtypes=("float64",)),
    "semantic": Case(segmenting(instances=False), (21, 26), gradients=True),
    "nuclei_xs": Case(registered("axial_deeplab_nuclei_xs"), (45, 70)),
    "nuclei": Case(registered("axial_deeplab_nuclei"), (40, 33)),
    "camvid": Case(registered("axial_deeplab_camvid"), (33, 40), dtypes=("float64",)),
    # maps at the image's size, with a branch of patches
    "unet": Case(branching(), (37, 22), gradients=True),
    "unet_top_left": Case(branching("top_left"), (37, 29), gradients=True, dtypes=("float64",)),
    "medical_transformer_xs": Case(registered("medical_transformer_xs"), (64, 45), dtypes=("float64",)),
    "medical_transformer": Case(registered("medical_transformer"), (33, 47), dtypes=("float32",)),
    "logo_axial_unet": Case(registered("logo_axial_unet"), (33, 47), dtypes=("float32",)),
    "convolutional_unet": Case(registered("convolutional_unet"), (33, 47), dtypes=("float32",)),
    "axial_unet": Case(registered("axial_unet"), (33, 47), dtypes=("float32",)),
    "gated_axial_unet": Case(registered("gated_axial_unet"), (33, 47), dtypes=("float32",)),
    # heads with maps and tokens
    **{
        name: Case(registered(name), (33, 47), dtypes=("float64",))
        for name in ("max_deeplab_nuclei_xs", "max_deeplab_nuclei", "kmax_deeplab_nuclei_xs", "kmax_deeplab_nuclei")
    },
    # heads with levels
    "fcos": Case(locating(), (37, 22), gradients=True),
    "blood_cells_xs": Case(registered("axial_fcos_blood_cells_xs"), (67, 90)),
    "blood_cells": Case(registered("axial_fcos_blood_cells"), (67, 45), dtypes=("float64",)),
    # subsets of terms
    "content_only": Case(small(axial(8, 16, similarity=("content",), value=("content",))), (21, 18), gradients=True),
    "content_query": Case(small(axial(8, 16, max_length=20, similarity=("content", "query"), value=("position",))), (21, 18)),
    "query_only": Case(small(axial(8, 16, max_length=20, similarity=("query",), value=("content", "position"))), (21, 18), full=True),
    "key_only": Case(small(axial(8, 16, max_length=20, similarity=("key",), value=("content",))), (21, 18), full=True),
    # other kinds of attention
    "global": Case(small(attending("global", 8, 16, max_length=9)), (21, 18), gradients=True),
    "global_interpolated": Case(small(attending("global", 8, 16, max_length=5, beyond_tables="interpolate")), (21, 18)),
    "local": Case(small(attending("local", 8, 16, 2, max_length=3, span=5)), (37, 22), gradients=True),
    "window": Case(small(attending("window", 8, 16, max_length=4, span=4)), (37, 22), gradients=True, dtypes=("float64",)),
    "shifted_window": Case(
        small(attending("window", 8, 16, 2, max_length=3, span=3, shifted=True, downsample="slice")), (37, 22), gradients=True
    ),
    "gated": Case(small(axial(8, 16, max_length=12, gated=True)), (21, 18), gradients=True),
    "absolute": Case(
        small(
            axial(8, 16, max_length=7, encoding="absolute", **CONTENT),
            attending("local", 8, 16, max_length=16, span=5, encoding="absolute", **CONTENT),
        ),
        (21, 18),
        gradients=True,
    ),
    "sinusoidal": Case(
        small(axial(8, 16, encoding="sinusoidal", **CONTENT), attending("global", 8, 16, encoding="sinusoidal", **CONTENT)),
        (21, 18),
        gradients=True,
        dtypes=("float64",),
    ),
    # deep networks, layer by layer
    "50_s_block_0_0": Case(one_block("axial_resnet50_s", 0, 0), (9, 11), gradients=True),
    "50_s_block_1_0": Case(one_block("axial_resnet50_s", 1, 0), (9, 11), gradients=True),
    **{
        f"50_s_block_{stage}_{index}": Case(one_block("axial_resnet50_s", stage, index), (9, 11), full=True, gradients=True)
        for stage, index in ((0, 1), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1))
    },
    # the families again: float32, an even size, other output strides, gradients; and the registered ones
    **{f"narrow_{name}_64x40": Case(spec, (64, 40), full=True) for name, spec in FAMILIES.items()},
    **{
        f"narrow_{name}_os{stride}": Case(narrow(depths=(1, 1, 1, 1), **{**fields, "output_stride": stride}), (33, 49), full=True)
        for name, fields in DEEPLAB2.items()
        for stride in (8, 32)
    },
    "narrow_gradients": Case(FAMILIES["max_deeplab_l"], (17, 25), full=True, gradients=True),
    **{name: Case(get_entry(name).spec, (33, 49), full=True, dtypes=("float32",)) for name in LARGE},
    # the larger grid
    **{
        f"{name}_{height}x{width}": Case(registered(name), (height, width), full=True)
        for name in ("axial_resnet26_s", "axial_resnet50_s", "axial_resnet50_l")
        for height, width in ((64, 64), (65, 97), (129, 80))
    },
}
SYMBOLIC = [name for name in list_models() if not any(case.spec == get_entry(name).spec for case in CASES.values())]  # by shapes only
PREPROCESSING = {  # of pictures of 40 x 50
    "scaled": Preprocessing(size=(40, 50), resize="none"),
    "resized": Preprocessing(size=(24, 32)),
    "padded": Preprocessing(size=(24, 40), resize="longer"),
    "stretched": Preprocessing(size=(40, 50), resize="none", per_image=True),
    "bgr": Preprocessing(size=(40, 50), resize="none", channel_order="bgr"),
}

DYNAMIC = (
    "xs_square",
    "long_windows",
    "interpolated",
    "interpolated_span",
    "pre_activation",
    "decoder",
    "panoptic",
    "panoptic_pyramid",
    "fcos",
    "unet",
    "unet_top_left",
    "global",
    "local",
    "shifted_window",
    "absolute",
    "sinusoidal",
)  # with sizes that a graph does not know
TRAINED = {
    "axial": Case(replace(registered(XS), head=Classifier(5)), (20, 26)),
    "kinds": Case(small(*KINDS), (20, 26)),
    "deeplab2": Case(CASES["pre_activation"].spec, (20, 26)),
}
DECAYING = {  # with decay by role: SGD and AdamW
    "gated": Case(small(axial(8, 16, max_length=12, gated=True)), (20, 26)),
    "absolute": Case(CASES["absolute"].spec, (20, 26)),
}
DEVICES = {  # on several devices: axes attended whole, and in windows
    "whole": Case(small(axial(8, 16, max_length=16), Block("basic", (16, 16), 2)), (20, 26)),
    "windows": Case(small(axial(8, 16, max_length=30, span=3)), (20, 26)),
}
DEEPLAB2 = ("dl2_tiny_panoptic_axial_deeplab_65x97",)
DEEPLAB2_LAYERS = ("attn1d", "attn1d_content_only", "attn2d_s2", "block_axial_s2", "block_conv_s2", "conv_k7_s2_r1")  # the others: full
PLANTED = Case(small(axial(8, 16, 2, max_length=20), Block("basic", (16, 16))), (20, 27))


WITHOUT_EFFECT = ("norm_similarity.bias", "height.norm_output.bias")  # a softmax, or the next norm, takes any shift away


def outputs_and_dtypes(cases: Mapping[str, Case]) -> list:
    """Return pytest's parameters, a name and a dtype each; those of cases of the larger grid are marked so."""
    marks = {True: pytest.mark.full, False: ()}
    return [pytest.param(name, dtype, marks=marks[case.full]) for name, case in cases.items() for dtype in case.dtypes]
