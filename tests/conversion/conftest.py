"""A whole checkpoint in each format, and a copy of it to damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.runtime.convert import read_any, write_any
from tests.conversion import small


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    small.write_folder(folder)
    for name in ("lone.safetensors", "model.pth"):
        write_any(folder / name, *read_any(folder))
    load_checkpoint(folder)
    return folder


@pytest.fixture
def copy(good, tmp_path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((good / name).read_bytes())
    return tmp_path
