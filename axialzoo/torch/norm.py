"""Batch normalisation with the names and statistics of the canonical checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from axialzoo.ops.torch.dispatch import can_train_rows
from axialzoo.ops.torch.norm import normalised
from axialzoo.spec import Norm
from axialzoo.torch.processes import is_synced, sum_over_processes
from axialzoo.torch.sublayers import leaf_of_graph, obstacle

Activation = Callable[[Tensor], Tensor]


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's batch norm over dimension 1, without the count of batches in its state.

    The moving variance is unbiased, epsilon and momentum come from the spec; a momentum of None averages all batches, as in PyTorch.

    Shapes:
        ``(N, C, ...)`` to the same.
    """

    running_mean: Tensor
    running_var: Tensor
    _version = 2  # loading does not expect the count of batches
    frozen = False  # whether the moving statistics stay as they are in training
    synchronised = False  # whether batch statistics are those of all processes: see `set_sync_norms`

    def __init__(self, channels: int, norm: Norm):
        super().__init__(channels, eps=norm.epsilon, momentum=norm.momentum)
        del self._buffers["num_batches_tracked"]  # a number on the CPU, in no checkpoint, for momentum=None and resetting
        self.num_batches_tracked = torch.tensor(0, device="cpu")

    @leaf_of_graph
    def forward(self, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None) -> Tensor:
        """Return ``activation(residual + norm(x))``, in training on a CPU by one kernel where memory is channels-last."""
        if self._can_fuse(x):
            relu = activation is nn.functional.relu
            x = self.forward_channels_last(x.movedim(1, -1), None, None if residual is None else residual.movedim(1, -1), relu).movedim(
                -1, 1
            )
            return x if relu or activation is None else activation(x)
        x = self._reference(x)
        x = x if residual is None else residual + x
        return x if activation is None else activation(x)

    def _can_fuse(self, x: Tensor) -> bool:
        """Return True if the kernel can normalise `x`. For a wrong number of channels, or one value each, PyTorch raises the error."""
        if (
            not self.training
            or self.running_mean is None
            or is_synced(self)
            or x.dim() < 2
            or x.shape[1] != self.num_features
            or x.numel() == x.shape[1]
        ):
            return False
        if not x.movedim(1, -1).is_contiguous():
            return False
        return can_train_rows(x, self.weight, self.bias)

    def _reference(self, x: Tensor) -> Tensor:
        if self.training and is_synced(self):
            return self._forward_synced(x)
        if self.training and self.frozen:  # copies take the update: a recomputation must save as many tensors as the computation
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            return nn.functional.batch_norm(x, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
        return super().forward(x)

    def forward_channels_last(
        self,
        x: Tensor,
        order: Tensor | None,
        residual: Tensor | None = None,
        relu: bool = False,
        terms: int = 1,
        heads: int = 0,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Normalise rows in training; their channel c is this norm's channel ``order[c]``, or c. For the rest see :func:`normalised`."""
        if is_synced(self):
            y = self._forward_synced(x.flatten(0, -2), order).unflatten(1, (terms, -1)).sum(1)  # (R, C)
            y = y.unflatten(1, (-1, heads)).mT.flatten(1) if heads else y
            y = y.to(dtype or x.dtype).unflatten(0, x.shape[:-1])  # (..., C)
            y = y if residual is None else residual + y
            return y.relu() if relu else y
        weight, bias = (self.weight, self.bias) if order is None else (self.weight[order], self.bias[order])
        y, mean, variance = normalised(x, weight, bias, self.eps, (terms, heads, relu), residual=residual, dtype=dtype)
        self.update_running_stats(mean, variance, x.numel() // x.shape[-1], order)
        return y

    def update_running_stats(self, mean: Tensor, variance: Tensor, n: Tensor | int, order: Tensor | None = None) -> None:
        """Update the moving statistics by moments of `n` values each, the variance biased."""
        if self.frozen:
            return
        with torch.no_grad():
            momentum = self.momentum
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
                momentum = 1 / float(self.num_batches_tracked) if momentum is None else momentum
            assert momentum is not None
            unbiased = n / ((n - 1).clamp(min=1) if isinstance(n, Tensor) else max(n - 1, 1))
            if order is not None:
                back = order.argsort()
                mean, variance = mean[back], variance[back]
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((variance * unbiased).to(self.running_var.dtype), momentum)

    def _forward_synced(self, x: Tensor, order: Tensor | None = None) -> Tensor:
        """Normalise in training by the moments of all processes' batches: (N, C, ...) to the same; N may differ between processes."""
        y = x.to(torch.promote_types(x.dtype, self.weight.dtype))  # (N, C, ...)
        axes, n = [axis for axis in range(y.dim()) if axis != 1], y.numel() // y.shape[1]
        if n == 0:
            raise ValueError(f"BatchNorm: expected a part of the batch on every process, found {tuple(x.shape)}; leave such a batch out")
        sums = sum_over_processes(torch.cat([y.sum(axes), y.new_tensor([n])]))  # (C + 1,)
        shape = (-1, *[1] * (y.dim() - 2))
        total = sums[-1].detach()  # ()
        mean = sums[:-1] / total  # (C,)
        centred = y - mean.view(shape)  # (N, C, ...), all that the backward pass needs
        variance = sum_over_processes(centred.square().sum(axes)) / total  # (C,), biased
        bias = self.bias
        if order is None:
            scale = scale_from_batch_stats(self, mean, variance, total)  # (C,)
        else:
            back = order.argsort()
            scale, bias = scale_from_batch_stats(self, mean[back], variance[back], total)[order], bias[order]
        return (centred * scale.view(shape) + bias.view(shape)).to(x.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm: expected (N, C, ...), found {tuple(input.shape)}")

    def _load_from_state_dict(self, *args) -> None:
        nn.Module._load_from_state_dict(self, *args)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the scale and the shift, (C,) each, of the norm in evaluation."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale


def apply_norm(norm: nn.Module, x: Tensor, residual: Tensor | None = None, activation: Activation | None = None) -> Tensor:
    """Return ``activation(residual + norm(x))``: in one go where `norm` is a plain :class:`BatchNorm`, else by calling it."""
    if not isinstance(x, torch.fx.Proxy) and obstacle(norm, BatchNorm) is None:
        return norm(x, residual, activation)
    x = norm(x)
    x = x if residual is None else residual + x
    return x if activation is None else activation(x)


@contextmanager
def freeze_running_stats(module: nn.Module) -> Iterator[None]:
    """Freeze the moving statistics of the norms in `module`: a recomputation must not update them again."""
    norms = [norm for norm in module.modules() if isinstance(norm, BatchNorm)]
    for norm in norms:
        norm.frozen = True
    try:
        yield
    finally:
        for norm in norms:
            norm.frozen = False


def checkpoint_block(block: nn.Module, *inputs: Any) -> Any:
    """Return ``block(*inputs)``, recomputed in the backward pass instead of stored; update its moving statistics once."""
    return checkpoint(block, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), freeze_running_stats(block)))


def set_sync_norms(module: nn.Module, enabled: bool = True) -> None:
    """Make the norms of `module` take their statistics from the batches of all processes, as if these were one batch.

    Training in several processes then equals training in one, whatever part of the batch each has. The processes are those
    of torch.distributed's default group; where there is no group, or one process in it, nothing changes. Every process
    must run the same layers in the same order. In evaluation nothing is exchanged.

    Args:
        module: A model or a part of one, before or after it is wrapped in ``DistributedDataParallel``.
        enabled: False to have each process use its own batch again.

    Raises:
        ValueError: where `module` has no norm of this package.

    Example:
        >>> from axialzoo.torch import create_model
        >>> model = create_model("axial_resnet_cifar10_xs")
        >>> set_sync_norms(model)
        >>> model.stem[0].norm.synchronised
        True
    """
    norms = [norm for norm in module.modules() if isinstance(norm, BatchNorm)]
    if not norms:
        raise ValueError(f"set_sync_norms: expected a module with norms of axialzoo.torch, found none in {type(module).__name__}")
    for norm in norms:
        norm.synchronised = enabled


def scale_from_batch_stats(
    norm: BatchNorm, mean: Tensor, variance: Tensor, n: Tensor | int, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Return the scale of a batch norm for a batch with these moments; update the moving statistics.

    Args:
        norm: Holds the scale, the shift and the moving statistics, all (C,).
        mean, variance: (C,), biased, of `n` values each.
        weight, bias: Parameters instead of the norm's own.

    Returns:
        (C,). The shift has no effect on a softmax; it keeps a gradient, of zero, so that every parameter has one.
    """
    norm.update_running_stats(mean, variance, n)
    return (norm.weight if weight is None else weight) * torch.rsqrt(variance + norm.eps) + 0.0 * (norm.bias if bias is None else bias)
