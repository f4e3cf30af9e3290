"""Plans what ``create_model`` builds and loads: the part that all frameworks share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Unpack

from axialzoo.checkpoint import Checkpoint, CheckpointError, Config
from axialzoo.hub.resolve import fetch_checkpoint, reject_url_scheme, weights_of
from axialzoo.spec import (
    KINDS,
    Changes,
    Model,
    ModelEntry,
    SpecError,
    adapt,
    get_entry,
    is_registered,
    parameters,
    same_architecture,
    without_head,
)
from axialzoo.spec.neighbours import BUILDER, DEFAULTS, check_arguments

STEM = ("stem.0.conv.weight",)


@dataclass(frozen=True)
class BuildPlan:
    """A model to build and the weights to put into it.

    Attributes:
        spec: What to build.
        checkpoint: Verified weights, or None to leave the model as initialised.
        replace: Names that are initialised although the checkpoint has them, or has none of that shape.
        config: Of the built model, or None.
    """

    spec: Model
    checkpoint: Checkpoint | None = None
    replace: tuple[str, ...] = ()
    config: Config | None = None


def plan_build(
    name: str, pretrained: bool | str | os.PathLike[str] = False, *, features_only: bool = False, **changes: Unpack[Changes]
) -> BuildPlan:
    """Plan what ``create_model(name, pretrained, ...)`` builds and loads.

    Args:
        name: Registered name, alias or ``"name.tag"``; ``"custom"`` for whatever the checkpoint is.
        pretrained: False; True for the tag in `name`, or its first; a tag; ``"name"`` or ``"name.tag"`` of a model with weights; a
            folder; ``"org/repo[@revision]"``.
        features_only: No head.
        changes: Of :func:`axialzoo.spec.adapt`; they start from the checkpoint's own spec. With ``attention``, the weights of that kind
            replace those of a registered tag, if there are some.

    Raises:
        SpecError: for an unknown name or tag.
        CheckpointError: where the weights are not whole, or are of another model.
    """
    reject_url_scheme(name)
    check_arguments(changes, (*Changes.__annotations__, *BUILDER))
    registered = None if name == "custom" else get_entry(name)
    if pretrained is False or pretrained is None:
        if registered is None:
            raise SpecError("model 'custom': expected weights that say what it is: pretrained=FOLDER or 'org/repo'")
        kind = changes.get("attention") or registered.kind_of(name.partition(".")[2])
        spec = adapt(registered.at(changes.get("output_stride")), **{**changes, "attention": kind})
        return BuildPlan(without_head(spec) if features_only else spec)
    kind = changes.get("attention")
    checkpoint = fetch_checkpoint(_source(name, pretrained, kind))
    checkpoint_spec = checkpoint.config.spec
    if registered is not None and not _is_of(registered, checkpoint.config):
        raise CheckpointError(
            f"{checkpoint.folder}: expected weights of {registered.name!r}, found those of {checkpoint.config.model!r}; "
            "create the model under that name, or as 'custom'"
        )
    if kind is not None and _shapes(adapt(checkpoint_spec, attention=kind)) != _shapes(checkpoint_spec):
        raise CheckpointError(
            f"{checkpoint.folder}: its weights are of another kind of attention than attention={kind!r}, with other tensors; leave one of "
            "the two out"
        )
    spec = adapt(checkpoint_spec, **changes)
    spec = without_head(spec) if features_only else spec
    return BuildPlan(spec, checkpoint, reinitialised_names(checkpoint_spec, spec), checkpoint.config.adapted(spec))


def reinitialised_names(source: Model, target: Model) -> tuple[str, ...]:
    """Return the names of tensors that a model of `target` does not take from `source`.

    Another number of classes reinitialises the head's tensors whose shape depends on it, other input channels the first
    convolution; a warning names both. A model without a head leaves out the head's tensors.
    """
    names: tuple[str, ...] = ()
    before, after = _shapes(source), _shapes(target)
    if source.head != target.head:
        left = tuple(name for name, shape in before.items() if name.startswith("head.") and after.get(name) != shape)
        names += left
        if any(name in after for name in left):
            _warn(left, f"num_classes={target.num_classes}", source.num_classes)
    channels = target.backbone.in_channels
    if source.backbone.in_channels != channels:
        if not source.backbone.stem.convs:
            raise SpecError(
                f"in_channels: this model has no stem convolution to replace; expected {source.backbone.in_channels}, found {channels}"
            )
        names += tuple(
            name for name in before if name in STEM or (name.startswith("head.") and after.get(name, before[name]) != before[name])
        )
        _warn(STEM, f"in_channels={channels}", source.backbone.in_channels)
    return names


def _is_of(registered: ModelEntry, config: Config) -> bool:
    """Tell whether a checkpoint is of a registered model, whatever its kind of attention."""
    own = registered.at(config.spec.backbone.output_stride)
    if same_architecture(own, config.spec):
        return True
    attends = any(block.attention for stage in (*own.backbone.stages, *own.backbone.neck) for block in stage.blocks)
    kinds = KINDS if attends and config.model == registered.name else ()
    return any(same_architecture(adapt(own, attention=kind), config.spec) for kind in kinds)


def _shapes(spec: Model) -> dict[str, tuple[int, ...]]:
    return {parameter.name: parameter.shape for parameter in parameters(spec)}


def _source(name: str, pretrained, kind: str | None):
    if pretrained is True:
        if name == "custom":
            raise SpecError("model 'custom': expected pretrained=FOLDER or 'org/repo', found True")
        return weights_of(name, kind=kind)
    if isinstance(pretrained, str) and name != "custom" and not os.path.exists(pretrained) and pretrained in get_entry(name).weights:
        return weights_of(name, pretrained, kind)
    if isinstance(pretrained, str) and pretrained.lower() in DEFAULTS and not os.path.exists(pretrained):
        tags = "" if name == "custom" else f"; tags of {name!r}: {', '.join(get_entry(name).weights) or 'none'}"
        raise SpecError(f"pretrained={pretrained!r}: expected True for a model's first weights, or a tag, a folder or 'org/repo'{tags}")
    tag = isinstance(pretrained, str) and pretrained.isidentifier() and not os.path.exists(pretrained) and not is_registered(pretrained)
    if tag and name != "custom":
        return weights_of(name, pretrained)  # or an error that names the tags that exist
    named = isinstance(pretrained, str) and not os.path.exists(pretrained) and is_registered(pretrained.partition(".")[0])
    return weights_of(pretrained, kind=kind) if named else pretrained


def _warn(names: Collection[str], request: str, has: int) -> None:
    warnings.warn(f"{request}: the checkpoint has {has}, so these start new: {', '.join(names)}", stacklevel=5)
