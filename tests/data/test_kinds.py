"""Kinds and groups of pictures: read from kinds.csv, kept whole, drawn evenly, scored apart."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import CachedSplit, DataError, FileSplit, kinds_of, open_data, split_off
from axialzoo.data.augment import ScaleCrop, shows_object
from axialzoo.data.batches import TrainBatches, kind_shares
from axialzoo.data.colour import Colours
from axialzoo.spec import Preprocessing, SpecError
from axialzoo.tasks.results import Segmentation
from axialzoo.train import load_recipe
from axialzoo.train.evaluation import KindMetrics
from tests.data import made
from tests.data.test_geometry import discs

ROWS = "id,kind,width,group\na,near,8,g1\nb,near,8,g1\nc,far,8,g2\nd,far,8,g3\n"


def write(folder: Path, table: str | None = ROWS, splits: dict[str, str] | None = None) -> Path:
    for split, names in (splits or {"train": "abc", "val": "d"}).items():
        for name in names:
            made.write_picture(folder / split / "images" / f"{name}.png", 8, 6)
            made.write_map(folder / split / "labels" / f"{name}.png", np.arange(48, dtype=np.uint8).reshape(6, 8) // 24)
    if table is not None:
        (folder / "kinds.csv").write_text(table)
    return folder


def split_of(*counts: int) -> FileSplit:
    """Discs: of each kind so many."""
    kinds = [f"kind {kind}" for kind, count in enumerate(counts) for _ in range(count)]
    return FileSplit(range(len(kinds)), discs, kinds, [f"group {index // 2}" for index in range(len(kinds))])


def test_kinds_and_groups_come_from_the_table(tmp_path):
    data = open_data(write(tmp_path))
    train = data.split("train")
    assert isinstance(train, FileSplit)
    assert list(train.kinds) == ["near", "near", "far"] and list(train.groups) == ["g1", "g1", "g2"]
    assert list(kinds_of(train.subset([2, 0]))) == ["far", "near"] == list(kinds_of(CachedSplit(train).subset([2, 0])))
    assert "groups" not in data.about


def test_data_without_the_table_have_no_kinds(tmp_path):
    assert list(kinds_of(open_data(write(tmp_path, None)).split("train"))) == []


def test_groups_that_lie_in_two_splits_are_told(tmp_path):
    data = open_data(write(tmp_path, ROWS.replace("d,far,8,g3", "d,far,8,g2")))
    assert "1 groups lie in several splits (2 pictures)" in data.about["groups"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (ROWS.replace("c,far,8,g2\n", ""), "none for 'c'"),
        (ROWS + "a,far,8,g2\n", "line 6: id 'a' occurs twice"),
        (ROWS.replace("c,far,8,g2", "c,,8,g2"), "line 4: expected a value for 'kind'"),
        (ROWS.replace("c,far,8,g2", "c"), "line 4: expected a value for 'kind'"),
        (ROWS.replace("kind", "stain").replace("group", "field"), "expected the columns id and kind"),
        ("", "expected the columns id and kind"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, table, message):
    with pytest.raises(DataError, match=message):
        open_data(write(tmp_path, table))


def test_a_table_of_bytes_that_are_no_text_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "kinds.csv").write_bytes(b"id,kind\n\xff\xfe")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        open_data(tmp_path)


def test_the_archives_of_every_stain_take_the_table_beside_them(tmp_path):
    write(tmp_path / "tree")
    for split in ("train", "val"):
        with zipfile.ZipFile(tmp_path / f"dsb2018_all_{split}.zip", "w") as archive:
            for file in sorted((tmp_path / "tree" / split).rglob("*.png")):
                archive.write(file, file.relative_to(tmp_path / "tree").as_posix())
    (tmp_path / "kinds.csv").write_text(ROWS)
    data = open_data(tmp_path)
    assert data.classes == ("background", "nucleus") and data.about["licence"] == "CC0"
    assert list(kinds_of(data.split("val"))) == ["far"] and len(data.split("train")) == 3


def test_groups_stay_whole_when_some_pictures_are_held_out():
    for seed in range(5):
        training, held_out = split_off(split_of(7, 6), 5, seed)
        assert isinstance(training, FileSplit) and isinstance(held_out, FileSplit)
        assert not set(training.groups) & set(held_out.groups)
        assert len(held_out) in (4, 5) and len(training) + len(held_out) == 13


def test_groups_parted_would_be_seen():
    split = replace(split_of(7, 6), groups=())
    parted = [split_off(split, 5, seed) for seed in range(5)]
    group = split_of(7, 6).groups
    assert any({group[item] for item in entry.items} & {group[item] for item in two.items} for entry, two in parted)  # pyright: ignore


def test_a_hold_out_smaller_than_every_group_is_refused():
    with pytest.raises(DataError, match="at least the 2 samples of the smallest group"):
        split_off(split_of(4, 4), 1, 0)


def test_shares_of_kinds():
    split = split_of(16, 4)
    assert kind_shares(split, 0.0) is None
    by_kind = [np.asarray(kind_shares(split, balance))[[0, -1]] * [16, 4] for balance in (0.5, 1.0)]
    np.testing.assert_allclose(by_kind, [[2 / 3, 1 / 3], [1 / 2, 1 / 2]])


def test_rare_kinds_are_drawn_as_often_as_their_share_says():
    recipe = load_recipe("nuclei_stains", batch_size=4, progressive_sizes=(), init_from="", kind_balance=1.0)
    split = split_of(16, 4)
    batches = TrainBatches(split, recipe)
    drawn = Counter(split.kinds[index] for epoch in range(10) for index in batches._epoch_order(epoch))
    assert drawn == {"kind 0": 100, "kind 1": 100}
    every = Counter(index for epoch in range(10) for index in batches._epoch_order(epoch).tolist())
    assert set(every) == set(range(20)) and len(set(map(tuple, (batches._epoch_order(epoch) for epoch in range(3))))) == 3


def test_a_balance_of_data_without_kinds_is_refused():
    recipe = load_recipe("nuclei_stains", batch_size=4)
    with pytest.raises(DataError, match="kind_balance: expected data that name the kind"):
        TrainBatches(FileSplit(range(8), discs), recipe)


def test_native_scale_cuts_at_the_resolution_of_the_picture():
    sample = discs(0, 200, 300)
    policy = ScaleCrop(scales=(1.0, 1.0), native=True, hflip=False, color_jitter=0.0)
    cut = policy(sample, (64, 64), (0, 0, 0), np.random.default_rng(0))
    pixels, whole = np.asarray(cut.picture), np.asarray(sample.picture)
    places = [
        (top, left) for top in range(137) for left in range(237) if np.array_equal(whole[top : top + 64, left : left + 64], pixels)
    ]  # empty background occurs at many places
    assert places and isinstance(cut.annotation, Segmentation) and cut.annotation.segmentation.shape == (64, 64)
    fitted = replace(policy, native=False)(sample, (64, 64), (0, 0, 0), np.random.default_rng(0))
    assert not np.array_equal(np.asarray(fitted.picture), pixels)


def test_crops_are_drawn_again_until_they_show_an_object():
    sample = discs(3, 300, 300, 1)
    policy = ScaleCrop(scales=(1.0, 1.0), native=True, color_jitter=0.0)
    shown = {}
    for tries in (1, 200):
        cuts = [replace(policy, tries=tries)(sample, (64, 64), (0, 0, 0), np.random.default_rng(seed)) for seed in range(20)]
        shown[tries] = sum(
            shows_object(cut.annotation.segmentation, cut.annotation) for cut in cuts if isinstance(cut.annotation, Segmentation)
        )
    assert shown[1] < 10 and shown[200] == 20


def test_colours_invert_turn_and_fade():
    picture = Image.fromarray(np.array([[[200, 40, 40], [0, 0, 0]]], np.uint8))
    assert np.asarray(Colours(invert=True).picture(picture)).tolist() == [[[55, 215, 215], [255, 255, 255]]]
    red, green, blue = np.asarray(Colours(hue=1 / 3).picture(picture))[0, 0].tolist()
    assert green > 190 and red < 50 and blue < 50
    policy = ScaleCrop(color_jitter=0.0, gray=1.0, invert=1.0)
    drawn = policy.colours(np.random.default_rng(0))
    assert drawn is not None and drawn.saturation == 0 and drawn.invert
    assert len(set(np.asarray(drawn.picture(picture))[0, 0].tolist())) == 1
    assert ScaleCrop(color_jitter=0.0).colours(np.random.default_rng(0)) is None


@pytest.mark.parametrize("changes", [{"hue": 0.6}, {"gray": 1.5}, {"invert": -1}, {"tries": 0}, {"native": 1}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(SpecError):
        ScaleCrop(**changes)


def test_figures_of_each_kind():
    class Count:
        def __init__(self):
            self.values: list[float] = []

        def update(self, result, annotation):
            self.values.append(result)

        def compute(self):
            return {"mean": float(np.mean(self.values)), "per_class": {}}

    metrics = KindMetrics(Count, ["near", "far", "near"])
    for value in (1.0, 5.0, 3.0):
        metrics.update(value, None)  # pyright: ignore[reportArgumentType]
    actual = metrics.compute()
    assert actual["mean"] == 3.0
    assert actual["per_kind"] == {"far": {"images": 1, "mean": 5.0}, "near": {"images": 2, "mean": 2.0}}
    alone = KindMetrics(Count)
    alone.update(1.0, None)  # pyright: ignore[reportArgumentType]
    assert "per_kind" not in alone.compute()


def test_the_recipe_of_every_stain_makes_batches():
    recipe = load_recipe(
        "nuclei_stains", batch_size=4, progressive_sizes=(), preprocessing=Preprocessing(size=(48, 48), resize="none", per_image=True)
    )
    x, annotations = TrainBatches(split_of(6, 6), recipe)[0]
    assert x.shape == (4, 48, 48, 3) and np.isfinite(x).all() and len(annotations) == 4
