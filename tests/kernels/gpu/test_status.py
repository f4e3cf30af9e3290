"""Status of the kernel for GPUs, tiles of shapes, and compilation for GPUs that are not here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from axialzoo.ops.kernels import gpu, use_kernel
from axialzoo.ops.kernels.gpu.settings import chunks, settings
from axialzoo.ops.torch import gpu as ops_gpu
from tests.kernels.gpu.interpreted import HERE
from tests.kernels.layers import layer

ROOT = Path(__file__).resolve().parents[3]
SHAPES = ("1x4x8", "56x4x8", "14x32x64", "7x64x128", "257x128x128")


@pytest.fixture
def anew():
    gpu._detect.cache_clear()
    yield
    gpu._detect.cache_clear()


def pretend(monkeypatch, triton: bool = True, capability: tuple[int, int] = (9, 0)) -> None:
    honest = importlib.util.find_spec
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=0: "A GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: capability)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: honest(name) if name != "triton" or triton else None)


def test_without_a_gpu_the_plain_form_serves(anew, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.gpu_status() == gpu.Status("plain", "PyTorch finds no GPU")


def test_without_triton_it_is_said_how_to_install_it(anew, monkeypatch):
    pretend(monkeypatch, triton=False)
    assert gpu.gpu_status().path == "plain" and "pip install 'axialzoo[triton]'" in gpu.gpu_status().reason


def test_an_old_gpu_is_named(anew, monkeypatch):
    pretend(monkeypatch, capability=(7, 5))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert gpu.gpu_status().path == "plain" and "A GPU with (7, 5)" in gpu.gpu_status().reason


def test_a_gpu_that_nobody_compiled_for_is_named(anew, monkeypatch):
    pretend(monkeypatch)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert gpu.gpu_status().path == "plain" and "ROCm" in gpu.gpu_status().reason


@pytest.mark.skipif(not HERE, reason="Triton is not installed; `make test-triton` installs it")
def test_a_gpu_with_triton_is_served_unless_the_plain_form_is_asked_for(anew, monkeypatch):
    pretend(monkeypatch)
    assert gpu.gpu_status().path == "triton" and gpu.gpu_status().reason.endswith("on A GPU")
    with use_kernel("plain"):
        assert gpu.gpu_status() == gpu.Status("plain", "asked for by use_kernel('plain')")


def test_tensors_of_a_cpu_are_not_its_business(anew, monkeypatch):
    monkeypatch.setattr(ops_gpu, "gpu_status", lambda: gpu.Status("triton", "for a test"))
    assert not ops_gpu.supports(torch.zeros(1)) and ops_gpu.supports(None)
    layer().train()(torch.randn(1, 12, 9, 3))  # on the CPU, as ever


@pytest.mark.parametrize("name", ["attend", "attend_backward", "axial_attention"])
def test_each_operator_has_an_implementation_for_gpus(name):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"axialzoo::{name}", "CUDA")


def test_channels_head_by_head_are_refused_on_a_cpu():
    from axialzoo.ops.kernels import kernel

    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    with pytest.raises(RuntimeError, match="found head_fastest=False"):
        torch.ops.axialzoo.attend(torch.randn(1, 5, 2, 32), None, None, None, torch.randn(3, 4), 0, 2, 0, True, True, False)


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12, 16])
@pytest.mark.parametrize("depth", [1, 4, 7, 8, 64, 128])
@pytest.mark.parametrize("length", [1, 7, 16, 17, 56, 257])
def test_tiles_are_what_matrix_units_take_and_programs_take_whole_sectors(length, depth, heads):
    for itemsize in (2, 4):
        built = settings(length, heads, depth, 2 * depth, itemsize)
        for side in (built.tile, built.key_width, built.value_width):
            assert side >= 16 and side & (side - 1) == 0
        assert built.key_width >= depth and built.value_width >= 2 * depth and heads % built.heads == 0
        assert built.whole == (length <= built.tile)
        assert built.heads == heads or built.heads * depth * itemsize >= 32


def test_partial_sums_are_bounded():
    assert chunks(3, 1, 100) == 3 and chunks(10**6, 1, 100) == 512
    assert chunks(10**6, 17, 2**17) * 17 * 2**17 <= 2**24 and chunks(10, 1000, 2**20) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_the_benchmark_refuses_a_machine_without_a_gpu():
    done = subprocess.run([sys.executable, "benchmarks/gpu.py"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1 and "expected a CUDA device, found none" in done.stderr and not done.stdout


@pytest.mark.skipif(not HERE, reason="Triton is not installed; `make test-triton` installs it")
@pytest.mark.parametrize("capability", [90, pytest.param(80, marks=pytest.mark.full)])
@pytest.mark.parametrize("shape", ["7x4x8", *(pytest.param(shape, marks=pytest.mark.full) for shape in SHAPES)])
@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float32", marks=pytest.mark.full)])
def test_it_compiles_for_a_gpu_that_is_not_here(capability, shape, dtype, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.kernels.gpu.compiled", str(capability), shape, dtype]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 2 and all(int(line.split()[-1]) <= 227 * 1024 for line in lines)  # bytes of shared memory
