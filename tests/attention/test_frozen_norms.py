"""A norm that is set to evaluation keeps its moving statistics, as fine-tuning with frozen norms expects."""

from __future__ import annotations

import pytest
import torch

from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.norm import BatchNorm


@pytest.fixture
def layer() -> AxialAttention:
    torch.manual_seed(0)
    return AxialAttention(12, Attention(8, 16, heads=4, max_length=6), Norm(), axis=0)


def freeze(layer: AxialAttention) -> None:
    layer.train()
    for module in layer.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def test_frozen_norms_compute_what_evaluation_does_and_move_nothing(layer):
    x = torch.randn(2, 12, 6, 5)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    freeze(layer)
    frozen = layer(x)
    torch.testing.assert_close(frozen, layer.eval()(x))
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


def test_norms_that_are_not_frozen_would_be_seen(layer):
    x = torch.randn(2, 12, 6, 5)
    assert not torch.allclose(layer.train()(x), layer.eval()(x))
