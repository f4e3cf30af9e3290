"""Functions of `axialzoo.ops.kernels.gpu.tile` with an error in each."""

import triton
import triton.language as tl


@triton.jit
def of_keys(x, B: tl.constexpr):
    """The relative index is one too large."""
    t, s = tl.arange(0, B)[:, None], tl.arange(0, B)[None, :]
    return tl.gather(x, s - t + B, 1)


@triton.jit
def of_queries(x, B: tl.constexpr):
    """Keys look up where queries do: the distance has the other sign."""
    t, s = tl.arange(0, B)[:, None], tl.arange(0, B)[None, :]
    return tl.gather(x, t - s + (B - 1), 0)


@triton.jit
def of_distances(x, B: tl.constexpr):
    """The relative index is one too small."""
    t, r = tl.arange(0, B)[:, None], tl.arange(0, 2 * B)[None, :]
    s = r + t - B
    inside = (s >= 0) & (s < B)
    return tl.where(inside, tl.gather(x, tl.where(inside, s, 0), 1), 0.0)


@triton.jit
def key_distances(x, B: tl.constexpr):
    """Nothing is left out beyond the tile."""
    r, s = tl.arange(0, 2 * B)[:, None], tl.arange(0, B)[None, :]
    t = s - r + (B - 1)
    return tl.gather(x, tl.where((t >= 0) & (t < B), t, 0), 0)
