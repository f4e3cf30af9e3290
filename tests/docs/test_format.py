"""The checkpoint format as its page says it: the reader on the page, written from the page alone, reads what ships."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import digest, load_checkpoint, write_safetensors

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "format.md").read_text()
SHIPPED = sorted(folder for folder in (ROOT / "axialzoo" / "weights").iterdir() if folder.is_dir())
EXAMPLE = {"a": np.array([1, -2], np.float32), "b.c": np.array([[0.5]], np.float32)}


@pytest.fixture(scope="module")
def read():
    (text,) = re.findall(r'```python title="reader.py"\n(.*?)```', PAGE, re.DOTALL)
    assert "axialzoo" not in "".join(re.findall(r"^(?:import|from) .*$", text, re.MULTILINE))
    names = {}
    exec(compile(text, "reader.py", "exec"), names)
    return names["read"]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_reader_of_the_page_reads_what_ships(read, folder):
    config, tensors = read(folder)
    ours = load_checkpoint(folder)
    assert config["digest"] == ours.config.digest == digest(tensors)
    assert tensors.keys() == ours.tensors.keys()
    assert all(tensors[name].dtype == array.dtype and np.array_equal(tensors[name], array) for name, array in ours.tensors.items())


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4))


def change(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"airplane"', '"aeroplane"'))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors", -7),
        lambda folder: lengthen(folder / "model.safetensors"),
        change,
    ],
    ids=["a bit of a tensor", "bytes at the end", "a label"],
)
def test_the_reader_of_the_page_refuses_what_is_damaged(read, damage, tmp_path):
    folder = Path(shutil.copytree(ROOT / "axialzoo" / "weights" / "axial_resnet_cifar10", tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(AssertionError):
        read(folder)


def test_the_worked_example_is_right(tmp_path):
    assert f"\n    {digest(EXAMPLE)}\n" in PAGE
    path = tmp_path / "model.safetensors"
    write_safetensors(path, EXAMPLE, {"format": "pt"})
    content = path.read_bytes()
    assert f"are {len(content)} bytes: `{content[:8].hex(' ')}`" in PAGE
    assert f"\n    {content[8:-12].decode()}\n" in PAGE
    for array in EXAMPLE.values():
        assert f"`{array.tobytes().hex(' ')}`" in PAGE


def test_what_the_page_says_of_fields_is_what_is_written():
    config = json.loads((SHIPPED[0] / "config.json").read_text())
    table = PAGE.partition("## `config.json`")[2].partition("### The spec")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(config)
