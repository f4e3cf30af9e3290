"""Programs recorded by PyTorch compute the model's outputs at every size that they take; others are refused, with no file left behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from axialzoo.checkpoint import save_checkpoint
from axialzoo.exports import ExportError, export, export_model
from axialzoo.exports.run import Original
from axialzoo.spec import Attention, Backbone, Block, Model, Stage, get_entry
from axialzoo.torch import dynamic_window
from axialzoo.torch.factory import build
from tests.conversion import small
from tests.strategies import weights

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own
KINDS = {
    "local tables": Attention(4, 4, 2, 4),
    "stretched tables": Attention(4, 4, 2, 4, beyond_tables="interpolate"),
    "span": Attention(4, 4, 2, 16, span=5),
    "absolute": Attention(4, 4, 2, 4, encoding="absolute", similarity=("content",), value=("content",)),
    "global": Attention(4, 8, 2, 4, kind="global"),
    "local": Attention(4, 8, 2, 4, kind="local", span=3),
    "window": Attention(4, 8, 2, 4, kind="window", span=4),
    "shifted window": Attention(4, 8, 2, 4, kind="window", span=4, shifted=True),
}


def spec_of(attention: Attention) -> Model:
    block = Block("axial" if attention.kind == "axial" else "attention", (4, 8), attention=attention)
    return Model(Backbone(small.SPEC.backbone.stem, (Stage((block,), pool=True),)), small.SPEC.head, (16, 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "folder"
    small.write_folder(path)
    return path


USUAL = ("global", "absolute")  # the others by `make test-full`


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in USUAL else pytest.mark.full) for kind in KINDS])
def test_any_size_of_every_kind_of_attention(kind, tmp_path):
    spec = spec_of(KINDS[kind])
    save_checkpoint(
        tmp_path / "folder", replace(small.CONFIG, spec=spec), {key: np.clip(item, -3, 3) for key, item in weights(spec, 0).items()}
    )
    done = export_model(tmp_path / "folder", tmp_path / "model.pt2", dynamic_shapes=True)
    sizes = {(probe["height"], probe["width"]) for probe in done["compared"]}
    assert len(sizes) == 7 and done["sizes"] == "any" and max(probe["error"] for probe in done["compared"]) < 1e-5
    sides = [side for size in sizes for side in size]
    assert min(sides) < 16 < max(sides) and {probe["batch"] for probe in done["compared"]} == {1, 3}


def test_one_size_and_any_batch(folder, tmp_path):
    done = export_model(folder, tmp_path / "model.pt2", size="20x36")
    assert [(probe["batch"], probe["height"], probe["width"]) for probe in done["compared"]] == [(1, 20, 36), (3, 20, 36)]
    program = torch.export.load(tmp_path / "model.pt2").module()
    with pytest.raises((RuntimeError, AssertionError)):
        program(torch.zeros(1, 3, 20, 35))


def test_windows_that_are_recorded_wrong_are_refused_and_leave_nothing(folder, tmp_path, monkeypatch):
    right = dynamic_window.SymbolicWindow.of.__func__
    monkeypatch.setattr(
        dynamic_window.SymbolicWindow, "of", classmethod(lambda cls, length, spec: replace(right(cls, length, spec), reach=1))
    )
    with pytest.raises(ExportError, match=r"model.pt2: at batch \d and \d+ x \d+ differs from its original by"):
        export_model(folder, tmp_path / "model.pt2", dynamic_shapes=True)
    assert list(tmp_path.iterdir()) == []


def made(change):
    """An original and what `change` makes of its outputs."""
    original = lambda x: [x.sum((1, 2))]  # noqa: E731
    return Original(original, 3), lambda x: change(original(x))


@pytest.mark.parametrize(
    "change",
    [lambda y: [y[0] * (1 + 1e-4)], lambda y: [y[0][::-1]], lambda y: [y[0] * np.nan], lambda y: [], lambda y: [y[0].T]],
    ids=["a digit", "order", "not a number", "missing", "turned"],
)
def test_a_difference_is_caught(change):
    original, exported = made(change)
    with pytest.raises(ExportError, match="nothing was written"):
        export.compare(original, exported, [(3, 8, 9)], "model.onnx")


@pytest.mark.parametrize(("error", "ok"), [(0.9e-5, True), (1.1e-5, False), (float("nan"), False)])
def test_where_the_original_rounds_more_than_the_limit_float64_is_what_counts(error, ok):
    """The original is 1.2e-5 from float64 on one side, what was written on the other."""
    exact = lambda x: [np.ones((2, 3))]  # noqa: E731
    original, written = Original(lambda x: [np.full((2, 3), 1 - 1.2e-5)], 3), lambda x: [np.full((2, 3), 1 + error)]
    if ok:
        (actual,) = export.compare(original, written, [(1, 8, 8)], "model.onnx", exact)
        assert actual["error"] > 1e-5 and actual["exact"] == pytest.approx(error)
    else:
        with pytest.raises(export.ExportError, match="differs from its original"):
            export.compare(original, written, [(1, 8, 8)], "model.onnx", exact)
    with pytest.raises(export.ExportError, match="differs from its original"):
        export.compare(original, written, [(1, 8, 8)], "model.onnx")


def test_what_is_equal_is_not_called_different():
    original, exported = made(lambda y: y)
    assert export.compare(original, exported, [(3, 8, 9)], "model.onnx")[0]["error"] == 0


def test_a_trace_takes_any_batch_of_its_own_size_and_refuses_others():
    model = build(small.SPEC).eval()
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        traced = torch.jit.trace(model, x[:1], check_trace=False)
        assert torch.allclose(traced(x), model(x), atol=1e-6)
        for size in ((37, 43), (32, 64), (16, 32), (1, 32), (32, 1)):
            with pytest.raises(RuntimeError, match="unflatten"):
                traced(torch.randn(1, 3, *size))


def test_a_trace_without_that_step_would_be_silently_wrong(monkeypatch):
    from axialzoo.torch import backbone

    monkeypatch.setattr(backbone, "check_image", lambda x, channels: x)
    model, x = build(get_entry("axial_resnet_cifar10_xs").spec).eval(), torch.randn(1, 3, 37, 43)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.detach(), std=0.3)
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(1, 3, 32, 32), check_trace=False)
        assert (traced(x) - model(x)).abs().max() > 1e-3 * model(x).abs().max()
