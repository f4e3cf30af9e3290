"""More than one look at a picture: mirror images and tiles give what one look gives, and planted errors are seen."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.tasks.results import Segmentation
from axialzoo.tasks.segmentation.flip import flip_maps
from axialzoo.tasks.segmentation.tiles import tiled_maps
from axialzoo.tasks.segmentation.tta_maps import mean_maps
from tests.tasks.segmentation.plain import LABELS, discs, perfect_maps, same_segments
from tests.tasks.segmentation.plain import decode_with as decode


def mirror_of(annotation: Segmentation) -> Segmentation:
    return Segmentation(annotation.segmentation[:, ::-1], annotation.segments_info, annotation.categories)


def test_a_mirror_image_and_the_picture_agree():
    annotation = discs()
    there, back = perfect_maps(annotation), flip_maps(perfect_maps(mirror_of(annotation)))
    inside = np.isin(annotation.segmentation, (3, 4, 5, 6))
    assert np.abs(back["offset"] - there["offset"])[inside].max() <= 1  # centers of mass between two pixels may round the other way
    actual = decode(**mean_maps([there, back]), labels=LABELS, activation=None)
    assert same_segments(actual, annotation, annotation.segmentation > 0)


def test_mirrored_twice_is_as_before():
    maps = {**perfect_maps(discs()), "classes": discs().segmentation}
    for name, value in flip_maps(flip_maps(maps)).items():
        assert np.array_equal(value, maps[name])
    batch = {name: value[None] for name, value in perfect_maps(discs()).items()}
    assert all(np.array_equal(value[0], flip_maps(perfect_maps(discs()))[name]) for name, value in flip_maps(batch).items())


def test_a_flip_that_leaves_the_offsets_as_they_were_is_caught():
    annotation, maps = discs(), perfect_maps(mirror_of(discs()))
    unmoved = {name: value[:, ::-1] for name, value in maps.items()}
    assert not same_segments(decode(**unmoved, labels=LABELS), annotation, annotation.segmentation > 0)
    assert same_segments(decode(**flip_maps(maps), labels=LABELS), annotation, annotation.segmentation > 0)


def test_a_mirror_image_of_another_size_is_refused():
    maps = perfect_maps(discs())
    with pytest.raises(ValueError, match="semantic: expected the same shape"):
        mean_maps([maps, {name: value[1:] for name, value in maps.items()}])
    with pytest.raises(ValueError, match="same maps of every view"):
        mean_maps([maps, {"semantic": maps["semantic"]}])


def network_of(maps: dict[str, np.ndarray]):
    """A function of tiles that says of each pixel what `maps` do; the picture tells it where it is."""
    sizes = []

    def predict(tile: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(tile.shape[:2])
        return {name: value[tile[..., 0], tile[..., 1]] for name, value in maps.items()}

    return predict, sizes


PICTURE = np.stack(np.mgrid[:64, :96], -1)


@pytest.mark.parametrize(
    ("tile", "overlap"), [((32, 32), (8, 8)), ((24, 96), (1, 0)), ((64, 40), (30, 39)), ((100, 100), (4, 4)), ((17, 13), (5, 3))]
)
def test_tiles_give_what_the_whole_picture_gives(tile, overlap):
    maps = perfect_maps(discs())
    predict, sizes = network_of(maps)
    actual = tiled_maps(predict, PICTURE, tile, overlap)
    assert {size for size in sizes} == {(min(tile[0], 64), min(tile[1], 96))}
    assert np.array_equal(actual["semantic"], maps["semantic"].argmax(-1))
    assert np.allclose(actual["center"], maps["center"][..., 0], atol=1e-5) and np.allclose(actual["offset"], maps["offset"], atol=1e-4)
    whole = decode(**maps, labels=LABELS)
    joined = decode(**actual, labels=LABELS, center_threshold=0.1)
    assert same_segments(joined, whole)
    assert [item["score"] for item in joined.segments_info] == pytest.approx([item["score"] for item in whole.segments_info], abs=0.02)


def test_tiles_that_disagree_are_blended_and_the_middle_of_a_tile_counts_most():
    number = iter(range(10))

    def predict(tile):
        value = np.full((*tile.shape[:2], 1), float(next(number)), np.float32)
        return {"semantic": np.concatenate([-value, value], -1), "center": value}

    center = tiled_maps(predict, np.zeros((8, 30, 3)), (8, 20), (0, 10))["center"]  # tiles at columns 0 and 10
    assert not center[:, :10].any() and (center[:, 20:] == 1).all()
    assert (np.diff(center[0, 9:21]) > 0).all()


def test_an_object_across_a_seam_stays_one_and_labels_of_tiles_alone_would_cut_it():
    maps = perfect_maps(discs())
    predict, _ = network_of(maps)
    joined = decode(**tiled_maps(predict, PICTURE, (64, 50), (0, 6)), labels=LABELS)
    assert len(np.unique(joined.segmentation[discs().segmentation == 4])) == 1
    left, right = (decode(**{name: value[:, part] for name, value in maps.items()}, labels=LABELS) for part in (np.s_[:48], np.s_[48:]))
    assert len(left) + len(right) > len(joined)


def test_what_does_not_fit_is_refused():
    predict, _ = network_of(perfect_maps(discs()))
    with pytest.raises(ValueError, match="overlap: expected from 0 to less than the tile's 32 columns, found 32"):
        tiled_maps(predict, PICTURE, (32, 32), (8, 32))
    with pytest.raises(ValueError, match="semantic: expected a map as high and wide as its tile, 32 x 32"):
        tiled_maps(lambda tile: {"semantic": np.zeros((8, 8, 3))}, PICTURE, (32, 32), (8, 8))
