"""A runner computes on the device that its user names, weights and inputs alike, and refuses one that is not there.

No accelerator is needed: PyTorch has its `meta` device, JAX and TensorFlow divide one processor into several.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.runtime import Runner, device, load_runner, local
from axialzoo.runtime.device import DeviceError, find_device, without_tf32
from axialzoo.runtime.frameworks import installed
from axialzoo.runtime.process import Worker

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
MODELS = ("axial_resnet_cifar10_xs", "axial_deeplab_nuclei", "axial_fcos_blood_cells")  # a head each


@pytest.fixture
def there(monkeypatch):
    """Sets the devices that are found."""
    return lambda *names: monkeypatch.setattr(device, "list_devices", lambda backend=None: list(names))


@pytest.mark.parametrize(
    ("names", "words", "expected"),
    [
        (["cpu"], {}, "cpu"),
        (["cpu", "cuda:0", "cuda:1"], {}, "cuda:0"),
        (["cpu", "cuda:0", "cuda:1"], {"device": "cuda"}, "cuda:0"),
        (["cpu", "cuda:0", "cuda:1"], {"device": "cuda:1"}, "cuda:1"),
        (["cpu", "cuda:0"], {"device": "cpu"}, "cpu"),
        (["cpu"], {"device": "cpu:0"}, "cpu"),
        (["cpu:0", "cpu:1"], {"device": "cpu", "backend": "jax"}, "cpu:0"),
        (["cpu:0", "cpu:1"], {"device": "cpu:1", "backend": "jax"}, "cpu:1"),
        (["cpu", "mps:0"], {"device": "mps"}, "mps:0"),
        (["cpu", "mps:0"], {"precision": "float64"}, "cpu"),
    ],
)
def test_a_device_goes_by_the_name_that_pytorch_users_know(there, names, words, expected):
    there(*names)
    assert find_device(**words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"device": "cuda:2"}, r"PyTorch expected one of auto, cpu, cuda, cuda:0, cuda:1, found 'cuda:2'"),
        ({"device": "gpu", "backend": "jax"}, r"Keras \(jax\) expected one of auto, cpu, cuda"),
        ({"device": "mps"}, "found 'mps'"),
        ({"device": "cpu:1"}, "found 'cpu:1'"),
    ],
)
def test_a_device_that_is_not_there_is_refused_naming_those_that_are(there, words, message):
    there("cpu", "cuda:0", "cuda:1")
    with pytest.raises(DeviceError, match=message):
        find_device(**words)


def test_float64_is_refused_where_a_device_has_none(there):
    there("cpu", "mps:0")
    with pytest.raises(DeviceError, match="mps does not compute in float64"):
        find_device("mps", precision="float64")


def test_a_runner_and_a_worker_refuse_a_device_alike(folder):
    with pytest.raises(DeviceError, match=r"PyTorch expected one of auto, cpu.*found 'cuda:99'"):
        load_runner(folder, "torch", device="cuda:99")
    worker = Worker("torch")
    with pytest.raises(DeviceError, match=r"PyTorch expected one of auto, cpu.*found 'cuda:99'"):
        Runner(load_checkpoint(folder), "torch", worker=worker, device="cuda:99")
    assert Runner(load_checkpoint(folder), "torch", worker=worker, device="cpu").device == "cpu"
    worker.close()


def test_commands_take_a_device_and_refuse_one_that_is_not_there(axialzoo, folder):
    words = ("predict", ROOT / "docs" / "photos" / "chelsea.jpg", "--model", folder, "--framework", "torch", "--json")
    said = axialzoo(*words, "--device", "cuda:99")
    assert said.code == 1 and "error: device: PyTorch expected one of auto, cpu" in said.err
    assert axialzoo(*words, "--device", "cpu").json == axialzoo(*words).json


@pytest.mark.parametrize("command", ["predict", "evaluate", "train", "verify", "benchmark", "explain", "compare"])
def test_every_command_that_computes_has_the_option(axialzoo, command):
    assert "--device" in axialzoo(command, "--help").out


def placements(name: str, monkeypatch) -> tuple[set[str], list[str]]:
    """The devices of the outputs of a model that is told to run on `meta`, and the operations whose tensors lie on several."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    mixed: list[str] = []
    outputs: set[str] = set()

    class Placements(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Tensor) and leaf.dim()]
            if len({tensor.device.type for tensor in tensors}) > 1:
                mixed.append(str(func))
            return func(*args, **(kwargs or {}))

    def array(tensor):  # what is on `meta` has a shape alone
        outputs.add(tensor.device.type)
        return np.zeros(tuple(tensor.shape), np.float32)

    monkeypatch.setattr(device, "list_devices", lambda backend=None: ["cpu", "meta:0"])
    monkeypatch.setattr(local, "torch_array", array)
    runner = load_runner(name, "torch", device="meta")
    assert runner.device == "meta:0" and not runner.optimized
    with Placements():
        try:
            runner.outputs(X)
        except RuntimeError as error:
            mixed.append(str(error))
    return outputs, mixed


@pytest.mark.parametrize("name", MODELS)
def test_pytorch_has_weights_and_inputs_on_one_device(name, monkeypatch):
    assert placements(name, monkeypatch) == ({"meta"}, [])


def test_inputs_that_stay_behind_are_caught(monkeypatch):
    import torch

    monkeypatch.setattr(local.InProcessModel, "_torch_device", torch.device("cpu"))
    assert placements(MODELS[0], monkeypatch)[1]


ELSEWHERE = """
import json, sys
import numpy as np
from axialzoo.runtime.frameworks import prepare_keras
backend = prepare_keras()
if backend == "tensorflow":
    from tensorflow import config
    config.set_logical_device_configuration(config.list_physical_devices("CPU")[0], [config.LogicalDeviceConfiguration()] * 2)
from axialzoo.runtime import load_runner, local
from axialzoo.runtime.device import DeviceError, list_devices

def place(tensor):
    return ",".join(sorted(str(one.id) for one in tensor.devices())) if backend == "jax" else tensor.device[-1:]

seen, honest = set(), local.keras_array
local.keras_array = lambda tensor: (seen.add(place(tensor)), honest(tensor))[1]
x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)

def report(**words):
    seen.clear()
    runner = load_runner("axial_resnet_cifar10_xs", "keras", **words)
    logits = runner.outputs(x)["logits"].tolist()
    weights = sorted({place(weight.value) for weight in runner.model.weights})
    return {"device": runner.device, "weights": weights, "outputs": sorted(seen), "logits": logits}

found = {"devices": list_devices(backend), "auto": report(), "second": report(device="cpu:1")}
try:
    load_runner("axial_resnet_cifar10_xs", "keras", device="cpu:2")
except DeviceError as error:
    found["refused"] = str(error)
honest_build = local.keras_model
local.keras_model = lambda spec, tensors, precision, optimized, place: honest_build(spec, tensors, precision, optimized, None)
found["planted"] = report(device="cpu:1")
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("tensorflow", marks=pytest.mark.full)])
def test_keras_computes_on_the_second_of_two_devices(backend):
    if not installed(backend):
        pytest.skip(f"{backend} is not installed")
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    actual = json.loads(done.stdout.splitlines()[-1])
    assert actual["devices"] == ["cpu:0", "cpu:1"] and "expected one of auto, cpu, cpu:0, cpu:1, found 'cpu:2'" in actual["refused"]
    places = {name: (actual[name]["device"], actual[name]["weights"], actual[name]["outputs"]) for name in ("auto", "second", "planted")}
    assert places["auto"] == ("cpu:0", ["0"], ["0"]) and places["second"] == ("cpu:1", ["1"], ["1"])
    assert places["planted"][1] == ["0"]  # a model that was built elsewhere is caught
    assert np.allclose(actual["auto"]["logits"], actual["second"]["logits"], atol=1e-5)


def test_float32_without_tf32_is_set_and_what_was_set_comes_back():
    import torch

    torch.set_float32_matmul_precision("high")
    try:
        with without_tf32():
            assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_verify_computes_without_tf32_and_predictions_as_the_framework_is_set(folder, monkeypatch):
    import torch

    seen = []
    monkeypatch.setattr(local, "_name_outputs", lambda *_: seen.append(torch.backends.cudnn.allow_tf32) or {})
    for allow_tf32 in (True, False):
        Runner(load_checkpoint(folder), "torch", optimize=False, allow_tf32=allow_tf32).outputs(X[:, :32, :32])
    assert seen == [True, False]
