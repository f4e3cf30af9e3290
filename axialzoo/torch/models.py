"""The named models in PyTorch, with or without weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence

import torch
from torch import nn

from axialzoo.hub import Build, to_build
from axialzoo.spec import Model, adapt, aliases, entry
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.classifier import AxialClassifier
from axialzoo.torch.weights import load_tensors


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
) -> nn.Module:
    """A registered model; None leaves a thing as the model, or its checkpoint, has it.

    Args:
        name: Name, alias or ``"name.tag"``: see :func:`axialzoo.list_models`; ``"custom"`` for whatever `pretrained` is.
        pretrained: False; True for the model's first weights; a tag; ``"name.tag"``; a checkpoint folder;
            ``"org/repo"`` or ``"org/repo@revision"`` on the Hub.
        num_classes: Width of the classifier, which starts new where the checkpoint has another; 0 for none.
        in_channels: Channels of the image; another number than the checkpoint's starts the first convolution new.
        input_size: A side or (height, width) in pixels that the model is meant for; it takes any.
        span: Odd window of the attention layers, in positions.
        long_axis: ``"local"`` or ``"interpolate"``: see :class:`axialzoo.spec.Attention`.
        drop_path: Probability at the last block, rising linearly from the first.
        output_stride: Of the last stage, 8, 16 or 32: strides that are not taken become atrous rates.
        attention: Another kind of attention: a name in :data:`axialzoo.spec.KINDS`.
        features_only: Give the pyramid of features, as a list, instead of logits.
        out_indices: Which features: 0 at stride 2 (the stem, for most), then one per stage, a stacked decoder last; default all.

    Returns:
        The model in training mode, as PyTorch's are; its ``spec``, and its ``config`` where it has weights.

    Raises:
        SpecError: for an unknown name or a value that does not fit.
        CheckpointError: where the weights are not whole, or not this model's.

    Example:
        >>> create_model("axial_resnet_cifar10_xs", num_classes=5)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 5])
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
    if planned.checkpoint is None:
        model = build(planned.spec, features_only=features_only, out_indices=out_indices)
    else:
        model = _build_loaded(planned, features_only, out_indices)
    model.name = name if name == "custom" else entry(name).name  # pyright: ignore[reportArgumentType]
    model.config = planned.config  # pyright: ignore[reportArgumentType]
    return model


def build(spec: Model, *, features_only: bool = False, out_indices: Sequence[int] | None = None) -> nn.Module:
    """A model from its spec, newly initialised.

    Example:
        >>> features = build(entry("axial_resnet_cifar10_xs").spec, features_only=True, out_indices=(0, 3))
        >>> [tuple(x.shape) for x in features(torch.zeros(1, 3, 32, 32))]
        [(1, 8, 32, 32), (1, 64, 8, 8)]
    """
    model = AxialBackbone(adapt(spec, num_classes=0), out_indices) if features_only else AxialClassifier(spec)
    model.config = None  # pyright: ignore[reportArgumentType]
    return model


def _build_loaded(planned: Build, features_only: bool, out_indices: Sequence[int] | None) -> nn.Module:
    assert planned.checkpoint is not None
    if (planned.spec.num_classes and planned.replace) or "stem.0.conv.weight" in planned.replace:
        model = build(planned.spec, features_only=features_only, out_indices=out_indices)
    else:  # every tensor is about to be overwritten
        device = torch.get_default_device()
        with torch.device("meta"):
            model = build(planned.spec, features_only=features_only, out_indices=out_indices)
        model.to_empty(device=device)
    load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
    return model


def _factory(name: str) -> Callable[..., nn.Module]:
    @functools.wraps(create_model)
    def factory(pretrained=False, **changes) -> nn.Module:
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
