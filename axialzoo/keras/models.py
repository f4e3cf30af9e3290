"""The named models in Keras, with or without weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence

import keras

from axialzoo.hub import to_build
from axialzoo.keras.backbone import AxialBackbone
from axialzoo.keras.classifier import AxialClassifier
from axialzoo.keras.weights import load_tensors
from axialzoo.spec import Model, adapt, aliases, entry


def create_model(
    name: str,
    pretrained: bool | str | os.PathLike = False,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size=None,
    span: int | None = None,
    long_axis: str | None = None,
    drop_path: float | None = None,
    output_stride: int | None = None,
    attention: str | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    dtype=None,
) -> keras.Model:
    """A registered model; None leaves a thing as the model, or its checkpoint, has it.

    Args:
        name: Name, alias or ``"name.tag"``: see :func:`axialzoo.list_models`; ``"custom"`` for whatever `pretrained` is.
        pretrained: False; True for the model's first weights; a tag; ``"name.tag"``; a checkpoint folder;
            ``"org/repo"`` or ``"org/repo@revision"`` on the Hub.
        num_classes: Width of the classifier, which starts new where the checkpoint has another; 0 for none.
        in_channels: Channels of the image; another number than the checkpoint's starts the first convolution new.
        input_size: A side or (height, width) in pixels that the model is meant for and its inputs are fixed to;
            without it they are free.
        span: Odd window of the attention layers, in positions.
        long_axis: ``"local"`` or ``"interpolate"``: see :class:`axialzoo.spec.Attention`.
        drop_path: Probability at the last block, rising linearly from the first.
        output_stride: Of the last stage, 8, 16 or 32: strides that are not taken become atrous rates.
        attention: Another kind of attention: a name in :data:`axialzoo.spec.KINDS`.
        features_only: Give the pyramid of features, as a list, instead of logits.
        out_indices: Which features: 0 at stride 2 (the stem, for most), then one per stage, a stacked decoder last; default all.
        dtype: Policy of every layer, such as ``"mixed_bfloat16"``; default Keras's.

    Returns:
        The model; its ``spec``, and its ``config`` where it has weights.

    Raises:
        SpecError: for an unknown name or a value that does not fit.
        CheckpointError: where the weights are not whole, or not this model's.

    Example:
        >>> create_model("axial_resnet_cifar10_xs", num_classes=5).output_shape
        (None, 5)
    """
    changes = {
        "num_classes": num_classes,
        "in_channels": in_channels,
        "input_size": input_size,
        "span": span,
        "long_axis": long_axis,
        "drop_path": drop_path,
        "output_stride": output_stride,
        "attention": attention,
    }
    planned = to_build(name, pretrained, features_only=features_only, **changes)
    name = name if name == "custom" else entry(name).name
    model = build(planned.spec, features_only=features_only, out_indices=out_indices, input_size=input_size, dtype=dtype, name=name)
    if planned.checkpoint is not None:
        load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
    model.config = planned.config
    return model


def build(
    spec: Model, *, features_only: bool = False, out_indices: Sequence[int] | None = None, input_size=None, dtype=None, name: str = "custom"
) -> keras.Model:
    """A model from its spec, newly initialised.

    Example:
        >>> features = build(entry("axial_resnet_cifar10_xs").spec, features_only=True, out_indices=(0, 3), input_size=32)
        >>> features.output_shape
        [(None, 32, 32, 8), (None, 8, 8, 64)]
    """
    if features_only:
        return AxialBackbone(adapt(spec, num_classes=0), out_indices, input_size=input_size, dtype=dtype, name=name)
    return AxialClassifier(spec, input_size=input_size, dtype=dtype, name=name)


def _factory(name: str) -> Callable[..., keras.Model]:
    @functools.wraps(create_model)
    def factory(pretrained=False, **changes) -> keras.Model:
        return create_model(name, pretrained, **changes)

    found = entry(name)
    also = f" (also {', '.join(aliases(name))})" if name == found.name and aliases(name) else ""
    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = f"{found.summary}{also}; arguments as in :func:`create_model`. Source: {found.source}."
    del factory.__wrapped__  # its signature has the name
    return factory


axial_resnet26_s = _factory("axial_resnet26_s")
axial_resnet50_s = _factory("axial_resnet50_s")
axial_resnet50_m = _factory("axial_resnet50_m")
axial_resnet50_l = _factory("axial_resnet50_l")
axial_resnet50 = _factory("axial_resnet50")
axial_resnet50_full_s = _factory("axial_resnet50_full_s")
axial_resnet50_full_m = _factory("axial_resnet50_full_m")
axial_resnet50_full_l = _factory("axial_resnet50_full_l")
axial_resnet_cifar10 = _factory("axial_resnet_cifar10")
axial_resnet_cifar10_xs = _factory("axial_resnet_cifar10_xs")
stand_alone_resnet50 = _factory("stand_alone_resnet50")
stand_alone_resnet50_ps = _factory("stand_alone_resnet50_ps")
axial_resnet_s = _factory("axial_resnet_s")
axial_resnet_l = _factory("axial_resnet_l")
axial_deeplab_s_backbone = _factory("axial_deeplab_s_backbone")
axial_deeplab_m_backbone = _factory("axial_deeplab_m_backbone")
axial_deeplab_l_backbone = _factory("axial_deeplab_l_backbone")
axial_deeplab_xl_backbone = _factory("axial_deeplab_xl_backbone")
axial_swidernet_1_1_1 = _factory("axial_swidernet_1_1_1")
axial_swidernet_1_1_3 = _factory("axial_swidernet_1_1_3")
axial_swidernet_1_1_4_5 = _factory("axial_swidernet_1_1_4_5")
max_deeplab_s_backbone = _factory("max_deeplab_s_backbone")
max_deeplab_l_backbone = _factory("max_deeplab_l_backbone")
axial_resnet50_gelu = _factory("axial_resnet50_gelu")
resnet50 = _factory("resnet50")
resnet50_beta = _factory("resnet50_beta")
