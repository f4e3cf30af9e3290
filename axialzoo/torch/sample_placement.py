"""Draws that depend on the place of a sample in a batch that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplePlacement:
    """Which samples of the whole batch these are: every `processes`-th from number `process` on, at a step of a run."""

    seed: int
    step: int
    process: int
    processes: int


_current: list[SamplePlacement] = []


@contextmanager
def deterministic_drop_path(seed: int, step: int, process: int = 0, processes: int = 1) -> Iterator[None]:
    """What is dropped depends on (seed, step, layer, place in the whole batch) alone: a share of a batch changes nothing.

    Backward passes belong inside too, where blocks are computed again in them.
    """
    _current.append(SamplePlacement(seed, step, process, processes))
    try:
        yield
    finally:
        _current.pop()


def keep_mask(count: int, rate: float, layer: int) -> Tensor:
    """Which of `count` samples stay, (N,); drawn in float32, since half precision has too few steps."""
    if not _current:
        return torch.rand(count) >= rate
    at = _current[-1]
    random = torch.Generator().manual_seed(hash((at.seed, at.step, layer)) % 2**63)
    return torch.rand(count * at.processes, generator=random)[at.process :: at.processes] >= rate
