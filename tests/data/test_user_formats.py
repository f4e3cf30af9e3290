"""Each format that users have is recognised and read, and the guide shows the very files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import DataError, Sample, check, open_data
from axialzoo.data.readers.voc_masks import palette_colour
from axialzoo.tasks.results import Detections, Segmentation
from tests.data import made
from tests.data.user_formats import BOX, FORMATS, LINE, PAGE, PICTURE, POLYGON, VOC, coco, colours, discs, page, shapes, write

BY_TITLE = {item.title: item for item in FORMATS}


def first(data) -> Sample:
    return data.split("train", "test")[0]


def boxes(sample: Sample) -> Detections:
    assert isinstance(sample.annotation, Detections)
    return sample.annotation


def segments(sample: Sample) -> Segmentation:
    assert isinstance(sample.annotation, Segmentation)
    return sample.annotation


@pytest.mark.parametrize("title", BY_TITLE)
def test_a_format_is_recognised_and_read(tmp_path, title):
    item = BY_TITLE[title]
    data = open_data(write(item.files, tmp_path))
    assert (data.reader, data.kind, data.classes) == (item.reader, item.kind, item.classes)
    assert {name: len(split) for name, split in data.splits.items()} == item.splits
    assert sum(split["pictures"] for split in check(data).values()) == sum(item.splits.values())
    if item.boxes:
        np.testing.assert_allclose(boxes(first(data)).boxes, item.boxes, atol=1e-4)
        assert boxes(first(data)).label_names == ["dog"]


def test_the_guide_shows_these_files():
    text = PAGE.read_text()
    assert page(text) == text, "python -m tests.data.user_formats writes them again"


@pytest.mark.parametrize("title", ["YOLO (Roboflow)", "COCO (Roboflow)", "LabelMe"])
def test_outlines_give_segments(tmp_path, title):
    item = BY_TITLE[title]
    data = open_data(write({**item.files, "valid/labels/2.txt": POLYGON} if "YOLO" in title else item.files, tmp_path), "segments")
    assert data.classes == (*item.classes, "background")
    annotation = segments(first(data))
    areas = {label: info["area"] for label, info in zip(annotation.label_names, annotation.segments_info)}
    assert areas == {"dog": 60, "background": 1200 - 60}
    assert annotation.class_map[5, 4] == data.classes.index("dog") and annotation.class_map[4, 4] == annotation.class_map[11, 4] == len(
        item.classes
    )


def test_maps_of_instances_of_16_bits_keep_each_number(tmp_path):
    data = open_data(write(BY_TITLE["Label images (StarDist)"].files, tmp_path))
    assert segments(first(data)).to_detections().boxes.tolist() == [[2, 4, 8, 10], [11, 4, 17, 10]]
    assert data.generic_labels


def test_black_and_white_masks_are_two_classes(tmp_path):
    data = open_data(write(BY_TITLE["Masks of black and white"].files, tmp_path))
    annotation = segments(first(data))
    assert [(info["label_id"], info["area"]) for info in annotation.segments_info] == [(0, 1200 - 72), (1, 72)]
    assert "255 is 'crack'" in data.about["maps"]


def test_masks_of_pascal_voc_are_objects_or_classes(tmp_path):
    files = BY_TITLE["Pascal VOC's masks (CVAT's Segmentation mask 1.1)"].files
    annotation = segments(first(open_data(write(files, tmp_path / "objects"))))
    areas = sorted((name, info["area"]) for name, info in zip(annotation.label_names, annotation.segments_info))
    assert areas == [("background", 1200 - 108), ("cat", 36), ("dog", 36), ("dog", 36)]
    assert annotation.to_detections().boxes.tolist() == [[2, 4, 8, 10], [11, 4, 17, 10], [20, 4, 26, 10]]
    classes = {name: content for name, content in files.items() if "Object" not in name}
    data = open_data(write(classes, tmp_path / "classes"))
    assert not any(label.thing for label in data.labels) and len(segments(first(data))) == 3
    assert open_data(write({**files, "Annotations/1.xml": VOC}, tmp_path / "both")).kind == "boxes"
    assert open_data(tmp_path / "both", "segments").reader == "Pascal VOC's masks"
    unknown = {**classes, "SegmentationClass/1.png": colours((1, 2, 3))}
    with pytest.raises(DataError, match="the colour 1, 2, 3 is no class"):
        first(open_data(write(unknown, tmp_path / "unknown")))


def test_masks_of_the_voc_challenge_are_named_by_its_palette(tmp_path):
    values = np.zeros((30, 40), np.uint8)
    values[4:10, 2:8], values[4:10, 11:17], values[20:] = 12, 15, 255  # a dog, a person and void
    mask = Image.fromarray(values, "P")
    mask.putpalette([channel for number in range(255) for channel in palette_colour(number)] + [224, 224, 192])
    folder = write({"JPEGImages/1.jpg": PICTURE, "ImageSets/Segmentation/train.txt": "1\n"}, tmp_path)
    (folder / "SegmentationClass").mkdir()
    mask.save(folder / "SegmentationClass" / "1.png")
    annotation = segments(first(open_data(folder)))
    assert palette_colour(12) == (64, 0, 128) and annotation.label_names == ["background", "dog", "person"]
    assert annotation.class_map[25, 0] == -1 and [info["area"] for info in annotation.segments_info] == [800 - 72, 36, 36]


def test_mapillary_s_void_and_instances(tmp_path):
    item = BY_TITLE["Mapillary Vistas"]
    values = np.where(discs(1, 2) > 0, discs(1, 2), 512)  # 512: class 2, which is not evaluated
    values[20:] = 256 + 7  # sky, whatever its instance
    annotation = segments(first(open_data(write({**item.files, "training/v1.2/instances/1.png": values.astype(np.uint16)}, tmp_path))))
    assert [(name, info["area"]) for name, info in zip(annotation.label_names, annotation.segments_info)] == [
        ("object--car", 36), ("object--car", 36), ("nature--sky", 400),
    ]  # fmt: skip
    assert annotation.segmentation[0, 0] == 0


def test_a_yaml_that_lies_elsewhere_is_followed(tmp_path):
    item = BY_TITLE["YOLO (coco128)"]
    folder = {name: content for name, content in item.files.items() if not name.endswith(".yaml")}
    write(folder, tmp_path / "datasets" / "coco128")
    (tmp_path / "configs").mkdir()
    yaml = tmp_path / "configs" / "mine.yaml"
    yaml.write_text(item.files["coco128.yaml"])
    data = open_data(yaml)
    assert data.classes == ("cat", "dog") and data.about["same_as"] == {"val": "train"}
    np.testing.assert_allclose(boxes(first(data)).boxes, BOX, atol=1e-4)


def test_paths_of_another_machine_are_told(tmp_path):
    data = open_data(write(BY_TITLE["YOLO (Roboflow)"].files, tmp_path))
    assert "'/home/somebody/dogs/train/images' was read as 'train/images'" in data.about["data.yaml"]


def test_a_list_of_pictures_is_a_split(tmp_path):
    files = {
        "data.yaml": "train: train.txt\nval: val.txt\nnames: [cat, dog]\n", "train.txt": "./images/1.jpg\n/data/x/images/2.jpg\n",
        "val.txt": "images/3.jpg\n", **{f"images/{number}.jpg": PICTURE for number in (1, 2, 3)},
        **{f"labels/{number}.txt": LINE for number in (1, 2, 3)},
    }  # fmt: skip
    data = open_data(write(files, tmp_path / "a"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 2, "val": 1}
    with pytest.raises(DataError, match=r"train\.txt: line 1: no picture 'images/9\.jpg'"):
        open_data(write({**files, "train.txt": "images/9.jpg\n"}, tmp_path / "b"))


def test_nc_and_names_must_agree(tmp_path):
    files = BY_TITLE["YOLO (Roboflow)"].files
    with pytest.raises(DataError, match=r"expected 3 names as nc says, found 2: cat, dog"):
        open_data(write({**files, "data.yaml": "nc: 3\nnames: [cat, dog]\n"}, tmp_path))


def test_byte_order_marks_are_no_part_of_names(tmp_path):
    mark = "\ufeff"
    files = {"classes.txt": mark + "cat\ndog\n", "images/1.jpg": PICTURE, "labels/1.txt": mark + LINE}
    data = open_data(write(files, tmp_path / "yolo"))
    assert data.classes == ("cat", "dog") and len(boxes(first(data))) == 1
    files = {"1.jpg": PICTURE, "1.json": mark + json.dumps(shapes("1.jpg"))}
    assert open_data(write(files, tmp_path / "labelme")).classes == ("dog",)
    assert open_data(write({"1.jpg": PICTURE, "1.xml": mark + VOC}, tmp_path / "voc")).classes == ("dog",)


def test_voc_s_own_pixels_count_from_1_and_difficult_objects_are_crowds(tmp_path):
    text = VOC.replace("<size>", "<source><database>The VOC2007 Database</database></source><size>")
    text = text.replace("<name>dog</name>", "<name>dog</name><difficult>1</difficult>")
    annotation = boxes(first(open_data(write({"1.jpg": PICTURE, "1.xml": text}, tmp_path))))
    assert annotation.boxes.tolist() == [[3, 4, 14, 11]] and annotation.crowd.tolist() == [True]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "cat">]><annotation><filename>&b;</filename></annotation>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
    ],
)
def test_xml_with_entities_is_refused(tmp_path, text):
    files = {"1.jpg": PICTURE, "1.xml": VOC, "2.jpg": PICTURE, "2.xml": text}
    with pytest.raises(DataError, match=r"2\.xml: expected XML without a document type and entities"):
        open_data(write(files, tmp_path))


def test_unlabelled_pictures_of_voc_are_left_out_and_told(tmp_path):
    data = open_data(write({"A1.JPG": PICTURE, "a1.xml": VOC, "b.jpg": PICTURE}, tmp_path))
    assert len(data.splits["train"]) == 1 and "1 left out" in data.about["pictures_without_label_file"]
    assert "b.jpg" in data.about["pictures_without_label_file"]


def test_labelme_s_other_shapes(tmp_path):
    value = shapes("1.jpg")
    value["shapes"] = [
        {"label": "dog", "points": [[2, 3], [12, 9]], "shape_type": "rectangle", "group_id": 1},
        {"label": "dog", "points": [[20, 3], [22, 9]], "shape_type": "rectangle", "group_id": 1},
        {"label": "cat", "points": [[30, 15], [30, 20]], "shape_type": "circle", "group_id": None},
    ]
    write({"1.jpg": PICTURE, "1.json": value}, tmp_path)
    np.testing.assert_allclose(boxes(first(open_data(tmp_path))).boxes, [[2, 3, 22, 9], [25, 10, 35, 20]], atol=1e-9)
    annotation = segments(first(open_data(tmp_path, "segments")))
    areas = {name: info["area"] for name, info in zip(annotation.label_names, annotation.segments_info)}
    assert areas["dog"] == 60 + 12 and abs(areas["cat"] - np.pi * 25) < 6


def test_labelme_s_picture_may_lie_in_the_json(tmp_path):
    import base64

    write({"1.jpg": PICTURE}, tmp_path)
    content = base64.b64encode((tmp_path / "1.jpg").read_bytes()).decode()
    (tmp_path / "1.jpg").unlink()
    write({"1.json": {**shapes("C:\\pictures\\1.jpg"), "imageData": content}}, tmp_path)
    assert first(open_data(tmp_path)).picture.size == (40, 30)


def test_a_supercategory_without_objects_is_left_out(tmp_path):
    value = coco("1.jpg")
    value["categories"] = [{"id": 0, "name": "pets", "supercategory": "none"}] + [
        {**row, "supercategory": "pets"} for row in value["categories"]
    ]
    data = open_data(write({"train/_annotations.coco.json": value, "train/1.jpg": PICTURE}, tmp_path))
    assert data.classes == ("cat", "dog") and boxes(first(data)).label_names == ["dog"] and "'pets'" in data.about["left_out"]


def test_names_with_folders_of_another_machine_are_found_by_their_end(tmp_path):
    for at, name in enumerate(("/home/me/set/images/1.jpg", "C:\\set\\1.jpg", "../../upload/1.jpg")):
        data = open_data(write({"result.json": coco(name), "images/1.jpg": PICTURE}, tmp_path / str(at)))
        assert first(data).name.endswith("images/1.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="expected a file name inside the data's folder"):
        open_data(write({"result.json": coco("../secret.jpg"), "images/1.jpg": PICTURE}, tmp_path / "out"))


@pytest.mark.parametrize(
    "names",
    [
        ("annotations/person_keypoints_default.json", "images/1.jpg"),
        ("labels.json", "data/1.jpg"),
        ("train_annotations.json", "train_images/1.jpg", "val_images/1.jpg"),
    ],
)
def test_coco_under_other_names(tmp_path, names):
    data = open_data(write({names[0]: coco("1.jpg"), **dict.fromkeys(names[1:], PICTURE)}, tmp_path))
    assert first(data).name.endswith(names[1]) and boxes(first(data)).label_names == ["dog"]


def test_label_maps_of_floating_point_are_whole_numbers(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "1.png")
    for values, message in ((np.diag([1.0, 0, 2, 3]), None), (np.diag([1.5, 0, 2, 3]), "expected whole numbers, found 1.5")):
        Image.fromarray(values.astype(np.float32)).save(tmp_path / "masks" / "1.tif")
        if message is None:
            assert check(open_data(tmp_path))["train"]["objects"] == {"background": 1, "object": 3}
        else:
            with pytest.raises(DataError, match=message):
                check(open_data(tmp_path))


def test_class_names_of_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    write({"1.png": PICTURE}, tmp_path / "pictures")
    rows = {"image": [{"bytes": (tmp_path / "pictures" / "1.png").read_bytes(), "path": "1.png"}] * 2, "label": [2, 0]}
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "eel"], "_type": "ClassLabel"}}
    schema = pa.Table.from_pydict(rows).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (tmp_path / "data").mkdir()
    parquet.write_table(schema, tmp_path / "data" / "validation-00000-of-00001.parquet")
    data = open_data(tmp_path)
    assert data.classes == ("cat", "dog", "eel") and [sample.annotation for sample in data.splits["val"]] == [2, 0]


def test_maps_of_one_bit_are_read(tmp_path):
    from PIL import Image

    made.write_picture(tmp_path / "images" / "1.png")
    made.write_json(tmp_path / "labels.json", ["paper", "ink"])
    (tmp_path / "labels").mkdir()
    Image.fromarray(discs(255, dtype=np.uint8)).convert("1").save(tmp_path / "labels" / "1.png")
    assert [info["area"] for info in segments(first(open_data(tmp_path))).segments_info] == [1200 - 36, 36]


def test_placeholders_for_names_are_no_other_classes_than_a_model_s(tmp_path):
    from dataclasses import replace

    from axialzoo.train.evaluation import check_classes, fetch_checkpoint

    data = open_data(write(BY_TITLE["Label images (StarDist)"].files, tmp_path))
    config = fetch_checkpoint("axial_deeplab_nuclei").config
    check_classes(config, data)
    with pytest.raises(DataError, match="expected the model's classes background, nucleus; found background, object"):
        check_classes(config, replace(data, generic_labels=False))
