"""AP is pycocotools' own, and run lengths made of a label map are those of its masks."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings

from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation import SegmentationMetric
from axialzoo.tasks.segmentation.precision import AveragePrecision
from tests.tasks.segmentation.plain import LABELS, THINGS, discs, pictures

pytest.importorskip("pycocotools", reason="pycocotools is not installed")


def shaken(annotation: Segmentation, seed: int) -> Segmentation:
    """The truth with its objects moved and scored at random."""
    rng = np.random.default_rng(seed)
    map, info = np.zeros_like(annotation.segmentation), []
    for item in annotation.segments_info:
        map[np.roll(annotation.segmentation == item["id"], rng.integers(-4, 5, 2), (0, 1))] = item["id"]
        info.append({**item, "iscrowd": 0, "score": float(rng.random())})
    return Segmentation(map, info, LABELS)


PAIRS = [(shaken(discs(crowd=seed % 2 == 0), seed), discs(crowd=seed % 2 == 0)) for seed in range(6)]


def by_pycocotools(pairs, kind: str) -> tuple[float, float]:
    """Masks encoded one by one, results loaded as its users do."""
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for image, pair in enumerate(pairs, 1):
        for segments, to in zip(pair, (results, annotations)):
            for item in segments.segments_info:
                inside = segments.segmentation == item["id"]
                if item["label_id"] in THINGS and inside.any():
                    rle = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
                    box = {"bbox": mask.toBbox(rle).tolist()} if kind == "bbox" or to is annotations else {}
                    shape = {"segmentation": rle} if kind == "segm" or to is annotations else {}
                    rest = (
                        {"id": len(to) + 1, "area": float(inside.sum()), "iscrowd": item.get("iscrowd", 0)}
                        if to is annotations
                        else {"score": item["score"]}
                    )
                    to.append({"image_id": image, "category_id": item["label_id"], **box, **shape, **rest})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": image, "height": 64, "width": 96} for image in range(1, len(pairs) + 1)]
        coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": i} for i in range(4)]}
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0]), float(run.stats[1])


def measured(pairs) -> dict:
    metric = AveragePrecision(LABELS)
    for result, annotation in pairs:
        metric.update(result, annotation)
    return metric.compute()


def test_average_precision_is_that_of_pycocotools():
    actual = measured(PAIRS)
    assert (actual["mask_ap"], actual["mask_ap50"]) == pytest.approx(by_pycocotools(PAIRS, "segm"), abs=1e-9)
    assert (actual["box_ap"], actual["box_ap50"]) == pytest.approx(by_pycocotools(PAIRS, "bbox"), abs=1e-9)
    assert 0.1 < actual["mask_ap"] < 0.9 and set(actual["per_class"]) == {"nucleus", "cell"}


def test_a_crowd_taken_for_an_object_is_caught():
    objects = [
        (result, Segmentation(annotation.segmentation, [{**item, "iscrowd": 0} for item in annotation.segments_info], LABELS))
        for result, annotation in PAIRS
    ]
    assert abs(measured(objects)["mask_ap"] - measured(PAIRS)["mask_ap"]) > 1e-3


@settings(deadline=None, max_examples=40)
@given(pictures())
def test_encoded_masks_and_boxes_are_those_of_pycocotools(segments):
    from pycocotools import mask

    metric = AveragePrecision(LABELS)
    metric.update(segments, segments)
    remaining = [item for item in segments.segments_info if item["label_id"] in THINGS and item["area"]]
    (rows,) = metric.annotations
    assert len(rows) == len(remaining)
    for info, item in zip(remaining, rows):
        expected = mask.encode(np.asfortranarray((segments.segmentation == info["id"]).astype(np.uint8)))
        assert item["segmentation"] == expected
        assert item["bbox"] == mask.toBbox(expected).tolist()


def test_all_keys_of_a_faultless_result():
    metric = SegmentationMetric(LABELS)
    metric.update(discs(), discs())
    actual = metric.compute()
    assert all(actual[name] == pytest.approx(1) for name in ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "pq", "miou"))
    assert actual["per_class"]["nucleus"]["mask_ap"] == pytest.approx(1)


def test_without_objects_or_results_there_is_no_nan():
    empty = Segmentation(np.zeros((64, 96), np.int32), [], LABELS)
    assert measured([(discs(), empty)]) == {"per_class": {}}
    assert measured([(empty, discs())])["mask_ap"] == 0
