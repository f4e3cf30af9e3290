"""Names and layouts of the Medical Transformer's checkpoints, from the spec alone.

Layers are those of ``axial_deeplab_names``. In addition:

* the global branch has plain names, the local one the same names with ``_p`` (``conv1_p``, ``layer1_p.0.bn1``, ``decoder1_p``);
* the four factors of a gated layer are scalars, ``f_qr``, ``f_kr``, ``f_sve``, ``f_sv``; here one tensor, in the order of the spec;
* ``adjust_p`` and ``conv1`` of the blocks without positions are never called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from axialzoo.spec import Attention, Backbone, Model, parameters
from axialzoo.spec.heads.unet import UNet
from axialzoo.spec.layers import has_shortcut

from .axial_deeplab_names import COUNT, INDEX, flatten_index, qkv_rows, table_rows

GATES = {"f_qr": "query_position", "f_kr": "key_position", "f_sve": "value_position", "f_sv": "value"}
TABLES = ("query_position", "key_position", "value_position")
NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Entry:
    """A tensor of their files.

    Attributes:
        name: Their name.
        ours: Canonical names of the tensors that it holds; none for counts and indices.
        kind: Its layout: ``"same"``, ``"qkv"``, ``"norm_qkv"``, ``"norm_output"``, ``"relative"``, a key of `GATES`, `COUNT` or `INDEX`.
        attention: The spec of the attention layer that it belongs to, if any.
    """

    name: str
    ours: tuple[str, ...]
    kind: str = "same"
    attention: Attention | None = None

    def shape(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """Return its shape in their files, from the shapes of the canonical tensors."""
        if self.kind in GATES or self.kind == COUNT:
            return ()
        if self.attention is not None and self.kind == INDEX:
            return (self.attention.max_length**2,)
        if self.attention is not None and self.kind == "relative":
            return (2 * self.attention.key_depth + self.attention.value_depth, self.attention.num_relative_positions)
        return (*shapes[self.ours[0]], 1) if self.kind == "qkv" else shapes[self.ours[0]]


def entries(spec: Model) -> Iterator[Entry]:
    """Yield the tensors of their file of `spec`, in the order of their ``state_dict``."""
    head, backbone = spec.head, spec.backbone
    assert isinstance(head, UNet)
    yield from encoder_entries(backbone, "", "", {})
    steps = len(backbone.stages) + head.bottleneck
    yield from _decoder("head.decoder", "", steps)
    yield from _conv("adjust", "head.classes")
    if head.local is None:
        return
    blocks = [(i, j, block.attention) for i, stage in enumerate(head.local.stages) for j, block in enumerate(stage.blocks)]
    without = (
        [(i, j) for i, j, attention in blocks if attention is not None and not attention.has_relative_terms] if head.local.unused else []
    )
    yield from encoder_entries(head.local.encoder(backbone), "head.local.", "_p", {place: k for k, place in enumerate(without)})
    yield from _decoder("head.local.decoder", "_p", len(head.local.stages) + head.local.bottleneck)
    yield from _conv("decoderf", "head.merge")
    if head.local.unused:
        yield from _conv("adjust_p", "head.local.classes")


def encoder_entries(backbone: Backbone, ours: str, suffix: str, unused: Mapping[tuple[int, int], int]) -> Iterator[Entry]:
    convs = range(len(backbone.stem.convs))
    for index in convs:
        yield Entry(f"conv{index + 1}{suffix}.weight", (f"{ours}stem.{index}.conv.weight",))
    for index in convs:
        yield from _norm(f"bn{index + 1}{suffix}", f"{ours}stem.{index}.norm")
    channels = backbone.stem_channels
    for i, stage in enumerate(backbone.stages):
        for j, block in enumerate(stage.blocks):
            theirs, own = f"layer{i + 1}{suffix}.{j}", f"{ours}stages.{i}.blocks.{j}"
            yield Entry(f"{theirs}.conv_down.weight", (f"{own}.reduce.conv.weight",))
            if (i, j) in unused:
                yield from _conv(f"{theirs}.conv1", f"{ours}unused.{unused[i, j]}")
            yield from _norm(f"{theirs}.bn1", f"{own}.reduce.norm")
            assert block.attention is not None
            yield from _attention(f"{theirs}.hight_block", f"{own}.height", block.attention)
            yield from _attention(f"{theirs}.width_block", f"{own}.width", block.attention)
            yield Entry(f"{theirs}.conv_up.weight", (f"{own}.expand.conv.weight",))
            yield from _norm(f"{theirs}.bn2", f"{own}.expand.norm")
            if has_shortcut(block, backbone, channels):
                yield Entry(f"{theirs}.downsample.0.weight", (f"{own}.shortcut.conv.weight",))
                yield from _norm(f"{theirs}.downsample.1", f"{own}.shortcut.norm")
            channels = block.channels[-1]


def _attention(theirs: str, ours: str, attention: Attention) -> Iterator[Entry]:
    if attention.gated:
        for gate in GATES:
            yield Entry(f"{theirs}.{gate}", (f"{ours}.gates",), gate, attention)
    if attention.has_relative_terms:
        yield Entry(f"{theirs}.relative", tuple(f"{ours}.{table}" for table in TABLES), "relative", attention)
        yield Entry(f"{theirs}.{INDEX}", (), INDEX, attention)
    yield Entry(f"{theirs}.qkv_transform.weight", (f"{ours}.qkv.weight",), "qkv", attention)
    yield from _norm(f"{theirs}.bn_qkv", f"{ours}.norm_qkv", "norm_qkv", attention)
    yield from _norm(f"{theirs}.bn_similarity", f"{ours}.norm_similarity")
    yield from _norm(f"{theirs}.bn_output", f"{ours}.norm_output", "norm_output", attention)


def _norm(theirs: str, ours: str, kind: str = "same", attention: Attention | None = None) -> Iterator[Entry]:
    for leaf in NORM:
        yield Entry(f"{theirs}.{leaf}", (f"{ours}.{leaf}",), kind, attention)
    yield Entry(f"{theirs}.{COUNT}", (), COUNT)


def _conv(theirs: str, ours: str) -> Iterator[Entry]:
    for leaf in ("weight", "bias"):
        yield Entry(f"{theirs}.{leaf}", (f"{ours}.{leaf}",))


def _decoder(ours: str, suffix: str, steps: int) -> Iterator[Entry]:
    """Yield the tensors of a decoder; with fewer than five steps it has the last numbers: ``decoder4`` and ``decoder5``."""
    for index in range(steps):
        yield from _conv(f"decoder{6 - steps + index}{suffix}", f"{ours}.{index}")


def to_ours(spec: Model, state: Mapping[str, np.ndarray], items: Iterable[Entry] | None = None) -> dict[str, np.ndarray]:
    """Return the canonical tensors of `spec`, or those of `items`, from theirs."""
    tensors = {}
    shapes = {parameter.name: parameter.shape for parameter in parameters(spec)}
    for entry in entries(spec) if items is None else items:
        for name in entry.ours:
            array = state[entry.name]
            if entry.kind in GATES:
                assert entry.attention is not None
                gates = tensors.setdefault(name, np.zeros(shapes[name], array.dtype))
                gates[entry.attention.gates.index(GATES[entry.kind])] = array
            else:
                tensors[name] = np.ascontiguousarray(_arranged(entry, name, array))
    return tensors


def to_theirs(spec: Model, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return their tensors, the inverse of `to_ours`, with indices and without counts, in the order of their ``state_dict``."""
    shapes = {parameter.name: parameter.shape for parameter in parameters(spec)}
    state: dict[str, np.ndarray] = {}
    for entry in entries(spec):
        if entry.kind == INDEX:
            assert entry.attention is not None
            state[entry.name] = flatten_index(entry.attention)
        elif entry.kind in GATES:
            assert entry.attention is not None
            state[entry.name] = np.array(tensors[entry.ours[0]][entry.attention.gates.index(GATES[entry.kind])])
        elif entry.kind != COUNT:
            shape = entry.shape(shapes)
            place = np.arange(np.prod(shape, dtype=int)).reshape(shape)
            target = np.empty(place.size, tensors[entry.ours[0]].dtype)
            for name in entry.ours:
                target[np.reshape(_arranged(entry, name, place), -1)] = tensors[name].reshape(-1)
            state[entry.name] = target.reshape(shape)
    return state


def _arranged(entry: Entry, name: str, tensor: np.ndarray) -> np.ndarray:
    """Return the canonical tensor `name` from their tensor."""
    attention = entry.attention
    if attention is None:
        return tensor
    if entry.kind == "qkv":
        return tensor[qkv_rows(attention), :, 0]
    if entry.kind == "norm_qkv":
        return tensor[qkv_rows(attention)]
    if entry.kind == "norm_output":  # content and position interleaved channel by channel
        return tensor.reshape(-1, len(attention.value)).T.reshape(-1)
    start, stop, step = table_rows(name.rpartition(".")[2], attention)
    return tensor[start:stop, ::step].T
