"""Random small models and random weights for them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from axialzoo.spec import Attention, Backbone, Block, Model, NeckStage, Norm, Preprocessing, Stage, Stem, StemConv, parameters
from axialzoo.spec.backbone import ACTIVATIONS
from axialzoo.spec.heads.classifier import Classifier
from tests.spec.strategies import blocks

WIDTHS = (4, 6, 8, 12)


@st.composite
def specs(draw, stages: int = 3, blocks_each: int = 2) -> Model:
    """A model of at most so many stages of at most so many blocks, with whatever a spec can say."""
    steps = st.builds(NeckStage, st.sampled_from((2, 4, 8)), st.sampled_from(WIDTHS), st.lists(blocks((1,)), max_size=1).map(tuple))
    decoder = tuple(draw(st.just([]) | st.lists(steps, max_size=2)))
    convs = st.builds(StemConv, st.sampled_from(WIDTHS), st.sampled_from((1, 3, 5, 7)), st.sampled_from((1, 2)))
    backbone = Backbone(
        stem=Stem(tuple(draw(st.lists(convs, max_size=2)))),
        stages=tuple(
            Stage(tuple(draw(st.lists(blocks(), min_size=1, max_size=blocks_each))), pool=draw(st.booleans()))
            for _ in range(draw(st.integers(1, stages)))
        ),
        neck=decoder,
        in_channels=draw(st.integers(1, 4)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        pre_activation=bool(decoder) or draw(st.booleans()),
        shortcut=draw(st.sampled_from(("stride_or_width", "width"))),
        norm=Norm(draw(st.sampled_from((1e-5, 1e-3, 1 / 3))), draw(st.sampled_from((0.1, 0.01)))),
    )
    size = (draw(st.integers(8, 40)), draw(st.integers(8, 40)))
    return Model(backbone, head=Classifier(draw(st.integers(0, 5))), input_size=size)


@st.composite
def csr_specs(draw) -> Model:
    """A model of the authors' family: see `converters.axial_deeplab`."""
    stages = []
    for index in range(draw(st.integers(1, 3))):
        heads = draw(st.sampled_from((1, 2, 8)))
        width, positions = 2 * heads * draw(st.integers(1, 2)), draw(st.integers(1, 9))
        attention = Attention(width // 2, width, heads, positions)
        stages.append(
            Stage(
                tuple(
                    Block("axial", (draw(st.sampled_from(WIDTHS)), 2 * width), 2 if index and not block else 1, attention=attention)
                    for block in range(draw(st.integers(1, 2)))
                ),
                pool=index == 0,
            )
        )
    stem = Stem((StemConv(draw(st.sampled_from(WIDTHS)), 7, 2),))
    return Model(Backbone(stem, tuple(stages), in_channels=draw(st.integers(1, 4))), head=Classifier(draw(st.integers(0, 5))))


def preprocessing_of(spec: Model) -> Preprocessing:
    channels = spec.backbone.in_channels
    return Preprocessing(size=spec.input_size, mean=(1 / 3,) * channels, std=(0.25,) * channels)


def weights(spec: Model, seed: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Tensors of `spec`: normal numbers, among them values that careless conversions lose.

    Variances are positive; no two values of a tensor of moderate size are equal, so that a permutation shows.
    """
    rng = np.random.default_rng(seed)
    odd = np.array([-0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max, np.finfo(dtype).tiny, -np.finfo(dtype).max], dtype)
    tensors = {}
    for parameter in parameters(spec):
        array = rng.standard_normal(parameter.shape).astype(dtype)
        if parameter.role == "norm_variance":
            array = np.abs(array) + array.dtype.type(0.5)
        else:
            flat = array.reshape(-1)
            for value in odd[: math.isqrt(flat.size) // 4]:
                flat[rng.integers(flat.size)] = value
        tensors[parameter.name] = array
    return tensors
