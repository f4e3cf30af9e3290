"""One process of several that train together, or the only one: ``python -m tests.torch.processes FOLDER RANK PROCESSES``.

Writes what each run ends at to ``FOLDER/PROCESSES_RANK.pt``: name of the run -> the model's tensors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from axialzoo.torch import AxialClassifier, norm
from axialzoo.torch import processes as processes_of_norms
from tests.attention.layers import randomise
from tests.torch.networks import images, network

BATCH, STEPS = 8, 10


@dataclass(frozen=True)
class Run:
    """Steps of SGD with momentum."""

    fields: dict = field(default_factory=dict)  # of the attention layers
    first: int = BATCH // 2  # how many images of a batch the first of two processes has
    recompute: bool = False
    sync: bool = True
    summed_gradients: bool = True
    dtype: torch.dtype = torch.float64  # in float32 the fused kernel serves, where it is there
    steps: int = STEPS  # rounding grows tenfold a step here: in float32 three, or it is all there is to see


LOCAL, WHOLE = {"span": 3}, {"max_length": 16}
RUNS = {
    "whole": Run(WHOLE),
    "windows": Run(LOCAL),
    "unequal": Run(WHOLE, 3),
    "unequal_windows": Run(LOCAL, 3),
    "recomputed": Run(WHOLE, 3, recompute=True),
    "float32": Run(WHOLE, 3, dtype=torch.float32, steps=3),
    "recomputed_windows": Run(LOCAL, recompute=True),
}
PLANTED = {
    "without_sync": Run(WHOLE, sync=False),
    "without_sync_in_float32": Run(WHOLE, sync=False, dtype=torch.float32, steps=3),
    "gradients_that_stay_at_home": Run(WHOLE, summed_gradients=False),
}


def start(run: Run) -> AxialClassifier:
    """The network that a run begins with, the same in every process."""
    return randomise(network(**run.fields).to(run.dtype)).train()


def trained(run: Run, rank: int, processes: int) -> dict[str, torch.Tensor]:
    model = start(run)
    norm.set_sync_norms(model, run.sync)
    model.set_grad_checkpointing(run.recompute)
    # Moving statistics are not copied from the first process: they have to agree by themselves.
    wrapped = model if processes == 1 else DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    share = slice(None) if processes == 1 else (slice(None, run.first), slice(run.first, None))[rank]
    for step in range(run.steps):
        x = images(24, 20, batch=BATCH, dtype=run.dtype).roll(step, 3)[share]
        y = (torch.arange(BATCH) + step).remainder(5)[share]
        loss = F.cross_entropy(wrapped(x), y, reduction="sum") / BATCH * processes  # gradients are averaged over processes
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.state_dict()


def main(folder: Path, rank: int, processes: int) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        store = distributed.FileStore(str(folder / "store"), processes)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=processes, timeout=timedelta(seconds=60))
    actual = {}
    for name, run in {**RUNS, **PLANTED}.items():
        if processes == 1:  # what differs between runs of one network is of no account then
            run = Run(run.fields, dtype=run.dtype, steps=run.steps)
            alike = {other: {**RUNS, **PLANTED}[other] for other in actual}
            same = next((name for name, other in alike.items() if (other.fields, other.dtype) == (run.fields, run.dtype)), None)
            if same is not None:
                actual[name] = actual[same]
                continue
        honest = processes_of_norms._SumOverProcesses.backward
        if not run.summed_gradients:
            processes_of_norms._SumOverProcesses.backward = staticmethod(lambda ctx, gradient: gradient)
        actual[name] = trained(run, rank, processes)
        processes_of_norms._SumOverProcesses.backward = honest
    torch.save(actual, folder / f"{processes}_{rank}.pt")
    if processes > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
