"""Feature pyramid network (FPN, arXiv:1612.03144), which adds coarse features to fine ones. Any head may read one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.check import require, require_count
from axialzoo.spec.primitives import Layer, conv_norm


@dataclass(frozen=True)
class Pyramid:
    """Features of one number of channels at strides that double.

    A level whose stride an endpoint of the backbone has is made of it and of the level after; levels beyond the coarsest endpoint
    are made of the level before, by a convolution of stride 2.

    Attributes:
        channels: Of each level.
        strides: Of the levels, finest first.
    """

    channels: int = 256
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)

    def __post_init__(self):
        require_count("Pyramid", "channels", self.channels)
        require(len(self.strides) > 0, "Pyramid.strides: expected at least one, found none")
        for stride in self.strides:
            require_count("Pyramid", "strides", stride)
        doubling = all(after == 2 * before for before, after in pairwise(self.strides))
        require(doubling, f"Pyramid.strides: expected each twice the one before, found {list(self.strides)}")

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        """Return the last endpoint at each stride, as far as the backbone goes.

        Raises:
            SpecError: where the finest stride, or one between it and the coarsest endpoint, is of no endpoint.
        """
        index_of_stride = {info["reduction"]: index for index, info in enumerate(backbone.feature_info())}
        coarsest = max(index_of_stride)
        endpoints = tuple(index_of_stride[stride] for stride in self.strides if stride in index_of_stride)
        expected = [stride for stride in self.strides if stride <= coarsest]
        require(
            len(endpoints) == len(expected) > 0,
            f"Pyramid.strides: expected the first to be among those of the backbone's endpoints, {list(index_of_stride)}, and the "
            f"others to follow on them, found {list(self.strides)}",
        )
        return endpoints

    def inputs(self, backbone: Backbone) -> tuple[int, ...]:
        """Return the channels of the endpoints that it reads."""
        info = backbone.feature_info()
        return tuple(info[index]["num_chs"] for index in self.endpoints(backbone))

    def extra(self, backbone: Backbone) -> int:
        """Return the number of levels beyond the coarsest endpoint."""
        return len(self.strides) - len(self.endpoints(backbone))

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the height and width of each level, for an input of `size`."""
        return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in self.strides]

    def layers(self, name: str, backbone: Backbone) -> Iterator[Layer]:
        """Yield the primitive layers: ``NAME.lateral.0`` and so on, then ``output``, then ``extra``."""
        inputs = self.inputs(backbone)
        for index, (count, stride) in enumerate(zip(inputs, self.strides)):
            yield from conv_norm(f"{name}.lateral.{index}", count, self.channels, 1, stride)
        for index, stride in enumerate(self.strides[: len(inputs)]):
            yield from conv_norm(f"{name}.output.{index}", self.channels, self.channels, 3, stride)
        for index, stride in enumerate(self.strides[len(inputs) :]):
            yield from conv_norm(f"{name}.extra.{index}", self.channels, self.channels, 3, stride)


def check_half(coarse: Sequence[int | None], fine: Sequence[int | None]) -> None:
    """Refuse a level whose (height, width) are not those of the finer one halved and rounded up; None is not known yet."""
    sides = [(small, large) for small, large in zip(coarse, fine) if small is not None and large is not None]
    if any(small != -(-large // 2) for small, large in sides):
        raise ValueError(
            f"pyramid: expected each level half as fine as the one before, found height and width {tuple(coarse)} after {tuple(fine)}; "
            "take features whose strides double (a lower output stride makes some equal)"
        )
