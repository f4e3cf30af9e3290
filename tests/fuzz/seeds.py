"""Small real inputs of each fuzz target."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from axialzoo.checkpoint import read_safetensors
from axialzoo.hub.golden import golden_text, noise_input
from axialzoo.runtime import ipc
from axialzoo.runtime.convert import write_any
from tests.conversion import small
from tests.data import user_formats

ROOT = Path(__file__).resolve().parents[2]


def native(name: str) -> bytes:
    """Return the test's model as a file of the format that `name` says."""
    with tempfile.TemporaryDirectory() as folder:
        write_any(Path(folder) / name, small.CONFIG, small.tensors())
        return (Path(folder) / name).read_bytes()


def weights() -> Iterator[bytes]:
    """Yield a safetensors file."""
    yield native("a.safetensors")


def configs() -> Iterator[bytes]:
    """Yield configs of three versions."""
    yield small.CONFIG.with_digest("sha256:" + "0" * 64).to_json().encode()
    for path in sorted((ROOT / "tests" / "conversion" / "data").glob("*version1.json")):
        yield path.read_bytes()
    yield read_safetensors(ROOT / "tests" / "conversion" / "data" / "version2" / "model.safetensors")[1]["axialzoo"].encode()


def tars() -> Iterator[bytes]:
    """Yield tar archives of three kinds."""
    for mode, kind in (("w", tarfile.USTAR_FORMAT), ("w", tarfile.PAX_FORMAT), ("w:gz", tarfile.GNU_FORMAT)):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode, format=kind) as tar:
            for name in ("a/ckpt-0.index", "a/0001.cls", "a/0001.json"):
                member = tarfile.TarInfo(name)
                member.size = 4
                tar.addfile(member, io.BytesIO(b"1234"))
        yield stream.getvalue()


def zips() -> Iterator[bytes]:
    """Yield zip archives, stored and packed."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as file:
            file.writestr("a/data.pkl", b"1234")
            file.writestr("b.json", b"{}" * 20)
        yield stream.getvalue()


def tables() -> Iterator[bytes]:
    """Yield Parquet files."""
    import pyarrow
    import pyarrow.parquet

    for compression in ("none", "snappy"):
        stream = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"image": [b"12", b"345"], "label": [0, 1]}), stream, compression=compression)
        yield stream.getvalue()


def pictures(*suffixes: str, mode: str = "RGB") -> Iterator[bytes]:
    """Yield a picture of noise in each format."""
    shape = (6, 8, 3) if mode == "RGB" else (6, 8)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint16 if mode == "I;16" else np.uint8)
    for suffix in suffixes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, suffix)
        yield stream.getvalue()


def messages() -> Iterator[bytes]:
    """Yield a message with arrays."""
    stream = io.BytesIO()
    ipc.send(stream, {"do": "outputs"}, {"x": np.zeros((1, 2, 2, 3), np.float32), "levels": [np.zeros(2, np.int64), np.zeros(0, bool)]})
    yield stream.getvalue()


def golden() -> Iterator[bytes]:
    """Yield golden activations."""
    x = noise_input((1, 4, 4, 3))
    yield golden_text(small.CONFIG.with_digest("sha256:0"), "test", {"float64": (x, {"logits": x[:, 0, 0], "map": x})}).encode()


def runs() -> Iterator[bytes]:
    """Yield outlines as polygons, as run lengths and as packed ones."""
    value = user_formats.coco("1.jpg")
    for outline in (
        value["annotations"][0]["segmentation"],
        {"size": [30, 40], "counts": [125, 6, 24, 6, 1039]},
        {"size": [30, 40], "counts": "m36h000000000000000000Wh0"},
    ):
        value["annotations"][0]["segmentation"] = outline
        yield json.dumps(value).encode()
