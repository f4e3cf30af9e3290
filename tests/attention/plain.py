"""Layers of PyTorch computed by :mod:`axialzoo.ops.reference`, which shares nothing with them but their parameters."""

from __future__ import annotations

from torch import Tensor, nn

from axialzoo.ops import reference


def plain_attention(layer: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Output (N, V, H, W) of `layer`, and the moving statistics after it: name of a norm -> (mean, variance)."""
    tensors = {**dict(layer.named_parameters()), **{name: tensor.clone() for name, tensor in layer.named_buffers()}}
    if layer.spec.encoding == "absolute" and layer.spec.kind != "axial":
        h, w = x.shape[2:]
        x = x + layer.position_height[:h].T[:, :, None] + layer.position_width[:w].T[:, None]
    y, moments = reference.layer(x, tensors, layer.spec, layer.norm_qkv.eps, getattr(layer, "axis", 0), layer.training)
    moving = {}
    for name in ("norm_qkv", "norm_similarity", "norm_output"):
        norm = getattr(layer, name)
        mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
        if name in moments:
            batch_mean, batch_variance, n = moments[name]
            mean = (1 - norm.momentum) * mean + norm.momentum * batch_mean
            variance = (1 - norm.momentum) * variance + norm.momentum * batch_variance * n / max(n - 1, 1)
        moving[name] = mean, variance
    return y, moving
