"""Every form of attention computes what the reference computes; a test fails by the name of the form. `make test-attention` runs them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from axialzoo.ops import reference
from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.folded import FoldedAxialAttention
from axialzoo.torch.fused_layer import can_train_fused, train_fused
from tests.attention.layers import randomise

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (7, 5)
CASES = {
    "axial": Attention(4, 8, heads=2, positions=7),
    "span": Attention(4, 8, heads=2, positions=7, span=3),
    "gated": Attention(4, 8, heads=2, positions=7, gated=True),
    "global": Attention(4, 8, heads=2, positions=7, kind="global"),
    "window": Attention(4, 8, heads=2, positions=7, kind="window", span=3),
}
FORMS = ("plain PyTorch", "called sub-layers", "inference form", "inference form without a kernel", "kernel in training")


def image(dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 6, *LENGTHS)).astype(dtype)


def made(case: str, axis: int, dtype: torch.dtype) -> AxialAttention | Attention2D:
    spec = CASES[case]
    torch.manual_seed(0)
    layer = AxialAttention(6, spec, Norm(), axis) if spec.kind == "axial" else Attention2D(6, spec, Norm())
    return randomise(layer).double().to(dtype)  # pyright: ignore[reportReturnType]


def expected(layer: AxialAttention | Attention2D, training: bool) -> np.ndarray:
    tensors = {name: tensor.detach().double().numpy() for name, tensor in layer.state_dict().items()}
    axis = getattr(layer, "axis", 0)
    return reference.layer(image(np.float32).astype(np.float64), tensors, layer.spec, layer.norm_qkv.eps, axis, training)[0]


def apart(found: torch.Tensor, exact: np.ndarray) -> float:
    assert found.shape == exact.shape
    return float(np.abs(found.detach().double().numpy() - exact).max() / np.abs(exact).max())


def run(form: str, layer: AxialAttention | Attention2D, training: bool) -> torch.Tensor | None:
    """The output of `layer` in that form, or None where the form does not exist for it."""
    x, axial = torch.from_numpy(image(np.float32)), layer.spec.kind == "axial"
    layer.train(training)
    if form == "plain PyTorch":
        with use_kernel("plain"):
            return layer(x)
    if form == "called sub-layers":
        layer.norm_similarity.register_forward_hook(lambda *_: None)
        return layer(x)
    if form == "kernel in training":
        if not training or not axial or kernel() is None or not can_train_fused(layer, x, layer.axis):
            return None
        return train_fused(layer, x, layer.axis)
    if not axial or training:
        return None
    if form == "inference form" and kernel() is None:
        return None
    with use_kernel("plain" if form.endswith("without a kernel") else kernel().isa if kernel() else "plain"):
        return FoldedAxialAttention(layer)(x)


@pytest.mark.filterwarnings("ignore:.*calls its sub-layers one by one")
@pytest.mark.parametrize("form", FORMS)
def test_the_form_computes_what_the_reference_computes(form):
    tried = 0
    for case, spec in CASES.items():
        for axis in (0, 1) if spec.kind == "axial" else (0,):
            for training in (False, True):
                layer = made(case, axis, torch.float32)
                exact = expected(layer, training)
                found = run(form, layer, training)
                if found is not None:
                    tried += 1
                    assert apart(found, exact) <= 2e-5, f"{form}: {case} along axis {axis}, {training=}"
    assert tried or kernel() is None, f"{form}: computed nothing"


def test_the_cost_model_counts_the_pairs_of_the_reference():
    from axialzoo.spec.primitives import attended_pairs

    for case, spec in CASES.items():
        sizes = LENGTHS if spec.kind != "axial" else LENGTHS[:1]
        pairs = int(reference.pairs(spec, *sizes).sum()) * (1 if spec.kind != "axial" else LENGTHS[1])
        assert attended_pairs(spec, LENGTHS, None if spec.kind != "axial" else 0) == pairs, f"cost model: {case}"


KERAS = """
import json, sys
import keras, numpy as np
from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.weights import variables
from axialzoo.spec import Norm
from tests.attention.test_forms import CASES, image
data, out = np.load(sys.argv[1]), {}
for case, spec in CASES.items():
    for axis in (0, 1) if spec.kind == "axial" else (0,):
        layer = AxialAttention(6, spec, Norm(), axis) if spec.kind == "axial" else Attention2D(6, spec, Norm())
        x = np.moveaxis(image(np.float32), 1, 3)
        layer(x)
        for variable in layer.weights:
            name = variable.path.split("/", 1)[1] if "/" in variable.path else variable.path
            name = name.replace("/", ".").replace("kernel", "weight").replace("gamma", "weight").replace("beta", "bias")
            name = name.replace("moving_mean", "running_mean").replace("moving_variance", "running_var")
            value = data[f"{case}{axis}." + name]
            variable.assign(value.T if name == "qkv.weight" else value)
        for training in (False, True):
            exact = data[f"{case}{axis}.{training}"]
            found = np.moveaxis(np.asarray(keras.ops.convert_to_numpy(layer(x, training=training))), 3, 1)
            out[f"{case} along axis {axis}, training={training}"] = float(np.abs(found - exact).max() / np.abs(exact).max())
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    """Tensors of each layer, and what the reference makes of them."""
    found = {}
    for case, spec in CASES.items():
        for axis in (0, 1) if spec.kind == "axial" else (0,):
            layer = made(case, axis, torch.float32)
            found |= {f"{case}{axis}.{name}": tensor.numpy() for name, tensor in layer.state_dict().items()}
            found |= {f"{case}{axis}.{training}": expected(layer, training) for training in (False, True)}
    path = tmp_path_factory.mktemp("forms") / "arrays.npz"
    np.savez(path, **found)
    return path


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_keras_computes_what_the_reference_computes(backend, arrays):
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec(backend) is None:
        pytest.skip(f"Keras with {backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", KERAS, str(arrays)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    for case, difference in json.loads(result.stdout.strip().splitlines()[-1]).items():
        assert difference <= 2e-5, f"plain Keras on {backend}: {case}"


# Planted errors: each would pass if these tests could not fail.


@pytest.mark.filterwarnings("ignore:.*calls its sub-layers one by one")
@pytest.mark.parametrize("form", FORMS)
def test_an_equation_that_only_one_side_changes_is_caught(form, monkeypatch):
    """A temperature in the reference's softmax, and in no other form."""
    honest = reference.softmax
    monkeypatch.setattr(reference, "softmax", lambda logits, visible: honest(logits / 1.1, visible))
    with pytest.raises(AssertionError, match=form):
        if form.startswith(("inference form", "kernel")) and kernel() is None:
            raise AssertionError(form)
        test_the_form_computes_what_the_reference_computes(form)


@pytest.mark.parametrize("swapped", ["axis", "content_similarity", "content_value"])
def test_a_swapped_attribute_is_caught(swapped, monkeypatch):
    from axialzoo.ops.attributes import AttentionAttributes

    honest = AttentionAttributes.flat
    names = list(AttentionAttributes.__dataclass_fields__)

    def wrong(self):
        values = list(honest(self))
        values[names.index(swapped)] = type(values[names.index(swapped)])(not values[names.index(swapped)])
        return tuple(values)

    monkeypatch.setattr(AttentionAttributes, "flat", wrong)
    with pytest.raises((AssertionError, IndexError, RuntimeError)):
        test_the_form_computes_what_the_reference_computes("inference form without a kernel")
