"""Changes that a user may make to a model: the arguments of every model's builder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError
from axialzoo.spec.kinds import with_kind
from axialzoo.spec.model import Model, size_pair
from axialzoo.spec.neighbours import check_arguments
from axialzoo.spec.output_stride import at_output_stride

HEAD_OPTIONS = ("num_classes", "things", "slots", "targets", "postprocess", "patches")


class Changes(TypedDict, total=False):
    """Keyword arguments of every builder; None, or leaving one out, leaves a thing as the model or its checkpoint has it.

    Attributes:
        num_classes: How many classes the head tells apart; what depends on them starts new where a checkpoint has others;
            0 for none, where the head can do without.
        things: Which classes are things, whose instances are told apart, of a head that tells instances apart.
        slots: Number of masks that a head with slots predicts; another number than a checkpoint's starts the slots new.
        targets: Fields of the head's settings of training targets to change, by name, such as ``{"sigma": 2.0}``.
        postprocess: Fields of the head's settings of post-processing to change, by name, such as ``{"threshold": 0.2}``.
        patches: What a local branch covers, ``"whole"`` or ``"top_left"``, of a head that has one.
        in_channels: Channels of the image; another number than a checkpoint's starts the first convolution new.
        input_size: A side, (height, width) or ``"320x480"``, in pixels; models take any other too.
        span: Odd window of every attention layer, in positions.
        beyond_tables: ``"local"`` or ``"interpolate"``: see :class:`axialzoo.spec.Attention`.
        drop_path: Probability at the last block, rising linearly from 0 at the first.
        output_stride: Of the last stage, 8, 16 or 32: strides that are not taken become atrous rates.
        attention: Another kind of attention: a name in :data:`axialzoo.spec.KINDS`; of registered weights, those of that kind where there
            are some.
    """

    num_classes: int | None
    things: Sequence[int] | None
    slots: int | None
    targets: Mapping[str, Any] | None
    postprocess: Mapping[str, Any] | None
    patches: str | None
    in_channels: int | None
    input_size: int | str | Sequence[int] | None
    span: int | None
    beyond_tables: str | None
    drop_path: float | None
    output_stride: int | None
    attention: str | None


def adapt(spec: Model, **changes: Unpack[Changes]) -> Model:
    """Return the model with `changes` applied: see :class:`Changes`.

    Raises:
        SpecError: for a name that is none of these, or a value that does not fit.
    """
    check_arguments(changes, tuple(Changes.__annotations__))
    overrides = {name: value for name, value in changes.items() if value is not None}
    if "attention" in overrides:
        spec = replace(spec, backbone=with_kind(spec.backbone, str(overrides["attention"])))
    backbone = _backbone(spec.backbone, changes)
    head = spec.head if spec.head is None else spec.head.map_blocks(_attending(changes))
    head_options: dict[str, Any] = {name: overrides[name] for name in HEAD_OPTIONS if name in overrides}
    if head_options and head is not None:
        if "things" in head_options:
            head_options["things"] = tuple(head_options["things"])
        head = head.reconfigured(**head_options)
        if "slots" in head_options and backbone.memory is not None:
            backbone = replace(backbone, memory=replace(backbone.memory, tokens=head_options["slots"]))
    elif any(head_options.values()):
        raise SpecError(f"{next(iter(head_options))}: expected a model with a head, found one of features alone, asked for {head_options}")
    size = changes.get("input_size")
    return replace(spec, backbone=backbone, head=head, input_size=spec.input_size if size is None else size_pair(size))


def without_head(spec: Model) -> Model:
    """Return the model without its head, so that it returns features."""
    return replace(spec, head=None)


def same_architecture(spec: Model, other: Model) -> bool:
    """Tell whether two specs differ at most in options that :func:`adapt` may change and a checkpoint may keep."""
    return _canonical(spec) == _canonical(other)


def _backbone(backbone: Backbone, changes: Changes) -> Backbone:
    if (channels := changes.get("in_channels")) is not None:
        backbone = replace(backbone, in_channels=channels)
    if (stride := changes.get("output_stride")) is not None:
        backbone = at_output_stride(backbone, stride)
    backbone = backbone.map_blocks(_attending(changes))
    if (rate := changes.get("drop_path")) is not None:
        total = sum(len(stage.blocks) for stage in (*backbone.stages, *backbone.neck))
        done = itertools.count()
        backbone = backbone.map_blocks(lambda block: replace(block, drop_path=rate * next(done) / max(total - 1, 1)))
    return backbone


def _attending(changes: Changes) -> Callable[[Block], Block]:
    """Return a function that changes the attention of a block as `changes` says."""
    layer: dict[str, Any] = {name: changes.get(name) for name in ("span", "beyond_tables") if changes.get(name) is not None}

    def change(block: Block) -> Block:
        return block if block.attention is None or not layer else replace(block, attention=replace(block.attention, **layer))

    return change


def _canonical(spec: Model) -> Model:
    """Return the spec with everything that a user may change at a fixed value."""

    def whole(block: Block) -> Block:
        attention = block.attention
        if attention is None or attention.kind != "axial":
            return block
        return replace(block, attention=replace(attention, span=None, max_length=1))  # tables reach as far as the checkpoint's do

    head = None if spec.head is None else spec.head.canonical().map_blocks(whole)
    spec = adapt(replace(spec, head=head), in_channels=3, input_size=1, beyond_tables="local", drop_path=0.0)
    spec = replace(spec, backbone=spec.backbone.map_blocks(whole))
    if spec.backbone.memory is not None:
        spec = replace(spec, backbone=replace(spec.backbone, memory=replace(spec.backbone.memory, tokens=1)))
    try:
        return adapt(spec, output_stride=32)
    except SpecError:  # it supports a single output stride
        return spec
