"""Nuclei are the same objects in a picture of 16 bits of any range as in 8 bits, and a slide has as many as its parts together."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from axialzoo import load_runner
from tests.image.test_depth import GREY, RANGES, in_range, saved

FRAMEWORKS = ["native", pytest.param("torch", marks=pytest.mark.full)]
Objects = list[np.ndarray]  # a mask each


@pytest.fixture(scope="module", params=FRAMEWORKS)
def runner(request):
    if request.param == "torch":
        pytest.importorskip("torch")
    return load_runner("axial_deeplab_nuclei", framework=request.param)


def objects(runner, picture, **options) -> Objects:
    prediction = runner.predict(picture, **options)
    things = [info["id"] for info in prediction.segments_info if prediction.categories[info["label_id"]].thing]
    return [prediction.segmentation == thing for thing in things]


def panoptic_quality(first: Objects, second: Objects) -> float:
    overlaps = [max(((a & b).sum() / (a | b).sum() for b in second), default=0.0) for a in first]
    return 2 * sum(overlap for overlap in overlaps if overlap > 0.5) / (len(first) + len(second))


def test_objects_do_not_depend_on_the_depth(runner, tmp_path):
    expected = objects(runner, GREY)
    assert len(expected) > 40
    quality = {r: panoptic_quality(expected, objects(runner, saved(tmp_path / "a.tif", in_range(*r)))) for r in RANGES}
    assert min(quality.values()) >= 0.97, quality
    cut = (in_range(300, 700) // 257).astype(np.uint8)
    assert panoptic_quality(expected, objects(runner, cut)) < 0.9  # cut to 8 bits first, it would be seen


@pytest.mark.full
def test_a_slide_has_the_objects_of_its_parts(runner):
    picture = np.asarray(Image.fromarray(GREY).convert("RGB"))
    few, many = (len(objects(runner, array, **options)) for array, options in ((picture, {}), (np.tile(picture, (4, 4, 1)), {"tile": 512})))
    assert abs(many - 16 * few) <= 0.03 * 16 * few
