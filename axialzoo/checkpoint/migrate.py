"""Migration of checkpoints of earlier versions to the current one, as they are read: 1 to 2, then 2 to 3.

Version 1 knew one head, called classifier, and called the neck decoder; labels were plain names. Version 2 had other names for fields of
attention, and one object for the settings of targets and of post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

VERSION = 3
READABLE = (1, 2, 3)
SAME_TENSORS = 2  # the first version whose tensors have the names of today
PREFIXES = {"classifier.": "head.fc.", "decoder.": "neck."}  # of tensors, version 1 to 2
ATTENTION = {"positions": "max_length", "long_axis": "beyond_tables"}  # fields, version 2 to 3
SETTINGS = {"panoptic": "reading", "fcos": "finding"}  # fields of heads that version 3 splits into `targets` and `postprocess`
TARGETS = {"panoptic": ("sigma", "small_weight"), "fcos": ("ends", "radius")}  # fields of those that go to `targets`
POSTPROCESS = {"kernel": "nms_kernel"}  # fields of those that go to `postprocess` under another name


def migrate_config(data: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object of a config, of a version in `READABLE`, as the current version has it.

    A part that does not have the form of its version is left as it is, for the reader to refuse. The provenance is left too: it says how
    the tensors were made, in the words of then.
    """
    version = data.get("version")
    if version == VERSION:
        return data
    labels, data = data.get("labels"), {**data, "version": VERSION}
    if version == 1 and isinstance(labels, list):
        data["labels"] = [{"name": label} if isinstance(label, str) else label for label in labels]
    return {**data, "spec": migrate_spec(data.get("spec"))}


def migrate_spec(spec: Any) -> Any:
    """Return the JSON of a model's spec of any version as the current version has it; one of the current version unchanged."""
    return _spec_to_3(_spec_to_2(spec))


def _spec_to_2(spec: Any) -> Any:
    if not isinstance(spec, dict) or "num_classes" not in spec:
        return spec
    rest = {key: value for key, value in spec.items() if key not in ("num_classes", "task")}
    backbone = rest.get("backbone")
    if isinstance(backbone, dict) and "decoder" in backbone:
        rest["backbone"] = {("neck" if key == "decoder" else key): value for key, value in backbone.items()}
    return {**rest, "head": {"kind": "classifier", "num_classes": spec["num_classes"]}}


def _spec_to_3(spec: Any) -> Any:
    """Rename the fields of attention in every block, and split the settings of the head."""
    spec = _rename_attention(spec)
    if isinstance(spec, dict) and isinstance(head := spec.get("head"), dict):
        return {**spec, "head": _split_settings(head)}
    return spec


def _rename_attention(value: Any) -> Any:
    if isinstance(value, list):
        return [_rename_attention(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _rename_attention(item) for key, item in value.items()}
    if isinstance(attention := value.get("attention"), dict):
        value["attention"] = _renamed(attention, ATTENTION)
    return value


def _split_settings(head: dict[str, Any]) -> dict[str, Any]:
    kind = head.get("kind")
    if not isinstance(kind, str) or kind not in SETTINGS or {"targets", "postprocess"} & set(head):
        return head
    if not isinstance(settings := head.get(SETTINGS[kind]), dict):
        return head
    targets = {key: value for key, value in settings.items() if key in TARGETS[kind]}
    postprocess = {key: value for key, value in settings.items() if key not in targets}
    rest = {key: value for key, value in head.items() if key != SETTINGS[kind]}
    return {**rest, "targets": targets, "postprocess": _renamed(postprocess, POSTPROCESS if kind == "panoptic" else {})}


def _renamed(data: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return `data` with other names for its keys; unchanged, for the reader to refuse, where it has both names of one."""
    if any(old in data and new in data for old, new in names.items()):
        return data
    return {names.get(key, key): value for key, value in data.items()}


def migrate_tensors(tensors: Mapping[str, np.ndarray], version: int) -> Mapping[str, np.ndarray]:
    """Return the tensors of a checkpoint of `version` under the names of the current one; the mapping itself where they are the same."""
    if version >= SAME_TENSORS:
        return tensors
    return {migrate_name(name): array for name, array in tensors.items()}


def migrate_name(name: str) -> str:
    """Return the name that version 2 gave to a tensor of version 1."""
    for old, new in PREFIXES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
