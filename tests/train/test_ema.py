"""The running average of weights: the equation, what is averaged, what is saved, and that a run keeps it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from axialzoo.train.torch_ema import EMA

DECAY, STEPS = 0.6, 16  # from the 13th update on the decay counts, before it the fast start


def network(value: float = 0.0) -> nn.Module:
    """A convolution and a norm, whose floating-point tensors are all `value`."""
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).double()
    return filled(model, value)


def filled(model: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(value if tensor.is_floating_point() else 0)
    return model


def averaged(values: np.ndarray, decay: float = DECAY, warm: bool = True) -> float:
    """The equation, of numbers, the first of which it starts from."""
    actual = values[0]
    for n, value in enumerate(values[1:], 1):
        remaining = min(decay, (1 + n) / (10 + n)) if warm else decay
        actual = remaining * actual + (1 - remaining) * value
    return actual


VALUES = np.random.default_rng(0).normal(size=STEPS + 1)


def followed(values: np.ndarray, start: EMA | None = None, model: nn.Module | None = None) -> tuple[EMA, nn.Module]:
    model = network(values[0]) if model is None else model
    average = EMA(model, DECAY) if start is None else start
    for value in values[1:]:
        average.update(filled(model, value))
    return average, model


def test_every_tensor_follows_the_equation():
    average, model = followed(VALUES)
    actual = average.model(model).state_dict()
    floating = [name for name, tensor in actual.items() if tensor.is_floating_point()]
    assert {"0.weight", "0.bias", "1.weight", "1.running_mean", "1.running_var"} <= set(floating)
    for name in floating:
        np.testing.assert_allclose(actual[name], averaged(VALUES), rtol=1e-12)


@pytest.mark.parametrize("error", ["no_warm_up", "nothing_but_the_warm_up", "one_update_late", "roles_of_old_and_new_swapped"])
def test_planted_errors_in_the_equation_are_caught(error):
    wrong = {
        "no_warm_up": averaged(VALUES, warm=False),
        "nothing_but_the_warm_up": averaged(VALUES, 1.0),
        "one_update_late": averaged(VALUES[:-1]),
        "roles_of_old_and_new_swapped": averaged(VALUES, 1 - DECAY, warm=False),
    }
    actual = followed(VALUES)[0].tensors["0.weight"].numpy()
    assert np.abs(actual - wrong[error]).min() > 1e-3


def test_the_model_that_trains_is_left_alone_and_the_average_is_in_evaluation():
    average, model = followed(VALUES)
    model.train()
    built = average.model(model)
    assert model.training and not built.training
    assert (model[0].weight == VALUES[-1]).all() and built[0].weight.data_ptr() != model[0].weight.data_ptr()
    before = built[0].weight.clone()
    average.update(filled(model, 7.0))
    assert torch.equal(built[0].weight, before)


def test_what_is_no_floating_point_number_is_the_models_own_count():
    model = network()
    average = EMA(model, DECAY)
    model(torch.randn(4, 2, 3, 3, dtype=torch.float64))
    average.update(model)
    assert average.model(model).state_dict()["1.num_batches_tracked"] == 0  # as it was at the start: evaluation does not use it


def test_a_saved_average_goes_on_where_it_was():
    whole, _ = followed(VALUES)
    half, model = followed(VALUES[:9])
    saved = {name: tensor.clone() for name, tensor in half.tensors.items()}
    later = EMA(network(5.0), DECAY)
    later.load(saved)
    followed(VALUES[8:], later, model)
    assert int(later.updates) == STEPS
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, later.tensors[name])


def test_a_resume_that_forgets_the_count_of_updates_would_be_seen():
    whole, _ = followed(VALUES)
    half, model = followed(VALUES[:9])
    later = EMA(network(5.0), DECAY)
    later.load({**half.tensors, "updates": torch.zeros((), dtype=torch.int64)})
    followed(VALUES[8:], later, model)
    assert (whole.tensors["0.weight"] - later.tensors["0.weight"]).abs().min() > 1e-3
