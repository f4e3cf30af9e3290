"""PyTorch gives deeplab2's numbers where a decoder fuses and resizes features; and planted errors are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from axialzoo.torch.neck import FeatureFusion
from axialzoo.torch.resize import resize
from tests.golden import fuse
from tests.golden.reference import TOLERANCE


def layer(tensors=None) -> FeatureFusion:
    built = FeatureFusion(fuse.FEATURES, fuse.STAGE, fuse.BACKBONE)
    built.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in (tensors or fuse.tensors()).items()})
    return built


def error(made: FeatureFusion, training: bool = False) -> float:
    with torch.no_grad():
        actual = made.train(training)([torch.from_numpy(x) for x in fuse.inputs()], fuse.IMAGE).numpy()
    return float(np.abs(actual - fuse.output(training)).max())


@pytest.mark.parametrize("training", [False, True])
def test_fused_features_are_deeplab2s(training):
    built = layer()
    assert error(built, training) <= TOLERANCE
    expected = fuse.after() if training else {name: x for name, x in fuse.tensors().items() if "running_" in name}
    state = built.state_dict()
    assert max(float(np.abs(state[name].numpy() - x).max()) for name, x in expected.items()) <= TOLERANCE


@pytest.mark.parametrize("size", fuse.SIZES)
def test_resized_features_are_deeplab2s(size):
    x, expected = fuse.resized(size)
    assert np.abs(resize(torch.from_numpy(x), *size).numpy() - expected).max() <= TOLERANCE
    loose = F.interpolate(torch.from_numpy(x), size, mode="bilinear", align_corners=False).numpy()
    assert np.abs(loose - expected).max() > 1000 * TOLERANCE  # the planted error: corners not aligned


def test_planted_errors_are_caught():
    swapped = {name: x[::-1].copy() if name == "2.conv.weight" else x for name, x in fuse.tensors().items()}
    assert error(layer(swapped)) > 1000 * TOLERANCE
    activated = layer()
    activated.activation = lambda x: x
    assert error(activated) > 1000 * TOLERANCE
