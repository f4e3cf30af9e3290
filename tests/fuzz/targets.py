"""The readers of foreign bytes, each as a function of bytes, with small real files to begin from.

A reader may refuse its input by one of `REFUSALS`. Anything else is a finding: another exception, more than `SECONDS`, memory out of
proportion to the input, or a value that the function itself finds wrong.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.checkpoint import (
    CheckpointError,
    Config,
    check_archive,
    digest,
    load_checkpoint,
    read_safetensors,
    unpack_tar,
    write_safetensors,
)
from axialzoo.data import DataError, check, open_data
from axialzoo.data.decode import decode_map
from axialzoo.data.file_tree import Zips, named
from axialzoo.data.parquet import Table
from axialzoo.data.tars import index_tar
from axialzoo.hub.golden import read_golden
from axialzoo.hub.manifest import manifest, read_manifest
from axialzoo.image import load_image
from axialzoo.runtime import ipc
from axialzoo.tasks.results import Detections
from tests.conversion import small
from tests.data import user_formats
from tests.fuzz import answers, seeds
from tests.fuzz.execute import Target, expect

CORPUS = Path(__file__).parent / "corpus"


def written(name: str, read: Callable[[Path], None]) -> Callable[[bytes, Path], None]:
    """Return a reader of bytes from a reader of a file called `name`."""

    def run(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        read(folder / name)

    return run


def safetensors(path: Path) -> None:
    """Read a file and, if it is accepted, compare with what is written and read again."""
    tensors, metadata = read_safetensors(path)
    copy = path.with_name("copy.safetensors")
    write_safetensors(copy, tensors, metadata)
    again, same = read_safetensors(copy)
    expect(again.keys() == tensors.keys() and same == metadata, "names")
    expect(all(again[name].tobytes() == array.tobytes() for name, array in tensors.items()), "values")


def config(data: bytes, folder: Path) -> None:
    """Read a config, and what it is written as."""
    read = Config.from_json(data, "config.json")
    if read.version == 3:
        expect(Config.from_json(read.to_json(), "config.json") == read, "a config that changes when it is written")


def checkpoint(data: bytes, folder: Path) -> None:
    """Read a checkpoint folder whose config is `data`; the weights are those of the test's model."""
    if not (folder / "model.safetensors").exists():
        small.write_folder(folder)
    (folder / "config.json").write_bytes(data)
    read = load_checkpoint(folder)
    expect(read.config.spec == small.SPEC, "another spec over these weights")


def archive(path: Path) -> None:
    """Check an archive, whose names then stay inside."""
    names = check_archive(path)
    expect(all(not name.startswith("/") and ".." not in name.split("/") for name in names), "a name that leads elsewhere")


def pth(path: Path) -> None:
    """Read a file of PyTorch."""
    from axialzoo.torch.native import read_state, to_array

    state, _ = read_state(path)
    for name, value in state.items():
        to_array(path, name, value)


def keras_file(path: Path) -> None:
    """Read a file of Keras as far as before a model is built."""
    from axialzoo.keras import native

    try:
        inside = native._config_in_archive(path) if path.suffix == ".keras" else native._config_in_h5(path)
        native._check_datasets(path, path.suffix if path.suffix == ".keras" else ".weights.h5", inside.spec if inside else small.SPEC)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):  # read_native says these in its own words
        raise CheckpointError("damaged") from None


def tar(data: bytes, folder: Path) -> None:
    """Unpack an archive: nothing appears outside its folder, and nothing where it is refused."""
    (folder / "a.tar").write_bytes(data)
    inside = folder / hashlib.sha256(data).hexdigest()[:16]
    inside.mkdir(exist_ok=True)
    try:
        files = unpack_tar(folder / "a.tar", inside)
        expect(
            all(file.resolve().is_relative_to(inside) and file.is_file() and not file.is_symlink() for file in files), "a file elsewhere"
        )
    except CheckpointError:
        expect(not any(inside.iterdir()), "a refused archive that left files")
        raise
    finally:
        for path in sorted(inside.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        inside.rmdir()
        expect(sorted(path.name for path in folder.iterdir()) == ["a.tar"], "a file beside the folder")


def shard(path: Path) -> None:
    """Read the index of a shard."""
    size = path.stat().st_size
    expect(all(0 <= member.offset <= member.offset + member.size <= size for member in index_tar(path)), "a member outside the file")


def zips(path: Path) -> None:
    """Read every file of a zip."""
    tree = Zips([("", path)])
    for name in tree.listing():
        tree.read(name)


def parquet(path: Path) -> None:
    """Read every row of a table."""
    table = Table(path)
    for _ in table.read(0, table.rows):
        pass


def picture(data: bytes, folder: Path) -> None:
    """Load a picture."""
    image = load_image(io.BytesIO(data))
    expect(image.mode == "RGB" or image.info.get("notes") is not None, image.mode)


def label_map(data: bytes, folder: Path) -> None:
    """Read a map of numbers."""
    values, bits = decode_map(named(data, "map.png"))
    expect(values.ndim == 2 and values.dtype == np.int32 and values.min(initial=0) >= 0 and values.max(initial=0) < 1 << bits, "a map")


def data_set(files: dict[str, Any], name: str, kind: str, data: bytes, folder: Path) -> None:
    """Read a data set of `files`, one of which holds `data`: every object lies in its picture, of a class that there is."""
    if not all((folder / path).exists() for path in files):
        user_formats.write(files, folder)
    (folder / name).write_bytes(data)
    dataset = open_data(folder, kind)
    check(dataset)
    for split in dataset.splits.values():
        for index in range(len(split)):
            sample = split[index]
            if isinstance(sample.annotation, Detections):
                boxes, (width, height) = sample.annotation.boxes, sample.picture.size
                expect((boxes >= 0).all() and (boxes <= [width, height] * 2).all() and (boxes[:, 2:] > boxes[:, :2]).all(), f"{boxes}")
                expect((sample.annotation.labels >= 0).all() and (sample.annotation.labels < len(dataset.labels)).all(), "classes")


def message(data: bytes, folder: Path) -> None:
    """Read a message of a worker process, and what is sent when it is sent again."""
    try:
        said, arrays = ipc.receive(io.BytesIO(data))
    except (EOFError, ValueError) as error:  # the process has gone, or talks otherwise
        raise DataError(str(error) or "ended") from error
    stream = io.BytesIO()
    ipc.send(stream, said, arrays)
    stream.seek(0)
    again, same = ipc.receive(stream)
    expect(json.dumps(again) == json.dumps(said) and same.keys() == arrays.keys(), "a message that changes when it is sent again")


def golden(path: Path) -> None:
    """Read golden activations."""
    expect(read_golden(path.parent, small.CONFIG.with_digest("sha256:0")), "none")


FORMATS = {item.title: item for item in user_formats.FORMATS}


def _format(title: str, suffix: str, kind: str = "") -> Target:
    """Return the target of the first file with a suffix of one of the documented formats."""
    item = FORMATS[title]
    name = next(path for path in item.files if path.endswith(suffix))
    content = item.files[name]
    text = content if isinstance(content, str) else json.dumps(content)
    return Target(partial(data_set, item.files, name, kind or item.kind), lambda: iter([text.encode()]))


_MAPS = FORMATS["Maps of classes"].files
_LISTS = {"images/1.jpg": user_formats.PICTURE, "masks/1.png": user_formats.discs(1, 2), "kinds.csv": "id,kind,group\n1,bright,a\n"}
TARGETS: dict[str, Target] = {
    "safetensors": Target(written("a.safetensors", safetensors), seeds.weights),
    "config": Target(config, seeds.configs),
    "checkpoint": Target(checkpoint, lambda: iter([small.CONFIG.with_digest(digest(small.tensors())).to_json().encode()])),
    "archive": Target(written("a.zip", archive), seeds.zips),
    "pth": Target(written("a.pth", pth), lambda: iter([seeds.native("a.pth")])),
    "h5": Target(written("a.weights.h5", keras_file), lambda: iter([seeds.native("a.weights.h5")]), heavy=True),
    "keras": Target(written("a.keras", keras_file), lambda: iter([seeds.native("a.keras")]), heavy=True),
    "tar": Target(tar, seeds.tars),
    "shard": Target(written("a.tar", shard), seeds.tars),
    "zips": Target(written("a.zip", zips), seeds.zips),
    "parquet": Target(written("a.parquet", parquet), seeds.tables),
    "picture": Target(picture, partial(seeds.pictures, "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")),
    "label_map": Target(
        label_map, lambda: iter([*seeds.pictures("PNG", "TIFF", "BMP", mode="L"), *seeds.pictures("PNG", "TIFF", mode="I;16")])
    ),
    "coco_boxes": _format("COCO", ".json"),
    "coco_segments": Target(_format("COCO", ".json", "segments").read, seeds.runs),
    "yolo_yaml": _format("YOLO (Ultralytics)", ".yaml"),
    "yolo_text": _format("YOLO (Ultralytics)", ".txt"),
    "yolo_names": _format("YOLO (darknet, CVAT's YOLO 1.1)", ".names"),
    "voc": _format("Pascal VOC (labelImg, Roboflow)", ".xml"),
    "labelme": _format("LabelMe", ".json", "segments"),
    "mapillary": _format("Mapillary Vistas", ".json"),
    "labels_json": Target(
        partial(data_set, _MAPS, "labels.json", "segments"), lambda: iter([b'["road", {"name": "car", "colour": [0, 1, 2]}]'])
    ),
    "kinds_csv": Target(partial(data_set, _LISTS, "kinds.csv", "segments"), lambda: iter([_LISTS["kinds.csv"].encode()])),
    "message": Target(message, seeds.messages),
    "golden": Target(written("golden.json", golden), seeds.golden),
    "manifest": Target(written("SHA256SUMS", lambda path: expect(read_manifest(path) is not None, "none")),
                       lambda: iter([manifest({"labels.txt": b"", "a/b": b"1"}).encode()])),
    "answers": Target(answers.fetch, answers.seeds),
    "tf2_index": Target(answers.tf2_index, answers.tf2_seeds, heavy=True),
}  # fmt: skip
