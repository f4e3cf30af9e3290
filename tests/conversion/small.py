"""The smallest model that has every role, its weights, and a checkpoint folder of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import Config, digest, save_checkpoint
from axialzoo.spec import Attention, Backbone, Block, Model, Stage, Stem, StemConv
from axialzoo.spec.heads.classifier import Classifier
from tests.strategies import preprocessing_of, weights

SPEC = Model(
    Backbone(
        Stem((StemConv(4, 3, 2),)),
        (Stage((Block("axial", (4, 4), attention=Attention(4, 4, 2, 4), squeeze_excite=True),), pool=True),),
    ),
    head=Classifier(4),  # as many as channels: a transposed classifier fits
    input_size=(16, 16),
)
CONFIG = Config("custom", SPEC, ("cat", "dog", "Föhre", "鳥"), preprocessing_of(SPEC), {"source": "test", "metrics": {"top1": 1 / 3}})


def tensors(seed: int = 0, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Weights with which the model computes something ordinary."""
    return {name: np.clip(array, -3, 3) for name, array in weights(SPEC, seed, dtype).items()}


def write_folder(folder: Path, seed: int = 0) -> Config:
    weights = tensors(seed)
    about = {**CONFIG.provenance, "metrics": {"top1": 1 / 3, "digest": digest(weights)}}
    return save_checkpoint(folder, replace(CONFIG, provenance=about), weights, overwrite=True)
