"""Many small pictures, as files, in tar shards and in Parquet; and what a run made of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT = 60


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)).save(stream, "jpeg")
    return stream.getvalue()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of 60 pictures, one of them damaged, and of other files."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(COUNT):
        path = folder / ("a" if index < 40 else "b") / f"{index:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg(index) if index != 17 else b"no picture")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def names(folder: Path) -> list[str]:
    """Names of the pictures of a folder, as results have them."""
    return sorted(str(path) for path in folder.rglob("*.jpg"))


def write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def rows(out: Path) -> list[dict]:
    """Rows of a run, in the order of its files."""
    if out.suffix == ".jsonl":
        return [json.loads(line) for path in sorted(out.glob("part-*")) for line in path.read_text().splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet")
    return [row for path in sorted(out.glob("part-*")) for row in parquet.read_table(path).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def once_each(out: Path, expected: list[str]) -> bool:
    """Tell whether all pictures are there, once, in order, and no file is incomplete."""
    return [row["picture"] for row in rows(out)] == expected and all(name.startswith(("part-", "_plan")) for name in contents(out))
