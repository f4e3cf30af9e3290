"""Weights of kinds of attention, of one small network: they are what their cards say, and alike in both frameworks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from axialzoo.hub import fetch_checkpoint, model_card
from axialzoo.runtime import Runner
from axialzoo.runtime.frameworks import process_backend
from axialzoo.runtime.process import Worker
from axialzoo.spec import KINDS, adapt, get_entry

ROOT = Path(__file__).parents[2]
NAME = "axial_resnet_cifar10_xs"
TAGS = {kind: tag for kind in KINDS if (tag := get_entry(NAME).tag_of_kind(kind))}
TABLE = re.compile(r"^\| `(\w+)` \| ([\d.]+)", re.MULTILINE)  # of the page: kind, mean of top-1


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("keras")
    worker = Worker("keras", process_backend())
    yield worker
    worker.close()


def test_every_tag_is_of_one_kind():
    assert sorted(TAGS.values()) == sorted(get_entry(NAME).weights)


@pytest.mark.parametrize("kind", TAGS)
def test_weights_are_of_their_kind_and_their_card_says_what_they_are(kind):
    checkpoint = fetch_checkpoint(f"{NAME}.{TAGS[kind]}")
    config, card = checkpoint.config, (checkpoint.folder / "README.md").read_text()
    assert config.model == NAME and config.spec == adapt(get_entry(NAME).spec, attention=kind)
    assert sorted(card.splitlines()) == sorted(model_card(config).splitlines()) and "license: other" in card
    assert "not for use" in card and f"Its attention is `{kind}`" in card
    recipe = config.provenance["recipe"]
    assert (recipe["seed"], recipe["attention"], recipe["epochs"]) == (0, kind, 2) and "2 epochs" in card
    means = dict(TABLE.findall((ROOT / "docs" / "guide" / "attention.md").read_text().split("### Where positions")[0]))
    metrics = config.provenance["metrics"]
    assert metrics["test_images"] == 10_000 and abs(100 * metrics["top1"] - float(means[kind])) < 2  # other seeds are in the mean


@pytest.mark.parametrize("kind", TAGS)
def test_both_frameworks_take_every_tensor_and_give_the_same(kind, keras):
    torch = pytest.importorskip("torch")
    from axialzoo.torch import create_model, to_tensors

    checkpoint = fetch_checkpoint(f"{NAME}.{TAGS[kind]}")
    model = create_model(NAME, True, attention=kind).eval()
    assert all(np.array_equal(array, checkpoint.tensors[name]) for name, array in to_tensors(model).items())
    x = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)
    with torch.no_grad():
        ours = model(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    with Runner(checkpoint, "keras", process_backend(), worker=keras) as runner:
        (theirs,) = runner.outputs(x).values()
    assert np.abs(ours - theirs).max() <= 2e-5 * np.abs(ours).max() and np.ptp(ours) > 1
