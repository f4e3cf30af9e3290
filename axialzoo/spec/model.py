"""What a model computes: a backbone and a task."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.check import SpecError, require, require_choice, require_count
from axialzoo.spec.kinds import with_kind
from axialzoo.spec.output_stride import at_output_stride


@dataclass(frozen=True)
class Model:
    """A backbone and its classifier.

    Attributes:
        backbone: The feature extractor.
        num_classes: Width of the classifier after global average pooling; 0 for none.
        input_size: Height and width the model is meant for; any other works too.
        task: What it is for.
    """

    backbone: Backbone
    num_classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    task: str = "classification"

    def __post_init__(self):
        require_count("Model", "num_classes", self.num_classes, least=0)
        require_choice("Model", "task", self.task, ("classification",))
        require(len(self.input_size) == 2, f"Model.input_size: expected (height, width), found {self.input_size!r}")
        for side in self.input_size:
            require_count("Model", "input_size", side)


def size_pair(size) -> tuple[int, int]:
    """``224`` or ``(320, 480)`` or ``"320x480"`` as (height, width)."""
    if isinstance(size, str):
        parts = size.lower().split("x")
        if not all(part.isdigit() for part in parts) or len(parts) > 2:
            raise SpecError(f"input size: expected SIDE or HEIGHTxWIDTH such as 320x480, found {size!r}")
        size = tuple(int(part) for part in parts)
    pair = (size, size) if isinstance(size, int) else tuple(size) * (2 if len(size) == 1 else 1)
    ok = len(pair) == 2 and all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in pair)
    if not ok:
        raise SpecError(f"input size: expected a positive side or (height, width), found {size!r}")
    return pair  # type: ignore[return-value]


def adapt(
    spec: Model,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size=None,
    span: int | None = None,
    long_axis: str | None = None,
    drop_path: float | None = None,
    output_stride: int | None = None,
    attention: str | None = None,
) -> Model:
    """The same model with what a user may change; None leaves a thing as it is.

    Args:
        num_classes: Width of the classifier; 0 removes it.
        in_channels: Channels of the image.
        input_size: A side or (height, width), in pixels.
        span: Odd window of every attention layer, in positions.
        long_axis: ``"local"`` or ``"interpolate"``: see :class:`Attention`.
        drop_path: Probability at the last block, rising linearly from 0 at the first.
        output_stride: Of the last stage: see :func:`axialzoo.spec.output_stride.at_output_stride`.
        attention: Another kind of attention, of `axialzoo.spec.KINDS`.

    Raises:
        SpecError: where a value does not fit.
    """
    if attention is not None:
        spec = with_kind(spec, attention)
    backbone = spec.backbone
    if in_channels is not None:
        backbone = replace(backbone, in_channels=in_channels)
    if output_stride is not None:
        backbone = at_output_stride(backbone, output_stride)
    changes = {key: value for key, value in (("span", span), ("long_axis", long_axis)) if value is not None}
    if changes:
        backbone = backbone.map_blocks(
            lambda block: block if block.attention is None else replace(block, attention=replace(block.attention, **changes))
        )
    if drop_path is not None:
        total = sum(len(stage.blocks) for stage in (*backbone.stages, *backbone.decoder))
        done = itertools.count()
        backbone = backbone.map_blocks(lambda block: replace(block, drop_path=drop_path * next(done) / max(total - 1, 1)))
    return replace(
        spec,
        backbone=backbone,
        num_classes=spec.num_classes if num_classes is None else num_classes,
        input_size=spec.input_size if input_size is None else size_pair(input_size),
    )
