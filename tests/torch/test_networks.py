"""Whole networks as PyTorch users use them: any size, features, checkpointing, half precision, layouts, drop path."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from axialzoo.spec import SpecError, adapt, get_entry, list_models
from axialzoo.spec.window import Window
from axialzoo.torch import AxialClassifier, norm
from axialzoo.torch.attention_inputs import AttentionInputs
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.blocks import drop_path
from tests.torch.networks import images, network, small

SIZES = [(32, 32), (33, 47), (31, 64), (1, 1), (1, 40), (65, 3)]


def ceil(side: int, stride: int) -> int:
    return -(-side // stride)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fields", [{}, {"downsample": "slice"}, {"span": 5}, {"beyond_tables": "interpolate"}], ids=str)
def test_any_height_and_width_through_a_whole_network(size, fields):
    model = network(**fields)
    with torch.no_grad():
        assert model(images(*size)).isfinite().all()
        features = model.endpoints(images(*size))
    assert [tuple(x.shape[2:]) for x in features] == [tuple(ceil(side, stride) for side in size) for stride in (1, 2, 4, 8)]


@pytest.mark.parametrize("name", list_models())
def test_registered_models_take_odd_and_unequal_sides(name):
    with torch.device("meta"):
        model = AxialClassifier(get_entry(name).spec).eval()
        for size in ((97, 33), (33, 129)):
            actual = model(torch.empty(1, 3, *size))
            if isinstance(actual, torch.Tensor):
                assert actual.shape == (1, model.num_classes or model.num_features)
                continue
            outputs = {name: item for name, item in model.spec.head.outputs(model.spec.backbone).items() if not item.training}
            assert sorted(actual) == sorted(outputs)
            for name, output in outputs.items():
                if output.tokens is not None:
                    assert actual[name].shape == (1, output.tokens, output.channels)
                    continue
                levels = actual[name] if isinstance(actual[name], list) else [actual[name]]
                for item, stride in zip(levels, getattr(model.spec.head, "strides", (output.stride,))):
                    assert item.shape == (1, output.channels, *(ceil(side, stride) for side in size))


@pytest.mark.parametrize("name", list_models())
def test_features_have_the_channels_and_sizes_that_feature_info_says(name):
    with torch.device("meta"):
        model = AxialBackbone(get_entry(name).spec)
        features = model.eval()(torch.empty(1, 3, 75, 101))
    assert len(features) == len(model.feature_info)
    for x, info in zip(features, model.feature_info):
        assert tuple(x.shape) == (1, info["num_chs"], ceil(75, info["reduction"]), ceil(101, info["reduction"]))


@pytest.mark.parametrize(("indices", "kept"), [((1, 3), [1, 3]), ((-1,), [3]), ((0, -2), [0, 2]), (None, [0, 1, 2, 3])])
def test_out_indices_choose_endpoints(indices, kept):
    torch.manual_seed(0)
    model = AxialBackbone(small(), indices).eval()
    features = model(images())
    assert model.out_indices == kept and len(features) == len(kept)
    assert all(torch.equal(x, y) for x, y in zip(features, [model.endpoints(images())[index] for index in kept]))


@pytest.mark.parametrize("indices", [(), (2, 1), (1, 1), (4,), (-5,)])
def test_out_indices_that_are_no_increasing_endpoints_are_refused(indices):
    with pytest.raises(SpecError, match="out_indices: expected increasing numbers from 0 to 3"):
        AxialBackbone(small(), indices)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 4, 32, 32), (1, 32, 32, 3)])
def test_what_is_no_image_is_refused_with_the_shape_that_was_expected(shape):
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, H, W\), found"):
        network()(torch.zeros(shape))


def step(model: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(7)
    model.zero_grad()
    y = model(x)
    y.square().sum().backward()
    return y.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("fields", [{}, {"span": 3}], ids=str)
def test_gradient_checkpointing_changes_neither_gradients_nor_moving_statistics(fields):
    plain, recomputing = network(drop_path=0.5, **fields).double().train(), network(drop_path=0.5, **fields).double().train()
    recomputing.set_grad_checkpointing()
    x = images(batch=4, dtype=torch.float64)
    (y, gradients), (again, same) = step(plain, x), step(recomputing, x)
    assert torch.equal(y, again) and gradients.keys() == same.keys()
    assert all(torch.allclose(gradients[name], same[name], rtol=1e-12, atol=1e-12) for name in gradients)
    for (name, a), (_, b) in zip(plain.named_buffers(), recomputing.named_buffers()):
        assert torch.equal(a, b), name
    assert not any(getattr(module, "frozen", False) for module in recomputing.modules())


def test_statistics_that_are_updated_twice_are_caught(monkeypatch):
    monkeypatch.setattr(norm, "freeze_running_stats", lambda block: nullcontext())
    plain, recomputing = network().train(), network().train()
    recomputing.set_grad_checkpointing()
    step(plain, images())
    step(recomputing, images())
    assert any(not torch.allclose(a, b, atol=1e-4) for a, b in zip(plain.buffers(), recomputing.buffers()))


def test_checkpointing_saves_memory_in_training():
    def saved_size(checkpointing: bool) -> int:
        model, sizes = network().train(), []
        model.set_grad_checkpointing(checkpointing)
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            model(images(64, 64))
        return sum(sizes)

    assert saved_size(True) < saved_size(False) / 3


@pytest.mark.parametrize("training", [False, True])
def test_channels_last_gives_the_same_numbers(training):
    plain, last = network().double().train(training), network().double().to(memory_format=torch.channels_last).train(training)
    x = images(33, 20, dtype=torch.float64)
    if not training:
        assert torch.allclose(plain(x), last(x.to(memory_format=torch.channels_last)), rtol=1e-12, atol=1e-12)
        return
    (y, gradients), (again, same) = step(plain, x), step(last, x.to(memory_format=torch.channels_last))
    assert torch.allclose(y, again, rtol=1e-10, atol=1e-12)
    assert all(torch.allclose(gradients[name], same[name], rtol=1e-8, atol=1e-9) for name in gradients)


def test_an_input_that_is_not_contiguous_gives_the_same_numbers():
    model, x = network().double(), images(20, 33, dtype=torch.float64)
    views = [x.transpose(2, 3).contiguous().transpose(2, 3), torch.cat([x, x], dim=3)[..., :33], x.flip(0).flip(0), x.expand(2, -1, -1, -1)]
    assert not all(view.is_contiguous() for view in views[:2])
    for view in views:
        assert torch.allclose(model(view), model(x), rtol=1e-12, atol=1e-12)


def test_images_of_a_batch_do_not_see_each_other_in_evaluation():
    model, x = network().double(), images(33, 20, batch=3, dtype=torch.float64)
    assert torch.allclose(torch.cat([model(image[None]) for image in x]), model(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fields", [{}, {"span": 3}], ids=str)
def test_autocast_is_finite_and_near_float32(dtype, training, fields):
    full, half = network(**fields).train(training), network(**fields).train(training)
    x = images(batch=4)
    expected = full(x)
    with torch.autocast("cpu", dtype=dtype):
        actual = half(x)
    assert actual.isfinite().all()
    tolerance = 0.2 if dtype == torch.bfloat16 else 0.03  # of the largest logit, through five blocks
    assert (actual.float() - expected).abs().max() <= tolerance * expected.abs().max()
    if training:
        actual.float().square().sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in half.parameters())
        for (name, a), (_, b) in zip(full.named_buffers(), half.named_buffers()):
            assert b.dtype == torch.float32 and (a - b).abs().max() <= tolerance * a.abs().max(), name


def test_statistics_of_the_similarities_are_exact_under_autocast():
    """Sums over all pairs in bfloat16 would keep three digits of them."""
    layer = network().stages[0].blocks[1].height.train()
    other = network().stages[0].blocks[1].height.train()
    q, k = torch.randn(2, 4, 2, 8, 2).bfloat16()
    window = Window.of(8, layer.spec)
    rq, rk = (layer.tables_of(name, window) for name in ("query_position", "key_position"))
    inputs = AttentionInputs(q, k, k, rq, rk, None, layer.spec, window)
    exact = layer.similarity_scale(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = other.similarity_scale(inputs)
    assert torch.equal(actual, exact)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_is_finite(dtype):
    model, x = network(), images()
    expected = model(x)
    actual = model.to(dtype)(x.to(dtype))
    assert actual.dtype == dtype and (actual.float() - expected).abs().max() <= 0.2 * expected.abs().max()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drop_path_drops_whole_samples_and_keeps_the_mean(rate, dtype):
    torch.manual_seed(0)
    y = drop_path(torch.ones(20_000, 2, 1, 1, dtype=dtype), rate).float()
    remaining = y[:, 0, 0, 0] > 0
    assert torch.equal(y[:, 0], y[:, 1])
    assert abs(remaining.float().mean().item() - (1 - rate)) < 0.02
    assert torch.allclose(y[remaining], torch.tensor(1 / (1 - rate)), rtol=0.01)


def test_drop_path_is_for_training_alone():
    model, x = network(drop_path=0.5), images(batch=8)
    assert torch.equal(model(x), model(x))
    model.train()
    torch.manual_seed(0)
    first = model(x)
    assert not torch.equal(first, model(x))


def test_adapt_raises_drop_path_linearly_to_the_last_block():
    blocks = [block for stage in adapt(small(), drop_path=0.4).backbone.stages for block in stage.blocks]
    assert [block.drop_path for block in blocks] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_network_starts_as_its_shortcuts():
    torch.manual_seed(0)
    model = AxialClassifier(small()).eval()
    block = model.stages[0].blocks[1]
    x = torch.randn(1, 8, 6, 5).relu()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_program_gives_equal_outputs(dynamic):
    model, x = network(), images(33, 20)
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},) if dynamic else None
    program = torch.export.export(model, (x,), dynamic_shapes=shapes).module()
    with torch.no_grad():
        assert torch.equal(program(x), model(x))
        if dynamic:
            more = images(33, 20, batch=5)
            assert torch.allclose(program(more), model(more), atol=1e-6)
