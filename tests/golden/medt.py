"""The Medical Transformer's numbers as data: state dicts in order, inputs, and what its code computed. No framework here.

Weights follow from their names in the authors' files (`weight`). Two models have 2 x 2 patches, where the authors' code has 4 x 4 written
down: so 64 x 64 pictures do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.spec import Attention, Backbone, Block, Model, Stage, Stem
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.kinds import CONTENT
from axialzoo.spec.zoo.medical_transformer import axial_unet, local_global_unet
from converters.axial_deeplab_names import flatten_index
from converters.medical_transformer_names import encoder_entries, to_ours

DATA = Path(__file__).parent / "data"
TOLERANCE = 2e-5  # absolute; the smallest planted error moves logits by 1e-4
SPECS: Mapping[str, Model] = {
    "axialunet_64": axial_unet(64),
    "gated_64": axial_unet(64, "gated"),
    "logo_64_grid2": local_global_unet(64, "axial", "axial", grid=2),
    "MedT_64_grid2": local_global_unet(64, grid=2),
    "MedT_128_gray": local_global_unet(128),
}
NAMES = {
    "axialunet_64": "axial_unet",
    "gated_64": "gated_axial_unet",
    "logo_64_grid2": "logo_axial_unet",
    "MedT_64_grid2": "medical_transformer",
    "MedT_128_gray": "medical_transformer",
}


@cache
def described() -> dict[str, Any]:
    return json.loads((DATA / "medt.json").read_text())


@cache
def golden() -> dict[str, np.ndarray]:
    with np.load(DATA / "medt.npz") as stored:
        return dict(stored)


def weight(name: str, shape) -> np.ndarray:
    """The tensor that the authors' code calls `name`: normal numbers seeded by the name, scaled by its kind."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    g, f = np.asarray(np.random.default_rng(seed).standard_normal(shape), "float32"), np.float32
    kind = name.rpartition(".")[2]
    if kind.startswith("f_"):
        return np.asarray(f(0.1) + f(0.9) * abs(g), "float32")
    if kind == "running_var":
        return f(0.5) + f(0.5) * abs(g)
    if kind in ("running_mean", "bias"):
        return f(0.1) * g
    if kind == "relative":
        return f(0.5) * g
    if g.ndim > 1:
        return g / np.sqrt(f(np.prod(shape[1:])))
    return (f(0.6) if re.match(r"^layer\d+(_p)?\.\d+\.bn2\.weight$", name) else f(1)) * (f(1) + f(0.1) * g)


@cache
def state(model: str) -> dict[str, np.ndarray]:
    """The whole state dict, in the authors' order."""
    tensors = {}
    for name, shape in described()["models"][model]["state_dict"]:
        if name.endswith("num_batches_tracked"):
            tensors[name] = np.array(16 if "_p." in name else 1)
        elif name.endswith("flatten_index"):
            tensors[name] = flatten_index(Attention(1, 1, 1, max_length=round(shape[0] ** 0.5)))
        else:
            tensors[name] = weight(name, tuple(shape))
    return tensors


def images(model: str) -> np.ndarray:
    """(N, C, H, W)."""
    return np.random.default_rng(0).standard_normal(described()["models"][model]["input_shape"]).astype("float32")


def targets(model: str) -> np.ndarray:
    """(N, H, W) classes."""
    n, _, height, width = described()["models"][model]["input_shape"]
    return np.random.default_rng(1).integers(0, 2, (n, height, width))


def layer(case: str) -> tuple[Model, int, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A model of one block without a stem, the axis of an attention layer (else -1), tensors of block or layer, and stored arrays."""
    config = described()["layers"][case]["config"]
    is_block = "Block" in config["kind"]
    width = config["planes"] if is_block else config["out_planes"]
    inputs = config["inplanes"] if is_block else config["in_planes"]
    fields: dict[str, Any] = {"gated": True} if "dynamic" in config["kind"] else CONTENT
    attention = Attention(width // 2, width, max_length=config["kernel_size"], **fields)
    block = Block("axial", (width if is_block else inputs, 2 * width), config["stride"], attention=attention)
    model = Model(Backbone(Stem(), (Stage((block,)),), in_channels=inputs), Classifier(0))
    stored = {name.removeprefix(f"layers/{case}/"): array for name, array in golden().items() if name.startswith(f"layers/{case}/")}
    return model, -1 if is_block else int(config["width"]), arranged(model, stored, "weight", is_block), stored


def arranged(model: Model, stored: Mapping[str, np.ndarray], folder: str, is_block: bool) -> dict[str, np.ndarray]:
    """Tensors of the block, or of its height attention, out of the stored ones in `folder`; those that are not stored are left out."""
    ours, theirs = "stages.0.blocks.0.", "layer1.0."
    prefix, foreign = (ours, theirs) if is_block else (f"{ours}height.", f"{theirs}hight_block.")
    items = [item for item in encoder_entries(model.backbone, "", "", {}) if item.name.startswith(foreign)]
    state = {item.name: stored.get(f"{folder}/{item.name.removeprefix(foreign)}") for item in items}
    there = {name: array for name, array in state.items() if array is not None}
    tensors = to_ours(model, there, [item for item in items if item.name in there])
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
