"""Segmentation written down once more, slowly, pixel by pixel and segment by segment; and pictures to try it on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation import Postprocess, decode

LABELS = (Label("sky", thing=False), Label("nucleus"), Label("road", thing=False), Label("cell"))
THINGS = (1, 3)


def centers(heat: np.ndarray, threshold: float, kernel: int) -> list[tuple[int, int]]:
    before, after = (kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2
    actual = []
    for y, x in np.ndindex(heat.shape):
        window = heat[max(y - before, 0) : y + after + 1, max(x - before, 0) : x + after + 1]
        if heat[y, x] > max(threshold, 0) and heat[y, x] == window.max():
            actual.append((y, x))
    return actual


def nearest(offset: np.ndarray, middles, where: np.ndarray) -> np.ndarray:
    actual = np.zeros(where.shape, int)
    for y, x in zip(*np.nonzero(where)):
        distances = [(y + offset[y, x, 0] - row) ** 2 + (x + offset[y, x, 1] - column) ** 2 for row, column in middles]
        actual[y, x] = 1 + int(np.argmin(np.float32(distances)))
    return actual


def panoptic_quality(result: Segmentation, annotation: Segmentation, classes: int) -> tuple[np.ndarray, ...]:
    """Panoptic quality as COCO's panopticapi counts it, with all crowds of a class."""
    iou, tp, fp, fn = np.zeros(classes), np.zeros(classes, int), np.zeros(classes, int), np.zeros(classes, int)
    void = annotation.segmentation == 0
    matched = set()
    for true in annotation.segments_info:
        a = annotation.segmentation == true["id"]
        if true.get("iscrowd") or not a.any():
            continue
        for actual in result.segments_info:
            b = result.segmentation == actual["id"]
            overlap = (a & b).sum() / (a | (b & ~void)).sum()
            if actual["label_id"] == true["label_id"] and overlap > 0.5:
                iou[true["label_id"]] += overlap
                tp[true["label_id"]] += 1
                matched |= {("true", true["id"]), ("found", actual["id"])}
        if ("true", true["id"]) not in matched:
            fn[true["label_id"]] += 1
    for actual in result.segments_info:
        b = result.segmentation == actual["id"]
        crowds = [
            annotation.segmentation == item["id"]
            for item in annotation.segments_info
            if item.get("iscrowd") and item["label_id"] == actual["label_id"]
        ]
        ignored = sum([(b & item).sum() for item in [void, *crowds]])
        if b.any() and ("found", actual["id"]) not in matched and ignored / b.sum() <= 0.5:
            fp[actual["label_id"]] += 1
    return iou, tp, fp, fn


def mean_overlap(pairs, classes: int) -> float:
    counts = np.zeros((classes, 2))
    for result, annotation in pairs:
        counted = annotation.class_map >= 0
        for item in range(classes):
            a, b = annotation.class_map == item, (result.class_map == item) & counted
            counts[item] += (a & b).sum(), (a | b).sum()
    return float(np.mean([both / either for both, either in counts if either]))


@st.composite
def pictures(draw, size: tuple[int, int] = (9, 11), crowds: bool = True) -> Segmentation:
    """A few rectangles over one another, void between them, ids of any kind."""
    count = draw(st.integers(0, 6))
    ids = draw(st.lists(st.integers(1, 300), min_size=count, max_size=count, unique=True))
    map = np.zeros(size, np.int32)
    info = []
    for id in ids:
        top, left = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
        map[top : top + draw(st.integers(1, size[0])), left : left + draw(st.integers(1, size[1]))] = id
        label = draw(st.integers(0, 3))
        crowd = {"iscrowd": 1} if crowds and label in THINGS and draw(st.integers(0, 4)) == 0 else {}
        info.append({"id": id, "label_id": label, "score": draw(st.integers(0, 8)) / 8, **crowd})
    for item in info:
        item["area"] = int((map == item["id"]).sum())
    return Segmentation(map, info, LABELS)


def discs(size: tuple[int, int] = (64, 96), crowd: bool = False) -> Segmentation:
    """Sky above road, three nuclei and a cell, and a strip of void on the right; with `crowd` the last nucleus is one."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    map = np.where(rows < size[0] // 2, 1000, 7).astype(np.int32)
    for id, (y, x, radius) in zip((3, 4, 5, 6), ((16, 20, 9), (22, 44, 12), (46, 30, 7), (44, 66, 14))):
        map[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = id
    map[:, -6:] = 0
    classes = {1000: 0, 7: 2, 3: 1, 4: 1, 5: 1, 6: 3}
    info = [{"id": id, "label_id": label, "score": 1.0, "area": int((map == id).sum())} for id, label in classes.items()]
    if crowd:
        info[4]["iscrowd"] = 1
    return Segmentation(map, info, LABELS)


def perfect_maps(annotation: Segmentation, logit: float = 8.0) -> dict[str, np.ndarray]:
    """Outputs of a faultless network."""
    from axialzoo.tasks.segmentation import targets

    expected = targets(annotation)
    classes = np.arange(len(annotation.categories))
    semantic = (logit * (expected["semantic"][..., None] == classes)).astype(np.float32)
    return {"semantic": semantic, "center": expected["center"][..., None], "offset": expected["offset"]}


def same_segments(a: Segmentation, b: Segmentation, where: np.ndarray | None = None) -> bool:
    """Tell whether two pictures have the same segments and classes (within `where`), with any ids."""
    where = np.ones(a.segmentation.shape, bool) if where is None else where
    pairs = np.unique(np.stack([a.segmentation[where], b.segmentation[where]]), axis=1)
    labels = [{0: -1, **{item["id"]: item["label_id"] for item in each.segments_info}} for each in (a, b)]
    one_to_one = all(len(np.unique(side)) == pairs.shape[1] for side in pairs)
    return one_to_one and all(labels[0][x] == labels[1][y] for x, y in pairs.T.tolist())


def decode_with(semantic, center=None, offset=None, *, labels=(), things=None, probability=None, **settings) -> Segmentation:
    """`decode` with the settings as arguments."""
    return decode(semantic, center, offset, Postprocess(**settings), labels=labels, things=things, probability=probability)
