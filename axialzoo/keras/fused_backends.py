"""How each back end of Keras calls the fused kernel."""

from __future__ import annotations

import keras

from axialzoo.kernels import kernel


def serves(x) -> bool:
    """Whether the kernel can take `x` here: on PyTorch, when nothing is recorded to be run elsewhere or differentiated."""
    if keras.backend.backend() != "torch" or x.device.type != "cpu" or x.requires_grad:
        return False
    from axialzoo.torch.projection import recorded

    return not recorded() and kernel() is not None


def versions_of(values: list) -> list[int] | None:
    """With the objects themselves, what tells whether the variables `values` still hold what they held; None where that cannot be told."""
    from axialzoo.torch.projection import recorded

    if recorded() or any(value.is_inference() for value in values):
        return None
    return [value._version for value in values]  # counts what is written in place


def contiguous(x):
    """As the kernel reads it; only PyTorch has tensors that are not."""
    return x.contiguous() if keras.backend.backend() == "torch" else x


def _torch(x, arrays, axis: int, key_depth: int, span: int, content: tuple[bool, bool]):
    from axialzoo.torch.fused import axial_attention

    y = axial_attention(x.permute(0, 3, 1, 2), *arrays, axis, key_depth, span, False, *content, False, False)
    return y.permute(0, 2, 3, 1)


BACKENDS = {"torch": _torch}
