"""What is measured: a model, or one of its attention layers, with one kind of attention at one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from axialzoo.spec import KINDS, Block, Model, SpecError, Stage, Stem, adapt, did_you_mean, size_pair
from axialzoo.spec.layers import layers
from axialzoo.spec.primitives import AttentionLayer, Layer, attended_pairs

SIDES = {"layer": "28,56,112,224", "model": "224,448,896"}  # positions a side, pixels a side
AT_ONCE = 2  # in inference the tensors of the largest layer are held, and copies of some


@dataclass(frozen=True)
class Case:
    """One kind at one size.

    Attributes:
        kind: The kind of attention.
        size: Height and width: of the image in pixels, or of the layer's map in positions.
        spec: The model; where `layer` is given, one whose only block has that layer.
        layer: Name of the block in the whole model, None for the whole model.
        train: Forward, backward and norms on the batch's statistics, instead of one forward pass.
        batch: Images at once.
        multiply_adds: Of the forward pass of one image.
        estimated_bytes: Memory that it is expected to take at most.
    """

    kind: str
    size: tuple[int, int]
    spec: Model
    layer: str | None
    train: bool
    batch: int
    multiply_adds: int
    estimated_bytes: int

    @property
    def positions(self) -> int:
        """Pixels of the image, or positions of the layer's map."""
        return self.size[0] * self.size[1]

    @property
    def title(self) -> str:
        return f"{self.kind} {self.size[0]}x{self.size[1]}"


def cases(
    spec: Model,
    kinds: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    layer: str | None = None,
    train: bool = False,
    batch: int = 1,
    span: int | None = None,
) -> list[Case]:
    """A case for each size and, within it, each kind.

    The position tables are as long as each map asks for, so that every kind sees at every size what its name says:
    axial attention whole rows and columns, and not only as far as the tables of the model reach.
    """
    made = []
    for size in sizes:
        for kind in kinds:
            changed = adapt(spec, attention=kind)
            if span is not None and kind == "axial_local":
                changed = adapt(changed, span=span)
            if layer is not None:
                changed = only_block(changed, layer)
            changed = extend_tables(changed, size)
            within = layer is not None
            work = sum(one.cost(size).multiply_adds for one in _layers(changed, within))
            made.append(Case(kind, size, changed, layer, train, batch, work, batch * estimated_bytes(changed, size, within, train)))
    return made


def parse_kinds(text: str) -> list[str]:
    """``"axial,global"`` as a list; an unknown one is refused, naming the nearest."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KINDS:
            raise SpecError(f"--kinds: unknown kind {name!r}{did_you_mean(name, KINDS)}; known: {', '.join(KINDS)}")
    if not names:
        raise SpecError(f"--kinds: expected some of {', '.join(KINDS)}, found none")
    return names


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """``"224,320x480"`` as (height, width) pairs in order of their area."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise SpecError(f"--sizes: expected sides or HEIGHTxWIDTH, separated by commas, found {text!r}")
    return sorted({size_pair(part) for part in parts}, key=lambda size: (size[0] * size[1], size))


def attention_blocks(spec: Model) -> dict[str, Block]:
    """Name -> block, of those that attend."""
    return {
        f"stages.{i}.blocks.{j}": block
        for i, stage in enumerate(spec.backbone.stages)
        for j, block in enumerate(stage.blocks)
        if block.attention is not None
    }


def find_block(spec: Model, name: str) -> str:
    """`name`, of a block that attends or of an attention layer in one, as the name of the block.

    Raises:
        SpecError: naming the nearest and listing all.
    """
    known = attention_blocks(spec)
    wanted = name.strip().removesuffix(".height").removesuffix(".width").removesuffix(".attention")
    if wanted not in known:
        listed = ", ".join(known) or "none: this model does not attend"
        raise SpecError(f"--layer: no attention in {name!r}{did_you_mean(wanted, known)}; blocks with attention: {listed}")
    return wanted


def only_block(spec: Model, name: str) -> Model:
    """A model of nothing but the block called `name`, without stride, whose attention gets as many channels as there."""
    block = replace(attention_blocks(spec)[name], stride=1)
    backbone = replace(spec.backbone, stem=Stem(), stages=(Stage((block,)),), in_channels=block.channels[0], neck=())
    return replace(spec, backbone=backbone, head=None)


def extend_tables(spec: Model, size: tuple[int, int]) -> Model:
    """The same model with position tables as long as its maps at input `size` ask for: spans stay spans."""
    longest: dict[str, int] = {}
    for layer in layers(spec):
        if isinstance(layer, AttentionLayer):
            block = layer.name.rpartition(".")[0]
            longest[block] = max(longest.get(block, 0), *(-(-side // stride) for side, stride in zip(size, layer.stride or size)))
    sides = iter(longest.values())

    def change(block: Block) -> Block:
        attention = block.attention
        if attention is None:
            return block
        wanted = next(sides) if attention.span is None else min(next(sides), attention.span)
        return replace(block, attention=replace(attention, max_length=max(attention.max_length, wanted)))

    return replace(spec, backbone=spec.backbone.map_blocks(change))


def estimated_bytes(spec: Model, size: tuple[int, int], only_attention: bool = False, train: bool = False) -> int:
    """Bytes that the activations of one image take at most, about: all in training, the largest layer's in inference."""
    held = [_held(layer, size, train) for layer in _layers(spec, only_attention)]
    return sum(held) + max(held) if train else AT_ONCE * max(held)


def _held(layer: Layer, size: tuple[int, int], train: bool) -> int:
    held = layer.cost(size).activation_bytes
    if train or not isinstance(layer, AttentionLayer):
        return held
    attention = layer.attention
    from axialzoo.torch.projection import LOGITS_PER_CHUNK  # in inference logits are made so many at a time

    height, width = (-(-side // stride) for side, stride in zip(size, layer.stride or size))
    logits = attention.heads * attended_pairs(attention, (height, width), layer.axis)
    parts = attention.heads * (height if attention.kind == "global" else 1) if layer.axis is None else (height, width)[1 - layer.axis]
    return held - 4 * (len(attention.similarity) + 1) * max(logits - max(LOGITS_PER_CHUNK, logits // parts), 0)


def _layers(spec: Model, only_attention: bool) -> list[Layer]:
    return [layer for layer in layers(spec) if isinstance(layer, AttentionLayer) or not only_attention]
