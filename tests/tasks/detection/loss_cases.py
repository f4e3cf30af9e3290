"""Arrays on which the losses are compared, the same in every process. No framework here."""

from __future__ import annotations

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
SIZES = [(3, 4), (2, 2), (1, 1)]
K, N = 3, 2
MAPS = {"classes": K, "boxes": 4, "centerness": 1}
CASES = ("random", "all background", "all ignored", "extreme", "no area", "equal", "zero logits")


def case(name: str, dtype: str = "float64") -> tuple[dict[str, list[np.ndarray]], dict[str, np.ndarray]]:
    """Outputs (N, H, W, C) of each level and targets (N, L)."""
    rng = np.random.default_rng(CASES.index(name))
    count = sum(height * width for height, width in SIZES)
    outputs = {
        "classes": [rng.normal(0, 2, (N, *size, K)) for size in SIZES],
        "boxes": [rng.exponential(2, (N, *size, 4)) for size in SIZES],
        "centerness": [rng.normal(0, 2, (N, *size, 1)) for size in SIZES],
    }
    classes = rng.integers(-2, K, (N, count)).astype(np.int32)
    distances = rng.uniform(0.1, 4, (N, count, 4))
    if name == "all background":
        classes[:] = -1
    elif name == "all ignored":
        classes[:] = -2
    elif name == "extreme":
        outputs["classes"] = [item * 500 for item in outputs["classes"]]
        outputs["centerness"] = [item * 500 for item in outputs["centerness"]]
        outputs["boxes"] = [item * 1e6 for item in outputs["boxes"]]
    elif name == "no area":
        outputs["boxes"] = [item * 0 for item in outputs["boxes"]]
        distances[0] = 0
    elif name == "equal":
        ends = np.cumsum([height * width for height, width in SIZES])[:-1]
        outputs["boxes"] = [part.reshape(N, *size, 4) for part, size in zip(np.split(distances, ends, 1), SIZES)]
    elif name == "zero logits":
        outputs = {key: [item * (key == "boxes") for item in maps] for key, maps in outputs.items()}
    pairs = distances[..., :2], distances[..., 2:]
    central = np.sqrt((np.minimum(*pairs) / np.maximum(np.maximum(*pairs), 1e-9)).prod(-1))
    actual = classes >= 0
    targets = {"classes": classes, "boxes": (distances * actual[..., None]).astype(dtype), "centerness": (central * actual).astype(dtype)}
    return {key: [item.astype(dtype) for item in maps] for key, maps in outputs.items()}, targets


def rows(maps: list[np.ndarray]) -> np.ndarray:
    """(N L, C) of maps (N, H, W, C): the locations of all levels, one picture after another."""
    flat = np.concatenate([item.reshape(len(item), -1, item.shape[-1]) for item in maps], 1)
    return flat.reshape(-1, flat.shape[-1])
