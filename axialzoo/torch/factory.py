"""Factory of the named models in PyTorch, with or without weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, Unpack, cast, overload

import torch

from axialzoo.checkpoint import default_config
from axialzoo.hub import BuildPlan, plan_build
from axialzoo.spec import Changes, Model, get_entry, parameters, without_head
from axialzoo.spec.builder import named_builder
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.model import AxialModel
from axialzoo.torch.weights import load_tensors

Weights: TypeAlias = bool | str | os.PathLike[str]
Y_co = TypeVar("Y_co", covariant=True)


@overload
def create_model(
    name: str,
    pretrained: Weights = False,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = None,
    **changes: Unpack[Changes],
) -> AxialBackbone: ...
@overload
def create_model(
    name: str, pretrained: Weights = False, *, features_only: Literal[False] = False, **changes: Unpack[Changes]
) -> AxialModel[Any]: ...
def create_model(
    name: str,
    pretrained: Weights = False,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **changes: Unpack[Changes],
) -> AxialModel[Any] | AxialBackbone:
    """Build a registered model. An option of None keeps the value of the model or its checkpoint.

    Args:
        name: Name, alias or ``"name.tag"``: see :func:`axialzoo.list_models`; ``"custom"`` for the model of the checkpoint `pretrained`.
        pretrained: False; True for the model's first weights; a tag; ``"name.tag"``; a checkpoint folder;
            ``"org/repo"`` or ``"org/repo@revision"`` on the Hub.
        features_only: Return the pyramid of features, as a list, instead of the head's outputs.
        out_indices: Features to return: 0 at stride 2 (the stem, for most), then one per stage, a neck last; default all.
        **changes: See :class:`axialzoo.spec.Changes`: ``num_classes``, ``things``, ``in_channels``, ``input_size``, ``span``,
            ``beyond_tables``, ``drop_path``, ``output_stride``, ``attention``.

    Returns:
        The model in training mode, as PyTorch's are; its ``spec``, and its ``config`` where it has weights.

    Raises:
        SpecError: for an unknown name or a value that does not fit.
        CheckpointError: where the weights are not whole, or not this model's.

    Example:
        >>> create_model("axial_resnet_cifar10_xs", num_classes=5)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 5])
    """
    planned = plan_build(name, pretrained, features_only=features_only, **changes)
    if planned.checkpoint is None:
        model = build(planned.spec, features_only=features_only, out_indices=out_indices)
    else:
        model = _build_loaded(planned, features_only, out_indices)
    model.name = name if name == "custom" else get_entry(name).name
    model.config = planned.config or default_config(model.spec, model.name)
    return model


def load_model(source: str | os.PathLike[str], **changes: Unpack[Changes]) -> AxialModel[Any]:
    """Load a checkpoint's model with its weights, in evaluation mode.

    Args:
        source: A folder, ``"name.tag"`` or ``"name"`` with weights, or ``"org/repo[@revision]"`` on the Hub.
        **changes: As for :func:`create_model`.

    Example:
        >>> load_model("axial_resnet_cifar10").labels[3].name
        'cat'
    """
    return create_model("custom", source, **changes).eval()


@overload
def build(spec: Model, *, features_only: Literal[True], out_indices: Sequence[int] | None = None) -> AxialBackbone: ...
@overload
def build(spec: Model, *, features_only: Literal[False] = False, out_indices: None = None) -> AxialModel[Any]: ...
@overload
def build(spec: Model, *, features_only: bool, out_indices: Sequence[int] | None = None) -> AxialModel[Any] | AxialBackbone: ...
def build(spec: Model, *, features_only: bool = False, out_indices: Sequence[int] | None = None) -> AxialModel[Any] | AxialBackbone:
    """Build a model from its spec, newly initialised.

    Example:
        >>> features = build(get_entry("axial_resnet_cifar10_xs").spec, features_only=True, out_indices=(0, 3))
        >>> [tuple(x.shape) for x in features(torch.zeros(1, 3, 32, 32))]
        [(1, 8, 32, 32), (1, 64, 8, 8)]
    """
    if features_only or spec.head is None:
        return AxialBackbone(without_head(spec), out_indices)
    return AxialModel(spec)


def _build_loaded(planned: BuildPlan, features_only: bool, out_indices: Sequence[int] | None) -> AxialModel[Any] | AxialBackbone:
    assert planned.checkpoint is not None
    if {parameter.name for parameter in parameters(planned.spec)} & set(planned.replace):
        model = build(planned.spec, features_only=features_only, out_indices=out_indices)
    else:  # every tensor is about to be overwritten
        device = torch.get_default_device()
        with torch.device("meta"):
            model = build(planned.spec, features_only=features_only, out_indices=out_indices)
        model.to_empty(device=device)
    load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
    return model


class Builder(Protocol[Y_co]):
    """Function that builds a named model: see :func:`create_model`; `Y` is the type of the model's outputs."""

    @overload
    def __call__(
        self,
        pretrained: Weights = ...,
        *,
        features_only: Literal[True],
        out_indices: Sequence[int] | None = ...,
        **changes: Unpack[Changes],
    ) -> AxialBackbone: ...
    @overload
    def __call__(
        self, pretrained: Weights = ..., *, features_only: Literal[False] = ..., **changes: Unpack[Changes]
    ) -> AxialModel[Y_co]: ...


def builder(name: str) -> Builder[Any]:
    """Return the builder of a registered model, with its name and with every argument in its signature, for ``help()``."""
    return cast(Builder[Any], named_builder(create_model, name))
