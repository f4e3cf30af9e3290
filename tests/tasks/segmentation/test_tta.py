"""Tiles, mirror images and scales of a whole network: they give what one look gives, and planted errors are seen."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from axialzoo.image import ResizeTransform
from axialzoo.spec import Label, get_entry
from axialzoo.tasks import TTA, Segmentation, run_views, task_of, tta_from_options
from axialzoo.tasks.segmentation import PanopticQuality
from axialzoo.tasks.segmentation.tta_maps import predict_tta, resized
from tests.tasks.segmentation.plain import LABELS, discs, perfect_maps, same_segments
from tests.tasks.segmentation.plain import decode_with as decode

STRIDE, MULTIPLE = 2, 16  # of a network's maps, and the largest inside it
X = np.random.default_rng(0).standard_normal((70, 91, 3)).astype(np.float32)


def network(x: np.ndarray) -> dict[str, np.ndarray]:
    """A network without neighbours: each pixel of its maps sees a pixel of the picture, and one of a grid of stride `MULTIPLE`."""
    fine = x[:, ::STRIDE, ::STRIDE]  # (1, h, w, 3)
    coarse = x[:, ::MULTIPLE, ::MULTIPLE].repeat(MULTIPLE // STRIDE, 1).repeat(MULTIPLE // STRIDE, 2)
    fine = fine + coarse[:, : fine.shape[1], : fine.shape[2]]
    return {"semantic": fine, "center": fine[..., :1], "offset": fine[..., 1:]}


@pytest.mark.parametrize(("tile", "overlap"), [((33, 49), 8), ((17, 33), 0), ((65, 33), (1, 16)), ((129, 129), 32)])
def test_tiles_of_a_local_network_give_the_maps_of_the_whole(tile, overlap):
    once = predict_tta(network, X, tta_from_options(), STRIDE, MULTIPLE)
    actual = predict_tta(network, X, tta_from_options(tile=tile, overlap=overlap), STRIDE, MULTIPLE)
    assert actual.keys() == once.keys() and all(np.allclose(actual[name], once[name], atol=1e-4) for name in actual)


def test_tiles_that_begin_where_the_networks_grid_does_not_are_caught():
    once = predict_tta(network, X, tta_from_options(), STRIDE, MULTIPLE)
    shifted = predict_tta(network, X, tta_from_options(tile=(33, 49), overlap=8), STRIDE, 1)
    assert np.abs(shifted["center"] - once["center"]).max() > 0.1


def knowing(annotation: Segmentation, turn: bool = True, scale: bool = True):
    """Return a network that reads from a picture of coordinates the place, the side and the scale of its view, and answers with it.

    `turn` and `scale` False plant an error each: offsets that stay as they are in the mirror, or at another size.
    """
    maps = perfect_maps(annotation)
    size = annotation.segmentation.shape

    def compute(x: np.ndarray) -> dict[str, np.ndarray]:
        rows, columns = (np.clip(np.rint(x[0, ..., axis]), 0, size[axis] - 1).astype(int) for axis in (0, 1))
        actual = {name: value[rows, columns].copy() for name, value in maps.items()}
        mirror = columns[0, 0] > columns[0, -1]
        actual["offset"] *= np.array([1, -1 if mirror and turn else 1], np.float32)
        actual["offset"] *= x.shape[1] / (rows.max() - rows.min() + 1) if scale else 1
        return {name: value[None] for name, value in actual.items()}

    return compute


PICTURE = np.stack([*np.mgrid[:64, :96], np.zeros((64, 96))], -1).astype(np.float32)


def quality(compute, tta: TTA) -> float:
    annotation = discs()
    metric = PanopticQuality(LABELS)
    metric.update(decode(**predict_tta(compute, PICTURE, tta, 1, 1), labels=LABELS), annotation)
    return metric.compute()["pq"]


@pytest.mark.parametrize(
    "asked", [{"hflip": True}, {"scales": (2.0,)}, {"scales": (0.5, 1, 2), "hflip": True}, {"tile": 48, "hflip": True}]
)
def test_what_several_looks_say_together_is_the_truth(asked):
    assert quality(knowing(discs()), tta_from_options(**asked)) > 0.93


def astray(compute, tta: TTA) -> float:
    """Mean distance in pixels between the targets of offsets and the middle of their objects."""
    annotation = discs()
    actual = predict_tta(compute, PICTURE, tta, 1, 1)["offset"]
    return float(np.abs(actual - perfect_maps(annotation)["offset"])[np.isin(annotation.segmentation, (3, 4, 5, 6))].mean())


@pytest.mark.parametrize(("asked", "error"), [({"hflip": True}, "turn"), ({"scales": (2.0,)}, "scale"), ({"scales": (0.5, 1)}, "scale")])
def test_offsets_that_stay_in_the_mirror_or_at_another_size_are_caught(asked, error):
    assert astray(knowing(discs()), tta_from_options(**asked)) < 0.5
    assert astray(knowing(discs(), **{error: False}), tta_from_options(**asked)) > 1


def test_a_picture_keeps_its_place_when_it_is_resized():
    ramp = np.stack(np.mgrid[:8, :12].astype(np.float32), -1)
    large = resized(ramp, (16, 24))
    assert large.shape == (16, 24, 2) and large.dtype == np.float32
    assert np.allclose(large[1:-1, 0, 0], (np.arange(1, 15) + 0.5) / 2 - 0.5)  # borders on borders
    assert np.allclose(large[0, 1:-1, 1], (np.arange(1, 23) + 0.5) / 2 - 0.5)


def peak(height: int, tile: int | None) -> tuple[float, int]:
    """Bytes held at most beside the picture and the maps of the whole, and pixels that the network saw at once, at most."""
    x, seen = np.zeros((height, 96, 3), np.float32), []

    def compute(x: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(x.shape[1] * x.shape[2])
        return {"semantic": np.zeros((*x.shape[:3], 19), np.float32)}

    tracemalloc.start()
    maps = predict_tta(compute, x, tta_from_options(tile=tile, overlap=None if tile is None else 8), 1, 1)
    most = tracemalloc.get_traced_memory()[1] - sum(value.nbytes for value in maps.values())
    tracemalloc.stop()
    return most, max(seen)


def test_memory_is_that_of_a_row_of_tiles_however_large_the_picture():
    (small, pixels), (large, more) = peak(96, 48), peak(768, 48)
    assert pixels == more == 48 * 48
    assert large < 1.1 * small
    assert peak(768, None)[0] > 4 * peak(96, None)[0]  # without tiles it grows


def test_the_task_looks_in_tiles_and_gives_segments_of_the_picture():
    spec = get_entry("axial_deeplab_nuclei_xs").spec
    task, stride = task_of(spec.head), spec.head.stride(spec.backbone)
    labels = (Label("background", False), Label("nucleus"))
    rows, columns = np.mgrid[:64, :96]
    disc = (rows - 30) ** 2 + (columns - 47) ** 2 <= 144  # across the seams
    x = np.stack([disc, 30 - rows, 47 - columns], -1).astype(np.float32)

    def compute(x: np.ndarray) -> dict[str, np.ndarray]:
        thing, offset = x[:, ::stride, ::stride, :1], x[:, ::stride, ::stride, 1:] / stride
        center = np.exp(-(x[:, ::stride, ::stride, 1:] ** 2).sum(-1, keepdims=True) / 18)
        return {"semantic": np.concatenate([5 - 10 * thing, 10 * thing - 5], -1), "center": center, "offset": offset}

    view = ResizeTransform((64, 96), (64, 96), 0, 0, (64, 96))
    (once,) = run_views(task, compute, x[None], spec, [view], TTA(), labels)
    (tiled,) = run_views(task, compute, x[None], spec, [view], tta_from_options(tile=(48, 64), overlap=16), labels)
    assert [item["label_id"] for item in tiled.segments_info].count(1) == 1 and same_segments(tiled, once)
    larger = ResizeTransform((128, 192), (64, 96), 0, 0, (64, 96))
    assert run_views(task, compute, x[None], spec, [larger], tta_from_options(tile=48), labels)[0].segmentation.shape == (128, 192)
