"""The networks behind the pictures: no layer is idle in a random one, and gradients are those of the network."""

from __future__ import annotations

import pytest
import torch

from axialzoo.analysis.networks import random_network, receptive_field, record_activations
from axialzoo.analysis.weights import reach
from axialzoo.spec import Backbone, Block, Model, Stage, Stem, adapt, get_entry
from axialzoo.spec.heads.classifier import Classifier
from axialzoo.torch.factory import build
from tests.torch.networks import axial, images

SPEC = get_entry("axial_resnet_cifar10_xs").spec


def test_every_block_of_a_random_network_does_something_and_those_of_a_new_one_nothing():
    x = images(32, 32, batch=1)
    for network, idle in ((random_network(SPEC, x), False), (build(SPEC).eval(), True)):
        block = network.get_submodule("stages.2.blocks.1")
        with record_activations({"block": block}) as actual, torch.no_grad():
            network(x)
        before, after = actual["block"]
        assert ((after - before).abs().max() < 1e-6) == idle


def test_a_random_network_is_the_same_for_the_same_seed():
    x = images(32, 32, batch=1)
    with torch.no_grad():
        first, same, other = (random_network(SPEC, x, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other) and first.isfinite().all()


@pytest.mark.parametrize("kind", ["axial", "axial_local", "window"])
def test_the_receptive_field_of_one_block_is_what_its_attention_reaches(kind):
    block: Block = axial(8, 16, max_length=20)
    spec = adapt(Model(Backbone(Stem(), (Stage((block,)),)), head=Classifier(0), input_size=(20, 20)), attention=kind)
    x = images(20, 20, batch=1)
    network = random_network(spec, x)
    names = ("height", "width") if "axial" in kind else ("attention",)
    modules = {name: network.get_submodule(f"stages.0.blocks.0.{name}") for name in names}
    with record_activations(modules) as actual, torch.no_grad():
        network(x)
    reached = reach([(modules[name], actual[name][0]) for name in names], 4, 13) > 0  # pyright: ignore
    field = receptive_field(network, "stages.0.blocks.0", x, 4, 13, samples=2)
    assert field.shape == (20, 20) and not (field[~reached] > 0).any() and (field[reached] > 0).float().mean() > 0.9
    assert reached.all() == (kind == "axial")
    assert ((receptive_field(network, "stages.0.blocks.0", x, 12, 3, samples=2) > 0) != (field > 0)).any() or kind == "axial"
