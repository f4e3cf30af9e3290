"""PyTorch gives the numbers of deeplab2's mask transformers and of kMaX-DeepLab's PyTorch code; planted errors are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from axialzoo.spec import get_entry, num_parameters
from axialzoo.tasks.segmentation.mask_decode import slot_maps
from axialzoo.torch import build
from axialzoo.torch.heads import decoder, kmeans
from axialzoo.torch.tokens import TokenAttention
from tests.golden import masks
from tests.golden.masks import CASES, DECODERS, SHARP, relative, sharp_weights, stored, tensors_of
from tests.golden.test_mask_decode import config_of, panoptic
from tests.golden.test_torch_golden import load

TOLERANCE = 2e-5  # relative
FILES = {"max": "dl2_tiny_max_deeplab_65x97", "kmax": "dl2_tiny_kmax_deeplab_65x97", "cityscapes": "dl2_tiny_kmax_cityscapes_65x97"}


def network(spec, tensors=None) -> torch.nn.Module:
    return load(build(spec), tensors or tensors_of(spec)).eval()


def last(x: torch.Tensor) -> np.ndarray:
    return (x if x.dim() == 3 else x.permute(0, 2, 3, 1)).numpy()


def errors(file: str, model=None) -> dict[str, float]:
    model = model or network(CASES[file])
    with torch.no_grad():
        outputs = model(torch.from_numpy(masks.images()))
    return {name: relative(last(outputs[name]), stored(file)[key]) for name, key in masks.output_keys(file).items()}


@pytest.mark.parametrize("file", CASES)
def test_the_outputs_are_theirs(file):
    assert max(errors(file).values()) <= TOLERANCE


def test_every_stage_and_layer_is_theirs_and_every_assignment():
    file = FILES["kmax"]
    model, arrays, layers, stages = network(CASES[file]), stored(file), [], []
    for layer in model.head.kmeans:
        layer.register_forward_hook(lambda module, inputs, outputs: layers.append(outputs))
    model.head.pixel_decoder.register_forward_hook(lambda module, inputs, outputs: stages.extend(outputs))
    with torch.no_grad():
        model(torch.from_numpy(masks.images()))
    for name, stage in zip(("decoder_stage1", "decoder_stage2", "decoder_stage3", "decoder_output"), stages, strict=True):
        assert relative(last(stage), arrays[f"pixel_decoder/{name}"]) <= TOLERANCE, name
    for number, (centers, predictions) in enumerate(layers):
        assert np.array_equal(predictions["mask_logits"].argmax(1).numpy(), arrays[f"kmeans/{number}/assignment"])
        assert relative(centers.numpy(), arrays[f"kmeans/{number}/cluster_centers"]) <= TOLERANCE
        assert relative(last(predictions["mask_logits"]), arrays[f"kmeans/{number}/pixel_space_mask_logits"]) <= TOLERANCE
    assert len(layers) == 6


def compare_maps(class_logits: np.ndarray, mask_logits: np.ndarray) -> None:
    """Compare the logits of a model with confident slots, channels last, and the maps that they are decoded to."""
    assert relative(class_logits, stored(SHARP)["head/transformer_class_logits"]) <= TOLERANCE
    assert relative(mask_logits, stored(SHARP)["head/pixel_space_mask_logits"]) <= TOLERANCE
    things = list(range(1, 81))
    for name, settings in masks.described(SHARP)["evaluator"].items():
        method = "maskwise" if "maskwise_postprocessing" in settings else "pixelwise"
        described = {**settings, "transformer_post_processing": method, "thing_class_ids": things, "void_label": 0, "label_divisor": 256}
        config, expected = config_of(described), stored(SHARP)[f"{name}/panoptic_pred"]
        for image in range(2):
            maps = slot_maps(class_logits[image], mask_logits[image], (65, 97), tuple(range(80)), config)
            assert np.array_equal(panoptic(maps, config, described, 133), expected[image]), name
            assert len(np.unique(expected[image])) > 4


def test_logits_and_maps_of_confident_slots_are_theirs():
    with torch.no_grad():
        outputs = network(CASES[FILES["max"]], tensors_of(CASES[FILES["max"]], sharp_weights()))(torch.from_numpy(masks.images(2)))
    compare_maps(last(outputs["class_logits"]), last(outputs["mask_logits"]))


def decoder_errors(case: str, origin: str) -> dict[str, float]:
    model = network(masks.tiny_kmax(origin=origin))
    with torch.no_grad():
        outputs = model.head([torch.from_numpy(x) for x in masks.features(case)])
    return masks.decoder_errors(case, origin, {name: last(x) for name, x in outputs.items()})


@pytest.mark.parametrize(("case", "origin"), DECODERS)
def test_the_decoders_of_both_codes_are_theirs(case, origin):
    assert max(decoder_errors(case, origin).values()) <= TOLERANCE


def five_stage_error(outputs: list[np.ndarray]) -> float:
    """Return the largest error of a pixel decoder with two stages of stride 4, the first of which takes in the pooled stem."""
    names = ("decoder_stage1", "decoder_stage2", "decoder_stage3", "decoder_output")
    return max(relative(outputs[i][..., ::4], stored("kmax_five_stages")[name]) for i, name in zip((0, 1, 2, 4), names))


def test_the_five_stages_of_their_pytorch_code_are_theirs():
    head, features = network(masks.five_stages()).head, [torch.from_numpy(x) for x in masks.five_features()]
    assert head.pixel_positions == [4, 3, 2, 0, 1]
    with torch.no_grad():
        outputs = head.pixel_decoder([features[position] for position in head.pixel_positions])
    assert five_stage_error([last(x) for x in outputs]) <= TOLERANCE


def test_the_one_code_for_the_other_is_caught():
    actual = {origin: network(masks.tiny_kmax(origin=origin)) for origin in ("tensorflow", "torch")}
    features = [torch.from_numpy(x) for x in masks.features("65x97")]
    with torch.no_grad():
        item, other = (model.head(features)["mask_logits"].numpy() for model in actual.values())
    assert relative(item, other) > 1e3 * TOLERANCE


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("max_deeplab_s", 77_756_942),
        ("max_deeplab_l", 450_871_278),
        ("kmax_deeplab_resnet50", 72_436_862),
        ("kmax_deeplab_axial_resnet50", 90_272_254),
        ("kmax_deeplab_resnet50_cityscapes", 56_986_125),
        ("kmax_deeplab_axial_resnet50_cityscapes", 74_823_693),
        ("kmax_deeplab_resnet50_torch", 72_436_862),
        ("kmax_deeplab_resnet50_cityscapes_torch", 56_975_757),
    ],
)
def test_registered_models_have_the_parameters_of_the_originals(name, parameters):
    assert num_parameters(get_entry(name).spec) == get_entry(name).published["parameters"] == parameters


# Planted errors.


def test_a_mean_for_the_sum_of_a_cluster_is_caught(monkeypatch):
    sums = kmeans.cluster_sums

    def means(logits, values):
        return sums(logits, values) / sums(logits, torch.ones_like(values)).clamp(min=1)

    monkeypatch.setattr(kmeans, "cluster_sums", means)
    assert errors(FILES["kmax"])["class_logits"] > 50 * TOLERANCE


def test_void_first_is_caught():
    tensors = dict(tensors_of(CASES[FILES["max"]]))
    for name in ("head.predictor.classes.weight", "head.predictor.classes.bias"):
        tensors[name] = np.roll(tensors[name], 1, axis=0)
    assert errors(FILES["max"], network(CASES[FILES["max"]], tensors))["class_logits"] > 50 * TOLERANCE


def test_corners_that_are_not_aligned_are_caught(monkeypatch):
    monkeypatch.setattr(decoder, "resize", decoder.resize_centers)
    assert errors(FILES["kmax"])["semantic"] > 50 * TOLERANCE


def test_a_decoder_without_dilation_is_caught():
    spec = CASES[FILES["kmax"]]
    head = replace(
        spec.head, pixel_decoder=replace(spec.head.pixel_decoder, stages=masks.tiny_kmax(origin="torch").head.pixel_decoder.stages)
    )
    assert errors(FILES["kmax"], network(replace(spec, head=head)))["mask_logits"] > 50 * TOLERANCE


def test_a_softmax_over_the_wrong_axis_is_caught(monkeypatch):
    def over_queries(self, q, k, v, activation):
        scale = self.norm_similarity.scale_and_shift()[0][:, None, None]
        x = ((q * scale) @ k.mT).softmax(-2) @ v
        return self.norm_output(x.transpose(2, 3).flatten(1, 2), None, activation).transpose(1, 2)

    monkeypatch.setattr(TokenAttention, "forward", over_queries)
    assert errors(FILES["max"])["class_logits"] > 50 * TOLERANCE
