"""A checkpoint is one function in any framework, back end and process."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import axialzoo
from axialzoo.checkpoint import load_checkpoint
from axialzoo.image import ImageError, load_image
from axialzoo.ops.kernels import binding_status, kernel, use_kernel
from axialzoo.runtime import Runner, load_runner
from axialzoo.runtime.frameworks import installed, process_backend
from axialzoo.runtime.ipc import WorkerError
from axialzoo.runtime.process import Worker
from axialzoo.spec import SpecError
from axialzoo.tasks.results import Classification

PHOTO = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.jpg"
X = np.random.default_rng(0).standard_normal((3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def runner(folder):
    return load_runner(folder, "torch", optimize=False)


def test_outputs_are_those_of_the_frameworks_own_model(runner, folder):
    import torch

    from axialzoo.torch import create_model

    with torch.inference_mode():
        expected = create_model("custom", folder).eval()(torch.from_numpy(X.transpose(0, 3, 1, 2).copy())).numpy()
    actual = runner.outputs(X)
    assert list(actual) == ["logits"] and np.array_equal(actual["logits"], expected)
    assert not np.array_equal(runner.outputs(X.transpose(0, 2, 1, 3))["logits"], expected)  # turned pictures would be seen


@pytest.mark.parametrize("place", [("torch", None), ("keras", "torch"), pytest.param(("keras", "jax"), marks=pytest.mark.full)])
def test_a_worker_gives_the_bits_of_the_process_itself(folder, place):
    checkpoint = load_checkpoint(folder)
    worker = Worker(*place)
    with Runner(checkpoint, *place) as direct:
        there = Runner(checkpoint, *place, worker=worker).outputs(X)["logits"]
        assert np.array_equal(direct.outputs(X)["logits"], there) and there.dtype == np.float32
    doubles = Runner(checkpoint, *place, precision="float64", worker=worker).outputs(X)["logits"]
    assert doubles.dtype == np.float64 and 0 < np.abs(doubles - there).max() < 1e-4
    worker.close()


def test_the_inference_form_runs_by_default_in_float32_and_is_equal(runner, folder):
    built = load_runner(folder, "torch")
    assert built.optimized == (kernel() is not None) and not runner.optimized
    actual, expected = built.outputs(X)["logits"], runner.outputs(X)["logits"]
    assert np.abs(actual - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())
    assert np.array_equal(actual, expected) != built.optimized
    assert built.model.spec == runner.model.spec and built.model.config == runner.model.config
    assert built.model.preprocess(PHOTO).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("backend", ["torch", *(pytest.param(name, marks=pytest.mark.full) for name in ("jax", "tensorflow"))])
def test_so_it_does_in_keras(runner, folder, backend):
    if not installed(backend):
        pytest.skip(f"{backend} is not installed")
    worker, actual = Worker("keras", backend), {}
    for optimize in (True, False):
        built = Runner(load_checkpoint(folder), "keras", backend, compiled=True, optimize=optimize, worker=worker)
        assert built.optimized == (optimize and binding_status(backend).path != "plain")
        actual[optimize] = built.outputs(X)["logits"]
    worker.close()
    expected = runner.outputs(X)["logits"]
    assert all(np.abs(item - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max()) for item in actual.values())
    assert not np.array_equal(actual[True], actual[False]) or kernel() is None


@pytest.mark.parametrize("words", [{"precision": "float64"}, {"optimize": False}])
def test_elsewhere_the_plain_form_runs(folder, words):
    assert not load_runner(folder, "torch", **words).optimized


def test_without_a_kernel_the_plain_form_runs(runner, folder):
    with use_kernel("plain"):
        built = load_runner(folder, "torch")
        assert not built.optimized and np.array_equal(built.outputs(X)["logits"], runner.outputs(X)["logits"])


def test_another_back_end_than_the_process_has_runs_beside_it(folder):
    other = "torch" if process_backend() != "torch" else "jax"
    if not installed(other):
        pytest.skip(f"{other} is not installed")
    with load_runner(folder, "keras", other) as built:
        assert built.title == f"Keras ({other})" and built.outputs(X)["logits"].shape == (3, 10)
        with pytest.raises(AttributeError, match="in another process"):
            _ = built.model
        process = built._own._process
        assert process.poll() is None
    assert process.poll() is not None
    with pytest.raises(WorkerError, match="was closed"):
        built.outputs(X)


def test_an_error_in_a_worker_is_told_and_the_worker_goes_on(folder):
    worker = Worker("torch")
    with pytest.raises(WorkerError, match="expected digest sha256:0"):
        worker.load(folder, "sha256:0", "float32")
    built = Runner(load_checkpoint(folder), "torch", worker=worker)
    with pytest.raises(WorkerError):
        worker.outputs("float32", X[..., :2])
    assert built.outputs(X)["logits"].shape == (3, 10)
    worker.close()


def test_a_worker_that_dies_or_takes_too_long_is_told(folder):
    with pytest.raises(WorkerError, match=r"PyTorch: took longer than 0\.01 s"):
        Runner(load_checkpoint(folder), "torch", worker=Worker("torch", seconds=0.01))
    worker = Worker("torch")
    worker._process.kill()
    with pytest.raises(WorkerError, match="PyTorch: its process ended with exit code -9"):
        Runner(load_checkpoint(folder), "torch", worker=worker)


def test_a_worker_ends_with_the_process_that_made_it(folder):
    code = (
        "import sys, os\nfrom axialzoo.runtime.process import Worker\n"
        "made = Worker('torch'); print(made._process.pid, flush=True); os.dup2(2, 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    with pytest.raises(ProcessLookupError):
        import os

        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"framework": "tf"}, SpecError, "framework: expected one of torch, keras, native, found 'tf'"),
        ({"framework": "torch,keras"}, SpecError, "framework: expected one of"),
        ({"framework": "torch", "backend": "jax"}, SpecError, "PyTorch has none"),
        ({"framework": "keras", "backend": "jaxx"}, SpecError, "found 'jaxx'; did you mean 'jax'"),
        ({"precision": "float16"}, SpecError, "precision: expected one of float32, float64"),
    ],
)
def test_what_there_is_not_is_refused(folder, words, error, message):
    with pytest.raises(error, match=message):
        load_runner(folder, **words)


def test_inputs_of_another_shape_are_refused(runner):
    for x in (X[0], X.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"expected \(N, H, W, 3\)"):
            runner.outputs(x)


def test_predict_takes_a_path_an_image_an_array_or_a_list(runner):
    picture = load_image(PHOTO)
    pixels = np.asarray(picture)
    item = runner.predict(PHOTO)
    assert isinstance(item, Classification) and item.probabilities.sum() == pytest.approx(1) and item.label == item.ranked[0]["label"]
    many = runner.predict([str(PHOTO), picture, pixels, pixels[:, ::-1]], batch_size=3)
    for actual in many[:3]:
        assert np.allclose(actual.probabilities, item.probabilities, rtol=1e-6)
    assert not np.allclose(many[3].probabilities, item.probabilities, rtol=1e-6)  # a mirrored picture would be seen
    assert runner.predict([]) == []
    with pytest.raises(ImageError, match="nowhere"):
        runner.predict([PHOTO, "nowhere.png"])


def test_a_live_model_is_run_in_evaluation_and_left_as_it_was(runner, folder):
    from axialzoo.torch import create_model

    model = create_model("custom", folder).train()
    built = Runner.of_model(model, runner.config)
    assert built.model is model and not built.optimized
    assert np.array_equal(built.outputs(X)["logits"], runner.outputs(X)["logits"]) and model.training


def test_the_shipped_model_is_loaded_by_name_and_nothing_is_printed(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert axialzoo.load_runner("axial_resnet_cifar10", framework="torch").predict(PHOTO).label == "cat"
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_logits_that_are_not_finite_are_refused(runner, monkeypatch):
    monkeypatch.setattr(runner._model, "run", lambda x: {"logits": np.full((len(x), 10), np.nan)})
    with pytest.raises(ValueError, match="not finite"):
        runner.predict(PHOTO)


def test_maps_come_channels_last_from_either_framework():
    from axialzoo import keras, torch
    from axialzoo.runtime.local import InProcessModel
    from axialzoo.spec import get_entry

    spec = get_entry("axial_resnet_cifar10_xs").spec
    item = torch.build(spec, features_only=True).eval()
    other = keras.build(spec, features_only=True)
    keras.load_tensors(other, torch.to_tensors(item))
    first, second = (InProcessModel(model).outputs(X)["features"] for model in (item, other))
    assert [value.shape for value in first] == [value.shape for value in second] and first[-1].shape == (3, 8, 8, 64)
    for left, right in zip(first, second, strict=True):
        assert np.allclose(left, right, atol=1e-4)


def test_outputs_of_a_head_with_several_maps_keep_their_names():
    from axialzoo.runtime.local import _name_outputs

    maps = {"semantic": np.zeros((2, 5, 8, 9)), "levels": [np.zeros((2, 4, 3, 6)), np.zeros((2, 4, 1, 2))], "scores": np.zeros((2, 7))}
    actual = _name_outputs(maps, np.asarray, channels_first=True)
    assert actual["semantic"].shape == (2, 8, 9, 5) and actual["scores"].shape == (2, 7)
    assert [item.shape for item in actual["levels"]] == [(2, 3, 6, 4), (2, 1, 2, 4)]
    assert _name_outputs(maps, np.asarray, channels_first=False)["semantic"].shape == (2, 5, 8, 9)
