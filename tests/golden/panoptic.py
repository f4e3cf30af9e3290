"""deeplab2's panoptic head on a narrow axial_deeplab_s, as data: weights from their names, and the whole of what its heads gave."""

from __future__ import annotations

from functools import cache

import numpy as np

from axialzoo.spec import Model
from axialzoo.spec.heads.panoptic import Decoder, Instances, Panoptic, Skip
from converters.deeplab2_names import places
from tests.golden.deeplab2 import DATA, NETWORKS, TINY_SPEC, Tensors, weight

FILE = "dl2_tiny_panoptic_axial_deeplab_65x97"
KEYS = {"semantic": "semantic_logits", "center": "center_heatmap", "offset": "offset_map"}
HEAD = Panoptic(
    19,
    semantic=Decoder(24, 24, skips=(Skip(8, 12), Skip(4, 8))),
    semantic_channels=16,
    instances=Instances(Decoder(16, 256, skips=(Skip(8, 8), Skip(4, 4))), 8, 8),
)
SPEC = Model(TINY_SPEC.backbone, HEAD)


def images() -> np.ndarray:
    """(1, 3, 65, 97)."""
    return NETWORKS[FILE].x


@cache
def tensors() -> Tensors:
    return {place.name: place.to_ours(weight(place.path(), place.shape)) for place in places(SPEC)}


def errors(outputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest difference of each output, (N, C, H, W), from theirs over the largest of theirs."""
    actual = {}
    with np.load(DATA / f"{FILE}.npz") as stored:
        assert set(outputs) == set(KEYS)
        for name, key in KEYS.items():
            expected = stored[f"head/{key}"].transpose(0, 3, 1, 2)
            assert outputs[name].shape == expected.shape
            actual[name] = float(np.abs(outputs[name] - expected).max() / np.abs(expected).max())
    return actual
