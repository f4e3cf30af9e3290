"""Random specs that hold together."""

from __future__ import annotations

from hypothesis import strategies as st

from axialzoo.spec import Attention, Backbone, Block, Model, NeckStage, Norm, Preprocessing, Stage, Stem, StemConv
from axialzoo.spec.attention import ENCODINGS, SIMILARITY_TERMS, VALUE_TERMS
from axialzoo.spec.backbone import ACTIVATIONS
from axialzoo.spec.heads.classifier import Classifier

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
        max_length=draw(st.integers(1, 20)),
        span=draw(st.none() | st.integers(0, 10).map(lambda half: 2 * half + 1)),
        beyond_tables=draw(st.sampled_from(("local", "interpolate"))),
        similarity=draw(some_of(SIMILARITY_TERMS)),
        value=draw(some_of(VALUE_TERMS)),
        downsample=draw(st.sampled_from(("pool", "slice"))),
    )


@st.composite
def attentions2d(draw):
    """Attention over both axes: half of each depth belongs to the rows' table."""
    kind, heads = draw(st.sampled_from(("global", "local", "window"))), draw(st.integers(1, 4))
    return Attention(
        key_channels=2 * heads * draw(st.integers(1, 2)),
        value_channels=2 * heads * draw(st.integers(1, 2)),
        heads=heads,
        max_length=draw(st.integers(1, 20)),
        kind=kind,
        span={"global": None, "local": 2 * draw(st.integers(0, 3)) + 1, "window": draw(st.integers(1, 8))}[kind],
        shifted=kind == "window" and draw(st.booleans()),
        **draw(positions_of(("content", *draw(some_of(("query", "key")))), draw(some_of(VALUE_TERMS)))),
    )


def positions_of(similarity, value):
    """Terms of relative positions, gated or not, or positions added to the input."""
    terms = st.fixed_dictionaries({"similarity": st.just(similarity), "value": st.just(value), "gated": st.booleans()})
    added = {"similarity": ("content",), "value": ("content",)}
    return terms | st.fixed_dictionaries({**{key: st.just(x) for key, x in added.items()}, "encoding": st.sampled_from(ENCODINGS[1:])})


@st.composite
def blocks(draw, strides=(1, 2)):
    kind = draw(st.sampled_from(("axial", "attention", "bottleneck", "basic")))
    widths, rates = {"axial": (2, 0), "attention": (2, 0), "bottleneck": (3, 1), "basic": (2, 2)}[kind]
    stride = draw(st.sampled_from(strides))
    return Block(
        kind,
        tuple(draw(st.integers(1, 12)) for _ in range(widths)),
        stride,
        tuple(draw(st.integers(1, 1 if stride == 2 and index == 0 else 3)) for index in range(rates)),
        {"axial": draw(attentions()), "attention": draw(attentions2d())}.get(kind),
        draw(st.booleans()),
        draw(st.floats(0, 0.9)),
    )


stages = st.builds(Stage, st.lists(blocks(), min_size=1, max_size=3).map(tuple), st.booleans())
stems = st.builds(
    Stem, st.lists(st.builds(StemConv, st.integers(1, 8), st.sampled_from((1, 3, 5, 7)), st.sampled_from((1, 2))), max_size=3).map(tuple)
)
norms = st.builds(Norm, st.floats(1e-9, 0.1), st.floats(0, 1))
decoders = st.lists(
    st.builds(NeckStage, st.sampled_from((4, 8, 16)), st.integers(1, 12), st.lists(blocks((1,)), max_size=2).map(tuple)), max_size=3
).map(tuple)


@st.composite
def models(draw):
    decoder = draw(st.just(()) | decoders)
    backbone = Backbone(
        stem=draw(stems),
        stages=tuple(draw(st.lists(stages, min_size=1, max_size=3))),
        neck=decoder,
        in_channels=draw(st.integers(1, 4)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        pre_activation=bool(decoder) or draw(st.booleans()),
        shortcut=draw(st.sampled_from(("stride_or_width", "width"))),
        norm=draw(norms),
    )
    return Model(backbone, head=Classifier(draw(st.integers(0, 5))), input_size=draw(st.tuples(counts, counts)))


preprocessings = st.builds(
    Preprocessing,
    size=st.tuples(counts, counts),
    resize=st.sampled_from(("shorter", "squash", "none")),
    interpolation=st.sampled_from(("nearest", "bilinear", "bicubic", "lanczos", "box")),
    crop=st.floats(0.01, 1),
)
