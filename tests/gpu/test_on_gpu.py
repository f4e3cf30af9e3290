"""On a GPU everything computes what it computes on a CPU: predictions, evaluation, training, verification, batches, pictures of attention.

Each test takes the fixture `gpu`, which skips where there is none.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from axialzoo.checkpoint import load_checkpoint
from axialzoo.engine import predict_batch
from axialzoo.hub import fetch_checkpoint
from axialzoo.ops.kernels import gpu_status, use_kernel
from axialzoo.runtime import Runner, load_runner
from axialzoo.runtime.device import DeviceError, is_cpu
from axialzoo.runtime.frameworks import BACKENDS, installed
from axialzoo.runtime.verify import verify
from axialzoo.torch import build, create_model
from axialzoo.train import evaluate, run
from tests.parity.common import CASES

PHOTOS = Path(__file__).parents[2] / "docs" / "photos"
SHIPPED = ("axial_resnet_cifar10_xs", "axial_deeplab_nuclei", "axial_fcos_blood_cells")
LIMIT = 2e-5  # of the largest value, float32 without TF32
X = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
TINY = {
    "model": "axial_resnet_cifar10_xs",
    "holdout": 0,
    "progressive_sizes": (),
    "augment": "resized_crop",
    "batch_size": 4,
    "precision": "float32",
}


def flat(outputs: dict) -> list[np.ndarray]:
    return [array for value in outputs.values() for array in (value if isinstance(value, list) else [value])]


def difference(one: dict, other: dict) -> float:
    return max(float(np.abs(a - b).max()) / max(1.0, float(np.abs(a).max())) for a, b in zip(flat(one), flat(other), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_outputs_without_tf32_are_those_of_a_cpu(gpu, name):
    checkpoint = fetch_checkpoint(name)
    there = Runner(checkpoint, "torch", device=gpu, allow_tf32=False)
    here = Runner(checkpoint, "torch", device="cpu", optimize=False)
    assert there.device == gpu and here.device == "cpu"
    assert difference(here.outputs(X), there.outputs(X)) <= LIMIT


@pytest.mark.parametrize("name", SHIPPED)
def test_float64_is_that_of_a_cpu(gpu, name):
    checkpoint = fetch_checkpoint(name)
    try:
        there = Runner(checkpoint, "torch", precision="float64", device=gpu)
    except DeviceError as error:
        pytest.skip(str(error))
    assert difference(Runner(checkpoint, "torch", precision="float64", device="cpu").outputs(X), there.outputs(X)) <= 1e-9


def test_tf32_would_be_seen(gpu):
    if not gpu.startswith("cuda") or torch.cuda.get_device_capability(gpu)[0] < 8:
        pytest.skip(f"{gpu} has no TF32")
    checkpoint = fetch_checkpoint(SHIPPED[1])
    exact, fast = (Runner(checkpoint, "torch", device=gpu, allow_tf32=allowed).outputs(X) for allowed in (False, True))
    assert difference(exact, fast) > LIMIT


def test_auto_takes_the_gpu_and_nothing_lies_on_the_cpu(gpu):
    runner = load_runner(SHIPPED[0], "torch")
    assert is_cpu(runner.device) == is_cpu(gpu)
    assert {str(tensor.device) for tensor in (*runner.model.parameters(), *runner.model.buffers())} == {runner.device}


@pytest.mark.parametrize("backend", BACKENDS)
def test_keras_computes_there_too(gpu, backend):
    if not (installed("keras") and installed(backend)):
        pytest.skip(f"Keras ({backend}) is not installed")
    checkpoint = fetch_checkpoint(SHIPPED[0])
    try:
        runner = Runner(checkpoint, "keras", backend, device=gpu, allow_tf32=False)
    except DeviceError as error:
        pytest.skip(str(error))
    with runner:
        actual = runner.outputs(X[:, :32, :32])
    assert difference(load_runner(SHIPPED[0], "torch", optimize=False, device="cpu").outputs(X[:, :32, :32]), actual) <= LIMIT


@pytest.mark.parametrize(("name", "photo"), list(zip(SHIPPED, ("chelsea.jpg", "nuclei.png", "blood_cells.jpg"))))
def test_a_photograph_shows_what_it_shows_on_a_cpu(gpu, name, photo):
    here, there = (load_runner(name, "torch", device=device).predict(PHOTOS / photo) for device in ("cpu", gpu))
    assert [label for label, _ in here.summary()][:3] == [label for label, _ in there.summary()][:3]
    assert np.allclose([score for _, score in here.summary()][:3], [score for _, score in there.summary()][:3], atol=0.02)


def test_verify_passes_there(gpu, folder):
    report = verify(folder, device=gpu)
    ran = [item for item in report["runs"] if item["ok"]]
    assert report["ok"] and ran and all(item["detail"] == ("ran" if is_cpu(gpu) else f"ran on {gpu}") for item in ran)


def test_a_batch_of_pictures_is_predicted_there(gpu, folder, tmp_path):
    predict_batch([PHOTOS], folder, tmp_path / "there.jsonl", workers=1, device=gpu)
    predict_batch([PHOTOS], folder, tmp_path / "here.jsonl", workers=1, device="cpu")
    parts = [(tmp_path / name / "part-000000.jsonl").read_text() for name in ("there.jsonl", "here.jsonl")]
    rows = [[json.loads(line) for line in part.splitlines()] for part in parts]
    assert [item["picture"] for item in rows[0]] == [item["picture"] for item in rows[1]]
    assert all(np.allclose(sorted(a["scores"]), sorted(b["scores"]), atol=1e-2) for a, b in zip(*rows) if a["error"] is None)


def test_training_goes_on_where_it_stopped_and_is_evaluated(gpu, image_folder, tmp_path):
    settings = {**TINY, "ema_decay": 0.5, "drop_path": 0.1}
    whole = run("cifar10", image_folder, tmp_path / "whole", device=gpu, epochs=2, **settings)
    run("cifar10", image_folder, tmp_path / "parts", device=gpu, epochs=1, **settings)
    resumed = run("cifar10", image_folder, tmp_path / "parts", device=gpu, epochs=2, resume=True, **settings)
    for model in (whole, resumed):
        assert all(np.isfinite(tensor).all() for tensor in load_checkpoint(model).tensors.values())
        assert evaluate(model, image_folder, framework="torch", device=gpu)["images"] == 6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_on_the_gpu_is_a_step_on_the_cpu(gpu, image_folder, tmp_path, precision):
    settings = {**TINY, "precision": precision, "ema_decay": 0, "drop_path": 0, "optimizer": "sgd", "learning_rate": 1e-3, "epochs": 1}
    folders = [run("cifar10", image_folder, tmp_path / name, device=device, **settings) for name, device in (("a", gpu), ("b", "cpu"))]
    item, other = (load_checkpoint(folder).tensors for folder in folders)
    limit = 1e-2 if precision == "float32" else 0.1
    assert all(float(np.abs(item[name] - other[name]).max()) <= limit * max(1.0, float(np.abs(other[name]).max())) for name in item)


def test_the_kernel_for_gpus_computes_the_plain_form(gpu):
    if gpu_status().path != "triton":
        pytest.skip(f"no kernel for GPUs: {gpu_status().reason}")
    torch.manual_seed(0)
    model = create_model(SHIPPED[0], True).train().to(gpu)
    x = torch.randn(4, 3, 32, 32, device=gpu)
    state, actual = {name: tensor.clone() for name, tensor in model.state_dict().items()}, {}
    for kernel in ("fused", "plain"):
        model.load_state_dict(state)
        model.zero_grad()
        with use_kernel("plain") if kernel == "plain" else contextlib.nullcontext():
            out = model(x)
            out.square().sum().backward()
        actual[kernel] = [out.detach(), *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None)]
    errors = [float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in zip(actual["fused"], actual["plain"], strict=True)]
    assert max(errors) <= 1e-3


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_kind_of_model_computes_there(gpu, case):
    """Each case of the parity tests: constants that a layer makes have to be made on the device of its input."""
    torch.manual_seed(0)
    model = build(case.spec).eval()
    x = torch.randn(1, case.spec.backbone.in_channels, *case.size)
    with torch.inference_mode():
        here, there = model(x), model.to(gpu)(x.to(gpu))
    assert len(list(_leaves(here))) == len(list(_leaves(there)))
    assert all(str(item.device) == gpu for item in _leaves(there))


def _leaves(outputs):
    return (leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor))


@pytest.mark.parametrize("command", ["explain", "compare", "benchmark"])
def test_analysis_runs_there(gpu, axialzoo, command):
    name = SHIPPED[0]
    words = {
        "explain": ("explain", name, PHOTOS / "chelsea.jpg", "--point", "120,80"),
        "compare": ("compare", name, "--kinds", "axial", "--sizes", "16,32", "--repeats", "1"),
        "benchmark": ("benchmark", name, "--framework", "torch", "--repeats", "1"),
    }[command]
    said = axialzoo(*words, "--device", gpu, "--json")
    assert said.code == 0, said.err
    if command == "compare":
        assert said.json["device"] == gpu
