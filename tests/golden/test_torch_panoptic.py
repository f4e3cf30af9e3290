"""PyTorch gives the numbers of deeplab2's panoptic head; and each error that is easy to make is seen here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from axialzoo.spec import Norm, get_entry, num_parameters
from axialzoo.torch import build
from axialzoo.torch.heads import decoder
from tests.golden import panoptic
from tests.golden.panoptic import SPEC
from tests.golden.test_torch_golden import load

TOLERANCE = 2e-5  # relative to the size of an output


def errors(model: nn.Module) -> dict[str, float]:
    with torch.no_grad():
        return panoptic.errors({name: y.numpy() for name, y in model(torch.from_numpy(panoptic.images())).items()})


def network(spec=SPEC, tensors=None) -> nn.Module:
    return load(build(spec), tensors or panoptic.tensors()).eval()


def test_the_head_gives_their_maps():
    assert max(errors(network()).values()) <= TOLERANCE


def test_the_head_gives_the_same_in_training_as_in_evaluation_but_for_the_norms():
    model = network()
    for module in model.modules():
        if not list(module.children()):
            module.eval()
    model.training = model.head.training = True
    assert max(errors(model).values()) <= TOLERANCE


def test_trainable_parameters_are_theirs():
    assert num_parameters(SPEC) == 413_630


def test_corners_that_are_not_aligned_are_caught(monkeypatch):
    def unaligned(x, height, width):
        return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)

    monkeypatch.setattr(decoder, "resize", unaligned)
    assert min(errors(network()).values()) > 50 * TOLERANCE


def test_skips_joined_before_what_was_decoded_are_caught(monkeypatch):
    cat = torch.cat
    monkeypatch.setattr(decoder.torch, "cat", lambda parts, dim: cat(parts[::-1], dim))
    assert min(errors(network()).values()) > 50 * TOLERANCE


def test_swapped_predictions_are_caught():
    tensors = dict(panoptic.tensors())
    for name in [name for name in tensors if name.startswith("head.center.mix")]:
        other = name.replace("center", "offset")
        tensors[name], tensors[other] = tensors[other], tensors[name]
    actual = errors(network(tensors=tensors))
    assert actual["semantic"] <= TOLERANCE < 50 * TOLERANCE < min(actual["center"], actual["offset"])


@pytest.mark.parametrize("kernel", ["head.semantic.fuse.0.depthwise.conv.weight", "head.offset.mix.depthwise.conv.weight"])
def test_a_transposed_kernel_is_caught(kernel):
    tensors = dict(panoptic.tensors())
    tensors[kernel] = tensors[kernel].swapaxes(2, 3).copy()
    assert max(errors(network(tensors=tensors)).values()) > 50 * TOLERANCE


def test_another_convention_is_caught():
    wrong = replace(SPEC, head=replace(SPEC.head, activation="silu"))
    assert min(errors(network(wrong)).values()) > 50 * TOLERANCE
    model = network()
    for module in model.head.modules():
        if hasattr(module, "eps"):
            module.eps = Norm().epsilon
    assert min(errors(model).values()) > 2 * TOLERANCE


def test_no_activation_after_the_depthwise_part_is_caught(monkeypatch):
    monkeypatch.setattr(decoder.SeparableConv, "forward", lambda self, x: self.activation(self.pointwise(self.depthwise(x))))
    assert min(errors(network()).values()) > 50 * TOLERANCE


@pytest.mark.parametrize(("name", "expected"), [("axial_deeplab_s", 12_455_910), ("axial_deeplab_l", 45_286_982)])
def test_registered_models_have_the_parameters_of_the_originals(name, expected):
    assert num_parameters(get_entry(name).spec) == expected
