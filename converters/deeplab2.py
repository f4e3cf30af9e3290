"""Converter of deeplab2's TF2 checkpoints (github.com/google-research/deeplab2): backbones, panoptic heads, mask transformers.

It works both ways, bit by bit. ``deeplab2_names`` has the names and layouts, ``deeplab2_infer`` infers a model from its tensors, ``tf2``
reads and writes the files. Files hold more than weights. Each key belongs to:

* the encoder, below ``encoder/`` or (TensorFlow Model Garden) ``backbone/_encoder/``;
* a panoptic head: imported, or left out with `backbone_only`;
* a mask transformer, with its tokens, transformers and decoders: imported, or left out with `backbone_only`;
* another head: left out with `backbone_only`, refused otherwise;
* no weight: `NOT_WEIGHTS`.

    config, tensors = import_checkpoint("max_deeplab_s_backbone_os16_axial_deeplab_cityscapes_trainfine.tar.gz")
    save_checkpoint("axial_deeplab_max_s", config, tensors)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, Tensors, check_tensors, default_config
from axialzoo.spec import Model, aliases, get_entry, list_models
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.spec.heads.mask_transformer import MaskTransformer
from axialzoo.spec.heads.panoptic import Panoptic
from axialzoo.spec.zoo.mask_labels import published_labels
from axialzoo.spec.zoo.panoptic_deeplab import CITYSCAPES

from .deeplab2_infer import (
    ASSUMED,
    ASSUMED_CLUSTERING,
    ASSUMED_RATES,
    ASSUMED_THINGS,
    RATES,
    Shapes,
    fit_to_shapes,
    head_of,
    infer,
    shapes_of,
)
from .deeplab2_names import ENCODER, ITEMS, inexpressible, places
from .mask_names import ITEMS as MASKS
from .mask_names import without_memory
from .tf2 import TF2Checkpoint, opened, write_checkpoint

SOURCE = "github.com/google-research/deeplab2"
MODEL_GARDEN = "backbone/_encoder/"
NOT_WEIGHTS = re.compile(r"global_step|save_counter|(backbone_)?optimizer/.*|.*\.OPTIMIZER_SLOT.*")
PANOPTIC = frozenset(item.partition("/")[0] for item in ITEMS.values())  # the imported items next to the encoder
HEADS = frozenset(  # other heads that their models save (common.py)
    """
    motion_regression_head_without_last_layer motion_regression_head_last_layer
    next_instance_decoder next_instance_regression_head_without_last_layer next_instance_regression_head_last_layer
    depth_head_without_last_layer depth_head_last_layer
    deeplab_v3_aspp classifier_conv_bn_act deeplab_v3plus_aspp deeplab_v3plus_project_conv_bn_act deeplab_v3plus_fuse
    """.split()  # noqa: SIM905
)
EXTRAS = re.compile(  # of the encoder
    r"memory_feature|_(stage5|decoder_stage\d+|class_feature|mask_feature)_extra(_resized_fuse)?/.*"
    r"|_(decoder_)?stage\d+/_block\d+_transformer/.*"
)
GARDEN = ("model/", "backbone/")  # further items that the Model Garden's trainer saves and their loader ignores


@dataclass(frozen=True)
class Keys:
    """The keys of a checkpoint, sorted.

    Attributes:
        prefix: Prefix of the encoder's keys.
        encoder: Shapes of the encoder by key, without `prefix`.
        head: Shapes of a panoptic head by key.
        masks: Shapes of a mask transformer by key; those in the encoder without `prefix`.
        left_out: Keys of other heads and of other items that are not imported.
        unknown: Other keys, which might be weights.
    """

    prefix: str
    encoder: dict[str, tuple[int, ...]]
    head: dict[str, tuple[int, ...]]
    masks: dict[str, tuple[int, ...]]
    left_out: list[str]
    unknown: list[str]


def sort_keys(shapes: Shapes) -> Keys:
    """Sort the keys of a checkpoint into those of the encoder, heads and mask transformer, those left out, and unknown ones."""
    prefix = MODEL_GARDEN if any(key.startswith(MODEL_GARDEN) for key in shapes) else ENCODER
    encoder, head, masks, left_out, unknown = {}, {}, {}, [], []
    for key in sorted(shapes):
        name = key.removeprefix(prefix)
        if NOT_WEIGHTS.fullmatch(key):
            continue
        if name != key and EXTRAS.fullmatch(name):
            masks[name] = shapes[key]
        elif name != key:
            encoder[name] = shapes[key]
        elif key.partition("/")[0] in MASKS:
            masks[key] = shapes[key]
        elif key.partition("/")[0] in PANOPTIC:
            head[key] = shapes[key]
        elif key.partition("/")[0] in HEADS or (prefix == MODEL_GARDEN and key.startswith(GARDEN)):
            left_out.append(key)
        else:
            unknown.append(key)
    return Keys(prefix, encoder, head, masks, left_out, unknown)


def import_checkpoint(path, model: str | Model | None = None, *, backbone_only: bool = False) -> tuple[Config, dict[str, np.ndarray]]:
    """Import the model in a deeplab2 checkpoint as a config and canonical tensors.

    Args:
        path: A prefix (``ckpt-60000``), a folder, or a ``.tar``, ``.tar.gz`` or ``.tgz`` as deeplab2 offers them.
        model: Registered name or spec; default the registered model with the tensors' names and shapes, or a narrower or shallower
            model of its family. The file decides the numbers of image channels and classes.
        backbone_only: Leave out heads, mask transformers and extra decoders; ``config.provenance["left_out"]`` names them.

    Raises:
        CheckpointError: for a file that is damaged, of another model, or has an unused tensor.
        ModuleNotFoundError: without TensorFlow, which reads the file.

    Example:
        >>> config, tensors = import_checkpoint("ckpt-60000")  # doctest: +SKIP
        >>> config.model  # doctest: +SKIP
        'axial_deeplab_max_s'
    """
    path = Path(path)
    with opened(path) as checkpoint:
        keys = sort_keys(checkpoint.shapes)
        _refuse_others(path, keys, backbone_only)
        shapes, left_out = {**keys.encoder, **keys.head, **keys.masks}, []
        if backbone_only:
            masks = [key if key.partition("/")[0] in MASKS else keys.prefix + key for key in keys.masks]
            shapes, left_out = keys.encoder, sorted([*keys.head, *masks, *keys.left_out])
        name, spec = _recognise(path, checkpoint, shapes, model, backbone_only)
        tensors = {place.name: place.to_ours(checkpoint.read(place.path(keys.prefix))) for place in places(spec)}
    check_tensors(tensors, spec, where=str(path))
    config = replace(default_config(spec, name), labels=published_labels(spec))
    if isinstance(spec.head, Panoptic) and name != "custom" and spec.num_classes == len(CITYSCAPES):
        config = replace(config, labels=CITYSCAPES)  # the registered model differs from the file at most in its classes
    half = (0.5,) * spec.backbone.in_channels  # their preprocessing: pixel / 127.5 - 1
    provenance: dict[str, object] = {"source": SOURCE, "file": path.name, "checkpoint": checkpoint.prefix.name}
    if left_out:
        provenance["left_out"] = left_out
    assumed = _assumed(spec, inferred=name == "custom" and model is None)
    if assumed:
        provenance["assumed"] = assumed
    return replace(config, preprocessing=replace(config.preprocessing, mean=half, std=half), provenance=provenance), tensors


def _assumed(spec: Model, inferred: bool) -> str:
    """Return the parts of `spec` that neither the file nor the caller specifies."""
    head, parts = spec.head, [ASSUMED] if inferred else []
    if isinstance(head, Panoptic):
        parts += [ASSUMED_RATES] if inferred and any(decoder.rates == RATES for decoder in head.decoders().values()) else []
        parts += [ASSUMED_THINGS] if head.instances is not None and not head.things else []
    elif isinstance(head, MaskTransformer):
        parts = [ASSUMED_CLUSTERING] if inferred and head.kmeans is not None else parts
        parts += [ASSUMED_RATES] if inferred and head.semantic is not None and head.semantic.decoder is not None else []
        parts += [ASSUMED_THINGS] if not head.things else []
    return "; ".join(parts)


def export_checkpoint(config: Config, tensors: Tensors, path) -> None:
    """Write the TF2 checkpoint that ``tf.train.Checkpoint(encoder=...)`` of their code reads, to the new folder `path`.

    The inverse of `import_checkpoint`, bit by bit.

    Raises:
        CheckpointError: for a model that their code cannot express, or tensors that are not the model's.
        ModuleNotFoundError: without TensorFlow, which writes the file.
    """
    reason = inexpressible(config.spec)
    if reason:
        raise CheckpointError(f"deeplab2 has no model like this: {reason}; expected one of its families")
    check_tensors(tensors, config.spec, where=str(path))
    arrays = {place.path(): place.to_theirs(np.asarray(tensors[place.name])) for place in places(config.spec)}
    assert len(arrays) == len(tensors), "two tensors in one place"
    write_checkpoint(path, arrays)


def _refuse_others(path: Path, keys: Keys, backbone_only: bool) -> None:
    if keys.unknown:
        raise CheckpointError(
            f"{path}: neither weights of a backbone nor known heads, nothing was imported: "
            f"unknown ({len(keys.unknown)}): {', '.join(keys.unknown)}; expected a checkpoint of {SOURCE}"
        )
    if not keys.encoder:
        raise CheckpointError(f"{path}: expected weights below {ENCODER} or {MODEL_GARDEN}, found none; check that it is the right file")
    if keys.left_out and not backbone_only:
        raise CheckpointError(
            f"{path}: holds more than a backbone and a panoptic head: {', '.join(items(keys.left_out))}; "
            "these cannot be imported: import the backbone alone with --backbone-only (backbone_only=True)"
        )


def items(keys: Iterable[str]) -> list[str]:
    """Count the tensors of each head and part of the encoder, as ``"semantic_decoder (25)"``."""
    counts: dict[str, int] = {}
    for key in keys:
        depth = 1 if not key.startswith((ENCODER, MODEL_GARDEN)) else 3 if "_transformer/" in key else 2
        depth += key.startswith(MODEL_GARDEN)
        item = "/".join(key.split("/")[:depth])
        counts[item] = counts.get(item, 0) + 1
    return [f"{item} ({count})" for item, count in counts.items()]


# Recognising the model.


def _recognise(
    path: Path, checkpoint: TF2Checkpoint, shapes: Shapes, model: str | Model | None, backbone_only: bool = False
) -> tuple[str, Model]:
    """Return name and spec of the model, with the file's image channels and classes and no classifier."""
    if isinstance(model, Model):
        candidates = {"custom": model}
    elif model is not None:
        candidates = {get_entry(model).name: get_entry(model).spec}
    else:
        candidates = {name: get_entry(name).spec for name in list_models()}
    if model is None:
        fits = {name: fit_to_shapes(spec, shapes) for name, spec in candidates.items() if isinstance(spec.head, head_of(shapes))}
        fits = {name: spec for name, spec in fits.items() if not inexpressible(spec)}
        name = _one_of(path, checkpoint, [name for name, spec in fits.items() if shapes_of(spec) == shapes])
        if name is not None:
            return name, fits[name]
        spec = infer(shapes)
        if spec is not None:
            return "custom", spec
        nearest = min(fits, key=lambda name: len(shapes_of(fits[name]).items() ^ shapes.items()))
        raise CheckpointError(
            f"{path}: of none of the known models ({', '.join(fits)}); nearest is {nearest}: "
            f"{_differences(fits[nearest], shapes, most=5)}; say which it is with --model, or give a spec in Python"
        )
    name, spec = next(iter(candidates.items()))
    if isinstance(spec.head, (Panoptic, MaskTransformer)) and backbone_only:
        name, spec = _backbone_of(spec)
    spec = fit_to_shapes(spec, shapes)
    reason = inexpressible(spec)
    if reason:
        raise CheckpointError(f"deeplab2 has no model like {name}: {reason}; expected one of its families")
    if shapes_of(spec) != shapes:
        raise CheckpointError(
            f"{path}: its tensors are not those of {name}; nothing was imported: {_differences(spec, shapes)}; name the model that it is"
        )
    return name, spec


def _backbone_of(spec: Model) -> tuple[str, Model]:
    """Return the backbone of a model with a head, which a file without the head holds; by its registered name if it has one."""
    alone, backbone = Classifier(0), without_memory(spec.backbone)
    names = [name for name in list_models() if get_entry(name).spec.backbone == backbone and get_entry(name).spec.head == alone]
    return (names[0], get_entry(names[0]).spec) if names else ("custom", replace(spec, backbone=backbone, head=alone))


def _one_of(path: Path, checkpoint: TF2Checkpoint, names: list[str]) -> str | None:
    """Return the model in whose name the file or folder is named, among models with the same tensors."""
    if len(names) < 2:
        return names[0] if names else None
    where = f"{path.resolve()}/{checkpoint.prefix.name}".lower().replace("-", "_")
    called = [name for name in names if any(word in where for word in (name, *aliases(name)))]
    if len(called) != 1:
        raise CheckpointError(
            f"{path}: its tensors are those of {' and of '.join(names)}, which differ in what tensors do not show "
            "(activation, strides, drop path); say which it is with --model"
        )
    return called[0]


def _differences(spec: Model, shapes: Shapes, most: int | None = None) -> str:
    expected = shapes_of(spec)
    lists = {
        "missing": [key for key in expected if key not in shapes],
        "unknown": [key for key in shapes if key not in expected],
        "misshapen": [
            f"{key} (expected {expected[key]}, found {shape})"
            for key, shape in shapes.items()
            if key in expected and expected[key] != shape
        ],
    }
    parts = []
    for what, keys in lists.items():
        rest = "" if most is None or len(keys) <= most else ", ..."
        if keys:
            parts.append(f"{what} ({len(keys)}): {', '.join(keys[:most])}{rest}")
    return "; ".join(parts)
