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
from axialzoo.data.decode import open_map
from axialzoo.data.file_tree import Folder
from axialzoo.data.pack import _map_picture, write_shards
from axialzoo.data.tars import index_tar
from axialzoo.spec import Preprocessing
from axialzoo.tasks.results import Segmentation
from axialzoo.train.recipe import load_recipe
from tests.data.made import write_json, write_map, write_picture
from tests.engine.made import write_tar

RECIPE = replace(load_recipe("cifar10"), augment="resized_crop", batch_size=4, progressive_sizes=(), epochs=3)


def png(seed: int = 0) -> bytes:
    return png_of(Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)))


def png_of(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png")
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


@pytest.fixture(scope="module")
def of_segments(tmp_path_factory):
    """A sky, a crowd and up to 300 persons: maps of 8 and of 16 bits."""
    ids = np.zeros((30, 40), np.int32)
    ids[:5], ids[25:] = 70000, 5
    images, annotations, folder = [], [], tmp_path_factory.mktemp("segments")
    for index, persons in enumerate((3, 300, 0, 1, 2)):
        ids[5:25] = 0
        ids.reshape(-1)[200 : 200 + 2 * persons] = 1000 + np.arange(2 * persons) // 2
        segments = [{"id": 70000, "category_id": 187}, {"id": 5, "category_id": 1, "iscrowd": 1}]
        segments += [{"id": 1000 + number, "category_id": 1} for number in range(persons)]
        images.append({"id": index, "file_name": f"{index}.png", "width": 40, "height": 30})
        annotations.append({"image_id": index, "file_name": f"{index}.png", "segments_info": segments})
        write_map(folder / "panoptic_train" / f"{index}.png", ids)
        write_picture(folder / "train" / f"{index}.png", seed=index)
    categories = [{"id": 1, "name": "person", "isthing": 1}, {"id": 187, "name": "sky", "isthing": 0, "color": [70, 130, 180]}]
    write_json(folder / "panoptic_train.json", {"images": images, "annotations": annotations, "categories": categories})
    return folder


def same(one, other) -> bool:
    return one.picture.tobytes() == other.picture.tobytes() and same_truth(one.annotation, other.annotation)


def same_truth(one, other) -> bool:
    if isinstance(one, int):
        return one == other
    if isinstance(one, Segmentation):
        return (
            np.array_equal(one.segmentation, other.segmentation)
            and one.segments_info == other.segments_info
            and one.categories == other.categories
        )
    return np.allclose(one.boxes, other.boxes, atol=1e-9) and np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("kind", ["of_classes", "of_boxes", "of_segments"])
def test_shards_are_read_as_what_was_written(kind, request, tmp_path):
    data = open_data(request.getfixturevalue(kind))
    paths = write_shards(data, tmp_path / "shards", per_shard=4)
    actual = open_data(tmp_path / "shards", data.kind)
    assert actual.labels == data.labels and set(actual.splits) == set(data.splits) and len(paths) >= 2
    for name, split in data.splits.items():
        assert len(split) == len(actual.splits[name])
        assert all(same(split[index], actual.splits[name][index]) for index in range(len(split)))
    split = actual.split("train")
    assert not same(split[0], split[1])  # another picture would be seen
    assert check(actual)["train"]["pictures"] == len(split) == len(split.subset(range(len(split))))
    assert "train-000000.tar:000000002.png" in split[2].name
    with pytest.raises(FileExistsError, match="already, which is not replaced"):
        write_shards(data, tmp_path / "shards")


def test_batches_of_segments_are_those_of_the_folder(of_segments, tmp_path):
    recipe = replace(load_recipe("nuclei"), batch_size=2, preprocessing=Preprocessing(size=(32, 32)))
    data = open_data(of_segments)
    write_shards(data, tmp_path, per_shard=2)
    folder, shards = (TrainBatches(item.split("train"), recipe) for item in (data, open_data(tmp_path, "segments")))
    other = TrainBatches(shards.split, replace(recipe, seed=1))
    for step in (3, 0):
        (x, annotations), (y, actual) = folder[step], shards[step]
        assert np.array_equal(x, y) and all(map(same_truth, annotations, actual)) and len(annotations) == 2
        assert not np.array_equal(other[step][0], x)


def test_maps_of_any_number_of_segments_are_written(tmp_path):
    bits = {}
    for most in (255, 256, 65535, 65536):
        ids = np.array([[0, 1], [most - 1, most]], np.int32)
        path = tmp_path / f"{most}.png"
        _map_picture(ids).save(path)
        actual, bits[most] = open_map(Folder(tmp_path), path.name)
        assert np.array_equal(actual, ids)
    assert bits == {255: 8, 256: 16, 65535: 16, 65536: 24}


def test_batches_are_a_function_of_seed_and_step_as_of_a_folder(of_classes, tmp_path):
    data = open_data(of_classes)
    write_shards(data, tmp_path, per_shard=4)
    folder, shards = (TrainBatches(item.split("train"), RECIPE) for item in (data, open_data(tmp_path)))
    halves = [TrainBatches(open_data(tmp_path).split("train"), RECIPE, process, 2) for process in (0, 1)]
    for step in (5, 0, 8):  # begun anywhere, in any order
        x, annotations = folder[step]
        assert np.array_equal(shards[step][0], x) and np.array_equal(shards[step][1], annotations)
        for process, half in enumerate(halves):
            assert np.array_equal(half[step][0], x[process::2]) and np.array_equal(half[step][1], annotations[process::2])
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
    assert classes.classes == ("a", "b") and [classes.split("train")[index].annotation for index in (4, 0)] == [0, 1]
    assert classes.split("train")[3].picture.tobytes() == Image.open(io.BytesIO(png(3))).tobytes()
    (tmp_path / "labels.txt").write_text("a\nb\n")
    actual = open_data(tmp_path, "boxes").split("train")
    assert (
        actual[0].annotation.boxes.tolist() == [[1, 2, 9, 12]]
        and actual[0].annotation.labels.tolist() == [1]
        and len(actual[5].annotation) == 0
    )
    assert len(actual.subset([5, 0])) == 2 and len(actual.subset([5, 0])[0].annotation) == 0


@pytest.mark.parametrize("as_text", [True, False])
def test_parquet_of_segments(as_text, of_segments, tmp_path):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    data = open_data(of_segments)
    write_shards(data, tmp_path / "tars")
    split = open_data(tmp_path / "tars", "segments").split("train")
    besides = [split.beside(index) for index in range(len(split))]
    rows = [json.loads(item.content)["segments"] for item in besides]
    table = {
        "image": [{"bytes": png_of(split[index].picture)} for index in range(len(split))],
        "segments": [json.dumps(row) for row in rows] if as_text else rows,
        "map": [item.map if as_text else {"bytes": item.map} for item in besides],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "train.parquet", row_group_size=2)
    (tmp_path / "labels.json").write_text((tmp_path / "tars" / "labels.json").read_text())
    actual = open_data(tmp_path, "segments")
    assert actual.labels == data.labels
    assert all(same(item, other) for item, other in zip(data.split("train"), actual.split("train"), strict=True))
    assert check(actual)["train"]["crowds"] == 5
    parquet.write_table(pyarrow.table({key: table[key] for key in ("image", "segments")}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: expected a column called map, found image, segments"):
        open_data(tmp_path, "segments")


def test_classes_are_listed_or_those_that_occur(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.png", png()), ("0.cls", b"2"), ("1.png", png(1)), ("1.cls", b" 0\n")])
    actual = open_data(tmp_path)
    assert actual.classes == ("0", "1", "2") and set(actual.splits) == {"train", "test"} and actual.split("train")[0].annotation == 2
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    with pytest.raises(DataError, match=r"a\.tar:0\.png: expected a class from 0 to 1, found 2"):
        check(open_data(tmp_path))


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (None, "segments", r'need a labels\.json, such as \["nucleus", '),
        ('{"a": 1}', None, r"labels\.json: expected a list of classes, found"),
        ("[]", None, r"labels\.json: expected different class names, at least one, found \[\]"),
        ('["a", "a"]', None, r"labels\.json: expected different class names, at least one, found \['a', 'a'\]"),
        ('[{"thing": true}]', None, r"labels\.json: \[0\]: expected a class as"),
    ],
)  # fmt: skip
def test_lists_of_classes_that_say_nothing_are_refused(tmp_path, labels, kind, message):
    write_tar(tmp_path / "a.tar", WHOLE)
    if labels is not None:
        (tmp_path / "labels.json").write_text(labels)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path, kind)


def a_map(width: int, height: int, *numbers: int) -> bytes:
    """Bands of ten rows of each of `numbers`."""
    return png_of(Image.fromarray(np.array(numbers, np.uint8)[np.arange(height) // 10].repeat(width).reshape(height, width)))


WHOLE = [("0.png", png()), ("0.cls", b"1"), ("1.png", png(1)), ("1.cls", b"0")]
SEGMENTS = b'{"segments": [{"id": 1, "label": "a"}, {"id": 2, "label": "b"}]}'
MAPPED = ("0.map.png", a_map(40, 30, 1, 2, 0))
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
        (WHOLE, "segments", r"0\.png: expected segments in \.json beside each picture, found a class"),
        ([WHOLE[0], ("0.json", SEGMENTS)], "boxes", r"0\.png: expected 'boxes', found 'segments'"),
        ([WHOLE[0], ("0.json", SEGMENTS)], "segments", r"0\.png: expected a map of its segments, KEY\.map\.png .*, found none"),
        ([WHOLE[0], ("0.json", SEGMENTS), ("0.map.png", b"")], "segments", r"0\.png: expected a map of its segments"),
        ([WHOLE[0], ("0.json", SEGMENTS), ("0.map.png", b"no")], "segments", r"0\.png, its map: not a map that can be read"),
        ([WHOLE[0], ("0.json", SEGMENTS), ("0.map.png", a_map(30, 30, 1, 2, 2))], "segments", r"0\.png, its map: expected 40 x 30 pixels"),
        ([WHOLE[0], ("0.json", SEGMENTS), ("0.map.png", a_map(40, 30, 1, 2, 9))], "segments", r"its map: .*not listed: 9"),
        ([WHOLE[0], ("0.json", SEGMENTS), ("0.map.png", a_map(40, 30, 1, 1, 0))], "segments", r"its map: segment 2 has no pixel"),
        ([WHOLE[0], ("0.json", SEGMENTS.replace(b"2", b"1")), MAPPED], "segments", r"0\.png: segment id 1 occurs twice"),
        ([WHOLE[0], ("0.json", SEGMENTS.replace(b'"b"', b'"owl"')), MAPPED], "segments", r"segment 2: expected a class, .*'owl'"),
        ([WHOLE[0], ("0.json", b'{"segments": 3}'), MAPPED], "segments", r"0\.png: expected a list of segments, found '3'"),
        ([], None, r"a\.tar: holds no samples"),
    ],
)  # fmt: skip
def test_samples_that_are_not_whole_are_refused_by_name(tmp_path, files, kind, message):
    write_tar(tmp_path / "a.tar", files)
    (tmp_path / "labels.json").write_text('["a", {"name": "b", "thing": false}]')
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
