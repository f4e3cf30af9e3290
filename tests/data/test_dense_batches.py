"""Batches of boxes and segments: truths in the input's pixels, the same for any number of processes; maps find the way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.data import CachedSplit, DataError, FileSplit, open_data, split_off
from axialzoo.data.augment import ScaleCrop
from axialzoo.data.batches import TrainBatches
from axialzoo.data.prefetch import prefetched
from axialzoo.image import resize_transform
from axialzoo.spec import Preprocessing
from axialzoo.tasks.results import Detections, Segmentation
from axialzoo.train import load_recipe
from tests.data import made
from tests.data.test_geometry import as_boxes, discs

POLICY = ScaleCrop(rot90=True, color_jitter=0.2, elastic=1.0, mosaic=0.5)
RECIPE = load_recipe(
    "cifar10",
    batch_size=4,
    epochs=2,
    holdout=0,
    progressive_sizes=(),
    augment="scale_crop",
    scale_crop=POLICY,
    preprocessing=Preprocessing(size=(48, 64), resize="longer", per_image=True),
)


def segments_split(count: int = 10) -> FileSplit:
    return FileSplit(range(count), discs)


def boxes_split(count: int = 10) -> FileSplit:
    return FileSplit(range(count), lambda seed: as_boxes(discs(seed)))


def same(one, two) -> bool:
    if isinstance(one, Detections):
        return np.array_equal(one.boxes, two.boxes) and np.array_equal(one.labels, two.labels)
    return np.array_equal(one.segmentation, two.segmentation) and list(one.segments_info) == list(two.segments_info)


def recipe_for(split: FileSplit):
    return RECIPE if isinstance(split[0].annotation, Segmentation) else replace(RECIPE, scale_crop=replace(POLICY, elastic=0.0))


@pytest.mark.parametrize("split", [segments_split(), boxes_split()], ids=["segments", "boxes"])
def test_a_batch_is_the_same_however_many_processes_share_it(split):
    recipe = recipe_for(split)
    for step in (0, 3):
        x, annotations = TrainBatches(split, recipe)[step]
        assert x.shape == (4, 48, 64, 3) and x.dtype == np.float32 and len(annotations) == 4
        for process in range(2):
            part, theirs = TrainBatches(split, recipe, process, 2)[step]
            assert np.array_equal(part, x[process::2]) and all(map(same, theirs, annotations[process::2]))
    assert not np.array_equal(TrainBatches(split, recipe)[0][0], x)


def test_threads_make_the_same_batches():
    batches = TrainBatches(segments_split(), RECIPE)
    for step, (x, expected) in enumerate(prefetched(batches.__getitem__, range(batches.steps), threads=3)):
        again, actual = TrainBatches(segments_split(), RECIPE)[step]
        assert np.array_equal(x, again) and all(map(same, expected, actual))


def test_truths_are_in_the_pixels_of_the_input():
    recipe = replace(RECIPE, scale_crop=replace(POLICY, color_jitter=0.0))
    wrong, mirrored = [], []
    for step in range(4):
        x, annotations = TrainBatches(segments_split(), recipe)[step]
        for item, annotation in zip(x, annotations):
            assert annotation.segmentation.shape == (48, 64)
            dark, inside = item[..., 0] < -1.24, annotation.segmentation > 0
            wrong.append(((annotation.class_map == 1) != dark)[inside].mean())
            mirrored.append(((annotation.class_map[:, ::-1] == 1) != dark)[inside].mean())
    assert max(wrong) < 0.1 and np.mean(wrong) < 0.04 and np.mean(mirrored) > 0.1  # labels that stayed behind would be seen


def test_sizes_keep_the_ratio():
    recipe = replace(RECIPE, progressive_sizes=((0.5, 24),))
    batches = TrainBatches(segments_split(), recipe)
    assert [batches[step][0].shape[1:3] for step in (0, batches.steps - 1)] == [(24, 32), (48, 64)]


def test_a_grey_model_gets_grey_pictures():
    grey = replace(RECIPE, preprocessing=Preprocessing(size=(48, 64), mean=(0.5,), std=(0.5,)))
    assert TrainBatches(segments_split(), grey)[0][0].shape == (4, 48, 64, 1)


@pytest.mark.parametrize("augment", ["crop", "resized_crop"])
def test_policies_that_move_no_labels_refuse_them(augment):
    with pytest.raises(DataError, match=r'use "scale_crop"|"scale_crop" for boxes and segments'):
        _ = TrainBatches(segments_split(), replace(RECIPE, augment=augment))[0]


def test_classes_can_be_scaled_and_cropped_too(zips):
    recipe = replace(RECIPE, scale_crop=ScaleCrop())
    x, y = TrainBatches(open_data(zips).split("train"), recipe)[0]
    assert x.shape == (4, 48, 64, 3) and y.dtype == np.int64


def test_nothing_to_train_on_is_refused():
    with pytest.raises(DataError, match="no samples to train on"):
        TrainBatches(segments_split(0), RECIPE)
    with pytest.raises(DataError, match="fewer than the 10 samples"):
        split_off(segments_split(), 10, 0)


def test_maps_find_the_way_back_to_their_picture():
    spec, split = Preprocessing(size=(40, 40), resize="longer"), segments_split()
    for number in range(10):
        annotation = split[number].annotation.segmentation
        view = resize_transform(*annotation.shape, spec)
        back = view.map_to_picture(view.map_to_model(annotation))
        assert (back != annotation).mean() < 0.05 and view.picture == annotation.shape


def test_samples_are_kept_while_they_fit(tmp_path):
    split = open_data(made.maps(tmp_path)).split("train")
    remaining = CachedSplit(split)
    assert remaining[0] is remaining[0] and split[0] is not split[0] and len(remaining) == 1
    small = CachedSplit(split, most_bytes=100)
    assert small[0] is not small[0]
    assert len(remaining.subset([0, 0])) == 2
