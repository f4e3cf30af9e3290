"""Decoding and panoptic quality are deeplab2's; and planted errors are seen."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation import PanopticQuality
from axialzoo.tasks.segmentation.centers import find_centers, suppressed
from axialzoo.tasks.segmentation.grouping import nearest_center
from tests.golden import segments
from tests.golden.segments import DECODING, MERGES, QUALITY, THINGS, decoding, described, same_up_to_names
from tests.tasks.segmentation.plain import decode_with as decode

TOLERANCE = 1e-6
# deeplab2's `keep_k_centers` keeps what is higher than the last value of ``tf.math.top_k(heights, k, sorted=False)``, whose order is that
# of TensorFlow's heap: the lowest first, the others as they come. The last of two is the highest, so that none of the five centers is
# left; of three it may be any but the lowest, here one of two equal ones, so that one is left. No choice of the k highest gives this, and
# `find_centers` keeps k. What follows compares with all the rest of deeplab2's decoding, by these values as thresholds.
LAST_OF_TOP_K = {"keep_2_of_5": 0.9, "keep_3_of_5_tied_scores": 0.7}


def threshold(case: str) -> float:
    return LAST_OF_TOP_K.get(case, described("dl2_postprocess")["cases"][case]["config"]["center_threshold"])


def decoded(case: str, merge, turn=lambda x: x) -> Segmentation:
    config = described("dl2_postprocess")["cases"][case]["config"]
    return decode(
        decoding(case, "semantic_probs"),
        decoding(case, "center_heatmap"),
        turn(decoding(case, "offsets")),
        things=THINGS,
        activation=None,
        center_threshold=threshold(case),
        nms_kernel=config["nms_kernel_size"],
        top_k=None,
        every_tie=True,
        merge=merge,
        stuff_area=config["stuff_area_limit"],
    )


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("case", DECODING)
def test_segments_are_deeplab2s(case, merge):
    assert same_up_to_names(decoded(case, merge), decoding(case, MERGES[merge]))


@pytest.mark.parametrize("case", DECODING)
def test_the_heights_of_centers_are_deeplab2s(case):
    config = described("dl2_postprocess")["cases"][case]["config"]
    where, heights = find_centers(decoding(case, "center_heatmap"), threshold(case), config["nms_kernel_size"], every_tie=True)
    if case not in LAST_OF_TOP_K:  # it counts the centers before the choice
        assert len(where) == described("dl2_postprocess")["cases"][case]["n_centers"]
    thing = np.isin(decoding(case, "semantic_probs").argmax(-1), THINGS)
    groups = nearest_center(decoding(case, "offsets"), where, thing)
    assert np.array_equal(np.append(0, heights).astype("float32")[groups], decoding(case, "instance_scores"))


@pytest.mark.parametrize(("case", "left"), [("keep_2_of_5", 0), ("keep_3_of_5_tied_scores", 1)])
def test_deeplab2_keeps_what_is_higher_than_the_last_of_an_unsorted_top_k(case, left):
    tensorflow = pytest.importorskip("tensorflow")
    config = described("dl2_postprocess")["cases"][case]["config"]
    heat = suppressed(decoding(case, "center_heatmap"), config["center_threshold"], config["nms_kernel_size"])
    last = tensorflow.math.top_k(heat.ravel(), config["keep_k_centers"], sorted=False).values.numpy()[-1]
    assert last == np.float32(LAST_OF_TOP_K[case]) and (heat > last).sum() == left
    assert len(np.unique(decoding(case, "instance_scores"))) == left + 1  # in deeplab2's numbers: 0, and the height of each that is left


@pytest.mark.parametrize(("case", "k"), [("keep_2_of_5", 2), ("keep_3_of_5_tied_scores", 3)])
def test_the_k_highest_centers_stay(case, k):
    heat = decoding(case, "center_heatmap")
    everywhere = find_centers(heat, 0.1, 13)[1]
    assert len(everywhere) == 5
    assert sorted(find_centers(heat, 0.1, 13, k)[1]) == sorted(everywhere)[-k:]


@pytest.mark.parametrize("merge", MERGES)
def test_a_planted_swap_of_rows_and_columns_of_offsets_is_caught(merge):
    swapped = decoded("several", merge, lambda x: x[..., ::-1])
    assert not same_up_to_names(swapped, decoding("several", MERGES[merge]))


def test_the_two_merges_differ_and_are_told_apart():
    for case in ("no_center_but_thing_pixels", "stuff_area_equal_to_limit"):
        assert not same_up_to_names(decoded(case, "native"), decoding(case, MERGES["tensorflow"]))


def quality(case: str, change=lambda result, annotation: (result, annotation)) -> PanopticQuality:
    actual = PanopticQuality(tuple(Label(f"class {i}") for i in range(6)))
    for index in QUALITY[case]:
        actual.update(*change(*segments.quality_pair(index)))
    return actual


@pytest.mark.parametrize("case", QUALITY)
def test_panoptic_quality_is_deeplab2s(case):
    expected, actual = described("dl2_panoptic_quality")[case], quality(case)
    assert np.abs(actual.iou - expected["total_iou"]).max() <= TOLERANCE
    assert [actual.tp.tolist(), actual.fn.tolist(), actual.fp.tolist()] == [expected[f"total_{name}"] for name in ("tp", "fn", "fp")]
    computed = actual.compute()
    assert [computed[name] for name in ("pq", "sq", "rq")] == pytest.approx(expected["summary_pq_sq_rq_tp_fn_fp"][:3], abs=TOLERANCE)


def test_void_counted_as_a_class_is_caught():
    def void_as_a_class(result, annotation):
        return tuple(
            Segmentation(np.where(item.segmentation == 0, 1, item.segmentation), [*item.segments_info, {"id": 1, "label_id": 0}])
            for item in (result, annotation)
        )

    assert any((segments.quality_pair(index)[1].segmentation == 0).any() for index in QUALITY["synthetic_all"])
    wrong, expected = quality("synthetic_all", void_as_a_class).compute(), described("dl2_panoptic_quality")["synthetic_all"]
    assert abs(wrong["pq"] - expected["summary_pq_sq_rq_tp_fn_fp"][0]) > 1000 * TOLERANCE
