"""The authors' PyTorch checkpoints (github.com/csrhddlam/axial-deeplab): names, layouts and index conventions.

What differs is only arrangement. In their files:

* the rows of the q, k, v projection go head by head, within each head q, k, v; here all q, all k, all v;
* one table ``relative`` holds the q, k and v positions as rows; its q and v parts are indexed by query - key,
  its k part by key - query; here every table is indexed by key - query, one row a distance;
* the output norm interleaves content and position channel by channel; here they are two blocks;
* ``hight_block`` is their spelling; ``flatten_index`` and ``num_batches_tracked`` are not weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from axialzoo.spec import Attention, Model, parameters

MODULES = (
    (r"^stem\.0\.conv\.", "conv1."),
    (r"^stem\.0\.norm\.", "bn1."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.{found[2]}."),
    (r"\.reduce\.conv\.", ".conv_down."),
    (r"\.reduce\.norm\.", ".bn1."),
    (r"\.expand\.conv\.", ".conv_up."),
    (r"\.expand\.norm\.", ".bn2."),
    (r"\.shortcut\.conv\.", ".downsample.0."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.height\.", ".hight_block."),
    (r"\.width\.", ".width_block."),
    (r"\.qkv\.", ".qkv_transform."),
    (r"\.norm_(qkv|similarity|output)\.", r".bn_\1."),
    (r"\.(query|key|value)_position$", ".relative"),
    (r"^classifier\.", "fc."),
)


def foreign_name(name: str) -> str:
    """Their name of the tensor that we call `name`; the three position tables share one."""
    for pattern, replacement in MODULES:
        name = re.sub(pattern, replacement, name)
    return name


def qkv_rows(spec: Attention) -> np.ndarray:
    """Which row of their projection each row of ours is."""
    key, value = spec.key_depth, spec.value_depth
    rows = np.arange(spec.heads * (2 * key + value)).reshape(spec.heads, -1)
    return np.concatenate([part.reshape(-1) for part in np.split(rows, [key, 2 * key], axis=1)])


def to_ours(tensor: np.ndarray, name: str, spec: Attention | None) -> np.ndarray:
    """Their tensor in our arrangement; `spec` is that of the attention layer that `name` belongs to, if any."""
    if spec is None:
        return tensor
    leaf = name.rsplit(".", 2)[-2:]
    if leaf[0] == "qkv":
        return tensor[qkv_rows(spec), :, 0]
    if leaf[0] == "norm_qkv":
        return tensor[qkv_rows(spec)]
    if leaf[0] == "norm_output":
        return tensor.reshape(-1, 2).T.reshape(-1)
    if leaf[1].endswith("_position"):
        start, stop, step = table_rows(leaf[1], spec)
        return tensor[start:stop, ::step].T
    return tensor


def table_rows(leaf: str, spec: Attention) -> tuple[int, int, int]:
    """First and last row of a table within their ``relative``, and the direction of its index."""
    key, value = spec.key_depth, spec.value_depth
    return {
        "query_position": (0, key, -1),
        "key_position": (key, 2 * key, 1),
        "value_position": (2 * key, 2 * key + value, -1),
    }[leaf]
