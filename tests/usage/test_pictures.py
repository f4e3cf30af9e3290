"""A picture goes into a PyTorch model as a path, a Pillow picture, an array or a tensor, or it is said what is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from axialzoo.image import ImageError
from axialzoo.spec import Preprocessing
from axialzoo.torch import Preprocess, axial_resnet_cifar10, axial_resnet_cifar10_xs
from tests.usage.made import WRONG, kinds, stripes


@pytest.fixture(scope="module")
def model():
    return axial_resnet_cifar10(pretrained=True).eval()


@pytest.mark.parametrize("kind", ("path", "text", "pillow", "uint8", "float", "int64", "list", "batch", "paths"))
def test_any_kind_of_picture_is_the_same_batch(model, tmp_path, kind):
    expected = model.preprocess(torch.from_numpy(stripes(1)[0][0]).permute(2, 0, 1))
    actual = model.preprocess(kinds(tmp_path / "a.png")[kind])
    assert actual.shape == (1, 3, 32, 32) and torch.allclose(actual, expected, atol=1e-6)


def test_lists_mix_kinds_and_sizes(model):
    pixels = stripes(2)[0]
    large = Image.fromarray(pixels[0]).resize((50, 40))
    actual = model.preprocess([large, pixels[1], torch.from_numpy(pixels[1]).permute(2, 0, 1)])
    assert actual.shape == (3, 3, 32, 32) and torch.allclose(actual[1], actual[2], atol=1e-6)
    assert not torch.allclose(actual[0], actual[1], atol=1e-2)


def test_single_pictures_stay_single_in_the_module():
    layer = Preprocess(Preprocessing(size=(16, 20)))
    pixels = stripes(2)[0]
    assert layer(pixels[0]).shape == (3, 16, 20) and layer(pixels).shape == (2, 3, 16, 20) and layer([pixels[0]]).shape == (1, 3, 16, 20)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_picture_is_refused(model, what):
    inputs, message = WRONG[what]
    with pytest.raises(ImageError) as caught:
        model.preprocess(inputs)
    assert message in str(caught.value)


def test_pictures_that_keep_sizes_of_their_own_are_no_batch():
    with pytest.raises(ImageError, match="expected pictures of one size"):
        Preprocess(Preprocessing(resize="none"))([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)])


def test_a_batch_is_of_the_models_dtype():
    model = axial_resnet_cifar10_xs().double().eval()
    assert model(model.preprocess(stripes(1)[0])).dtype == torch.float64
