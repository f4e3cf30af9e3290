"""Batches are a function of seed and step alone, whoever makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.data import open_data, split_off
from axialzoo.data.batches import TrainBatches
from axialzoo.train import load_recipe
from axialzoo.train.recipe import Recipe


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("cifar10", batch_size=8, epochs=2, holdout=0, progressive_sizes=((0.5, 24),))


def plain(recipe: Recipe) -> Recipe:
    """Training settings that change a whole image by mirroring alone."""
    return replace(recipe, crop_padding=0, progressive_sizes=())


def test_any_step_can_be_made_again_alone(zips, recipe):
    split = open_data(zips).split("train")
    ahead, alone = TrainBatches(split, recipe), TrainBatches(split, recipe)
    for step in range(5):
        x, y = ahead[step]
    again, labels = alone[4]
    assert np.array_equal(x, again) and np.array_equal(y, labels)
    assert not np.array_equal(ahead[3][0], again)


def test_each_epoch_shows_each_image_once(zips, recipe):
    split = open_data(zips).split("train")
    batches = TrainBatches(split, plain(recipe))
    assert batches.per_epoch == 6
    for epoch in range(2):
        shown = np.concatenate([batches[step][0] for step in range(6 * epoch, 6 * epoch + 6)])
        keys = {tuple(sorted(image.ravel().tolist())[:40]) for image in shown}
        assert len(keys) == 48


def test_mirroring_alternates_between_epochs(zips, recipe):
    split = open_data(zips).split("train")
    batches = TrainBatches(split, plain(recipe))
    by_content = {}
    for step in range(12):
        for image in batches[step][0]:
            by_content.setdefault(tuple(np.sort(image.ravel())[:40].tolist()), []).append(image)
    for first, second in by_content.values():
        assert np.array_equal(first, second[:, ::-1]) and not np.array_equal(first, second)


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_a_batch_is_the_same_however_many_processes_share_it(zips, image_folder, recipe, processes):
    for folder, augment in ((zips, "crop"), (image_folder, "resized_crop")):
        split, settings = open_data(folder).split("train"), replace(recipe, augment=augment)
        for step in (0, 4):
            x, y = TrainBatches(split, settings)[step]
            shares = [TrainBatches(split, settings, process, processes)[step] for process in range(processes)]
            for process, (part, labels) in enumerate(shares):
                assert np.array_equal(part, x[process::processes]) and np.array_equal(labels, y[process::processes])
    with pytest.raises(ValueError, match="multiple of the 3 processes"):
        TrainBatches(split, recipe, 0, 3)


def test_a_stream_of_its_own_for_each_process_would_be_seen(zips, recipe, monkeypatch):
    split = open_data(zips).split("train")
    whole, honest = TrainBatches(split, recipe)[3][0], np.random.default_rng
    assert np.array_equal(TrainBatches(split, recipe, 1, 2)[3][0], whole[1::2])
    monkeypatch.setattr(np.random, "default_rng", lambda key: honest((*key[:3], 1) if len(key) == 4 else key))  # its process, as once
    assert not np.array_equal(TrainBatches(split, recipe, 1, 2)[3][0], whole[1::2])


def test_images_grow_as_the_recipe_says(zips, recipe):
    batches = TrainBatches(open_data(zips).split("train"), recipe)
    assert [batches[step][0].shape[1] for step in (0, 5, 6, 11)] == [24, 24, 32, 32]


def test_files_are_cropped_and_resized(image_folder):
    recipe = load_recipe("cifar10", batch_size=4, augment="resized_crop", progressive_sizes=((1.0, 16),))
    x, y = TrainBatches(open_data(image_folder).split("train"), recipe)[0]
    assert x.shape == (4, 16, 16, 3) and x.dtype == np.float32 and len(y) == 4
    with pytest.raises(ValueError, match="resized_crop"):
        _ = TrainBatches(open_data(image_folder).split("train"), load_recipe("cifar10", batch_size=4))[0]


def test_held_out_images_are_not_trained_on(zips):
    training, held_out = split_off(open_data(zips).split("train"), 10, seed=0)
    assert len(training) == 38 and len(held_out) == 10
    train = {image.tobytes() for image in training.pixels}
    assert not train & {image.tobytes() for image in held_out.pixels}
