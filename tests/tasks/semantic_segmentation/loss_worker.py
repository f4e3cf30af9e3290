"""Keras's losses of masks on the back end of this process, as JSON. The arrays are drawn here for both frameworks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("one", {}),
    ("two", {}),
    ("two", {"bce": 1.0, "dice": 0.5}),
    ("void", {"bce": 0.3, "dice": 1.0, "cross_entropy": 2.0}),
    ("void", {"cross_entropy": 1.0, "class_weights": (0.5, 1.0, 3.0)}),
)


def arrays(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, C, H, W) and targets (N, H, W)."""
    random, classes = np.random.default_rng(0), {"one": 1, "two": 2, "void": 3}[case]
    logits = random.standard_normal((2, classes, 5, 6)).astype("float32")
    return logits, random.integers(-1 if case == "void" else 0, max(classes, 2), (2, 5, 6))


def main() -> None:
    from keras import ops

    from axialzoo.keras.losses import semantic_segmentation_loss

    values = []
    for case, options in CASES:
        logits, target = arrays(case)
        outputs = {"semantic": ops.convert_to_tensor(logits.transpose(0, 2, 3, 1))}
        losses = semantic_segmentation_loss(outputs, {"semantic": ops.convert_to_tensor(target.astype("int32"))}, **options)
        values.append({name: float(ops.convert_to_numpy(value)) for name, value in losses.items()})
    print(json.dumps(values))


if __name__ == "__main__":
    main()
