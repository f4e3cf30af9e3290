"""Converter of checkpoints of the Medical Transformer (github.com/jeya-maria-jose/Medical-Transformer) and of U-Bench's copy.

It works both ways, bit by bit. ``medical_transformer_names`` has the names and layouts.

    config, tensors = import_checkpoint("medt.pth")
    save_checkpoint("medt", config, tensors)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, Tensors, atomic_write, check_tensors, default_config
from axialzoo.spec import Model, Stage, adapt, get_entry, parameters
from axialzoo.spec.heads.unet import UNet
from axialzoo.spec.zoo.medical_transformer import axial_unet, local_global_unet

from .axial_deeplab import _count_of, _read
from .axial_deeplab_names import COUNT, INDEX, flatten_index
from .medical_transformer_names import entries, to_ours, to_theirs

SOURCE = "github.com/jeya-maria-jose/Medical-Transformer"
NAMES = {  # attention of the encoder, and of the local branch if there is one
    ("axial", None): "axial_unet",
    ("gated", None): "gated_axial_unet",
    ("axial", "axial"): "logo_axial_unet",
    ("gated", "without positions"): "medical_transformer",
}
PATCH, GRID = 32, 4  # upstream's code cuts 4 x 4 patches of 32 pixels from pictures of any size
BGR = "their code reads pictures with OpenCV: channels are blue, green, red (channel_order='bgr')"
UBENCH = (
    "one logit, as in U-Bench: pictures normalised by ImageNet's mean and deviation and then divided by 255 once more, as most of its "
    "data classes do (deviations 255 times as large)"
)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229 * 255, 0.224 * 255, 0.225 * 255)}


def import_checkpoint(path, model: str | Model | None = None, *, backbone_only: bool = False) -> tuple[Config, dict[str, np.ndarray]]:
    """Import a ``.pth`` file as a config and canonical tensors.

    The file decides the image size (by its position tables), the classes and the image channels. For a size above 128 with a local
    branch without positions, the patches cover only the top left 128 x 128 pixels, as in upstream's code;
    ``load_model(folder, patches="whole")`` covers the whole picture.

    Args:
        path: A state dict, or a training checkpoint that holds one under ``net``, ``state_dict`` or ``model``; with or without
            ``module.`` before its names. Nothing in it is unpickled.
        model: Registered name or spec; default: recognised by the tensors.
        backbone_only: Leave out the decoder and the local branch.

    Raises:
        CheckpointError: for a file that is damaged, of another model, or has an unused tensor.
    """
    path = Path(path)
    state = _read(path)
    name, spec = _recognised(path, state, model)
    _refuse_unfit(path, state, spec)
    tensors = to_ours(spec, state)
    for item in entries(spec):
        if item.attention is None or item.kind != INDEX or item.name not in state:
            continue
        if not np.array_equal(state[item.name], flatten_index(item.attention)):
            expected = f"key - query + {item.attention.max_length - 1}"
            raise CheckpointError(f"{path}: {item.name}: expected {expected} for each pair; this is another index convention")
    provenance: dict[str, object] = {"source": SOURCE, "file": path.name}
    counts = {key.removesuffix(f".{COUNT}"): int(value) for key, value in state.items() if key.endswith(f".{COUNT}")}
    if counts:
        provenance[COUNT] = next(iter(counts.values())) if len(set(counts.values())) == 1 else counts
    if not any(key.endswith(f".{INDEX}") for key in state):
        provenance[INDEX] = False
    provenance["assumed"] = "; ".join(_assumptions(spec))
    preprocessing = _preprocessing(spec, name)
    if backbone_only:
        provenance["left_out"] = [item.name for item in entries(spec) if any(name.startswith("head.") for name in item.ours)]
        spec = replace(spec, head=None)
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("head.")}
    check_tensors(tensors, spec, where=str(path))
    return replace(default_config(spec, name), preprocessing=preprocessing, provenance=provenance), tensors


def export_checkpoint(config: Config, tensors: Tensors, path) -> None:
    """Write the state dict that upstream's code loads strictly; the inverse of `import_checkpoint`, bit by bit.

    Raises:
        CheckpointError: for a model that their code cannot express, or tensors that are not the model's.
    """
    import torch

    path, spec = Path(path), config.spec
    _refuse_inexpressible(spec)
    check_tensors(tensors, spec, where=str(path))
    if spec.backbone.in_channels == 3 and config.preprocessing.channel_order == "rgb":
        warnings.warn(f"{path}: the model expects RGB, and upstream's code reads BGR; give it RGB pictures", stacklevel=2)
    state, counts = to_theirs(spec, tensors), config.provenance.get(COUNT, 0)
    imported = config.provenance.get("source") == SOURCE
    ordered: dict[str, torch.Tensor] = {}
    for item in entries(spec):
        if item.kind == COUNT:
            if not (imported and COUNT not in config.provenance):  # else the imported file had none
                ordered[item.name] = torch.tensor(_count_of(counts, item.name.removesuffix(f".{COUNT}")), dtype=torch.int64)
        elif item.kind != INDEX or config.provenance.get(INDEX, True):
            ordered[item.name] = torch.tensor(state[item.name])
    with atomic_write(path) as beside:
        torch.save(ordered, beside)


def _recognised(path: Path, state: Mapping[str, np.ndarray], model: str | Model | None) -> tuple[str, Model]:
    """Return name and spec of the model with these tensors."""
    if isinstance(model, Model):
        return "custom", model
    kinds = _kind(state, "layer1"), _kind(state, "layer1_p") if "conv1_p.weight" in state else None
    name = NAMES.get(kinds)
    if name is None or "adjust.weight" not in state:
        known, names = ", ".join(NAMES.values()), ", ".join(list(state)[:6])
        raise CheckpointError(f"{path}: expected the tensors of one of {known} (conv1, layer1, decoder5, adjust ...), found {names}")
    if model is not None and get_entry(model).name != name:
        raise CheckpointError(f"{path}: expected the tensors of {get_entry(model).name}, found those of {name}; leave out the model's name")
    side = _side(path, state, "layer1")
    if kinds[1] is None:
        spec = axial_unet(side, kinds[0])
    else:
        patch = PATCH if kinds[1] == "without positions" else _side(path, state, "layer1_p")
        beyond = kinds[1] == "without positions" and side > GRID * PATCH
        grid = GRID if beyond else max(side // patch, 1)
        spec = local_global_unet(side, kinds[0], kinds[1], grid=grid, patches="top_left" if beyond else "whole")
    classes, stem = state["adjust.weight"], state.get("conv1.weight")
    channels = stem.shape[1] if stem is not None and stem.ndim == 4 and stem.shape[1] else None
    return name, adapt(spec, num_classes=classes.shape[0] if classes.ndim == 4 and len(classes) else None, in_channels=channels)


def _kind(state: Mapping[str, np.ndarray], layer: str) -> str:
    attention = f"{layer}.0.hight_block"
    return "gated" if f"{attention}.f_qr" in state else "axial" if f"{attention}.relative" in state else "without positions"


def _side(path: Path, state: Mapping[str, np.ndarray], layer: str) -> int:
    """Return the side of the picture, or patch, that the position tables cover; the first stage has stride 2."""
    table = state.get(f"{layer}.0.hight_block.relative")
    if table is None or table.ndim != 2 or table.shape[1] % 2 == 0:
        description = "none" if table is None else f"shape {table.shape}"
        raise CheckpointError(f"{path}: {layer}.0.hight_block.relative: expected 2 * span - 1 columns, found {description}")
    return table.shape[1] + 1


def _refuse_unfit(path: Path, state: Mapping[str, np.ndarray], spec: Model) -> None:
    """Refuse a file whose tensors are not exactly those of `spec`, with the complete list of differences."""
    _refuse_inexpressible(spec)
    own = {parameter.name: parameter.shape for parameter in parameters(spec)}
    shapes = {item.name: item.shape(own) for item in entries(spec)}
    optional = {kind: [item.name for item in entries(spec) if item.kind == kind] for kind in (COUNT, INDEX)}
    absent = [name for names in optional.values() if not any(name in state for name in names) for name in names]
    problems = {
        "missing": [name for name in shapes if name not in state and name not in absent],
        "unknown": [name for name in state if name not in shapes],
        "misshapen": [
            f"{name} (expected {shapes[name]}, found {array.shape})"
            for name, array in state.items()
            if name in shapes and array.shape != shapes[name]
        ],
    }
    if any(problems.values()):
        lines = [f"  {what} ({len(names)}): {', '.join(names)}" for what, names in problems.items() if names]
        raise CheckpointError("\n".join([f"{path}: its tensors are not those of the model; nothing was imported", *lines]))


def _assumptions(spec: Model) -> list[str]:
    head, side = spec.head, spec.input_size[0]
    assert isinstance(head, UNet)
    notes = [f"pictures of {side} x {side}", *([BGR] if spec.backbone.in_channels == 3 else [])]
    if head.num_classes == 1:
        notes.append(UBENCH if spec.backbone.in_channels == 3 else "one logit, as in U-Bench")
    if head.local is not None and head.local.patches == "top_left":
        covered = head.local.grid * head.local.patch_size
        notes.append(
            f"the local branch sees the top left {covered} x {covered} pixels alone, as upstream's code has it (patches='top_left')"
        )
    return notes


def _preprocessing(spec: Model, name: str):
    """Return the preprocessing: their code divides BGR by 255; U-Bench, which trains one logit, normalises by ImageNet's numbers too."""
    own, channels = default_config(spec, name if name != "custom" else "medical_transformer").preprocessing, spec.backbone.in_channels
    assert spec.head is not None
    if channels == 3:
        return replace(own, channel_order="bgr", **(IMAGENET if spec.head.num_classes == 1 else {}))
    return own


def _refuse_inexpressible(spec: Model) -> None:
    """Refuse a spec that upstream's code cannot express."""
    reason = _inexpressible(spec)
    if reason:
        raise CheckpointError(
            f"the Medical Transformer's code has no model like this: {reason}; expected one of {', '.join(NAMES.values())}"
        )


def _inexpressible(spec: Model) -> str:
    head, side = spec.head, spec.input_size[0]
    if not isinstance(head, UNet) or spec.backbone.in_channels < 1:
        return "its decoder is a U-Net's"
    attention, local = spec.backbone.stages[0].blocks[0].attention, head.local
    beyond = attention is not None and attention.max_length > GRID * PATCH // 2
    if beyond and local is not None and local.patches == "whole" and not _has_positions(local.stages):
        return "at this size its code sees the top left 128 x 128 pixels alone, and this one the whole picture (patches='whole')"
    for (kind, local_kind), _ in NAMES.items():
        for candidate in _candidates(spec, kind, local_kind):
            changed = adapt(candidate, num_classes=head.num_classes, in_channels=spec.backbone.in_channels)
            if changed.backbone == spec.backbone and changed.head == head:
                return ""
    return f"its encoders and decoder are those of upstream's functions, with position tables for pictures of one size, here {side}"


def _has_positions(stages: tuple[Stage, ...]) -> bool:
    return any(block.attention is not None and block.attention.has_relative_terms for stage in stages for block in stage.blocks)


def _candidates(spec: Model, kind: str, local_kind: str | None) -> list[Model]:
    """Return upstream's models with the size and grid of `spec`."""
    attention, head = spec.backbone.stages[0].blocks[0].attention, spec.head
    side = 2 * attention.max_length if attention is not None else spec.input_size[0]
    local = head.local if isinstance(head, UNet) else None
    if local_kind is None or local is None:
        return [] if local_kind is not None or local is not None else [axial_unet(side, kind)]
    return [local_global_unet(side, kind, local_kind, grid=local.grid, patches=local.patches)]
