"""Objects in the formats of other tools, thresholds of scores, and confusion of classes: the right numbers of small results."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from axialzoo.spec import Label
from axialzoo.tasks import Classification, Detections, Segmentation
from axialzoo.tasks.confusion import count_boxes, count_pairs, count_pixels
from axialzoo.tasks.object_files import coco_file, coco_objects, crops, keep_scores, run_lengths, yolo_lines

LABELS = (Label("cat", True), Label("dog", True))
BOXES = Detections(
    np.array([[10.0, 5.0, 30.0, 25.0], [0.0, 0.0, 8.0, 4.0], [50.0, 20.0, 60.0, 30.0]]),
    np.array([0.9, 0.6, 0.2]), np.array([1, 0, 1]), LABELS, warnings=("the limit of 3 boxes was reached",),
)  # fmt: skip
IDS = np.zeros((6, 8), np.int32)
IDS[1:3, 2:5], IDS[4:, 6:], IDS[0, 0] = 1, 2, 3
SEGMENTS = Segmentation(
    IDS,
    [
        {"id": 1, "label_id": 0, "score": 0.9, "area": 6},
        {"id": 2, "label_id": 1, "score": 0.4, "area": 4},
        {"id": 3, "label_id": 2, "score": 0.1, "area": 1},
    ],
    (*LABELS, Label("sky", False)),
)


def test_yolo_s_lines():
    assert yolo_lines(BOXES, (100, 50))[0] == "1 0.200000 0.300000 0.200000 0.400000 0.900000"
    assert yolo_lines(SEGMENTS, (8, 6)) == [
        "0 0.437500 0.333333 0.375000 0.333333 0.900000",
        "1 0.875000 0.833333 0.250000 0.333333 0.400000",
    ]


def test_coco_s_objects():
    first = coco_objects(BOXES, 7, 20)[0]
    assert first == {"id": 20, "image_id": 7, "category_id": 2, "score": 0.9, "iscrowd": 0, "bbox": [10.0, 5.0, 20.0, 20.0], "area": 400.0}
    rows = coco_objects(SEGMENTS, 1)
    assert [row["area"] for row in rows] == [6, 4] and rows[0]["segmentation"] == {"size": [6, 8], "counts": [13, 2, 4, 2, 4, 2, 21]}
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]
    written = coco_file([("a.jpg", (8, 6))], rows, SEGMENTS.categories)
    assert written["images"] == [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}]
    assert [row["name"] for row in written["categories"]] == ["cat", "dog", "sky"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools'
def test_pycocotools_reads_the_masks():
    mask = pytest.importorskip("pycocotools.mask")
    for row, number in zip(coco_objects(SEGMENTS, 1), (1, 2)):
        lengths = mask.frPyObjects(row["segmentation"], 6, 8)
        np.testing.assert_array_equal(mask.decode(lengths), number == IDS)


def test_low_scores_go_and_take_the_warning_of_a_limit_with_them():
    high = keep_scores(BOXES, 0.5)
    assert isinstance(high, Detections) and high.scores.tolist() == [0.9, 0.6] and high.warnings == ()
    assert keep_scores(BOXES, 0.1).warnings == BOXES.warnings  # pyright: ignore[reportAttributeAccessIssue]
    left = keep_scores(SEGMENTS, 0.5)
    assert isinstance(left, Segmentation) and [info["id"] for info in left.segments_info] == [1, 3]  # the sky is no object
    assert not (left.segmentation == 2).any() and SEGMENTS.segmentation.max() == 3
    result = Classification(np.array([0.3, 0.7]))
    assert keep_scores(result, 0.9) is result


def test_cut_outs_are_the_boxes():
    pixels = np.arange(50 * 100 * 3).reshape(50, 100, 3).astype(np.uint8)
    (name, crop), *more = crops(BOXES, Image.fromarray(pixels))
    assert name == "dog" and len(more) == 2
    np.testing.assert_array_equal(np.asarray(crop), pixels[5:25, 10:30])


def test_confusion_of_boxes_counts_partners_misses_and_false_alarms():
    annotation = Detections(
        np.array([[10.0, 5.0, 30.0, 24.0], [70.0, 30.0, 80.0, 40.0], [0.0, 0.0, 8.0, 4.0]]), np.ones(3), np.array([0, 1, 0]), LABELS,
        np.array([False, False, True]),
    )  # fmt: skip
    expected = np.zeros((3, 3), int)
    expected[0, 1] = 1  # a cat that was called a dog
    expected[1, 2] = 1  # a dog that was missed; the box on the crowd and the score of 0.2 do not count
    np.testing.assert_array_equal(count_boxes(BOXES, annotation, 2), expected)
    alone = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), LABELS)
    assert count_boxes(BOXES, alone, 2)[2].tolist() == [1, 1, 0]


def test_confusion_of_classes_and_pixels():
    assert count_pairs(np.array([0, 1, 1, -1]), np.array([0, 0, 1, 1]), 2).tolist() == [[1, 0], [1, 1]]
    annotation = Segmentation(np.where(IDS == 2, 1, IDS), [SEGMENTS.segments_info[0], SEGMENTS.segments_info[2]], SEGMENTS.categories)
    counts = count_pixels(SEGMENTS, annotation, 3)
    assert counts.shape == (4, 4) and counts[0].tolist() == [6, 4, 0, 0] and counts[2].tolist() == [0, 0, 1, 0] and counts.sum() == 11
