"""Shards are the data set that was written to them: samples, order, batches; and damaged ones are refused by name."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import DataError, check, open_data
from axialzoo.data.batches import TrainBatches
from axialzoo.data.pack import write_shards
from axialzoo.data.tars import index_tar
from axialzoo.train.recipe import load_recipe
from tests.data.made import write_picture
from tests.engine.made import write_tar

RECIPE = replace(load_recipe("cifar10"), augment="resized_crop", batch_size=4, sizes=(), epochs=3)


def png(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    for index in range(18):
        split, name = ("val" if index % 6 == 5 else "train"), ("cat", "dog", "eel")[index % 3 if index % 6 != 5 else index // 6]
        write_picture(folder / split / name / f"{index}.png", 30 + index, 40, index)
    return folder


@pytest.fixture(scope="module")
def of_boxes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "data.yaml").parent.mkdir(exist_ok=True)
    (folder / "data.yaml").write_text("names: [red, white]\nnc: 2\n")
    (folder / "labels" / "train").mkdir(parents=True)
    for index in range(5):
        write_picture(folder / "images" / "train" / f"{index}.png", seed=index)
        lines = [f"{number % 2} 0.5 0.4 {0.2 + 0.1 * number} 0.3\n" for number in range(index)]
        (folder / "labels" / "train" / f"{index}.txt").write_text("".join(lines))
    return folder


def same(one, other) -> bool:
    if one.picture.tobytes() != other.picture.tobytes():
        return False
    if isinstance(one.truth, int):
        return one.truth == other.truth
    return np.allclose(one.truth.boxes, other.truth.boxes, atol=1e-9) and np.array_equal(one.truth.indices, other.truth.indices)


@pytest.mark.parametrize("kind", ["of_classes", "of_boxes"])
def test_shards_are_read_as_what_was_written(kind, request, tmp_path):
    data = open_data(request.getfixturevalue(kind))
    paths = write_shards(data, tmp_path / "shards", per_shard=4)
    found = open_data(tmp_path / "shards", data.kind)
    assert found.classes == data.classes and set(found.splits) == set(data.splits) and len(paths) >= 2
    for name, split in data.splits.items():
        assert len(split) == len(found.splits[name])
        assert all(same(split[index], found.splits[name][index]) for index in range(len(split)))
    split = found.split("train")
    assert not same(split[0], split[1])  # another picture would be seen
    assert check(found)["train"]["pictures"] == len(split) == len(split.subset(range(len(split))))
    assert "train-000000.tar:000000002.png" in split[2].name
    with pytest.raises(FileExistsError, match="already, which is not replaced"):
        write_shards(data, tmp_path / "shards")


def test_batches_are_a_function_of_seed_and_step_as_of_a_folder(of_classes, tmp_path):
    data = open_data(of_classes)
    write_shards(data, tmp_path, per_shard=4)
    folder, shards = (TrainBatches(one.split("train"), RECIPE) for one in (data, open_data(tmp_path)))
    halves = [TrainBatches(open_data(tmp_path).split("train"), RECIPE, process, 2) for process in (0, 1)]
    for step in (5, 0, 8):  # begun anywhere, in any order
        x, truths = folder[step]
        assert np.array_equal(shards[step][0], x) and np.array_equal(shards[step][1], truths)
        for process, half in enumerate(halves):
            assert np.array_equal(half[step][0], x[process::2]) and np.array_equal(half[step][1], truths[process::2])
    assert not np.array_equal(shards[0][0], shards[1][0])
    other = TrainBatches(shards.split, replace(RECIPE, seed=1))
    assert not np.array_equal(other[0][0], shards[0][0])


def test_parquet_of_names_numbers_and_boxes(tmp_path):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    pictures = [{"bytes": png(index), "path": None} for index in range(6)]
    boxes = [[{"label": "b", "box": [1.0, 2.0, 9.0, 12.0]}]] * 5 + [[]]
    table = pyarrow.table({"image": pictures, "label": ["b", "a", "b", "b", "a", "a"], "boxes": boxes})
    parquet.write_table(table, tmp_path / "train.parquet", row_group_size=2)
    classes = open_data(tmp_path)
    assert classes.classes == ("a", "b") and [classes.split("train")[index].truth for index in (4, 0)] == [0, 1]
    assert classes.split("train")[3].picture.tobytes() == Image.open(io.BytesIO(png(3))).tobytes()
    (tmp_path / "labels.txt").write_text("a\nb\n")
    found = open_data(tmp_path, "boxes").split("train")
    assert found[0].truth.boxes.tolist() == [[1, 2, 9, 12]] and found[0].truth.indices.tolist() == [1] and len(found[5].truth) == 0
    assert len(found.subset([5, 0])) == 2 and len(found.subset([5, 0])[0].truth) == 0


def test_classes_are_listed_or_those_that_occur(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.png", png()), ("0.cls", b"2"), ("1.png", png(1)), ("1.cls", b" 0\n")])
    found = open_data(tmp_path)
    assert found.classes == ("0", "1", "2") and set(found.splits) == {"train", "test"} and found.split("train")[0].truth == 2
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    with pytest.raises(DataError, match=r"a\.tar:0\.png: expected a class from 0 to 1, found 2"):
        check(open_data(tmp_path))


WHOLE = [("0.png", png()), ("0.cls", b"1"), ("1.png", png(1)), ("1.cls", b"0")]
BOX = {"label": "a", "box": [0, 0, 5, 5]}
OUTSIDE = json.dumps({"boxes": [BOX, {**BOX, "box": [0, 0, 99, 5]}]}).encode()


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        (WHOLE[:3], None, r"a\.tar: sample '1': expected \.cls or \.json, found picture alone"),
        (WHOLE[1:], None, r"a\.tar: sample '0': expected a picture \(jpg, png, \.\.\.\), found cls alone"),
        ([*WHOLE, WHOLE[0]], None, r"a\.tar: two files of sample '0' are its picture"),
        ([("0.png", b"no picture"), WHOLE[1]], None, r"a\.tar:0\.png: not a picture"),
        ([WHOLE[0], ("0.cls", b"owl")], None, r"a\.tar:0\.png: expected a class, a number from 0 to 1 or a name of the list, found 'owl'"),
        (WHOLE, "boxes", r"expected boxes in \.json beside each picture, found a class"),
        ([WHOLE[0], ("0.json", b"{")], "boxes", r"0\.png: not valid JSON"),
        ([WHOLE[0], ("0.json", b"{}")], "boxes", r"0\.png: expected 'boxes', found nothing"),
        ([WHOLE[0], ("0.json", OUTSIDE)], "boxes", r"boxes\[1\]: expected a box in"),
        ([], None, r"a\.tar: holds no samples"),
    ],
)  # fmt: skip
def test_samples_that_are_not_whole_are_refused_by_name(tmp_path, files, kind, message):
    write_tar(tmp_path / "a.tar", files)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=message):
        check(open_data(tmp_path, kind))


def cut(content: bytes) -> bytes:
    return content[: content.index(b"1.png") + 600]


def cut_between(content: bytes) -> bytes:
    return content[: content.index(b"1.png")]


def flipped(content: bytes) -> bytes:
    at = content.index(b"1.cls")
    return content[:at] + b"?" + content[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "cut in '1.png'"),
        (cut_between, "damaged or cut after '0.cls'"),
        (flipped, "damaged or cut after '1.png'"),
        (lambda content: b"\x1f\x8b" + content, "compressed by gzip; expected a plain tar"),
        (lambda content: b"no tar" * 300, "not a tar, or a damaged one, after its beginning"),
        (lambda content: b"", "not a tar"),
    ],
)
def test_damaged_shards_are_refused_by_name(tmp_path, damage, message):
    path = write_tar(tmp_path / "train-000000.tar", WHOLE)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert [member.name for member in index_tar(path)] == [name for name, _ in WHOLE] and check(open_data(tmp_path))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="train-000000.tar: " + message.replace(".", r"\.")):
        open_data(tmp_path)


def test_segments_do_not_go_into_shards(tmp_path):
    data = replace(open_data(tmp_path_of(tmp_path)), kind="segments")
    with pytest.raises(DataError, match="found segments, which shards do not hold"):
        write_shards(data, tmp_path / "out")


def tmp_path_of(folder):
    write_picture(folder / "in" / "cat" / "0.png")
    return folder / "in"
