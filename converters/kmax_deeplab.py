"""Converter of kMaX-DeepLab's PyTorch checkpoints (github.com/bytedance/kmax-deeplab), both ways, bit by bit.

``kmax_deeplab_names`` has the names and layouts. A file is a state dict, or a file of detectron2 with a state dict under ``model``. These
models compute another function than deeplab2's TensorFlow code: their pixel decoder has no dilation, they align corners at odd widths only,
and they read activated features of a backbone with a max pool.

    config, tensors = import_checkpoint("kmax_r50.pth")
    save_checkpoint("kmax_deeplab_resnet50", config, tensors)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, Tensors, atomic_write, check_tensors, default_config
from axialzoo.spec import Model, adapt, get_entry, list_models
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.zoo.mask_labels import published_labels
from axialzoo.spec.zoo.mask_transformers import kmax, resnet50, resnet50_with_pool

from .kmax_deeplab_names import COUNT, counts_of, tensors_of

SOURCE = "github.com/bytedance/kmax-deeplab"
PREFIXES = ("backbone.", "sem_seg_head.")
NOT_WEIGHTS = ("criterion.empty_weight", "pixel_mean", "pixel_std")  # buffers of their training model
CENTERS, CLASSES = "sem_seg_head.predictor._cluster_centers.weight", "sem_seg_head.predictor._predcitor._transformer_class_head.conv.weight"


def import_checkpoint(path, model: str | Model | None = None, *, backbone_only: bool = False) -> tuple[Config, dict[str, np.ndarray]]:
    """Import the model in a kMaX-DeepLab checkpoint as a config and canonical tensors.

    Args:
        path: A ``.pth`` file: a state dict, or a dictionary with a state dict under ``model``.
        model: Registered name or spec; default the registered model of PyTorch's code that has the tensors.
            ``kmax_deeplab_resnet50`` stands for the model of PyTorch's code with the same widths; the config says so.
        backbone_only: Refused, because no registered model is their backbone alone.

    Raises:
        CheckpointError: for a file that is damaged, of another model or of TensorFlow's code, or has an unused tensor.
    """
    path = Path(path)
    if backbone_only:
        raise CheckpointError(f"{path}: kMaX-DeepLab's PyTorch files are imported whole; expected no --backbone-only")
    state = _read(path)
    counts = {key: int(value) for key, value in state.items() if key.endswith(f".{COUNT}")}
    weights = {key: value for key, value in state.items() if key not in counts}
    name, spec = _recognise(path, weights, model)
    _refuse_unfit(path, weights, spec)
    unknown = sorted(set(counts) - set(counts_of(spec)))
    if unknown or (counts and len(counts) != len(counts_of(spec))):
        raise CheckpointError(f"{path}: expected the count of batches of each norm or of none, found {len(counts)}; unknown: {unknown[:8]}")
    tensors = {tensor.name: tensor.to_ours(weights[tensor.key]) for tensor in tensors_of(spec)}
    check_tensors(tensors, spec, where=str(path))
    config = replace(default_config(spec, name), labels=published_labels(spec))
    half = (0.5,) * spec.backbone.in_channels  # their preprocessing: (pixel - 127.5) / 127.5
    provenance: dict[str, object] = {"source": SOURCE, "file": path.name, "code": "PyTorch"}
    if counts:
        provenance[COUNT] = next(iter(counts.values())) if len(set(counts.values())) == 1 else counts
    return replace(config, preprocessing=replace(config.preprocessing, mean=half, std=half), provenance=provenance), tensors


def export_checkpoint(config: Config, tensors: Tensors, path) -> None:
    """Write the file ``{"model": state dict}`` that detectron2 loads for their code; the inverse of `import_checkpoint`, bit by bit.

    Raises:
        CheckpointError: for a model that their code cannot express, such as one of TensorFlow's code, or tensors that are not the model's.
    """
    import torch

    path, spec = Path(path), config.spec
    reason = inexpressible(spec)
    if reason:
        raise CheckpointError(f"kMaX-DeepLab's PyTorch code has no model like this: {reason}")
    check_tensors(tensors, spec, where=str(path))
    state = {tensor.key: torch.tensor(tensor.to_theirs(np.asarray(tensors[tensor.name]))) for tensor in tensors_of(spec)}
    if config.provenance.get("source") != SOURCE or COUNT in config.provenance:
        counts = config.provenance.get(COUNT, 0)
        for key in counts_of(spec):
            value = counts.get(key, 0) if isinstance(counts, Mapping) else counts
            state[key] = torch.tensor(value, dtype=torch.int64)
    with atomic_write(path) as beside:
        torch.save({"model": state}, beside)


def inexpressible(spec: Model) -> str:
    """Return the reason why their code cannot express `spec`; empty where it can."""
    head = spec.head
    if not isinstance(head, MaskTransformer) or head.pixel_decoder is None or head.kmeans is None:
        return "its models are mask transformers with a k-means decoder"
    blocks = [block for stage in head.pixel_decoder.stages for block in stage.blocks]
    if head.pixel_decoder.corners != "odd" or any(block.dilation not in ((), (1,)) for block in blocks):
        return (
            "its pixel decoder has no dilation and aligns corners at odd widths alone; weights of TensorFlow's code are of another function"
        )
    if spec.backbone.pre_activation or spec.backbone.activation != "relu" or not spec.backbone.stages[0].pool:
        return "its ResNet-50 has a max pool and activated features; weights of TensorFlow's encoders are of another function"
    if (spec.backbone.norm.epsilon, spec.backbone.norm.momentum) != (1e-3, 0.01) or (head.activation, head.activate_pixels) != (
        "gelu",
        False,
    ):
        return "its norms have epsilon 1e-3 and momentum 0.01, and its decoders GELU"
    return ""


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the state dict in `path`, with the counts of batches."""
    import torch

    from axialzoo.torch.native import read_state, to_array

    state, _ = read_state(path)
    state = state["model"] if isinstance(state.get("model"), dict) else state
    odd = [str(key) for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd or not state:
        raise CheckpointError(f"{path}: expected a state dict, or one under 'model', found {odd[:10] or 'nothing'}")
    arrays: dict[str, np.ndarray] = {}
    for key, value in state.items():
        if key in NOT_WEIGHTS:
            continue
        if key.endswith(f".{COUNT}"):
            if value.dtype != torch.int64 or value.numel() != 1:
                raise CheckpointError(f"{path}: {key}: expected one whole number, found {value.dtype} of shape {tuple(value.shape)}")
            arrays[key] = value.numpy()
        else:
            arrays[key] = to_array(path, key, value)
    return arrays


def _recognise(path: Path, weights: Mapping[str, np.ndarray], model: str | Model | None) -> tuple[str, Model]:
    """Name and spec of the model, with the classes and slots of the file."""
    if not any(key.startswith(PREFIXES[1]) for key in weights):
        raise CheckpointError(f"{path}: expected tensors below {' and '.join(PREFIXES)}, found none; check that it is a file of {SOURCE}")
    if isinstance(model, Model):
        return "custom", _fit_to_shapes(model, weights)
    if model is not None:
        spec = get_entry(model).spec
        if inexpressible(spec):
            twin = _twin(spec)
            if twin is None:
                raise CheckpointError(f"{path}: {get_entry(model).name}: {inexpressible(spec)}; name a model that PyTorch's code has")
            names = [name for name in list_models() if get_entry(name).spec == twin]
            return names[0] if names else "custom", _fit_to_shapes(twin, weights)
        return get_entry(model).name, _fit_to_shapes(spec, weights)
    candidates = {name: get_entry(name).spec for name in list_models() if not inexpressible(get_entry(name).spec)}
    shapes = {key: value.shape for key, value in weights.items()}
    fits = {name: _fit_to_shapes(spec, weights) for name, spec in candidates.items()}
    for name, spec in fits.items():
        if {tensor.key: tensor.shape for tensor in tensors_of(spec)} == shapes:
            return name, spec
    return next(iter(fits.items()))


def _twin(spec: Model) -> Model | None:
    """Return the model of PyTorch's code with the widths of a model of TensorFlow's code."""
    for dataset in ("coco", "cityscapes"):
        if kmax(resnet50(), dataset=dataset) == spec:
            return kmax(resnet50_with_pool(), "torch", dataset)
    return None


def _fit_to_shapes(spec: Model, weights: Mapping[str, np.ndarray]) -> Model:
    """Return `spec` with the classes and slots of the file, where its tensors show them."""
    if not isinstance(spec.head, MaskTransformer) or CENTERS not in weights or CLASSES not in weights:
        return spec
    slots, classes = weights[CENTERS].shape[-1], len(weights[CLASSES]) - 1
    changes: dict[str, Any] = {
        name: value
        for name, value, now in (("slots", slots, spec.head.slots), ("num_classes", classes, spec.head.num_classes))
        if value != now
    }
    return adapt(spec, **changes)


def _refuse_unfit(path: Path, weights: Mapping[str, np.ndarray], spec: Model) -> None:
    """Refuse a file whose tensors are not exactly those of `spec`, with the complete list of differences."""
    reason = inexpressible(spec)
    if reason:
        raise CheckpointError(f"{path}: kMaX-DeepLab's PyTorch code has no model like this: {reason}")
    shapes = {tensor.key: tensor.shape for tensor in tensors_of(spec)}
    problems = {
        "missing": [key for key in shapes if key not in weights],
        "unknown": [key for key in weights if key not in shapes],
        "misshapen": [
            f"{key} (expected {shapes[key]}, found {value.shape})"
            for key, value in weights.items()
            if key in shapes and value.shape != shapes[key]
        ],
    }
    if any(problems.values()):
        lines = [f"  {what} ({len(keys)}): {', '.join(keys)}" for what, keys in problems.items() if keys]
        raise CheckpointError(
            "\n".join([f"{path}: its tensors are not those of the model; nothing was imported", *lines, "name the model that it is"])
        )
