"""Small networks with every kind of block, parameters away from their initial values."""

from __future__ import annotations

import torch

from axialzoo.spec import Attention, Backbone, Block, Model, Norm, Stage, Stem, StemConv
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.torch import AxialClassifier
from tests.attention.layers import randomise


def axial(width: int, out: int, stride: int = 1, **fields) -> Block:
    attention = Attention(width // 2, width, heads=2, **{"max_length": 8, **fields})
    return Block("axial", (width, out), stride, attention=attention)


def small(drop_path: float = 0.0, **fields) -> Model:
    """Three stages at strides 2, 4 and 8 from 3 channels: a basic, a bottleneck and three axial blocks."""
    stages = (
        Stage((Block("basic", (8, 8), 2, drop_path=drop_path), axial(4, 8, **fields))),
        Stage((Block("bottleneck", (4, 4, 12), 2, squeeze_excite=True), axial(8, 12, **fields)), pool=False),
        Stage((axial(8, 16, 2, **fields),)),
    )
    return Model(Backbone(Stem((StemConv(6),)), stages, norm=Norm(momentum=0.2)), head=Classifier(5), input_size=(32, 32))


def network(spec: Model | None = None, seed: int = 0, **fields) -> AxialClassifier:
    torch.manual_seed(seed)
    return randomise(AxialClassifier(small(**fields) if spec is None else spec), seed).eval()


def images(*size: int, batch: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(batch, 3, *(size or (32, 32)), generator=torch.Generator().manual_seed(3)).to(dtype)
