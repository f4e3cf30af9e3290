"""Every form of attention computes what the reference computes; a test fails by the name of the form. `make test-attention` runs them."""

from __future__ import annotations

from collections.abc import Iterator

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
from tests.kernels.gpu.interpreted import as_on_a_gpu, needs_interpreter

LENGTHS = (7, 5)
CASES = {
    "axial": Attention(4, 8, heads=2, max_length=7),
    "span": Attention(4, 8, heads=2, max_length=7, span=3),
    "gated": Attention(4, 8, heads=2, max_length=7, gated=True),
    "global": Attention(4, 8, heads=2, max_length=7, kind="global"),
    "window": Attention(4, 8, heads=2, max_length=7, kind="window", span=3),
}
FORMS = ("plain PyTorch", "called sub-layers", "inference form", "inference form without a kernel", "kernel in training")
KERAS_FORMS = ("plain Keras", *FORMS[1:])
TRITON_FORMS = ("inference form", "kernel in training")


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
    for case, axis, training in layers():
        layer = made(case, axis, torch.float32)
        exact = expected(layer, training)
        output = run(form, layer, training)
        if output is not None:
            tried += 1
            assert apart(output, exact) <= 2e-5, f"{form}: {case} along axis {axis}, {training=}"
    assert tried or kernel() is None, f"{form}: computed nothing"


def test_the_cost_model_counts_the_pairs_of_the_reference():
    from axialzoo.spec.primitives import attended_pairs

    for case, spec in CASES.items():
        sizes = LENGTHS if spec.kind != "axial" else LENGTHS[:1]
        pairs = int(reference.pairs(spec, *sizes).sum()) * (1 if spec.kind != "axial" else LENGTHS[1])
        assert attended_pairs(spec, LENGTHS, None if spec.kind != "axial" else 0) == pairs, f"cost model: {case}"


def layers() -> Iterator[tuple[str, int, bool]]:
    """Yield each case, axis, and training or not."""
    for case, spec in CASES.items():
        for axis in (0, 1) if spec.kind == "axial" else (0,):
            yield from ((case, axis, training) for training in (False, True))


@pytest.mark.filterwarnings("ignore:.*calls its sub-layers one by one")
@pytest.mark.backends("jax", "tensorflow", "torch")
@pytest.mark.parametrize("form", KERAS_FORMS)
def test_the_form_in_keras_computes_what_the_reference_computes(form, backend):
    from tests.attention import in_keras

    tried = 0
    for case, axis, training in layers():
        original = made(case, axis, torch.float32)
        tensors = {name: tensor.numpy() for name, tensor in original.state_dict().items()}
        output = in_keras.compute(form, in_keras.layer_of(original.spec, axis, tensors, image(np.float32)), image(np.float32), training)
        if output is not None:
            tried += 1
            where = f"{form} in Keras on {backend}: {case} along axis {axis}, {training=}"
            assert apart(torch.from_numpy(output.copy()), expected(original, training)) <= 2e-5, where
    assert tried or kernel() is None, f"{form} in Keras on {backend}: computed nothing"


@pytest.mark.parametrize("form", TRITON_FORMS)
@needs_interpreter
def test_triton_computes_what_the_reference_computes(form):
    with as_on_a_gpu():
        test_the_form_computes_what_the_reference_computes(form)


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


@pytest.mark.backends("tensorflow", full=("jax", "torch"))
@pytest.mark.filterwarnings("ignore:.*calls its sub-layers one by one")
@pytest.mark.parametrize("form", KERAS_FORMS)
def test_an_equation_that_keras_does_not_change_is_caught(form, backend, monkeypatch):
    honest = reference.softmax
    monkeypatch.setattr(reference, "softmax", lambda logits, visible: honest(logits / 1.1, visible))
    with pytest.raises(AssertionError, match=f"{form} in Keras on {backend}"):
        if form in ("inference form", "kernel in training") and kernel() is None:
            raise AssertionError(f"{form} in Keras on {backend}")
        test_the_form_in_keras_computes_what_the_reference_computes(form, backend)


@needs_interpreter
@pytest.mark.parametrize("form", TRITON_FORMS)
def test_an_equation_that_triton_does_not_change_is_caught(form, monkeypatch):
    honest = reference.softmax
    monkeypatch.setattr(reference, "softmax", lambda logits, visible: honest(logits / 1.1, visible))
    with pytest.raises(AssertionError, match=form):
        test_triton_computes_what_the_reference_computes(form)


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
