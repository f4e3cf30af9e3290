"""The cases that are measured: a model, or one of its attention layers, with one kind of attention at one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from axialzoo.spec import KINDS, Block, Model, SpecError, Stage, Stem, adapt, did_you_mean, size_pair
from axialzoo.spec.layers import layers
from axialzoo.spec.primitives import AttentionLayer, Layer, attended_pairs

SIDES = {"layer": "28,56,112,224", "model": "224,448,896"}  # positions per side, pixels per side
AT_ONCE = 2  # inference holds the tensors of the largest layer, and copies of some


@dataclass(frozen=True)
class Case:
    """One kind of attention at one size.

    Attributes:
        kind: The kind of attention.
        size: Height and width: of the image in pixels, or of the layer's map in positions.
        spec: The model; where `layer` is given, one whose only block has that layer.
        layer: Name of the block in the model; None for the whole model.
        train: Forward, backward and norms on the batch's statistics, instead of one forward pass.
        batch: Batch size.
        multiply_adds: Multiply-adds of the forward pass of one image.
        estimated_bytes: Estimated peak memory.
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
    """Return a case for each size and each kind.

    The position tables are as long as each map needs, so that every kind has its full reach at every size: axial attention covers
    whole rows and columns, not only the reach of the model's own tables.
    """
    all_cases = []
    for size in sizes:
        for kind in kinds:
            changed = adapt(spec, attention=kind)
            if span is not None and kind == "axial_local":
                changed = adapt(changed, span=span)
            if layer is not None:
                changed = only_block(changed, layer)
            changed = extend_tables(changed, size)
            within = layer is not None
            multiply_adds = sum(attention_layer.cost(size).multiply_adds for attention_layer in _layers(changed, within))
            all_cases.append(
                Case(kind, size, changed, layer, train, batch, multiply_adds, batch * estimated_bytes(changed, size, within, train))
            )
    return all_cases


def parse_kinds(text: str) -> list[str]:
    """Parse ``"axial,global"`` to a list; the error for an unknown kind names the nearest."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KINDS:
            raise SpecError(f"--kinds: unknown kind {name!r}{did_you_mean(name, KINDS)}; known: {', '.join(KINDS)}")
    if not names:
        raise SpecError(f"--kinds: expected some of {', '.join(KINDS)}, found none")
    return names


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """Parse ``"224,320x480"`` to (height, width) pairs in order of their area."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise SpecError(f"--sizes: expected sides or HEIGHTxWIDTH, separated by commas, found {text!r}")
    return sorted({size_pair(part) for part in parts}, key=lambda size: (size[0] * size[1], size))


def attention_blocks(spec: Model) -> dict[str, Block]:
    """Return the blocks with attention, by name."""
    return {
        f"stages.{i}.blocks.{j}": block
        for i, stage in enumerate(spec.backbone.stages)
        for j, block in enumerate(stage.blocks)
        if block.attention is not None
    }


def find_block(spec: Model, name: str) -> str:
    """Return the name of the block that `name` means: a block with attention, or an attention layer in it.

    Raises:
        SpecError: for an unknown name; the message names the nearest and lists all.
    """
    known = attention_blocks(spec)
    block = name.strip().removesuffix(".height").removesuffix(".width").removesuffix(".attention")
    if block not in known:
        listed = ", ".join(known) or "none: this model does not attend"
        raise SpecError(f"--layer: no attention in {name!r}{did_you_mean(block, known)}; blocks with attention: {listed}")
    return block


def only_block(spec: Model, name: str) -> Model:
    """Return a model of the block `name` alone, without stride, with the same channels into its attention."""
    block = replace(attention_blocks(spec)[name], stride=1)
    backbone = replace(spec.backbone, stem=Stem(), stages=(Stage((block,)),), in_channels=block.channels[0], neck=())
    return replace(spec, backbone=backbone, head=None)


def extend_tables(spec: Model, size: tuple[int, int]) -> Model:
    """Return the model with position tables as long as its maps at input `size` need; spans stay as they are."""
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
        max_distance = next(sides) if attention.span is None else min(next(sides), attention.span)
        return replace(block, attention=replace(attention, max_length=max(attention.max_length, max_distance)))

    return replace(spec, backbone=spec.backbone.map_blocks(change))


def estimated_bytes(spec: Model, size: tuple[int, int], only_attention: bool = False, train: bool = False) -> int:
    """Estimate the bytes of the activations of one image: of all layers in training, of the largest layer in inference."""
    held = [_held(layer, size, train) for layer in _layers(spec, only_attention)]
    return sum(held) + max(held) if train else AT_ONCE * max(held)


def _held(layer: Layer, size: tuple[int, int], train: bool) -> int:
    held = layer.cost(size).activation_bytes
    if train or not isinstance(layer, AttentionLayer):
        return held
    attention = layer.attention
    from axialzoo.torch.projection import LOGITS_PER_CHUNK  # inference computes the logits in chunks of this many

    height, width = (-(-side // stride) for side, stride in zip(size, layer.stride or size))
    logits = attention.heads * attended_pairs(attention, (height, width), layer.axis)
    parts = attention.heads * (height if attention.kind == "global" else 1) if layer.axis is None else (height, width)[1 - layer.axis]
    return held - 4 * (len(attention.similarity) + 1) * max(logits - max(LOGITS_PER_CHUNK, logits // parts), 0)


def _layers(spec: Model, only_attention: bool) -> list[Layer]:
    return [layer for layer in layers(spec) if isinstance(layer, AttentionLayer) or not only_attention]
