"""Converter of the authors' PyTorch checkpoints (github.com/csrhddlam/axial-deeplab), both ways, bit by bit.

``axial_deeplab_names`` has the names, layouts and index conventions.

    config, tensors = import_checkpoint("axial26s.pth")
    save_checkpoint("axial_resnet26_s", config, tensors)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, Tensors, atomic_write, check_tensors, default_config
from axialzoo.spec import Model, SpecError, adapt, get_entry, list_models, parameters

from .axial_deeplab_names import (
    COUNT,
    INDEX,
    attention_of,
    flatten_index,
    foreign_name,
    foreign_shapes,
    from_ours,
    owner,
    their_order,
    to_ours,
)

SOURCE = "github.com/csrhddlam/axial-deeplab"
WRAPPERS = ("net", "state_dict", "model")  # keys under which training checkpoints hold the state dict


def import_checkpoint(path, model: str | Model | None = None, *, backbone_only: bool = False) -> tuple[Config, dict[str, np.ndarray]]:
    """Import the authors' ``.pth`` file as a config and canonical tensors.

    Args:
        path: A state dict, or a training checkpoint that holds one under ``net``, ``state_dict`` or ``model``; with
            or without ``module.`` before its names.
        model: Registered name or spec; default the registered model with the tensors' shapes. The file decides the number of classes
            (0 without ``fc``) and of image channels.

    Raises:
        CheckpointError: for a file that is damaged, of another model, or has an unused tensor.

    Example:
        >>> config, tensors = import_checkpoint("axial26s.pth")  # doctest: +SKIP
        >>> config.model  # doctest: +SKIP
        'axial_resnet26_s'
    """
    path = Path(path)
    state = _read(path)
    left_out = [key for key in state if backbone_only and key.startswith("fc.")]
    state = {key: array for key, array in state.items() if key not in left_out}
    name, spec = _recognise(path, state, model)
    _refuse_unfit(path, state, spec)
    attention, tensors = attention_of(spec), {}
    for parameter in parameters(spec):
        foreign = foreign_name(parameter.name)
        tensors[parameter.name] = np.ascontiguousarray(to_ours(state[foreign], parameter.name, attention.get(owner(parameter.name))))
    for layer, spec_of in attention.items():
        index = foreign_name(f"{layer}.{INDEX}")
        if index in state and not np.array_equal(state[index], flatten_index(spec_of)):
            raise CheckpointError(
                f"{path}: {index}: expected key - query + {spec_of.max_length - 1} for each pair; this is another index convention"
            )
    check_tensors(tensors, spec, where=str(path))
    config = default_config(spec, name)
    provenance: dict[str, object] = {"source": SOURCE, "file": path.name}
    if left_out:
        provenance["left_out"] = left_out
    counts = {key.removesuffix(f".{COUNT}"): int(value) for key, value in state.items() if key.endswith(f".{COUNT}")}
    if counts:
        same = len(set(counts.values())) == 1
        provenance[COUNT] = next(iter(counts.values())) if same else counts
    if not any(key.endswith(f".{INDEX}") for key in state):
        provenance[INDEX] = False
    preprocessing = replace(
        config.preprocessing, interpolation="bilinear"
    )  # their preprocessing: Resize(256), CenterCrop(224) of torchvision
    return replace(config, preprocessing=preprocessing, provenance=provenance), tensors


def export_checkpoint(config: Config, tensors: Tensors, path) -> None:
    """Write the state dict that the authors' code loads strictly; the inverse of `import_checkpoint`, bit by bit.

    Raises:
        CheckpointError: for a model that their code cannot express, or tensors that are not the model's.
    """
    import torch

    path = Path(path)
    spec = config.spec
    _refuse_inexpressible(spec)
    check_tensors(tensors, spec, where=str(path))
    state = from_ours(spec, tensors)
    counts = config.provenance.get(COUNT, 0)
    ordered: dict[str, torch.Tensor] = {}
    for key in their_order(spec):
        if key.endswith(f".{COUNT}"):
            if config.provenance.get("source") == SOURCE and COUNT not in config.provenance:
                continue  # the imported file had none
            ordered[key] = torch.tensor(_count_of(counts, key.removesuffix(f".{COUNT}")), dtype=torch.int64)
        elif key.endswith(f".{INDEX}"):
            if config.provenance.get(INDEX, True):
                ordered[key] = torch.tensor(state[key])
        else:
            ordered[key] = torch.tensor(state[key])
    with atomic_write(path) as beside:
        torch.save(ordered, beside)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the state dict in `path`, without the prefix ``module.``."""
    import torch

    from axialzoo.torch.native import read_state

    state, _ = read_state(path)
    wrapped = [key for key in WRAPPERS if isinstance(state.get(key), dict)]
    if len(wrapped) == 1:
        state = state[wrapped[0]]
    odd = [str(key) for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd or not state:
        raise CheckpointError(
            f"{path}: expected a state dict, or a training checkpoint with one under {', '.join(WRAPPERS)}; found {odd[:10] or 'nothing'}"
        )
    prefixed = [key for key in state if key.startswith("module.")]
    if prefixed and len(prefixed) != len(state):
        raise CheckpointError(f"{path}: expected module. before all names or none, found it before {len(prefixed)} of {len(state)}")
    return {key.removeprefix("module."): _array(path, key, value) for key, value in state.items()}


def _array(path: Path, key: str, value) -> np.ndarray:
    import torch

    from axialzoo.torch.native import to_array

    if key.endswith((f".{COUNT}", f".{INDEX}")):
        few = 1 if key.endswith(COUNT) else 1 << 24
        if value.dtype != torch.int64 or value.layout != torch.strided or value.numel() > few or (few == 1 and value.dim()):
            raise CheckpointError(f"{path}: {key}: expected whole numbers, found {value.dtype} of shape {tuple(value.shape)}")
        return value.numpy()
    return to_array(path, key, value)


def _recognise(path: Path, state: dict[str, np.ndarray], model: str | Model | None) -> tuple[str, Model]:
    """Return name and spec of the model, with the classes and channels of the file."""
    if isinstance(model, Model):
        candidates = {"custom": model}
    elif model is not None:
        candidates = {get_entry(model).name: get_entry(model).spec}
    else:
        candidates = {name: get_entry(name).spec for name in list_models(task="classification") if _expressible(get_entry(name).spec)}
    fits = {name: _with_ends(spec, state) for name, spec in candidates.items()}
    if model is not None:
        return next(iter(fits.items()))
    shapes = {key: array.shape for key, array in state.items() if not key.endswith((f".{COUNT}", f".{INDEX}"))}
    for name, spec in fits.items():
        if foreign_shapes(spec) == shapes:
            return name, spec
    nearest = min(fits, key=lambda name: len(foreign_shapes(fits[name]).items() ^ shapes.items()))
    try:
        _refuse_unfit(path, state, fits[nearest])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: of none of the known models ({', '.join(fits)}); nearest is {nearest}: {error}") from None
    raise AssertionError(nearest)


def _with_ends(spec: Model, state: dict[str, np.ndarray]) -> Model:
    """Return `spec` with the classes and image channels of the file, where its tensors have valid shapes."""
    classifier, stem = state.get("fc.weight"), state.get("conv1.weight")
    classes = classifier.shape[0] if classifier is not None and classifier.ndim == 2 and len(classifier) else 0
    channels = stem.shape[1] if stem is not None and stem.ndim == 4 and stem.shape[1] else None
    return adapt(spec, num_classes=classes, in_channels=channels)


def _refuse_unfit(path: Path, state: dict[str, np.ndarray], spec: Model) -> None:
    """Refuse a file whose tensors are not exactly those of `spec`, with the complete list of differences."""
    _refuse_inexpressible(spec)
    shapes = foreign_shapes(spec)
    known = {foreign_name(f"{layer}.{INDEX}") for layer in attention_of(spec)}
    known |= {f"{key.removesuffix('.running_mean')}.{COUNT}" for key in shapes if key.endswith(".running_mean")}
    problems = {
        "missing": [key for key in shapes if key not in state],
        "unknown": [key for key in state if key not in shapes and key not in known],
        "misshapen": [
            f"{key} (expected {shapes[key]}, found {array.shape})"
            for key, array in state.items()
            if key in shapes and array.shape != shapes[key]
        ],
        "partly there": _partial(state, known),
    }
    if any(problems.values()):
        lines = [f"  {what} ({len(keys)}): {', '.join(keys)}" for what, keys in problems.items() if keys]
        raise CheckpointError(
            "\n".join([f"{path}: its tensors are not those of the model; nothing was imported", *lines, "name the model that it is"])
        )


def _partial(state: dict[str, np.ndarray], known: set[str]) -> list[str]:
    """Return the missing buffers of a kind that is not a weight, where the file has others of that kind."""
    absent = []
    for kind in (COUNT, INDEX):
        names = [key for key in known if key.endswith(f".{kind}")]
        missing = sorted(key for key in names if key not in state)
        absent += missing if len(missing) < len(names) else []
    return absent


def _refuse_inexpressible(spec: Model) -> None:
    reason = _inexpressible(spec)
    if reason:
        raise CheckpointError(f"the authors' code has no model like this: {reason}; expected a model of the axial_resnet family")


def _expressible(spec: Model) -> bool:
    return not _inexpressible(spec)


def _inexpressible(spec: Model) -> str:
    """Return the reason why their code cannot express `spec`; empty where it can."""
    backbone = spec.backbone
    blocks = [block for stage in backbone.stages for block in stage.blocks]
    stem = [(conv.kernel, conv.stride) for conv in backbone.stem.convs]
    if stem != [(7, 2)] or [stage.pool for stage in backbone.stages] != [True, *[False] * (len(backbone.stages) - 1)]:
        return "its stem is one 7x7 convolution of stride 2 and a max pool"
    if backbone.activation != "relu" or backbone.pre_activation or backbone.shortcut != "stride_or_width" or backbone.neck:
        return "it has ReLU after each sum, a shortcut convolution where stride or width change, and no decoder"
    if (backbone.norm.epsilon, backbone.norm.momentum) != (1e-5, 0.1):
        return "its norms have epsilon 1e-5 and momentum 0.1"
    for block in blocks:
        attention = block.attention
        if attention is None or block.squeeze_excite:
            return "every block is axial, without squeeze and excite"
        terms = (attention.similarity, attention.value, attention.downsample, attention.span)
        if terms != (("content", "query", "key"), ("content", "position"), "pool", None):
            return "its attention has every term, no span, and pools where it strides"
        if 2 * attention.key_channels != attention.value_channels:
            return "its keys are half as wide as its values"
    return ""


def _count_of(counts: object, norm: str) -> int:
    count = counts.get(norm, 0) if isinstance(counts, dict) else counts
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 1 << 63:
        raise SpecError(f"provenance.{COUNT}: expected whole numbers, found {count!r}")
    return count
