"""The fused kernel under Keras's torch back end: PyTorch's own operator."""

from __future__ import annotations


def serves(x) -> bool:
    """Whether the kernel can take `x` here: when nothing is recorded to be run elsewhere or differentiated."""
    from axialzoo.kernels import kernel
    from axialzoo.torch.projection import recorded

    return x.device.type == "cpu" and not x.requires_grad and not recorded() and kernel() is not None


def versions_of(values: list) -> list[int] | None:
    """With the objects themselves, what tells whether the variables `values` still hold what they held; None where that cannot be told."""
    from axialzoo.torch.projection import recorded

    if recorded() or any(value.is_inference() for value in values):
        return None
    return [value._version for value in values]  # counts what is written in place


def contiguous(x):
    """As the kernel reads it."""
    return x.contiguous()


def axial_attention(x, arrays, form):
    """See :func:`axialzoo.keras.fused.axial_attention`."""
    from axialzoo.torch.fused import axial_attention

    axis, key_depth, span, *content = form
    y = axial_attention(x.permute(0, 3, 1, 2), *arrays, axis, key_depth, span, False, *content, False, False)
    return y.permute(0, 2, 3, 1)
