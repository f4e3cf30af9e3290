"""Factory of the named models in Keras, with or without weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, Unpack, cast, overload

from axialzoo.hub import plan_build
from axialzoo.keras.backbone import AxialBackbone
from axialzoo.keras.model import AxialModel
from axialzoo.keras.weights import load_tensors
from axialzoo.spec import Changes, Model, SpecError, get_entry, without_head
from axialzoo.spec.builder import named_builder

Weights: TypeAlias = bool | str | os.PathLike[str]


@overload
def create_model(
    name: str,
    pretrained: Weights = False,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = None,
    dtype: Any = None,
    **changes: Unpack[Changes],
) -> AxialBackbone: ...
@overload
def create_model(
    name: str, pretrained: Weights = False, *, features_only: Literal[False] = False, dtype: Any = None, **changes: Unpack[Changes]
) -> AxialModel: ...
def create_model(
    name: str,
    pretrained: Weights = False,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    dtype: Any = None,
    **changes: Unpack[Changes],
) -> AxialModel | AxialBackbone:
    """Build a registered model. An option of None keeps the value of the model or its checkpoint.

    Args:
        name: Name, alias or ``"name.tag"``: see :func:`axialzoo.list_models`; ``"custom"`` for the model of the checkpoint `pretrained`.
        pretrained: False; True for the model's first weights; a tag; ``"name.tag"``; a checkpoint folder;
            ``"org/repo"`` or ``"org/repo@revision"`` on the Hub.
        features_only: Return the pyramid of features, as a list, instead of the head's outputs.
        out_indices: Features to return: 0 at stride 2 (the stem, for most), then one per stage, a neck last; default all.
        dtype: Policy of every layer, such as ``"mixed_bfloat16"``; default Keras's.
        **changes: See :class:`axialzoo.spec.Changes`: ``num_classes``, ``things``, ``in_channels``, ``input_size`` (which the
            inputs are fixed to; without it they are free), ``span``, ``beyond_tables``, ``drop_path``, ``output_stride``, ``attention``.

    Returns:
        The model; its ``spec``, and its ``config`` where it has weights.

    Raises:
        SpecError: for an unknown name or a value that does not fit.
        CheckpointError: where the weights are not whole, or not this model's.

    Example:
        >>> create_model("axial_resnet_cifar10_xs", num_classes=5).output_shape
        (None, 5)
    """
    planned = plan_build(name, pretrained, features_only=features_only, **changes)
    name = name if name == "custom" else get_entry(name).name
    size = changes.get("input_size")
    model = build(planned.spec, features_only=features_only, out_indices=out_indices, input_size=size, dtype=dtype, name=name)
    if planned.checkpoint is not None:
        load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
    model.config = planned.config
    return model


def load_model(source: str | os.PathLike[str], *, dtype: Any = None, **changes: Unpack[Changes]) -> AxialModel:
    """Load a checkpoint's model with its weights.

    Args:
        source: A folder, ``"name.tag"`` or ``"name"`` with weights, or ``"org/repo[@revision]"`` on the Hub.
        dtype, **changes: As for :func:`create_model`.

    Example:
        >>> load_model("axial_resnet_cifar10").labels[3].name
        'cat'
    """
    return create_model("custom", source, dtype=dtype, **changes)


@overload
def build(
    spec: Model,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = None,
    input_size: Any = None,
    dtype: Any = None,
    name: str = "custom",
) -> AxialBackbone: ...
@overload
def build(
    spec: Model,
    *,
    features_only: Literal[False] = False,
    out_indices: None = None,
    input_size: Any = None,
    dtype: Any = None,
    name: str = "custom",
) -> AxialModel: ...
@overload
def build(
    spec: Model,
    *,
    features_only: bool,
    out_indices: Sequence[int] | None = None,
    input_size: Any = None,
    dtype: Any = None,
    name: str = "custom",
) -> AxialModel | AxialBackbone: ...
def build(
    spec: Model,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    input_size: Any = None,
    dtype: Any = None,
    name: str = "custom",
) -> AxialModel | AxialBackbone:
    """Build a model from its spec, newly initialised.

    Example:
        >>> features = build(get_entry("axial_resnet_cifar10_xs").spec, features_only=True, out_indices=(0, 3), input_size=32)
        >>> features.output_shape
        [(None, 32, 32, 8), (None, 8, 8, 64)]
    """
    if out_indices is not None and not features_only and spec.head is not None:
        raise SpecError(f"out_indices={list(out_indices)}: expected with features_only=True, since a head returns no list of features")
    if features_only or spec.head is None:
        return AxialBackbone(without_head(spec), out_indices, input_size=input_size, dtype=dtype, name=name)
    return AxialModel(spec, input_size=input_size, dtype=dtype, name=name)


class Builder(Protocol):
    """Function that builds a named model: see :func:`create_model`."""

    @overload
    def __call__(
        self,
        pretrained: Weights = ...,
        *,
        features_only: Literal[True],
        out_indices: Sequence[int] | None = ...,
        dtype: Any = ...,
        **changes: Unpack[Changes],
    ) -> AxialBackbone: ...
    @overload
    def __call__(
        self, pretrained: Weights = ..., *, features_only: Literal[False] = ..., dtype: Any = ..., **changes: Unpack[Changes]
    ) -> AxialModel: ...


def builder(name: str) -> Builder:
    """Return the builder of a registered model, with its name and with every argument in its signature, for ``help()``."""
    return cast(Builder, named_builder(create_model, name))
