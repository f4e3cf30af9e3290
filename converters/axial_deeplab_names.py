"""Names and layouts of the tensors in the authors' checkpoints, derived from the spec alone.

Their files differ in arrangement only:

* the rows of the q, k, v projection go head by head, within each head q, k, v; here all q, all k, all v;
* one table ``relative`` holds the q, k and v positions as rows; its q and v parts are indexed by query - key,
  its k part by key - query; here every table is indexed by key - query, one row a distance;
* the output norm interleaves content and position channel by channel; here they are two blocks;
* ``hight_block`` is their spelling; ``flatten_index`` and ``num_batches_tracked`` are not weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from axialzoo.checkpoint import Tensors
from axialzoo.spec import Attention, Model, parameters
from axialzoo.spec.layers import layers
from axialzoo.spec.primitives import AttentionLayer

COUNT, INDEX = "num_batches_tracked", "flatten_index"

MODULES = (
    (r"^stem\.0\.conv\.", "conv1."),
    (r"^stem\.0\.norm\.", "bn1."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", lambda match: f"layer{int(match[1]) + 1}.{match[2]}."),
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
    (r"^head\.fc\.", "fc."),
)


def foreign_name(name: str) -> str:
    """Return the authors' name of the tensor `name`; the three position tables share a name."""
    for pattern, replacement in MODULES:
        name = re.sub(pattern, replacement, name)
    return name


def qkv_rows(spec: Attention) -> np.ndarray:
    """Return the row of their projection for each row of ours."""
    key, value = spec.key_depth, spec.value_depth
    rows = np.arange(spec.heads * (2 * key + value)).reshape(spec.heads, -1)
    return np.concatenate([part.reshape(-1) for part in np.split(rows, [key, 2 * key], axis=1)])


def to_ours(tensor: np.ndarray, name: str, spec: Attention | None) -> np.ndarray:
    """Return their tensor in our arrangement; `spec` is the attention layer of `name`, if it belongs to one."""
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
    """Return the first and last row of a table within their ``relative``, and the direction of its index."""
    key, value = spec.key_depth, spec.value_depth
    return {
        "query_position": (0, key, -1),
        "key_position": (key, 2 * key, 1),
        "value_position": (2 * key, 2 * key + value, -1),
    }[leaf]


def from_ours(spec: Model, tensors: Tensors) -> dict[str, np.ndarray]:
    """Return our tensors in their arrangement, by their names, with ``flatten_index``; every element is written exactly once."""
    attention, places, state, filled = attention_of(spec), {}, {}, {}
    for name, shape in foreign_shapes(spec).items():
        if name.endswith((".qkv_transform.weight", ".relative")) or ".bn_qkv." in name or ".bn_output." in name:
            places[name] = np.arange(np.prod(shape)).reshape(shape)
    for parameter in parameters(spec):
        foreign, ours = foreign_name(parameter.name), tensors[parameter.name]
        if foreign not in places:
            assert foreign not in state, foreign
            state[foreign] = np.array(ours)
            continue
        place = places[foreign]
        taken = to_ours(place, parameter.name, attention.get(owner(parameter.name))).reshape(-1)
        target = state.setdefault(foreign, np.empty(place.shape, ours.dtype))
        target.reshape(-1)[taken] = ours.reshape(-1)
        filled[foreign] = filled.get(foreign, 0) + np.bincount(taken, minlength=place.size)
    for foreign, times in filled.items():
        assert (times == 1).all(), foreign
    for layer, spec_of in attention.items():
        state[foreign_name(f"{layer}.{INDEX}")] = flatten_index(spec_of)
    return state


def foreign_shapes(spec: Model) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight in their files."""
    attention, shapes = attention_of(spec), {}
    for parameter in parameters(spec):
        spec_of, shape = attention.get(owner(parameter.name)), parameter.shape
        if spec_of is not None and parameter.role == "position":
            shape = (2 * spec_of.key_depth + spec_of.value_depth, spec_of.num_relative_positions)
        elif spec_of is not None and parameter.role == "linear":
            shape = (*shape, 1)  # a Conv1d
        shapes[foreign_name(parameter.name)] = shape
    return shapes


def flatten_index(spec: Attention) -> np.ndarray:
    """Return their buffer: the column of ``relative`` for each key (rows) and query."""
    position = np.arange(spec.max_length, dtype=np.int64)
    return (position[:, None] - position + spec.max_length - 1).reshape(-1)


def attention_of(spec: Model) -> dict[str, Attention]:
    return {layer.name: layer.attention for layer in layers(spec) if isinstance(layer, AttentionLayer)}


def owner(name: str) -> str:
    """Return the attention layer of a tensor, if it belongs to one: ``stages.S.blocks.B.height``."""
    return ".".join(name.split(".")[:5])


def their_order(spec: Model) -> Iterator[str]:
    """Yield the names in the order of their ``state_dict``."""
    seen: set[str] = set()
    attention = attention_of(spec)
    for parameter in parameters(spec):
        layer = owner(parameter.name)
        if layer in attention and foreign_name(f"{layer}.{INDEX}") not in seen:
            first = [foreign_name(f"{layer}.query_position"), foreign_name(f"{layer}.{INDEX}")]
            seen.update(first)
            yield from first
        key = foreign_name(parameter.name)
        if key not in seen:
            seen.add(key)
            yield key
            if key.endswith(".running_var"):
                yield f"{key.removesuffix('.running_var')}.{COUNT}"
