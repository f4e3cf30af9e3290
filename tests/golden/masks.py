"""deeplab2's mask transformers, narrow ones, as data: weights from their names, and all that their code gave."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache

import numpy as np

from axialzoo.spec import Backbone, Model
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
    resnet50_with_pool,
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
    context = replace(CONTEXT, dropout=dropout, corners="odd" if theirs else "aligned")
    head = MaskTransformer(
        133, COCO_THINGS, 12, 40, 24, 32,
        pixel_decoder=pixel_decoder(256, (32, 16, 8, 8), (1, 2, 1, 1), origin=origin),
        kmeans=kmeans_decoder(12, 48, drop_path, SMALL),
        semantic=SemanticBranch(context, 16, order, activated=False, activated_skips=not theirs),
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


def narrow_resnet50() -> Backbone:
    """ResNet-50 as PyTorch's code has it, an eighth as wide."""
    features = resnet50_with_pool().map_blocks(lambda block: replace(block, channels=tuple(width // 8 for width in block.channels)))
    return replace(features, stem=replace(features.stem, convs=(replace(features.stem.convs[0], channels=8),)))


def five_stages() -> Model:
    """A narrow kMaX-DeepLab of five stages as PyTorch's code has it, whose pixel decoder made `kmax_five_stages`."""
    spec = tiny_kmax_cityscapes()
    decoder = pixel_decoder(256, (32, 16, 8, 8, 8), (1,) * 5, origin="torch")
    return replace(spec, backbone=narrow_resnet50(), head=replace(spec.head, pixel_decoder=decoder))


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
    actual = {}
    for place in places(spec):
        key = place.path()
        actual[place.name] = place.to_ours(stored[key] if key in stored else mask_weight(key, place.shape))
    return actual


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


# Losses: what deeplab2 was told, in our words.

LOSSES = {
    "mask_class": "pq_style_loss_class_term",
    "mask_dice": "pq_style_loss_mask_dice_term",
    "mask_id": "mask_id_cross_entropy_loss",
    "instance_discrimination": "instance_discrimination_loss",
    "semantic": "semantic_loss",
}
LOSS_CASES = {"dl2_max_losses": ("coco_like", "cityscapes_like_topk", "fewer_slots_than_masks"), "kmax_losses": ("plain", "crowd")}


def their_loss(name: str) -> str:
    """Their name of one of our losses."""
    if not name.startswith("auxiliary."):
        return LOSSES[name]
    _, number, loss = name.split(".")
    return f"aux_{number}{LOSSES[loss]}"


def loss_targets(
    semantic: np.ndarray, things: np.ndarray, thing_classes: np.ndarray, thing_ids: list, stuff_ids: list, ignore: int, stride: int
) -> dict[str, np.ndarray]:
    """Our targets from their maps: semantic labels, numbers of objects, and the label of each object."""
    most, ids = thing_classes.shape[1], [*thing_ids, *stuff_ids]
    table = np.full(256, -1)
    table[ids] = np.arange(len(ids))
    masks = things.copy()
    for number, label in enumerate(stuff_ids):
        masks = np.where((semantic == label) & (things < 0), most + number, masks)
    classes = np.where(thing_classes < 0, -1, table[np.maximum(thing_classes, 0).astype(int)])
    stuff = np.tile(np.arange(len(stuff_ids)) + len(thing_ids), (len(semantic), 1))
    pick = np.s_[:, ::stride, ::stride]
    return {
        "mask_ids": np.ascontiguousarray(masks[pick]).astype("int32"),
        "mask_classes": np.concatenate([classes, stuff], 1).astype("int32"),
        "objects": (things >= 0)[pick].astype("float32"),
        "void": (semantic == ignore)[pick].astype("float32"),
        "semantic": np.where(semantic == ignore, -1, semantic).astype("int32"),
    }


def loss_case(file: str, case: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]:
    """Outputs, channels last, targets and settings of a case."""
    arrays, messages = stored(file), described(file)[case]
    several = f"{case}/pred/0/pixel_space_mask_logits" in arrays
    outputs = {"semantic": arrays[f"{case}/pred/semantic_logits"]}
    for number in range(7 if several else 1):
        folder, prefix = f"{case}/pred/{number}/" if several else f"{case}/pred/", f"auxiliary.{number - 1}." if number else ""
        for name in ("class_logits", "mask_logits", "pixel_feature"):
            outputs[prefix + name] = arrays[folder + KEYS[name]]
    semantic = arrays[f"{case}/gt/semantic_gt"]
    stride = (semantic.shape[1] - 1) // (outputs["mask_logits"].shape[1] - 1)
    names = ("semantic_gt", "thing_id_mask_gt", "thing_id_class_gt")
    targets = loss_targets(*(arrays[f"{case}/gt/{name}"] for name in names), messages["thing_class_ids"], messages["stuff_class_ids"],
                           messages["ignore_label"], stride)  # fmt: skip
    targets["semantic_weight"] = arrays[f"{case}/gt/semantic_loss_weight"]
    weights, top_k = messages["loss_weights"], messages.get("top_k", {})
    settings = {
        "weights": tuple(weights[name] for name in ("pq_style", "mask_id_cross_entropy", "instance_discrimination", "semantic")),
        "top_k": tuple(top_k.get(name, 1.0) for name in ("mask_id_cross_entropy", "instance_discrimination", "semantic")),
        "sample_k": messages.get("instance_discrimination_sample_k", 0),
        "sample_temperature": messages.get("instance_discrimination_sample_temperature", 1.5),
        "noise": None,
    }
    if f"{case}/sampling/uniform" in arrays:
        settings["noise"] = [-np.log(-np.log(array)) for array in arrays[f"{case}/sampling/uniform"]]
    return outputs, targets, settings


ALL_LOSSES = [(file, case) for file, cases in LOSS_CASES.items() for case in cases]
OVERFULL = "dl2_max_losses_overfull"


def overfull_cases() -> list[str]:
    return [case for case in described(OVERFULL) if not case.startswith("_")]


# One step of training. deeplab2's matching is in float32 and adds 999 to every similarity, so that similarities of the narrow models,
# below 1e-3, are told apart in steps of 6e-5 alone: these are the slots that it found, among the equals of that resolution.

TRAINING = {
    "dl2_tiny_max_deeplab_train_65x97": (tiny_max(1.0, 0.0), [[14, 2, 1, 0, 7, 3, 4], [5, 14, 1, 13, 6, 7, 4, 8]], 0, 1e-2),
    "dl2_tiny_kmax_deeplab_train_65x97": (tiny_kmax(1.0, 0.0, 0.0), [[0, 5, 3, 8, 1, 4, 6], [0, 11, 4, 7, 3, 1, 2, 8]], 64, 1e-3),
}


def training_targets(file: str) -> dict[str, np.ndarray]:
    arrays = stored(file)
    names = ("semantic_gt", "thing_id_mask_gt", "thing_id_class_gt")
    targets = loss_targets(*(arrays[f"gt/{name}"] for name in names), list(range(1, 81)), list(range(81, 134)), 0, 4)
    shape = arrays["gt/semantic_gt"].shape
    return targets | {"semantic_weight": arrays.get("gt/semantic_loss_weight", np.ones(shape, "float32"))}


def training_settings(file: str) -> dict:
    """Settings of the losses; those of the narrow kMaX-DeepLab have noise."""
    noise = next((array for key, array in stored(file).items() if key.endswith("sampling/uniform")), None)
    settings = {"weights": (3.0, 0.3, 1.0, 1.0), "top_k": (1.0, 1.0, 1.0), "sample_k": TRAINING[file][2], "sample_temperature": 1.5}
    return {**settings, "noise": None if noise is None else [-np.log(-np.log(array)) for array in noise]}


def their_matching(slots: list[list[int]]):
    """Replacement of `match_masks`: these slots, for the masks of each image that exist."""

    def match(similarity: np.ndarray, exists: np.ndarray) -> np.ndarray:
        actual = np.full(exists.shape, -1, np.int32)
        for image, row in enumerate(slots):
            actual[image, np.flatnonzero(exists[image])] = row
        return actual

    return match


SHARP = "dl2_tiny_max_deeplab_sharp_65x97"  # five of its weights are stored, so that its maps are not empty
DECODERS = [(case, origin) for case in ("65x97", "97x65") for origin in ("tensorflow", "torch")]


def sharp_weights() -> dict[str, np.ndarray]:
    prefix = "weight/"
    return {key.removeprefix(prefix): array for key, array in stored(SHARP).items() if key.startswith(prefix)}


def features(case: str) -> list[np.ndarray]:
    """Features of the backbone, (1, C, H, W) each, of strides 4 to 32, that `kmax_decoders_tiny` was computed of."""
    height, width = map(int, case.split("x"))
    draw = np.random.default_rng(described("kmax_decoders_tiny")["cases"][case]).standard_normal
    sizes = [(1, (height - 1) // s + 1, (width - 1) // s + 1, c) for s, c in ((4, 32), (8, 64), (16, 128), (32, 256))]
    return [np.ascontiguousarray((0.5 * draw(size)).astype("float32").transpose(0, 3, 1, 2)) for size in sizes]


def decoder_errors(case: str, origin: str, outputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Errors of a head's outputs, channels last, of `features`; relative."""
    arrays, prefix = stored("kmax_decoders_tiny"), f"{case}/{'torch' if origin == 'torch' else 'tf'}/head/"
    actual = {name: relative(outputs[name], arrays[prefix + KEYS[name]]) for name in ("class_logits", "mask_logits")}
    return actual | {"semantic": relative(outputs["semantic"][:, ::3, ::3, ::2], arrays[f"{prefix}semantic_logits/sample"])}


def five_features() -> list[np.ndarray]:
    """Features of the stem, before its pool, and of the stages, (1, C, H, W), that `kmax_five_stages` was computed of."""
    random, sizes = np.random.default_rng(3), ((8, 33, 49), (32, 17, 25), (64, 9, 13), (128, 5, 7), (256, 3, 4))
    return [random.standard_normal((1, *size)).astype("float32") for size in sizes]


def output_keys(file: str) -> dict[str, str]:
    """Our names of the outputs that a file has whole, and their keys."""
    actual = {name: f"head/{key}" for name, key in KEYS.items() if f"head/{key}" in stored(file)}
    assert len(actual) >= 3
    return actual


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest of what is expected."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())
