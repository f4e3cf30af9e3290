"""deeplab2's ResizedFuse and its bilinear resizing, as data: inputs, weights in our arrangement, outputs. No framework here."""

from __future__ import annotations

from functools import cache

import numpy as np

from axialzoo.spec import Attention, Backbone, Block, NeckStage, Norm, Stage, Stem
from axialzoo.spec.neck import NeckInput
from tests.golden.reference import DATA, Tensors

SIZES = ((5, 7), (9, 13), (2, 3))  # of the resized outputs
IMAGE = (9, 7)  # of which the decoder stage has stride 2: 5 x 4
STAGE = NeckStage(2, 8)
# 9 x 7 at stride 1, 3 x 2 at stride 4: projected with stride 2, as it is, projected and resized, as it is
FEATURES = (NeckInput(0, 6, 1), NeckInput(1, 8, 4), NeckInput(2, 5, 4), NeckInput(3, 8, 1))
BACKBONE = Backbone(Stem(), (Stage((Block("axial", (8, 8), attention=Attention(8, 8)),)),), pre_activation=True, norm=Norm(1e-3, 0.01))
PROJECTIONS = {"0": "_strided_conv_bn1", "2": "_resized_conv_bn3"}  # our names, theirs
LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


@cache
def stored() -> Tensors:
    with np.load(DATA / "dl2_fuse.npz") as file:
        return dict(file)


def first(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to (N, C, H, W)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def inputs() -> list[np.ndarray]:
    """(2, C, H, W) each."""
    return [first(stored()[f"resized_fuse/input{index}"]) for index in range(4)]


def output(training: bool) -> np.ndarray:
    """(2, 8, 5, 4)."""
    return first(stored()[f"resized_fuse/{'train' if training else 'eval'}/output"])


def tensors() -> Tensors:
    actual = {}
    for ours, theirs in PROJECTIONS.items():
        actual[f"{ours}.conv.weight"] = stored()[f"resized_fuse/weight/layer/{theirs}/_conv/kernel"].transpose(3, 2, 0, 1)
        for leaf, name in LEAVES.items():
            actual[f"{ours}.norm.{leaf}"] = stored()[f"resized_fuse/weight/layer/{theirs}/_batch_norm/{name}"]
    return actual


def after() -> Tensors:
    """Moving statistics after one call in training."""
    return {
        f"{ours}.norm.{leaf}": stored()[f"resized_fuse/train/after/layer/{theirs}/_batch_norm/{LEAVES[leaf]}"]
        for ours, theirs in PROJECTIONS.items()
        for leaf in ("running_mean", "running_var")
    }


def resized(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(2, 5, 3, 4) and the same resized."""
    return first(stored()["resize/input"]), first(stored()[f"resize/bilinear_align_corners_{size[0]}x{size[1]}"])
