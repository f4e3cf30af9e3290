"""Base class of every kind of attention: the projection to queries, keys and values, position tables, gates and norms."""

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
    """Parameters of an attention layer, and its computations before and after attending.

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
        """Project to normalised queries, keys and values: (NHW, C) to (NHW, 2K+V).

        Positions are rows of a matrix: products and backward passes over other layouts are up to ten times slower.
        """
        if self.calls_sublayers() or self.norm_qkv.training:
            return self.norm_qkv(self.qkv(x))
        scale, shift = self.norm_qkv.scale_and_shift()  # (2K+V,)
        return nn.functional.linear(x, self.qkv.weight * scale[:, None], shift)

    def sum_terms(self, terms: list[Tensor]) -> Tensor:
        """Normalise retrieved contents and positions, (NHW, G, Dv) each, and sum them: (NHW, V)."""
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
        """Return the factor of each term of the logits in training, (terms, G), from its moments, (terms, G) of `n` values each.

        `parameters` are a weight and a bias instead of the norm's own.
        """
        moments = moments_over_processes(self.norm_similarity, mean.flatten(), variance.flatten(), n)  # (terms G,)
        return scale_from_batch_stats(self.norm_similarity, *moments, *parameters).unflatten(0, (-1, self.spec.heads))

    def scale_in_evaluation(self) -> Tensor:
        """Return the factor of each term of the logits in evaluation, (terms, G), from the moving statistics.

        The shift is the same along a softmax row and cancels.
        """
        return self.norm_similarity.scale_and_shift()[0].unflatten(0, (-1, self.spec.heads))

    def position_table(self, name: str) -> Table:
        """Return the position table `name` as it is stored; None where the spec has none."""
        return getattr(self, name, None)

    def apply_gate(self, name: str, x: Table) -> Table:
        """Multiply a position table or the values by its gate, where there is one (arXiv:2102.10662, equation 3)."""
        return x if x is None or self.gates is None or name not in self.spec.gates else x * self.gates[self.spec.gates.index(name)]

    def position_encoding_1d(self, name: str, length: int, channels: int) -> Tensor:
        """Return the vectors of absolute positions or sines along an axis: (L, channels).

        Args:
            name: Name of the learned table; sines have none.
            length: Length of the axis; a learned table that is shorter is interpolated.
            channels: Channels of the input, or the share of them of this axis.
        """
        if self.spec.encoding == "sinusoidal":
            return sinusoids(length, channels).to(next(self.parameters()))
        table = self.position_table(name)  # (P, C)
        if not is_static(length):
            rows: Any = torch.sym_max(length, len(table))
            return interpolate(table, rows)[:length]
        return table[:length] if length <= len(table) else interpolate(table, length)


def batch_chunk_size(q: Tensor, logits: int) -> int:
    """Return the number of parts to attend to at once, so that their logits stay in the cache of a CPU; 0 for all.

    Args:
        q: Queries, for their device.
        logits: Number of logits of a part, which is a column, a head or a row of queries.

    Without gradients no logits have to be stored, and logits that stay in the cache are twice as fast as those that are written to
    memory and read again.
    """
    whole = torch.is_grad_enabled() or q.device.type != "cpu" or is_tracing()  # a recorded graph has to fit any batch
    return 0 if whole else max(1, LOGITS_PER_CHUNK // logits)


def norm_logits(norm: nn.Module, terms: Sequence[Tensor], visible: Tensor | None) -> Tensor:
    """Call the norm of the logits on their terms, and sum them.

    Args:
        norm: Normalises (B', terms G, ...) over dimension 1.
        terms: Each (B', G, T, S).
        visible: Mask of the keys that a query sees, (windows, T, S), where B' is a batch of windows; None for all. In training the
            statistics are those of visible pairs.

    Returns:
        (B', G, T, S).
    """
    groups, dtype = terms[0].shape[1], torch.promote_types(terms[0].dtype, torch.float32)
    device = "cpu" if terms[0].is_meta else terms[0].device.type  # meta tensors have no autocast
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
    """Return the standard deviation of a new position table."""
    return spec.value_depth**-0.5 if spec.encoding == "relative" else 0.02


def sinusoids(length: int, channels: int) -> Tensor:
    """Return sines in the first half of the channels, cosines in the second, of wavelengths up to 20,000 pi (arXiv:1706.03762): (L, C)."""
    half = -(-channels // 2)
    rate = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / half))  # (C / 2,)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate  # (L, C / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :channels]
