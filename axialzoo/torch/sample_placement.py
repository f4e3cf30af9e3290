"""Draws that depend on the place of a sample in a batch that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplePlacement:
    """Place of a process's samples in the whole batch: every `processes`-th sample from number `process` on, at a step of a run."""

    seed: int
    step: int
    process: int
    processes: int


_current: list[SamplePlacement] = []


@contextmanager
def deterministic_drop_path(seed: int, step: int, process: int = 0, processes: int = 1) -> Iterator[None]:
    """Make stochastic depth depend on (seed, step, layer, place in the whole batch) alone, however processes share a batch.

    Run the backward pass inside this context too, if it recomputes blocks.
    """
    _current.append(SamplePlacement(seed, step, process, processes))
    try:
        yield
    finally:
        _current.pop()


def keep_mask(count: int, rate: float, layer: int) -> Tensor:
    """Draw which of `count` samples stay, (N,); the draw is in float32, since half precision has too few steps."""
    if not _current:
        return torch.rand(count) >= rate
    placement = _current[-1]
    random = torch.Generator().manual_seed(hash((placement.seed, placement.step, layer)) % 2**63)
    return torch.rand(count * placement.processes, generator=random)[placement.process :: placement.processes] >= rate
