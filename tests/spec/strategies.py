"""Random specs that hold together."""

from __future__ import annotations

from hypothesis import strategies as st

from axialzoo.spec import Attention, Backbone, Block, DecoderStage, Model, Norm, Preprocessing, Stage, Stem, StemConv
from axialzoo.spec.attention import SIMILARITY_TERMS, VALUE_TERMS
from axialzoo.spec.backbone import ACTIVATIONS

counts = st.integers(1, 64)


def some_of(terms):
    return st.lists(st.sampled_from(terms), min_size=1, unique=True).map(lambda chosen: tuple(term for term in terms if term in chosen))


@st.composite
def attentions(draw):
    heads = draw(st.integers(1, 4))
    return Attention(
        key_channels=heads * draw(st.integers(1, 4)),
        value_channels=heads * draw(st.integers(1, 4)),
        heads=heads,
        positions=draw(st.integers(1, 20)),
        span=draw(st.none() | st.integers(0, 10).map(lambda half: 2 * half + 1)),
        long_axis=draw(st.sampled_from(("local", "interpolate"))),
        similarity=draw(some_of(SIMILARITY_TERMS)),
        value=draw(some_of(VALUE_TERMS)),
        downsample=draw(st.sampled_from(("pool", "slice"))),
    )


@st.composite
def blocks(draw):
    kind = draw(st.sampled_from(("axial", "bottleneck", "basic")))
    widths, rates = {"axial": (2, 0), "bottleneck": (3, 1), "basic": (2, 2)}[kind]
    stride = draw(st.sampled_from((1, 2)))
    return Block(
        kind,
        tuple(draw(st.integers(1, 12)) for _ in range(widths)),
        stride,
        tuple(draw(st.integers(1, 1 if stride == 2 and index == 0 else 3)) for index in range(rates)),
        draw(attentions()) if kind == "axial" else None,
        draw(st.booleans()),
        draw(st.floats(0, 0.9)),
    )


stages = st.builds(Stage, st.lists(blocks(), min_size=1, max_size=3).map(tuple), st.booleans())
stems = st.builds(
    Stem, st.lists(st.builds(StemConv, st.integers(1, 8), st.sampled_from((1, 3, 5, 7)), st.sampled_from((1, 2))), max_size=3).map(tuple)
)
norms = st.builds(Norm, st.floats(1e-9, 0.1), st.floats(0, 1))
decoders = st.lists(
    st.builds(DecoderStage, st.sampled_from((4, 8, 16)), counts, st.lists(blocks(), max_size=2).map(tuple)), max_size=2
).map(tuple)


def models(decoder=st.just(())):
    backbones = st.builds(
        Backbone,
        stem=stems,
        stages=st.lists(stages, min_size=1, max_size=3).map(tuple),
        decoder=decoder,
        in_channels=st.integers(1, 4),
        activation=st.sampled_from(ACTIVATIONS),
        pre_activation=st.booleans(),
        shortcut=st.sampled_from(("stride_or_width", "width")),
        norm=norms,
    )
    return st.builds(Model, backbones, num_classes=st.integers(0, 5), input_size=st.tuples(counts, counts))


preprocessings = st.builds(
    Preprocessing,
    size=st.tuples(counts, counts),
    resize=st.sampled_from(("shorter", "squash", "none")),
    interpolation=st.sampled_from(("nearest", "bilinear", "bicubic", "lanczos", "box")),
    crop=st.floats(0.01, 1),
)
