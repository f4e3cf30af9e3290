"""What every kind of attention has: one projection to queries, keys and values, position tables, gates and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from axialzoo.ops.torch.dispatch import is_tracing
from axialzoo.ops.torch.tables import interpolate, is_static
from axialzoo.spec import Attention, Norm
from axialzoo.torch.norm import BatchNorm, scale_from_batch_stats
from axialzoo.torch.processes import moments_over_processes
from axialzoo.torch.sublayers import calls_sublayers

LOGITS_PER_CHUNK = 2**20  # logits
SUBLAYERS = {"qkv": nn.Linear, "norm_qkv": BatchNorm, "norm_similarity": BatchNorm, "norm_output": BatchNorm}
Table = Any  # a tensor, or None where the spec has no such term


class PositionAttention(nn.Module):
    """The parameters of an attention layer, and what it does before and after attending.

    Args:
        inputs: Channels ``C`` of the input.
        spec: Its architecture.
        norm: Epsilon and momentum of its norms.
    """

    def __init__(self, inputs: int, spec: Attention, norm: Norm):
        super().__init__()
        self.spec = spec
        width = 2 * spec.key_channels + spec.value_channels
        self.qkv = nn.Linear(inputs, width, bias=False)
        self.norm_qkv = BatchNorm(width, norm)
        for name, shape in spec.tables(inputs).items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape) * table_scale(spec)))
        self.gates = nn.Parameter(torch.tensor([1.0 if name == "value" else 0.1 for name in spec.gates])) if spec.gated else None
        self.norm_similarity = BatchNorm(len(spec.similarity) * spec.heads, norm)
        self.norm_output = BatchNorm(len(spec.value) * spec.value_channels, norm)
        nn.init.normal_(self.qkv.weight, std=inputs**-0.5)

    def calls_sublayers(self) -> bool:
        """Return True where the projection and the norms have to be called, as they are not exactly what a kernel computes."""
        return calls_sublayers(self, SUBLAYERS)

    def project(self, x: Tensor) -> Tensor:
        """(NHW, C) to normalised queries, keys and values, (NHW, 2K+V).

        As rows of a matrix: products and backward passes over other layouts are up to ten times slower.
        """
        if self.calls_sublayers() or self.norm_qkv.training:
            return self.norm_qkv(self.qkv(x))
        scale, shift = self.norm_qkv.scale_and_shift()  # (2K+V,)
        return nn.functional.linear(x, self.qkv.weight * scale[:, None], shift)

    def sum_terms(self, terms: list[Tensor]) -> Tensor:
        """Retrieved contents and positions, each (NHW, G, Dv), to the sum of their norms, (NHW, V)."""
        if self.calls_sublayers() or self.norm_output.training:
            x = self.norm_output(torch.stack(terms, dim=1).flatten(1))  # (NHW, terms V)
            return x.unflatten(1, (len(terms), -1)).sum(1)
        scale, shift = (
            x.to(terms[0].dtype).view(len(terms), *terms[0].shape[1:]) for x in self.norm_output.scale_and_shift()
        )  # (terms, G, Dv)
        x = shift.sum(0)  # (G, Dv)
        for term, factor in zip(terms, scale):
            x = torch.addcmul(x, term, factor)  # (NHW, G, Dv)
        return x.flatten(1)

    def scale_from_moments(self, mean: Tensor, variance: Tensor, n: int, *parameters: Tensor) -> Tensor:
        """What each term of the logits is multiplied by in training, (terms, G), from its moments, (terms, G) of `n` values each.

        `parameters` are a weight and a bias in the place of the norm's own.
        """
        moments = moments_over_processes(self.norm_similarity, mean.flatten(), variance.flatten(), n)  # (terms G,)
        return scale_from_batch_stats(self.norm_similarity, *moments, *parameters).unflatten(0, (-1, self.spec.heads))

    def scale_in_evaluation(self) -> Tensor:
        """What each term of the logits is multiplied by in evaluation, (terms, G), from the moving statistics.

        The shift is the same along a softmax row and cancels.
        """
        return self.norm_similarity.scale_and_shift()[0].unflatten(0, (-1, self.spec.heads))

    def position_table(self, name: str) -> Table:
        """The position table of that name, as it is stored; None where the spec has none."""
        return getattr(self, name, None)

    def apply_gate(self, name: str, x: Table) -> Table:
        """A position table or the values, times its factor where there is one (arXiv:2102.10662, equation 3)."""
        return x if x is None or self.gates is None or name not in self.spec.gates else x * self.gates[self.spec.gates.index(name)]

    def position_encoding_1d(self, name: str, length: int, channels: int) -> Tensor:
        """What absolute positions or sines add to each position of an axis: (L, channels).

        Args:
            name: Of the learned table; sines have none.
            length: Of the axis; beyond its table a learned one is stretched.
            channels: Of the input, or the part of them that this axis has.
        """
        if self.spec.encoding == "sinusoidal":
            return sinusoids(length, channels).to(next(self.parameters()))
        table = self.position_table(name)  # (P, C)
        if not is_static(length):
            rows: Any = torch.sym_max(length, len(table))
            return interpolate(table, rows)[:length]
        return table[:length] if length <= len(table) else interpolate(table, length)


def batch_chunk_size(q: Tensor, logits: int) -> int:
    """How many parts to attend to at once, so that their logits stay in the cache of a CPU; 0 for all.

    Args:
        q: Queries, for their device.
        logits: How many logits a part has (of a column, a head or a row of queries, as the caller cuts).

    Where no gradient is wanted nothing has to be kept, and logits that stay in the cache are twice as fast as those that
    are written to memory and read again.
    """
    whole = torch.is_grad_enabled() or q.device.type != "cpu" or is_tracing()  # what is recorded serves any batch
    return 0 if whole else max(1, LOGITS_PER_CHUNK // logits)


def norm_logits(norm: nn.Module, terms: Sequence[Tensor], visible: Tensor | None) -> Tensor:
    """Call the norm of the logits on their terms, and sum them.

    Args:
        norm: Normalises (B', terms G, ...) over dimension 1.
        terms: Each (B', G, T, S).
        visible: Which keys a query sees, (windows, T, S), where B' is a batch of windows; None for all. In training the statistics are of
            what is visible.

    Returns:
        (B', G, T, S).
    """
    groups, dtype = terms[0].shape[1], torch.promote_types(terms[0].dtype, torch.float32)
    device = "cpu" if terms[0].is_meta else terms[0].device.type  # shapes alone have no precision to switch
    with torch.autocast(device, enabled=False):
        x = torch.cat([term.to(dtype) for term in terms], 1)  # (B', terms G, T, S)
        if visible is None or not norm.training:
            y = norm(x)
        else:
            pairs = visible.repeat(len(x) // len(visible), 1, 1)  # (B', T, S)
            rows = norm(x.movedim(1, 3)[pairs])  # (pairs, terms G)
            y = torch.zeros_like(x.movedim(1, 3)).index_put((pairs,), rows).movedim(3, 1)  # (B', terms G, T, S)
    return y.unflatten(1, (-1, groups)).sum(1)


def table_scale(spec: Attention) -> float:
    """Standard deviation of a new position table."""
    return spec.value_depth**-0.5 if spec.encoding == "relative" else 0.02


def sinusoids(length: int, channels: int) -> Tensor:
    """Sines in the first half of the channels, cosines in the second, of wavelengths up to 20,000 pi (arXiv:1706.03762): (L, C)."""
    half = -(-channels // 2)
    rate = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / half))  # (C / 2,)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate  # (L, C / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :channels]
