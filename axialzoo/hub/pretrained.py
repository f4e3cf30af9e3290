"""What ``create_model`` builds and loads: the part that is the same in every framework."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace

from axialzoo.checkpoint import Checkpoint, CheckpointError, Config
from axialzoo.hub.resolve import fetch_checkpoint, weights_of
from axialzoo.spec import Block, Model, SpecError, adapt, entry, parameters

CLASSIFIER = ("classifier.weight", "classifier.bias")
STEM = ("stem.0.conv.weight",)


@dataclass(frozen=True)
class Build:
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


def to_build(name: str, pretrained: bool | str | os.PathLike = False, *, features_only: bool = False, **changes) -> Build:
    """What ``create_model(name, pretrained, ...)`` has to build and load.

    Args:
        name: Registered name, alias or ``"name.tag"``; ``"custom"`` for whatever the checkpoint is.
        pretrained: False; True for the tag in `name`, or its first; a tag; ``"name.tag"``; a folder;
            ``"org/repo[@revision]"``.
        features_only: No classifier.
        changes: Of :func:`axialzoo.spec.adapt`; they start from the checkpoint's own spec.

    Raises:
        SpecError: for an unknown name or tag.
        CheckpointError: where the weights are not whole, or are of another model.
    """
    registered = None if name == "custom" else entry(name)
    if features_only:
        changes["num_classes"] = 0
    if pretrained is False or pretrained is None:
        if registered is None:
            raise SpecError("model 'custom': expected weights that say what it is: pretrained=FOLDER or 'org/repo'")
        return Build(adapt(registered.at(changes.get("output_stride")), **changes))
    checkpoint = fetch_checkpoint(_source(name, pretrained))
    found = checkpoint.config.spec
    if registered is not None and not same_architecture(registered.at(found.backbone.output_stride), found):
        raise CheckpointError(
            f"{checkpoint.folder}: expected weights of {registered.name!r}, found those of {checkpoint.config.model!r}; "
            "create the model under that name, or as 'custom'"
        )
    kind = changes.get("attention")
    if kind is not None and _shapes(adapt(found, attention=kind)) != _shapes(found):
        raise CheckpointError(
            f"{checkpoint.folder}: its weights are of another kind of attention than attention={kind!r}, with other tensors; leave one of "
            "the two out"
        )
    spec = adapt(found, **changes)
    return Build(spec, checkpoint, replaced(found, spec), checkpoint.config.adapted(spec))


def replaced(source: Model, target: Model) -> tuple[str, ...]:
    """Names of the tensors of `source` that a model of `target` does not take, each for a reason that has a name.

    Another number of classes replaces the classifier, other input channels the first convolution; both are said in a
    warning. No classes leave the classifier out.
    """
    names: tuple[str, ...] = ()
    if source.num_classes != target.num_classes:
        names += CLASSIFIER
        if target.num_classes:
            _warn(CLASSIFIER, f"num_classes={target.num_classes}", source.num_classes)
    before, after = source.backbone.in_channels, target.backbone.in_channels
    if before != after:
        if not source.backbone.stem.convs:
            raise SpecError(f"in_channels: this model has no stem convolution to replace; expected {before}, found {after}")
        names += STEM
        _warn(STEM, f"in_channels={after}", before)
    return names


def same_architecture(one: Model, other: Model) -> bool:
    """Whether two specs differ at most in what a user may change: see :func:`axialzoo.spec.adapt`."""
    return _neutral(one) == _neutral(other)


def _shapes(spec: Model) -> list[tuple[str, tuple[int, ...]]]:
    return [(parameter.name, parameter.shape) for parameter in parameters(spec)]


def _neutral(spec: Model) -> Model:
    def whole(block: Block) -> Block:
        attention = block.attention
        return block if attention is None or attention.kind != "axial" else replace(block, attention=replace(attention, span=None))

    spec = adapt(spec, num_classes=1, in_channels=3, input_size=1, long_axis="local", drop_path=0.0)
    spec = replace(spec, backbone=spec.backbone.map_blocks(whole))
    try:
        return adapt(spec, output_stride=32)
    except SpecError:  # has but one
        return spec


def _source(name: str, pretrained):
    if pretrained is True:
        if name == "custom":
            raise SpecError("model 'custom': expected pretrained=FOLDER or 'org/repo', found True")
        return weights_of(name)
    if isinstance(pretrained, str) and name != "custom" and not os.path.exists(pretrained) and pretrained in entry(name).weights:
        return weights_of(name, pretrained)
    if isinstance(pretrained, str) and pretrained.isidentifier() and not os.path.exists(pretrained) and name != "custom":
        return weights_of(name, pretrained)  # a tag, or an error that names those that exist
    return pretrained


def _warn(names: Collection[str], asked: str, has: int) -> None:
    warnings.warn(f"{asked}: the checkpoint has {has}, so these start new: {', '.join(names)}", stacklevel=5)
