"""An equal model for inference: every norm folded, attention fused, 1x1 convolutions as matrix products, memory channels-last."""

from __future__ import annotations

import copy

from torch import nn

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.backbone import Extractor
from axialzoo.torch.blocks import ConvNorm, ResidualBlock
from axialzoo.torch.folded import Folded, FoldedAxialAttention, FoldedBlock, FoldedConv


def optimize_for_inference(model: nn.Module) -> nn.Module:
    """Return a copy of `model` that computes the same in evaluation, faster, and cannot be trained.

    In float32 on a CPU it runs on the fused kernel if that is installed; :func:`axialzoo.ops.kernels.kernel_status` says which path it
    takes. Maps are (N, C, H, W) as before; results lie channels-last in memory. Layers of two axes, and convolutions that have several
    norms, stay as they are. The copy has the model's spec, config, labels and preprocessing.

    Args:
        model: Any model of this package; its parameters do not change.

    Raises:
        ValueError: for a model without modules of this package, or one that is optimised already.

    Example:
        >>> from axialzoo.torch import create_model
        >>> model = create_model("axial_resnet_cifar10_xs").eval()
        >>> x = torch.randn(1, 3, 32, 32)
        >>> torch.allclose(optimize_for_inference(model)(x), model(x), atol=1e-4)
        True
    """
    if any(isinstance(module, Folded) for module in model.modules()):
        raise ValueError("optimize_for_inference: expected a model as it is trained, found one that has been optimised")
    if _has_form(model):
        return _folded(model).eval()
    if not any(isinstance(module, Extractor) for module in model.modules()):
        raise ValueError(f"optimize_for_inference: expected a model or a block of axialzoo.torch, found {type(model).__name__}")
    # deepcopy takes a module's folded form from this memo instead of copying the module
    memo = {id(module): _folded(module) for module in _outermost(model)}
    optimised = copy.deepcopy(model, memo)
    for module in optimised.modules():
        if isinstance(module, Extractor):
            module.optimized = True
    return optimised.eval().requires_grad_(False)


def _outermost(module: nn.Module) -> list[nn.Module]:
    """Return the modules that have a folded form, without those inside another such module."""
    if _has_form(module):
        return [module]
    return [inner for child in module.children() for inner in _outermost(child)]


def _has_form(module: nn.Module) -> bool:
    """Return True for a module that can be folded: of a class below or one with its forward, without sub-layers that have to be called."""
    if any(isinstance(part, ConvNorm | AxialAttention) and part.calls_sublayers() for part in module.modules()):
        return False
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in (ConvNorm, ResidualBlock, AxialAttention))


def _folded(module: nn.Module) -> nn.Module:
    if isinstance(module, ConvNorm):
        return FoldedConv(module)
    if isinstance(module, AxialAttention):
        return FoldedAxialAttention(module)
    assert isinstance(module, ResidualBlock)
    return FoldedBlock(module)
