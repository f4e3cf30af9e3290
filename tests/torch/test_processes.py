"""Training in two processes ends at the weights and moving statistics of training in one, whatever share each has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from axialzoo.torch.norm import set_sync_norms
from tests.torch.networks import network
from tests.torch.processes import PLANTED, RUNS, start

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-9  # of a tensor's largest value, float64, after ten steps
IN_FLOAT32 = 1e-3


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> dict[str, dict]:
    """Final tensors of one process and of each of two: "1_0", "2_0", "2_1" -> run -> tensors."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.torch.processes", str(folder), str(rank), str(processes)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, processes in ((0, 1), (0, 2), (1, 2))
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(process.returncode for process in started), "\n".join(errors)[-4000:]
    return {name: torch.load(folder / f"{name}.pt", weights_only=True) for name in ("1_0", "2_0", "2_1")}


def tolerance(run: str) -> float:
    return IN_FLOAT32 if {**RUNS, **PLANTED}[run].dtype == torch.float32 else TOLERANCE


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two tensors of one name, over the largest value of the first."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max() / one[name].abs().max().clamp(min=1e-3)) for name in one)


@pytest.mark.parametrize("run", RUNS)
def test_two_processes_end_where_one_ends(ended, run):
    for rank in ("2_0", "2_1"):
        assert distance(ended["1_0"][run], ended[rank][run]) <= tolerance(run)


def test_training_moves_every_tensor_that_has_an_effect(ended):
    before, after = start(RUNS["whole"]).state_dict(), ended["1_0"]["whole"]
    still = {name for name, tensor in before.items() if float((tensor - after[name]).abs().max()) < 1e-9}
    without_effect = ("norm_similarity.bias", "height.norm_output.bias")  # a softmax, or the next norm, takes any shift away
    assert all(name.endswith(without_effect) for name in still), still


@pytest.mark.parametrize("run", PLANTED)
def test_planted_errors_are_caught(ended, run):
    assert distance(ended["1_0"][run], ended["2_0"][run]) > 10 * max(1e4 * TOLERANCE, tolerance(run))


def test_in_one_process_synchronised_norms_change_nothing():
    plain, synchronised = network().train(), network().train()
    set_sync_norms(synchronised)
    x = torch.randn(2, 3, 24, 20)
    assert torch.equal(plain(x), synchronised(x))
    assert all(torch.equal(item, other) for item, other in zip(plain.buffers(), synchronised.buffers()))


def test_a_module_without_norms_is_refused():
    with pytest.raises(ValueError, match="found none in Linear"):
        set_sync_norms(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="found none in BatchNorm2d"):
        set_sync_norms(torch.nn.BatchNorm2d(2))
