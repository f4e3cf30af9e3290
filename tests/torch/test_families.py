"""The stacked decoder and the families that deeplab2 defines: deeplab2's numbers, any size, recomputed or not."""

from __future__ import annotations

import pytest
import torch

from axialzoo.spec import SpecError, get_entry
from axialzoo.torch import AxialBackbone, AxialClassifier, create_model, save_model
from axialzoo.torch.resize import resize
from tests.attention.layers import randomise
from tests.spec.deeplab2 import NARROW, OUTPUTS
from tests.torch.networks import images


def ceil(side: int, stride: int) -> int:
    return -(-side // stride)


@pytest.mark.parametrize("size", [(64, 64), (65, 97)])
@pytest.mark.parametrize("name", OUTPUTS)
def test_endpoints_are_upstreams_res1_to_res5(name, size):
    with torch.device("meta"):
        model = AxialBackbone(get_entry(name).spec, None if "_l_" in name else (0, 1, 2, 3, 4)).eval()
        features = model(torch.empty(1, 3, *size))
    expected = [(1, width, *(ceil(side, stride) for side in size)) for width, stride in zip(OUTPUTS[name], (2, 4, 8, 16, 16, 16))]
    assert [tuple(x.shape) for x in features] == expected


@pytest.mark.parametrize("size", [(65, 33), (1, 1), (7, 40)])
@pytest.mark.parametrize("name", NARROW)
def test_narrow_families_take_any_size_in_evaluation_and_training(name, size):
    torch.manual_seed(0)
    model = AxialBackbone(NARROW[name])
    for training in (False, True) if size != (1, 1) else (False,):
        features = model.train(training)(images(*size, batch=3))
        assert all(x.isfinite().all() for x in features)
        assert [tuple(x.shape[1:]) for x in features] == [
            (item["num_chs"], *(ceil(side, item["reduction"]) for side in size)) for item in model.feature_info
        ]


def test_the_classifier_reads_the_decoder():
    spec = NARROW["max_deeplab_l"]
    model = AxialClassifier(spec).eval()
    assert model.feature_info[-1]["module"] == "neck" and model.num_features == spec.backbone.neck[-1].outputs
    with torch.no_grad():
        assert torch.equal(model.forward_features(images()), model.endpoints(images())[-1])


def test_recomputing_the_decoder_changes_neither_gradients_nor_moving_statistics():
    actual = []
    for enable in (False, True):
        torch.manual_seed(0)
        model = randomise(AxialClassifier(NARROW["max_deeplab_l"]), 0).double().train()
        model.set_grad_checkpointing(enable)
        torch.manual_seed(1)
        model(images(33, 20, batch=3, dtype=torch.float64)).square().sum().backward()
        actual.append({**dict(model.named_buffers()), **{name: parameter.grad for name, parameter in model.named_parameters()}})
    assert all(value is not None for value in actual[0].values())  # every parameter has a gradient
    assert all(torch.allclose(actual[0][name], actual[1][name], rtol=1e-10, atol=1e-10) for name in actual[0])


def test_resizing_keeps_corners_and_straight_lines():
    x = torch.arange(5.0)[:, None] * 2 + torch.arange(4.0)[None]  # (5, 4)
    y = resize(x[None, None], 9, 13)[0, 0]
    assert torch.allclose(y, torch.linspace(0, 8, 9)[:, None] + torch.linspace(0, 3, 13)[None], atol=1e-6)
    assert resize(x[None, None], 5, 4)[0, 0].equal(x) and resize(x[None, None], 1, 1).item() == 0


def test_weights_load_at_another_output_stride(tmp_path):
    model = create_model("axial_resnet26_s", num_classes=3)
    save_model(model, tmp_path / "model")
    dense = create_model("axial_resnet26_s", tmp_path / "model", output_stride=8)
    assert dense.feature_info[-1]["reduction"] == 8
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), dense.state_dict().values(), strict=True))
    save_model(dense, tmp_path / "dense")
    assert create_model("axial_resnet26_s", tmp_path / "dense").spec == dense.spec


def test_another_output_stride_gives_another_decoder():
    with torch.device("meta"):
        strides = {stride: create_model("max_deeplab_l_backbone", output_stride=stride) for stride in (8, 16, 32)}
    assert [len(model.neck) for model in strides.values()] == [2, 4, 6]
    assert [model.feature_info[-1]["reduction"] for model in strides.values()] == [8, 16, 32]
    with pytest.raises(SpecError, match=r"output_stride: expected one of \[8, 16, 32\], found 4"):
        create_model("axial_resnet_s", output_stride=4)
