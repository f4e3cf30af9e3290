"""Checkpoints of earlier versions, brought up to the current one as they are read.

Version 1 knew one head, called classifier, and called the neck decoder; labels were plain names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

VERSION = 2
READABLE = (1, 2)
PREFIXES = {"classifier.": "head.fc.", "decoder.": "neck."}  # of tensors, version 1 to 2


def migrate_config(data: dict[str, Any]) -> dict[str, Any]:
    """Migrate the JSON object of a config, of a version in `READABLE`, to the current version.

    Values of an unexpected form are left as they are, for the reader to refuse.
    """
    if data.get("version") != 1:
        return data
    labels, data = data.get("labels"), {**data, "version": VERSION}
    if isinstance(labels, list):
        data["labels"] = [{"name": label} if isinstance(label, str) else label for label in labels]
    return {**data, "spec": migrate_spec(data.get("spec"))}


def migrate_spec(spec: Any) -> Any:
    """Migrate the JSON of a model's spec from version 1 to 2; version 2 is returned as it is."""
    if not isinstance(spec, dict) or "num_classes" not in spec:
        return spec
    rest = {key: value for key, value in spec.items() if key not in ("num_classes", "task")}
    backbone = rest.get("backbone")
    if isinstance(backbone, dict) and "decoder" in backbone:
        rest["backbone"] = {("neck" if key == "decoder" else key): value for key, value in backbone.items()}
    return {**rest, "head": {"kind": "classifier", "num_classes": spec["num_classes"]}}


def migrate_tensors(tensors: Mapping[str, np.ndarray], version: int) -> Mapping[str, np.ndarray]:
    """Rename the tensors of a checkpoint of `version` to the current names; the mapping itself is returned if they are the same."""
    if version == VERSION:
        return tensors
    return {migrate_name(name): array for name, array in tensors.items()}


def migrate_name(name: str) -> str:
    """Return the name in version 2 of a tensor of version 1."""
    for old, new in PREFIXES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
