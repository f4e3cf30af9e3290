"""The networks to measure and explain, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from axialzoo.analysis.cases import Case
from axialzoo.spec import Model, adapt
from axialzoo.torch.factory import build
from axialzoo.torch.norm import BatchNorm


def prepare(case: Case, device: str = "cpu") -> Callable[[], None]:
    """Return a call of `case` on random input: one forward pass, or one training step without the optimizer."""
    model = build(case.spec)
    network = (model if case.layer is None else attention_pair(model.get_submodule("stages.0.blocks.0"))).to(device)
    network.train(case.train)
    x = torch.randn(case.batch, case.spec.backbone.in_channels, *case.size, device=device)  # (N, C, H, W)

    def forward() -> None:
        with torch.inference_mode():
            network(x)
        synchronise(device)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        network(x).sum().backward()
        synchronise(device)

    return step if case.train else forward


def attention_pair(block: nn.Module) -> nn.Module:
    """Return the attention layers of a block: height then width, or the single layer of another kind."""
    layers = dict(block.named_children())
    return nn.Sequential(layers["height"], layers["width"]) if "height" in layers else layers["attention"]


def synchronise(device: str) -> None:
    """Wait until a GPU has finished its work."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def random_network(spec: Model, image: Tensor, seed: int = 0) -> nn.Module:
    """Build a network of `spec` with random weights in which every layer takes part, in evaluation mode.

    The residual branches of a new network begin with a factor of zero, so only its shortcuts would show; here the factor is one.
    The norms have the statistics of `image`, (1, C, H, W), and of its mirror image.
    """
    spec = adapt(spec, drop_path=0.0)
    torch.manual_seed(seed)
    network = build(replace(spec, backbone=replace(spec.backbone, norm=replace(spec.backbone.norm, momentum=1.0))))
    for module in network.modules():
        if isinstance(module, BatchNorm):
            nn.init.ones_(module.weight)
    with torch.no_grad():
        network.train()(torch.cat([image, image.flip(3)]))
    return network.eval()


@contextmanager
def record_activations(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Record the (input, output) of each module by name, while their network runs."""
    tensors: dict[str, tuple[Tensor, Tensor]] = {}

    def record(name: str):
        return lambda module, inputs, output: tensors.__setitem__(name, (inputs[0], output))

    handles = [module.register_forward_hook(record(name)) for name, module in modules.items()]
    try:
        yield tensors
    finally:
        for handle in handles:
            handle.remove()


def receptive_field(network: nn.Module, block: str, image: Tensor, row: int, column: int, samples: int = 8, seed: int = 0) -> Tensor:
    """Return the change of a block's output at (row, column) with each pixel of the image.

    The effective receptive field of Luo et al. (arXiv:1701.04128, section 3): the absolute gradient of random combinations of
    the output's channels, here normally distributed, averaged over `samples` of them and summed over the image's channels.

    Args:
        network: A network in evaluation mode.
        block: Name of a block, such as ``"stages.2.blocks.1"``.
        image: (1, C, H, W).
        row, column: A position of the block's output.

    Returns:
        (H, W), none negative.

    Raises:
        ValueError: where the activation is zero in every channel, so that no pixel changes it.
    """
    image = image.detach().requires_grad_()
    with record_activations({block: network.get_submodule(block)}) as tensors:
        network(image)
    output = tensors[block][1][0, :, row, column]  # (C,)
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros(image.shape[2:], dtype=image.dtype, device=image.device)  # (H, W)
    for index in range(samples):
        cotangent = torch.randn(output.shape, generator=random, dtype=output.dtype).to(output.device)  # (C,)
        (gradient,) = torch.autograd.grad(output, image, cotangent, retain_graph=index + 1 < samples)
        total += gradient[0].abs().sum(0)
    if not total.any():
        raise ValueError(f"{block}: the activation is zero in every channel at row {row}, column {column}: choose another point or layer")
    return total / samples
