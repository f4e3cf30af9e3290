"""``golden.json``: what the weights computed where they were published, so that any copy, framework or export can be checked.

The input is not stored but made: ``numpy.random.RandomState(seed).standard_normal((N, C, H, W))``, whose stream numpy promises to
keep, turned to (N, H, W, C). Of each output there are its shape, mean and standard deviation, the largest magnitude, and two slices:
``first``, of the first picture up to 3 along each middle axis and 8 along the last, and ``last``, the same from the other end of the
last picture. Maps are (N, H, W, C). docs: ``axialzoo/hub/README.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, read_small
from axialzoo.checkpoint.strict_json import parse

GOLDEN, FORMAT, VERSION = "golden.json", "axialzoo-golden", 1
MIDDLE, LAST = 3, 8  # of a slice
MAX_BYTES, MAX_SIDE, MAX_BATCH = 8 << 20, 4096, 8
PRECISIONS = ("float32", "float64")
NUMBERS = ("mean", "std")

Outputs = Mapping[str, np.ndarray]


def noise_input(shape: tuple[int, int, int, int], seed: int = 0) -> np.ndarray:
    """Return fixed noise of `shape`, (N, H, W, C), in float64.

    Example:
        >>> made_input((1, 1, 1, 2))[0, 0, 0].round(3).tolist()
        [1.764, 0.4]
    """
    batch, height, width, channels = shape
    return np.random.RandomState(seed).standard_normal((batch, channels, height, width)).transpose(0, 2, 3, 1)


def golden_text(config: Config, made_by: str, cases: Mapping[str, tuple[np.ndarray, Outputs]]) -> str:
    """Return the text of ``golden.json``.

    Args:
        config: Of the weights.
        made_by: Framework and version.
        cases: Precision -> an input of :func:`noise_input` of seed 0, and the model's outputs.
    """
    said = {
        precision: {
            "input": {"seed": 0, "shape": list(x.shape), "first": x[0, 0, 0].tolist()},
            "outputs": {name: _summary(value) for name, value in outputs.items()},
        }
        for precision, (x, outputs) in cases.items()
    }
    return json.dumps({"format": FORMAT, "version": VERSION, "digest": config.digest, "made_by": made_by, "cases": said}, indent=1) + "\n"


def read_golden(folder: Path, config: Config) -> dict[str, Any] | None:
    """Return precision -> ``input`` and ``outputs`` of the golden activations in `folder`, or None without any.

    Raises:
        CheckpointError: where they are not of this format, or of other weights than `config`'s.
    """
    path = folder / GOLDEN
    if not path.exists():
        return None
    data = parse(read_small(path, MAX_BYTES), str(path), MAX_BYTES)
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise CheckpointError(f"{path}: expected format {FORMAT!r}, version {VERSION}; a newer axialzoo may read it")
    if data.get("digest") != config.digest:
        raise CheckpointError(
            f"{path}: is of other weights: expected digest {config.digest}, found {str(data.get('digest'))[:80]}; publish the folder again"
        )
    cases = data.get("cases")
    if not isinstance(cases, dict) or not cases or not all(_is_case(key, case, config) for key, case in cases.items()):
        raise CheckpointError(f"{path}: expected cases, each with an input and outputs; publish the folder again")
    return cases


def input_of_case(case: Mapping[str, Any]) -> np.ndarray:
    """Return the input of a case, (N, H, W, C).

    Raises:
        CheckpointError: where this numpy makes other noise of its seed than the one that published it.
    """
    x = noise_input(tuple(case["input"]["shape"]), case["input"]["seed"])
    if not np.allclose(x[0, 0, 0], case["input"]["first"], rtol=0, atol=1e-12):
        raise CheckpointError(f"{GOLDEN}: the input made of seed {case['input']['seed']} is not the one that it was published with")
    return x


def compare_golden(case: Mapping[str, Any], outputs: Outputs, precision: str) -> float | None:
    """Return the largest difference between the published outputs and `outputs`, over the largest value (at least 1 in float32).

    Return None for outputs that are missing, of another shape, or not finite.
    """
    worst, expected = 0.0, case["outputs"]
    if expected.keys() != outputs.keys():
        return None
    for name, value in outputs.items():
        there = expected[name]
        if list(value.shape) != there["shape"]:
            return None
        scale = max(there["largest"], 1.0) if precision == "float32" else there["largest"] or 1.0
        summary = _summary(value)
        differences = [abs(summary[key] - there[key]) for key in NUMBERS]
        differences += [float(np.abs(np.subtract(summary[key], there[key])).max(initial=0.0)) for key in ("first", "last")]
        worst = max([worst, *(part / scale for part in differences)], key=lambda part: (not np.isfinite(part), part))
    return worst if np.isfinite(worst) else None


def _summary(value: np.ndarray) -> dict[str, Any]:
    value = np.asarray(value, np.float64)
    middle = value.ndim - 2
    first = value[0][(*(slice(MIDDLE),) * middle, slice(LAST))]
    last = value[-1][(*(slice(-MIDDLE, None),) * middle, slice(-LAST, None))]
    return {
        "shape": list(value.shape), "mean": float(value.mean()), "std": float(value.std()),
        "largest": float(np.abs(value).max()), "first": first.tolist(), "last": last.tolist(),
    }  # fmt: skip


def _is_case(precision: str, case: Any, config: Config) -> bool:
    try:
        noise, outputs = case["input"], case["outputs"]
        batch, height, width, channels = noise["shape"]
        sides = all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in (height, width))
        ok = sides and isinstance(batch, int) and 1 <= batch <= MAX_BATCH and channels == config.spec.backbone.in_channels
        ok = ok and precision in PRECISIONS and isinstance(noise["seed"], int) and 0 <= noise["seed"] < 1 << 32 and bool(outputs)
        return ok and all(_is_summary(summary) for summary in outputs.values())
    except (KeyError, TypeError, ValueError):
        return False


def _is_summary(summary: Mapping[str, Any]) -> bool:
    shape = summary["shape"]
    middle = [min(side, MIDDLE) for side in shape[1:-1]]
    slices = all(np.asarray(summary[key], float).shape == (*middle, min(shape[-1], LAST)) for key in ("first", "last"))
    return slices and all(np.isfinite(float(summary[key])) for key in (*NUMBERS, "largest"))
