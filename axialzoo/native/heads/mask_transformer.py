"""Plan of the head of mask transformers: pixel decoder, k-means layers, mask predictor and semantic branch."""

from __future__ import annotations

import math

import numpy as np

from axialzoo.native.backbone import plan_block
from axialzoo.native.builder import Builder, aligned, centred
from axialzoo.native.heads.panoptic import plan_decoder
from axialzoo.native.heads.registry import register_plan
from axialzoo.native.program import Maps, Matrix, Step, View
from axialzoo.native.tokens import cluster_sums, feed_forward, learned_tokens, normalised_before, token_attention, token_norm
from axialzoo.ops.folding import norm_factors
from axialzoo.spec import Backbone
from axialzoo.spec.heads.mask_layers import stage_conventions
from axialzoo.spec.heads.mask_parts import KMeansLayer, PixelDecoder
from axialzoo.spec.heads.mask_transformer import MaskTransformer

VOID = 0.9  # initial probability of "no class", of which a bias follows
EPSILON = 1e-6  # of layer norms
LEAST_SQUARE = 1e-12  # of a pixel feature


@register_plan(MaskTransformer)
def plan_mask_transformer(build: Builder, head: MaskTransformer, backbone: Backbone, features: list[View]) -> Maps:
    """Append the head: endpoints, then memory tokens where the backbone has them, to classes and masks of each slot."""
    endpoints = head.endpoints(backbone)
    pixels = [features[endpoints.index(index)] for index in head.pixel_sources(backbone)]
    tokens = features[-1]
    if head.pixel_decoder is not None and head.kmeans is not None:
        pixels = plan_pixel_decoder(build, "head.pixel_decoder", head.pixel_decoder, backbone, head.activation, pixels)
        tokens = learned_tokens(build, "head.centers.tokens")
        for index, layer in enumerate(head.kmeans.layers):
            tokens = plan_kmeans(build, f"head.kmeans.{index}", layer, head.activation, pixels[layer.stage], tokens)
    activated = backbone.activation if backbone.pre_activation else "none"
    x = build.activate(pixels[-1], activated if head.activate_pixels else "none")
    classes, masks = (token_norm(build, f"head.{name}_embedding", tokens, activation=head.activation) for name in ("class", "mask"))
    feature, logits = plan_masks(build, "head.predictor", head.activation, x, masks)
    maps: Maps = {"class_logits": plan_classes(build, "head.predictor.classes", classes), "mask_logits": logits, "pixel_feature": feature}
    if head.semantic is not None:
        coarse, *skips = (features[endpoints.index(index)] for index in head.semantic_sources(backbone))
        coarse = build.activate(coarse, activated) if head.semantic.activated else coarse
        if head.semantic.decoder is not None:
            skips = [build.activate(skip, activated) for skip in skips] if head.semantic.activated_skips else skips
            coarse = plan_decoder(build, "head.semantic", head.activation, head.semantic.decoder, [coarse, *skips])
        maps["semantic"] = build.biased(
            "head.semantic_classes.out", build.separable("head.semantic_classes.mix", [coarse], head.activation)
        )
    return maps


def plan_masks(build: Builder, name: str, activation: str, x: View, tokens: View) -> tuple[View, View]:
    """Append the pixel features of length 1, and their products with the mask kernels of the tokens."""
    out = build.weights.conv(f"{name}.pixel.out", f"{name}.pixel_norm", True)
    x = build.convolution(f"{name}.pixel.out", build.separable(f"{name}.pixel.mix", [x], activation), out)
    y = build.new(x.shape[0], x.size, x.channels)
    feature = build.append(Step("unit_norm", f"{name}.pixel_feature", x, y, epsilon=LEAST_SQUARE))

    def fold() -> tuple[Matrix, np.ndarray]:
        kernels = build.weights.conv(f"{name}.mask.linear", f"{name}.mask.norm", False)
        factor, offset = norm_factors(build.weights.tensors, f"{name}.mask_norm.", build.weights.epsilon)
        return Matrix.of(kernels.weight * factor, kernels.bias * factor), offset

    scaled, offset = build.weights.once(f"{name}.mask|scaled", fold)
    kernels = build.convolution(f"{name}.mask", tokens, scaled)
    count = tokens.size[1]
    bias = build.weights.once(f"{name}.mask|bias", lambda: Matrix.of(np.zeros((0, x.channels, count)), np.full(count, offset[0])))
    return feature, build.append(
        Step("token_product", f"{name}.product", feature, build.new(x.shape[0], x.size, count), bias, factor=kernels)
    )


def plan_classes(build: Builder, name: str, x: View) -> View:
    """Append the class logits of each token; void has a bias of its own."""

    def fold() -> Matrix:
        matrix = build.weights.conv(name, None, True)
        bias = matrix.bias.astype(np.float64)
        bias[-1] += math.log((len(bias) - 1) * VOID / (1 - VOID))
        return Matrix.of(matrix.weight, bias)

    return build.convolution(name, x, build.weights.once(f"{name}|void", fold))


def plan_kmeans(build: Builder, name: str, layer: KMeansLayer, activation: str, x: View, centers: View) -> View:
    """Append a k-means layer: pixels, not activated, and cluster centres to new centres."""
    spec = layer.transformer
    tokens = token_norm(build, f"{name}.memory_reduce", centers, activation=activation)
    pixels = build.conv_norm(f"{name}.pixel_reduce", build.activate(x, activation), activation=activation)
    _, logits = plan_masks(build, f"{name}.predictor", activation, pixels, tokens)
    sums = cluster_sums(build, f"{name}.assignment", logits, build.conv_norm(f"{name}.pixel_value", pixels))
    expand = normalised_before(build, f"{name}.kmeans_expand", f"{name}.kmeans_norm")
    centers = build.convolution(f"{name}.kmeans_expand", sums, expand, residual=centers)
    joined = token_norm(build, f"{name}.memory_qkv", tokens)
    attended = token_attention(build, f"{name}.memory_attention", spec, joined, joined, activation)
    centers = token_norm(build, f"{name}.memory_expand", attended, residual=centers, activation=activation)
    return feed_forward(build, f"{name}.ffn", centers, activation)


def layer_norm(build: Builder, name: str, x: View) -> View:
    """Append a layer normalisation over channels."""
    tensors = build.weights.tensors
    matrix = build.weights.once(name, lambda: Matrix.of(tensors[f"{name}.weight"], tensors[f"{name}.bias"]))
    return build.append(Step("layer_norm", name, x, build.new(x.shape[0], x.size, x.channels), matrix, epsilon=EPSILON))


def plan_pixel_decoder(
    build: Builder, name: str, decoder: PixelDecoder, backbone: Backbone, activation: str, features: list[View]
) -> list[View]:
    """Append a pixel decoder, and return the output of each stage, not activated."""
    outputs: list[View] = []
    for index, (stage, feature) in enumerate(zip(decoder.stages, features)):
        conventions = stage_conventions(stage, backbone, activation)
        x = layer_norm(build, f"{name}.norms.{index}", feature)
        if index > 0:
            fuse, coarse = f"{name}.fuses.{index - 1}", outputs[-1]
            corners = aligned if decoder.corners == "aligned" or coarse.shape[2] % 2 == 1 else centred
            rows, columns = (corners(before, after) for before, after in zip(coarse.size, x.size))
            skip = build.conv_norm(f"{fuse}.fine", build.activate(x, activation))
            coarse = build.conv_norm(f"{fuse}.coarse", build.activate(coarse, activation))
            x = build.resize(f"{fuse}.resize", coarse, (rows, columns), residual=skip)
        for number, block in enumerate(stage.blocks):
            x = plan_block(build, f"{name}.stages.{index}.blocks.{number}", conventions, block, x)
        outputs.append(x)
    return outputs
