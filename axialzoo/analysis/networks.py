"""The networks that are measured and explained, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from axialzoo.analysis.cases import Case
from axialzoo.spec import Model, adapt
from axialzoo.torch.models import build
from axialzoo.torch.norm import BatchNorm


def prepare(case: Case, device: str = "cpu") -> Callable[[], None]:
    """A call of `case` on random input: one forward pass, or one training step without the optimiser."""
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
    """What attends in a block: height then width, or the one layer of another kind."""
    layers = dict(block.named_children())
    return nn.Sequential(layers["height"], layers["width"]) if "height" in layers else layers["attention"]


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def random_network(spec: Model, image: Tensor, seed: int = 0) -> nn.Module:
    """A network of `spec` with random weights in which every layer takes part, in evaluation.

    A new network's residual branches begin with a factor of zero, so that it would show its shortcuts alone: here the
    factor is one. Its norms have the statistics of `image`, (1, C, H, W), and of its mirror image.
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
def is_tracing(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Name -> (input, output) of each module, as the network that they are of runs."""
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
    """How much the output of a block at (row, column) changes with each pixel of the image.

    The effective receptive field of Luo et al. (arXiv:1701.04128, section 3): the absolute gradient of random combinations of
    the output's channels, here normally distributed, averaged over `samples` of them and summed over the image's channels.

    Args:
        network: In evaluation.
        block: Name of a block, such as ``"stages.2.blocks.1"``.
        image: (1, C, H, W).
        row, column: A position of the block's output.

    Returns:
        (H, W), none negative.

    Raises:
        ValueError: where the output is off in every channel, so that nothing changes it.
    """
    image = image.detach().requires_grad_()
    with is_tracing({block: network.get_submodule(block)}) as tensors:
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
