"""deeplab2's mask transformers, narrow ones, as data: weights from their names, and all that their code gave."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache

import numpy as np

from axialzoo.spec import Model
from axialzoo.spec.heads.mask_parts import SemanticBranch
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Decoder, Skip
from axialzoo.spec.transformer import Memory, Transformer
from axialzoo.spec.zoo.deeplab2 import backbone
from axialzoo.spec.zoo.mask_transformers import (
    CITYSCAPES_ORDER,
    CITYSCAPES_THINGS,
    COCO_THINGS,
    VOID_FIRST,
    kmeans_decoder,
    max_head,
    pixel_decoder,
)
from converters.deeplab2_names import places
from tests.golden.deeplab2 import DATA, Tensors, weight

WIDTHS = {"depths": (3, 4, 6, 3), "width": 0.125, "stem_width": 0.25, "layers": 0.34}
CONTEXT = Decoder(16, 8, (6, 12, 18), (Skip(8, 8), Skip(4, 4)), 0.1)
SMALL = Transformer(64, 32, 64, 8, 96)
KEYS = {
    "class_logits": "transformer_class_logits",
    "mask_logits": "pixel_space_mask_logits",
    "pixel_feature": "pixel_space_normalized_feature",
    "semantic": "semantic_logits",
}


def tiny_max(keep: float = 0.8, dropout: float = 0.1) -> Model:
    """The narrow MaX-DeepLab-S of `dl2_tiny_max_deeplab_65x97`."""
    memory = {"memory": Memory(16, 64), "transformer_width": 0.25, "transformer_ffn": 128}
    features = backbone(**WIDTHS, keep=keep, linear=True, **memory)
    semantic = SemanticBranch(replace(CONTEXT, dropout=dropout), 16, VOID_FIRST)
    head = replace(max_head(32, semantic), slots=16, pixel_channels=16, mask_channels=32)
    return replace(features, head=head, input_size=(65, 97))


def kmax_features(keep: float = 0.8):
    return backbone(**WIDTHS, keep=keep, linear=True, activation="gelu", output_stride=32).backbone


def tiny_kmax(keep: float = 0.8, dropout: float = 0.1, drop_path: float = 0.2, origin: str = "tensorflow") -> Model:
    """The narrow kMaX-DeepLab of `dl2_tiny_kmax_deeplab_65x97`."""
    theirs = origin == "torch"
    order = (*range(133), -1) if theirs else VOID_FIRST
    head = MaskTransformer(
        133, COCO_THINGS, 12, 40, 24, 32,
        pixel_decoder=pixel_decoder(256, (32, 16, 8, 8), (1, 2, 1, 1), origin=origin),
        kmeans=kmeans_decoder(12, 48, drop_path, SMALL),
        semantic=SemanticBranch(replace(CONTEXT, dropout=dropout, corners="odd" if theirs else "aligned"), 16, order, activated=False, activated_skips=not theirs),
        activation="gelu", activate_pixels=False,
    )  # fmt: skip
    return Model(kmax_features(keep), head, (65, 97))


def tiny_kmax_cityscapes() -> Model:
    """The narrow kMaX-DeepLab of `dl2_tiny_kmax_cityscapes_65x97`, of five stages."""
    head = MaskTransformer(
        19, CITYSCAPES_THINGS, 14, 40, 24, 32,
        pixel_decoder=pixel_decoder(256, (32, 16, 8, 8, 8), (1, 2, 1, 1, 1)),
        kmeans=kmeans_decoder(14, 48, 0.2, SMALL),
        semantic=SemanticBranch(None, 16, CITYSCAPES_ORDER, activated=False),
        activation="gelu", activate_pixels=False,
    )  # fmt: skip
    return Model(kmax_features(), head, (65, 97))


CASES = {
    "dl2_tiny_max_deeplab_65x97": tiny_max(),
    "dl2_tiny_kmax_deeplab_65x97": tiny_kmax(),
    "dl2_tiny_kmax_cityscapes_65x97": tiny_kmax_cityscapes(),
}


def images(count: int = 1, size: tuple[int, int] = (65, 97)) -> np.ndarray:
    """(N, 3, H, W), from -1 to 1."""
    x = np.random.default_rng(0).integers(0, 256, (count, *size, 3)).astype("float32") / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def tensors_of(spec: Model, stored: dict[str, np.ndarray] | None = None) -> Tensors:
    """Canonical tensors from their names; those in `stored`, by key, as they are there."""
    stored = stored or {}
    found = {}
    for place in places(spec):
        key = place.path()
        found[place.name] = place.to_ours(stored[key] if key in stored else mask_weight(key, place.shape))
    return found


def mask_weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor that their checkpoints call `key`; two names more than `weight` has."""
    kind, g = key.rpartition("/")[2], np.float32
    if kind in ("memory_feature", "cluster_centers"):
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(shape).astype("float32")
    value = weight(key, shape)
    if kind == "gamma":
        ends = ("_memory_conv3_bn", "_memory_ffn_conv2_bn", "_pixel_conv3_bn")
        if "_transformer/" in key and key.split("/")[-3] in ends:
            return g(0.3) * value
        if key.endswith("_kmeans_memory_batch_norm_retrieved_value/gamma"):
            return g(0.1) * value
    return value


@cache
def stored(file: str) -> dict[str, np.ndarray]:
    with np.load(DATA / f"{file}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@cache
def described(file: str) -> dict:
    return json.loads((DATA / f"{file}.json").read_text())
