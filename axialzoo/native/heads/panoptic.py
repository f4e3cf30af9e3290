"""Plan of Panoptic-DeepLab's head."""

from __future__ import annotations

from axialzoo.native.builder import Builder, aligned, centred
from axialzoo.native.heads.registry import register_plan
from axialzoo.native.program import Maps, View
from axialzoo.spec import Backbone
from axialzoo.spec.heads.panoptic import Decoder, Panoptic


@register_plan(Panoptic)
def plan_panoptic(build: Builder, head: Panoptic, backbone: Backbone, features: list[View]) -> Maps:
    """Append the head: the maps of classes, centres and offsets, the last two where it has instances."""
    positions, maps = head.feature_positions(backbone), {}
    for decoder, spec in head.decoders().items():  # what a branch reads is in a cache right after its decoder
        decoded = plan_decoder(build, f"head.{decoder}", head.activation, spec, [features[position] for position in positions[decoder]])
        for name, (source, _, _) in head.branches().items():
            if source == decoder:
                x = build.separable(f"head.{name}.mix", [decoded], head.activation)
                maps[name] = build.biased(f"head.{name}.out", x)
    return {"semantic" if name == "classes" else name: maps[name] for name in head.branches()}


def plan_decoder(build: Builder, name: str, activation: str, decoder: Decoder, features: list[View]) -> View:
    """Append a decoder: context of the coarse features, then each skip."""
    coarse, *fine = features
    x = plan_context(build, f"{name}.aspp", decoder, activation, coarse)
    corners = decoder.corners == "aligned" or coarse.shape[2] % 2 == 1
    for index, (_, feature) in enumerate(zip(decoder.skips, fine)):
        axes = [(aligned if corners else centred)(before, after) for before, after in zip(x.size, feature.size)]
        x = build.resize(f"{name}.resize.{index}", x, (axes[0], axes[1]))
        feature = build.conv_norm(f"{name}.skips.{index}", feature, activation=activation)
        x = build.separable(f"{name}.fuse.{index}", [x, feature], activation)
    return x


def plan_context(build: Builder, name: str, decoder: Decoder, activation: str, x: View) -> View:
    """Append atrous spatial pyramid pooling, or one 1x1 convolution where there are no rates."""
    if not decoder.rates:
        return build.conv_norm(f"{name}.project", x, activation=activation)
    width = decoder.context_channels
    joined = build.new(x.shape[0], x.size, (len(decoder.rates) + 2) * width)
    build.conv_norm(f"{name}.point", x, activation=activation, out=joined.part(0, width))
    for index, rate in enumerate(decoder.rates):
        out = joined.part((index + 1) * width, width)
        build.conv_norm(f"{name}.atrous.{index}", x, dilation=rate, activation=activation, out=out)
    pooled = build.conv_norm(f"{name}.pool", build.mean(f"{name}.pool.mean", x), activation=activation)
    axes = aligned(1, x.shape[1]), aligned(1, x.shape[2])
    build.resize(f"{name}.pool.repeat", pooled, axes, out=joined.part((len(decoder.rates) + 1) * width, width))
    return build.conv_norm(f"{name}.project", joined, activation=activation)
