"""deeplab2's numbers for segments, as data: decoding, losses, panoptic quality. No framework here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.tasks.results import Segmentation

DATA = Path(__file__).parent / "data"


@cache
def described(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


@cache
def stored(name: str) -> Mapping[str, np.ndarray]:
    with np.load(DATA / f"{name}.npz") as file:
        return dict(file)


# Decoding. Of the stored probabilities 16 bits are left, with the likeliest classes as they were; inputs that cases share are stored once.

DECODING = tuple(described("dl2_postprocess")["cases"])
THINGS = tuple(described("dl2_postprocess")["thing_class_ids"])
MERGES = {"tensorflow": "panoptic", "native": "panoptic_custom_op"}


def decoding(case: str, what: str) -> np.ndarray:
    """``semantic_probs``, ``center_heatmap``, ``offsets``, ``panoptic``, ``panoptic_custom_op`` or ``instance_scores``."""
    actual = stored("dl2_postprocess")[f"{case}/{what}"]
    return stored("dl2_postprocess")[str(actual)] if actual.dtype.kind == "U" else actual


def same_up_to_names(found: Segmentation, panoptic: np.ndarray, void: int = 255) -> bool:
    """Tell whether the segments are deeplab2's (class * 1000 + instance), with any numbers of the instances."""
    pairs = np.unique(np.stack([panoptic.ravel(), found.segmentation.ravel()]), axis=1)  # (2, pairs)
    classes = {0: void, **{item["id"]: item["label_id"] for item in found.segments_info}}
    one_to_one = all(len(np.unique(side)) == pairs.shape[1] for side in pairs)
    return one_to_one and all(theirs // 1000 == classes[ours] for theirs, ours in pairs.T.tolist())


# Losses.

LOSSES = ("config", "no_topk", "topk_everywhere")
MAPS = {"semantic": "semantic_logits", "center": "center_heatmap", "offset": "offset_map"}
TARGETS = {"semantic": "semantic", "center": "instance_center", "offset": "instance_regression"}
VALUES = {"semantic": "semantic_loss", "center": "center_loss", "offset": "regression_loss", "total": "total_loss"}


def loss_settings(case: str) -> dict[str, Any]:
    config = described("dl2_panoptic_losses")[case]
    share = config["top_k_percent"]
    return {"ignore": config["ignore_label"], "top_k": (share["semantic"], share.get("center", 1.0), share.get("regression", 1.0))}


def loss_outputs(case: str) -> dict[str, np.ndarray]:
    """Maps with channels last."""
    data = stored("dl2_panoptic_losses")
    actual = {name: data[f"{case}/pred/{theirs}"] for name, theirs in MAPS.items() if f"{case}/pred/{theirs}" in data}
    return {name: x[..., None] if name == "center" else x for name, x in actual.items()}


def loss_targets(case: str) -> dict[str, np.ndarray]:
    """Offsets with channels last."""
    data = stored("dl2_panoptic_losses")
    weights = {name: "regression" if name == "offset" else name for name in TARGETS}
    names = {name: f"{case}/gt/{theirs}_gt" for name, theirs in TARGETS.items()}
    names |= {f"{name}_weight": f"{case}/gt/{theirs}_loss_weight" for name, theirs in weights.items()}
    return {name: data[theirs] for name, theirs in names.items() if theirs in data}


def class_weights(logits: np.ndarray) -> tuple[float, ...]:
    """Ours: another for each class of logits with channels last."""
    return tuple(0.5 + 0.5 * index for index in range(logits.shape[-1]))


def losses(case: str) -> dict[str, float]:
    """Means over the batch."""
    data = stored("dl2_panoptic_losses")
    return {
        name: float(data[f"{case}/loss/{theirs}"].mean(dtype="float64"))
        for name, theirs in VALUES.items()
        if f"{case}/loss/{theirs}" in data
    }


def loss_gradients(case: str) -> dict[str, np.ndarray]:
    """Gradients of the mean total, channels last."""
    data = stored("dl2_panoptic_losses")
    actual = {name: data[f"{case}/grad/{theirs}"] for name, theirs in MAPS.items()}
    return {name: (x[..., None] if name == "center" else x) / len(x) for name, x in actual.items()}


# Panoptic quality.

QUALITY = {"synthetic0": (0,), "synthetic1": (1,), "synthetic2": (2,), "synthetic_all": (0, 1, 2)}


def quality_pair(index: int) -> tuple[Segmentation, Segmentation]:
    """A result and its truth; class 0 is void."""
    data = stored("dl2_panoptic_quality")
    return _segments(data[f"pred{index}"]), _segments(data[f"true{index}"])


def _segments(panoptic: np.ndarray, per_class: int = 256) -> Segmentation:
    """deeplab2 takes only id 0 for void; an id of class 0 besides it is nothing to be found, and yet not void: a crowd of class 0."""
    ids = [int(id) for id in np.unique(panoptic) if id]
    crowds = {id: {"iscrowd": 1} for id in ids if id < per_class}
    return Segmentation(panoptic, [{"id": id, "label_id": id // per_class} | crowds.get(id, {}) for id in ids])
